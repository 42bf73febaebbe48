/* SPDX-License-Identifier: Apache-2.0 */
#include "console/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a terminal that polls writable takes at once. */
#define TERMINAL_CHUNK 256

/* Never a standard number that the host has closed: it may print there. */
static int open_anew(int fd)
{
	char path[32];
	int fresh;
	int moved;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fresh = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fresh < 0 || fresh > STDERR_FILENO)
		return fresh;
	moved = fcntl(fresh, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fresh);
	return moved;
}

int sonde__output_open(struct output *output, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat status;

	if (flags < 0 || fstat(fd, &status) < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDONLY) {
		errno = EBADF;
		return -1;
	}
	memset(output, 0, sizeof(*output));
	output->fd = -1;
	output->source = fd;
	output->device = status.st_dev;
	output->inode = status.st_ino;
	output->is_socket = S_ISSOCK(status.st_mode);
	output->is_terminal = isatty(fd);
	if (S_ISFIFO(status.st_mode) || output->is_terminal) {
		output->fd = open_anew(fd);
		output->must_ask = output->fd < 0;
	}
	if (output->fd < 0)
		output->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return output->fd < 0 ? -1 : 0;
}

static bool is_same(const struct output *output, int fd)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == output->device &&
	       status.st_ino == output->inode;
}

void sonde__output_close(struct output *output)
{
	if (is_same(output, output->fd))
		close(output->fd);
	output->fd = -1;
}

/* 0, or the errno. */
static int ensure_ours(struct output *output)
{
	if (is_same(output, output->fd))
		return 0;
	output->fd = -1;
	if (!is_same(output, output->source))
		return EBADF;
	return sonde__output_open(output, output->source) < 0 ? errno : 0;
}

/* Whole lines, so that what the host prints meanwhile stands between lines. */
static size_t chunk_size(const struct output *output, const char *data, size_t size)
{
	size_t limit = output->must_ask && output->is_terminal ? TERMINAL_CHUNK : PIPE_BUF;
	const char *end;

	if (size <= limit)
		return size;
	end = memrchr(data, '\n', limit);
	return end ? (size_t)(end - data) + 1 : limit;
}

static bool is_writable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1;
}

static ssize_t write_chunk(const struct output *output, const char *data, size_t size)
{
	if (output->is_socket)
		return send(output->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (output->must_ask && !is_writable(output->fd)) {
		errno = EAGAIN;
		return -1;
	}
	return write(output->fd, data, size);
}

int sonde__output_write(struct output *output, const char *data, size_t size, size_t *written)
{
	int error = ensure_ours(output);

	if (error)
		return error;
	while (*written < size) {
		size_t chunk = chunk_size(output, data + *written, size - *written);
		ssize_t n = write_chunk(output, data + *written, chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EAGAIN;
		*written += (size_t)n;
	}
	return 0;
}
