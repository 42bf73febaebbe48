/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of OTLP/JSON, appended to files: SONDE_FILE_PATH with ".traces.jsonl", ".logs.jsonl" and
 * ".metrics.jsonl" added, because a file of the standard's format holds one signal. Processes may share the files: a
 * batch is one line, appended by one write where the file system takes it whole.
 *
 * A write that fell short (a full disk) leaves half a line. When the same batch comes again and the
 * file still ends where we stopped, the line is continued. Otherwise (the batch was given up for
 * another, or somebody else has appended) it is ended, so that it spoils nothing but itself, and
 * the batch is written anew.
 *
 * Before each line the path is looked at: a file that was rotated or removed is made anew.
 *
 * A service that closes all descriptors gets our numbers back for files of its own. So a file is
 * known by its inode, looked at before each write, and opened again where the number means another.
 *
 * A local file is written synchronously; a path on a network file system that hangs holds up the
 * background thread, never the service. SIGXFSZ is blocked there, as all such signals are.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sonde/exporter.h>

#include "json/json.h"

#define PATH_SIZE 4096

struct output {
	char path[PATH_SIZE];
	int fd;
	dev_t device;
	ino_t inode;
	/* Of a line that was written in part: how much, of which text, and where the file ended. */
	size_t n_written;
	uint64_t digest;
	off_t end;
};

#define N_OUTPUTS (SONDE_SIGNAL_METRIC + 1)

struct file {
	struct output outputs[N_OUTPUTS]; /* By enum sonde_signal. */
};

static const char *const suffixes[N_OUTPUTS] = {
	[SONDE_SIGNAL_SPAN] = ".traces.jsonl",
	[SONDE_SIGNAL_LOG] = ".logs.jsonl",
	[SONDE_SIGNAL_METRIC] = ".metrics.jsonl",
};

/* A pipe or a device would block or be a surprise. */
static int require_regular(struct output *output)
{
	struct stat status;

	if (fstat(output->fd, &status) < 0)
		return -1;
	output->device = status.st_dev;
	output->inode = status.st_ino;
	if (S_ISREG(status.st_mode))
		return 0;
	errno = EINVAL;
	return -1;
}

/*
 * A service that has closed its standard output gets the number back from the next open, whoever
 * calls it, and prints into what was opened. -1 where there is no other number either.
 */
static int move_from_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

static int open_path(struct output *output)
{
	int fd = open(output->path,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	output->fd = move_from_standard(fd);
	return output->fd < 0 ? -1 : require_regular(output);
}

/* Absolute, because the service may change its folder before the file is opened again. */
static int output_init(struct output *output, const char *path, const char *suffix)
{
	char folder[PATH_SIZE] = "";
	bool is_relative = path[0] != '/' && getcwd(folder, sizeof(folder));
	int n = snprintf(output->path, sizeof(output->path), "%s%s%s%s", is_relative ? folder : "",
			 is_relative ? "/" : "", path, suffix);

	if (n >= 0 && (size_t)n < sizeof(output->path))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static bool is_same(const struct output *output, const struct stat *status)
{
	return status->st_dev == output->device && status->st_ino == output->inode;
}

static bool is_ours(const struct output *output)
{
	struct stat status;

	return output->fd >= 0 && fstat(output->fd, &status) == 0 && is_same(output, &status);
}

static void close_output(struct output *output)
{
	if (is_ours(output))
		close(output->fd);
	output->fd = -1;
}

static void file_close(void *instance, bool forked)
{
	struct file *file = instance;

	for (size_t i = 0; i < N_OUTPUTS; i++)
		close_output(&file->outputs[i]);
	if (!forked)
		free(file);
}

/* Metrics may be wanted elsewhere or nowhere: their file is made by the first of them. */
static int open_outputs(const struct sonde_exporter_host *host, struct file *file, const char *path)
{
	char text[PATH_SIZE + 128];
	int status = 0;

	for (size_t i = 0; i < N_OUTPUTS; i++) {
		file->outputs[i].fd = -1;
		if (suffixes[i] && status == 0)
			status = output_init(&file->outputs[i], path, suffixes[i]);
	}
	if (status == 0 && open_path(&file->outputs[SONDE_SIGNAL_SPAN]) == 0 &&
	    open_path(&file->outputs[SONDE_SIGNAL_LOG]) == 0)
		return SONDE_OK;
	snprintf(text, sizeof(text), "SONDE_FILE_PATH=%s: no files can be written there: %s", path,
		 errno == EINVAL ? "not a regular file" : strerror(errno));
	host->report(host->context, SONDE_ERROR, text);
	return SONDE_E_SYSTEM;
}

static int file_open(const struct sonde_exporter_host *host, void **ret)
{
	const char *path = host->setting(host->context, "SONDE_FILE_PATH");
	struct file *file = calloc(1, sizeof(*file));
	int status;

	if (!file)
		return SONDE_E_NOMEM;
	status = open_outputs(host, file, path ? path : "sonde");
	if (status < 0) {
		file_close(file, /* forked= */ false);
		return status;
	}
	*ret = file;
	return SONDE_OK;
}

static int file_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	return sonde__json_encode(batch, out);
}

/* FNV-1a: tells one batch from another, not from a forged one. */
static uint64_t digest_of(struct sonde_bytes body)
{
	const uint8_t *data = body.data;
	uint64_t digest = 0xcbf29ce484222325u;

	for (size_t i = 0; i < body.size; i++)
		digest = (digest ^ data[i]) * 0x100000001b3u;
	return digest;
}

/*
 * Nobody tells us that the file was rotated or removed, and what went on into it nobody would find.
 * Where the path cannot be opened any more (another user, another root) the old one stays.
 */
static void follow_path(struct output *output)
{
	struct output fresh = *output;
	struct stat status;

	if (stat(output->path, &status) == 0 && is_same(output, &status))
		return;
	fresh.n_written = 0;
	if (open_path(&fresh) < 0) {
		close_output(&fresh);
		return;
	}
	close_output(output);
	*output = fresh;
}

static bool can_continue(const struct output *output, struct sonde_bytes body)
{
	return output->digest == digest_of(body) && lseek(output->fd, 0, SEEK_END) == output->end;
}

static int write_all(int fd, const char *data, size_t size, size_t *written)
{
	while (*written < size) {
		ssize_t n = write(fd, data + *written, size - *written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		*written += (size_t)n;
	}
	return 0;
}

static int end_line(struct output *output)
{
	size_t n = 0;
	int error = write_all(output->fd, "\n", 1, &n);

	if (!error)
		output->n_written = 0;
	return error;
}

/* 0, or the errno that stopped it. */
static int write_line(struct output *output, struct sonde_bytes body)
{
	int error = 0;

	if (is_ours(output)) {
		follow_path(output);
	} else if (open_path(output) < 0) {
		error = errno;
		close_output(output);
	}
	if (!error && output->n_written && !can_continue(output, body))
		error = end_line(output);
	if (error)
		return error;
	error = write_all(output->fd, body.data, body.size, &output->n_written);
	if (!error) {
		output->n_written = 0;
	} else if (output->n_written) {
		output->digest = digest_of(body);
		output->end = lseek(output->fd, 0, SEEK_END);
	}
	return error;
}

static bool file_accepts(void *instance, enum sonde_signal signal)
{
	(void)instance;
	return (size_t)signal < N_OUTPUTS && suffixes[signal];
}

static enum sonde_outcome outcome_of(int error)
{
	switch (error) {
	case 0:
		return SONDE_OUTCOME_ACCEPTED;
	case ENOSPC:
	case EDQUOT:
	case EAGAIN:
	case EIO:
	case EMFILE:
	case ENFILE:
		return SONDE_OUTCOME_RETRY;
	default:
		return SONDE_OUTCOME_REFUSED;
	}
}

static enum sonde_outcome file_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	struct file *file = instance;
	struct output *output = &file->outputs[request->signal];
	int error = write_line(output, request->body);

	memset(ret, 0, sizeof(*ret));
	ret->token = request->token;
	ret->retry_after_ms = -1;
	ret->outcome = outcome_of(error);
	if (error)
		snprintf(ret->reason, sizeof(ret->reason), "cannot write %.160s: %s", output->path,
			 strerror(error));
	return ret->outcome;
}

const struct sonde_exporter sonde_file_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "file",
	.open = file_open,
	.accepts = file_accepts,
	.encode = file_encode,
	.send = file_send,
	.close = file_close,
};
