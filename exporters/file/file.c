/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of OTLP/JSON, appended to files: SONDE_FILE_PATH with ".traces.jsonl" and ".logs.jsonl"
 * added, because a file of the standard's format holds one signal. Processes may share the files: a
 * batch is appended by one write where the file system lets it. A write that fell short (a full
 * disk) is not begun anew but continued when the batch is sent again, so that no line comes twice.
 *
 * A local file is written synchronously; a path on a network file system that hangs holds up the
 * background thread, never the service.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sonde/exporter.h>

#include "json/json.h"

#define PATH_SIZE 4096

struct output {
	char path[PATH_SIZE];
	int fd;
	const void *token; /* Of a batch that was written in part, */
	size_t n_written; /* and how much of it. */
};

struct file {
	struct output outputs[2]; /* By enum sonde_signal. */
};

static int open_output(struct output *output, const char *path, const char *suffix)
{
	int n = snprintf(output->path, sizeof(output->path), "%s%s", path, suffix);

	if (n < 0 || (size_t)n >= sizeof(output->path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	output->fd = open(output->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	return output->fd;
}

static void report_unusable(const struct sonde_exporter_host *host, const char *path)
{
	char text[PATH_SIZE + 128];

	snprintf(text, sizeof(text), "SONDE_FILE_PATH=%s cannot be written: %s", path, strerror(errno));
	host->report(host->context, SONDE_ERROR, text);
}

static void file_close(void *instance, bool forked)
{
	struct file *file = instance;

	for (size_t i = 0; i < 2; i++) {
		if (file->outputs[i].fd >= 0)
			close(file->outputs[i].fd);
		file->outputs[i].fd = -1;
	}
	if (!forked)
		free(file);
}

static int file_open(const struct sonde_exporter_host *host, void **ret)
{
	const char *path = host->setting(host->context, "SONDE_FILE_PATH");
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return SONDE_E_NOMEM;
	if (!path)
		path = "sonde";
	file->outputs[SONDE_SIGNAL_LOG].fd = -1;
	if (open_output(&file->outputs[SONDE_SIGNAL_SPAN], path, ".traces.jsonl") < 0 ||
	    open_output(&file->outputs[SONDE_SIGNAL_LOG], path, ".logs.jsonl") < 0) {
		report_unusable(host, path);
		file_close(file, /* forked= */ false);
		return SONDE_E_SYSTEM;
	}
	*ret = file;
	return SONDE_OK;
}

static int file_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	return sonde__json_encode(batch, out);
}

/* Writes on from where the last try stopped; 0, or the errno that ended it. */
static int write_rest(struct output *output, const struct sonde_request *request)
{
	const char *data = request->body.data;

	if (output->token != request->token) {
		output->token = request->token;
		output->n_written = 0;
	}
	while (output->n_written < request->body.size) {
		ssize_t n = write(output->fd, data + output->n_written,
				  request->body.size - output->n_written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		output->n_written += (size_t)n;
	}
	output->token = NULL;
	return 0;
}

static enum sonde_outcome file_send(void *instance, const struct sonde_request *request,
				    struct sonde_result *ret)
{
	struct file *file = instance;
	struct output *output = &file->outputs[request->signal];
	int error = write_rest(output, request);

	memset(ret, 0, sizeof(*ret));
	ret->token = request->token;
	ret->retry_after_ms = -1;
	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	if (error) {
		bool may_pass =
			error == ENOSPC || error == EDQUOT || error == EAGAIN || error == EIO;

		ret->outcome = may_pass ? SONDE_OUTCOME_RETRY : SONDE_OUTCOME_REFUSED;
		snprintf(ret->reason, sizeof(ret->reason), "cannot write %.160s: %s", output->path,
			 strerror(error));
	}
	return ret->outcome;
}

const struct sonde_exporter sonde_file_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "file",
	.open = file_open,
	.encode = file_encode,
	.send = file_send,
	.close = file_close,
};
