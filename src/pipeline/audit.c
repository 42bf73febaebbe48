/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is opened for each line and closed again: so it may be moved away at any time, a forked
 * child inherits nothing, and a service that closes all descriptors closes none of ours. It is the
 * user's alone, and never somebody else's: no link is followed, and a file that others own or that
 * has another name is not written to. Processes may share it: a line is appended by one write.
 *
 * What cannot be written is said once, and what was sent is sent all the same.
 */

#include "pipeline/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diagnostic.h"
#include "pipeline/state.h"

#define PATH_SIZE 4096
#define HEAD_SIZE 320

static const char *signal_word(enum sonde_signal signal)
{
	static const char *const words[] = { "traces", "logs", "parts", "metrics" };

	return words[signal];
}

/* ---- The file -------------------------------------------------------------------------------- */

static bool is_ours(int fd, struct stat *ret)
{
	return fstat(fd, ret) == 0 && S_ISREG(ret->st_mode) && ret->st_uid == geteuid() &&
	       ret->st_nlink == 1;
}

/* A descriptor, or -1 and errno. */
static int open_file(const char *path, struct stat *ret)
{
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY |
			      O_NONBLOCK,
		      0600);

	if (fd < 0)
		return -1;
	if (!is_ours(fd, ret)) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	/* What others could read before is not shown to them. */
	if (ret->st_mode & 077)
		(void)fchmod(fd, 0600);
	return fd;
}

/* The file is full: it becomes the one before. */
static int open_next(const struct sonde__audit *audit, size_t size)
{
	const char *path = audit->options.path;
	char before[PATH_SIZE];
	struct stat status;
	int fd = open_file(path, &status);
	int n;

	if (fd < 0 || !status.st_size ||
	    (uint64_t)status.st_size + size <= audit->options.limit_bytes)
		return fd;
	n = snprintf(before, sizeof(before), "%s.1", path);
	if (n < 0 || (size_t)n >= sizeof(before) || rename(path, before) < 0)
		return fd;
	close(fd);
	return open_file(path, &status);
}

static void say_failure(struct sonde__audit *audit, int error)
{
	if (!audit->has_failed)
		sonde__report(SONDE_ERROR,
			      "SONDE_AUDIT=%.200s: what is sent cannot be written there: %s",
			      audit->options.path,
			      error == EPERM ? "not a file of this user's own" : strerror(error));
	audit->has_failed = true;
}

static void write_line(struct sonde__audit *audit, struct iovec *parts, int n_parts)
{
	size_t size = 0;
	ssize_t written;
	int fd;

	for (int i = 0; i < n_parts; i++)
		size += parts[i].iov_len;
	fd = open_next(audit, size);
	if (fd < 0) {
		say_failure(audit, errno);
		return;
	}
	/* The first part is the end of a line that was torn. */
	written = writev(fd, audit->is_torn ? parts : parts + 1, audit->is_torn ? n_parts :
										  n_parts - 1);
	size -= audit->is_torn ? 0 : parts[0].iov_len;
	if (written < 0 || (size_t)written < size) {
		say_failure(audit, written < 0 ? errno : ENOSPC);
		audit->is_torn |= written > 0;
	} else {
		audit->is_torn = false;
		audit->has_failed = false;
	}
	close(fd);
}

/* `text` is all of the line but its end. */
static void write_short(struct sonde__audit *audit, const char *text, size_t size)
{
	char end_of_torn[] = "\n";
	char end[] = "}\n";
	struct iovec parts[] = { { end_of_torn, 1 },
				 { (void *)(uintptr_t)text, size },
				 { end, 2 } };

	write_line(audit, parts, 3);
}

void sonde__audit_open(struct sonde__audit *audit, const struct sonde__audit_options *options)
{
	struct stat status;
	int fd;

	*audit = (struct sonde__audit){ .options = *options };
	if (!options->path)
		return;
	fd = open_file(options->path, &status);
	if (fd < 0)
		say_failure(audit, errno);
	else
		close(fd);
}

/* ---- The lines ------------------------------------------------------------------------------- */

/* Returns the length; what is cut is cut. */
static size_t head(char text[HEAD_SIZE], uint64_t request, const char *event)
{
	int n = snprintf(text, HEAD_SIZE,
			 "{\"time\":\"%" PRIu64 "\",\"pid\":%d,\"request\":%" PRIu64
			 ",\"event\":\"%.32s\"",
			 sonde__realtime_ns(), (int)getpid(), request, event);

	return n < 0 ? 0 : (size_t)n;
}

struct range {
	size_t first;
	size_t n;
	size_t n_parts; /* Written so far. */
};

static int encode_range(struct sonde__pipeline *pipeline, const struct sonde_batch *batch,
			const struct range *range, struct sonde_buffer *out)
{
	struct sonde_batch part = *batch;

	part.spans = batch->spans ? batch->spans + range->first : NULL;
	part.logs = batch->logs ? batch->logs + range->first : NULL;
	part.points = batch->points ? batch->points + range->first : NULL;
	part.n_items = range->n;
	*out = sonde__blobs_buffer(&pipeline->blobs);
	return pipeline->audit.options.encode(/* instance= */ NULL, &part, out);
}

/* One line with a body, which ends with the encoder's newline. */
static void write_body(struct sonde__audit *audit, char *text, size_t size,
		       const struct sonde_buffer *body)
{
	char end_of_torn[] = "\n";
	char key[] = ",\"body\":";
	char end[] = "}\n";
	struct iovec parts[] = { { end_of_torn, 1 },
				 { text, size },
				 { key, sizeof(key) - 1 },
				 { body->data, body->size - 1 },
				 { end, 2 } };

	write_line(audit, parts, 5);
}

/* As many lines as the buffer makes necessary. Depth: the logarithm of the batch's size. */
static void write_range(struct sonde__pipeline *pipeline, size_t destination,
			const struct sonde_batch *batch, struct range *range)
{
	struct sonde__audit *audit = &pipeline->audit;
	const struct range whole = *range;
	struct sonde_buffer body;
	char text[HEAD_SIZE];
	size_t size;
	int status = encode_range(pipeline, batch, range, &body);
	int n;

	if (status < 0 && whole.n > 1) {
		range->n = whole.n / 2;
		write_range(pipeline, destination, batch, range);
		range->first = whole.first + whole.n / 2;
		range->n = whole.n - whole.n / 2;
		write_range(pipeline, destination, batch, range);
		return;
	}
	size = head(text, audit->n_requests, "made");
	n = snprintf(text + size, sizeof(text) - size,
		     ",\"destination\":\"%.64s\",\"signal\":\"%s\",\"items\":%zu,\"part\":%zu",
		     pipeline->options.destinations[destination].name, signal_word(batch->signal),
		     whole.n, range->n_parts++);
	if (n > 0)
		size += (size_t)n;
	if (status < 0)
		write_short(audit, text, size);
	else
		write_body(audit, text, size, &body);
}

void sonde__audit_made(struct sonde__pipeline *pipeline, size_t destination,
		       const struct sonde_batch *batch, struct sonde__blob *blob)
{
	struct range range = { 0, batch->n_items, 0 };

	if (!pipeline->audit.options.path)
		return;
	blob->audited = ++pipeline->audit.n_requests;
	write_range(pipeline, destination, batch, &range);
}

void sonde__audit_sent(struct sonde__pipeline *pipeline, struct sonde__blob *blob)
{
	char text[HEAD_SIZE];

	if (!blob->audited || blob->is_sent)
		return;
	blob->is_sent = true;
	write_short(&pipeline->audit, text, head(text, blob->audited, "sent"));
}

void sonde__audit_done(struct sonde__pipeline *pipeline, const struct sonde__blob *blob,
		       uint64_t exported, const char *reason)
{
	char text[HEAD_SIZE];
	size_t size;
	int n;

	if (!blob->audited)
		return;
	size = head(text, blob->audited, exported ? "accepted" : reason);
	n = snprintf(text + size, sizeof(text) - size, ",\"items\":%" PRIu64 ",\"lost\":%" PRIu64,
		     exported, (uint64_t)blob->n_items - exported);
	if (n > 0)
		size += (size_t)n;
	write_short(&pipeline->audit, text, size);
}
