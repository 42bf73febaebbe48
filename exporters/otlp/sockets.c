/* SPDX-License-Identifier: Apache-2.0 */
#include "sockets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const struct sonde__otlp_socket *socket)
{
	struct stat now;

	return fstat(socket->fd, &now) == 0 && now.st_dev == socket->device &&
	       now.st_ino == socket->inode;
}

/* Takes it over; -1, and it is closed, where that is not possible. */
static int keep(struct sonde__otlp_sockets *sockets, int fd)
{
	struct stat identity;

	if (fd < 0)
		return -1;
	if (sockets->n == SONDE__OTLP_SOCKETS_MAX || fstat(fd, &identity) < 0) {
		close(fd);
		return -1;
	}
	sockets->all[sockets->n++] = (struct sonde__otlp_socket){ fd, identity.st_dev,
								  identity.st_ino };
	return fd;
}

static int move_from_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

int sonde__otlp_sockets_open(struct sonde__otlp_sockets *sockets, int family, int type,
			     int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	return keep(sockets, move_from_standard(fd));
}

void sonde__otlp_sockets_hold_standard(struct sonde__otlp_sockets *sockets)
{
	int fd;

	do
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, /* protocol= */ 0);
	while (fd >= 0 && fd <= STDERR_FILENO && keep(sockets, fd) >= 0);
	if (fd > STDERR_FILENO)
		close(fd);
}

void sonde__otlp_sockets_close(struct sonde__otlp_sockets *sockets, int fd)
{
	for (size_t i = 0; i < sockets->n; i++) {
		if (sockets->all[i].fd != fd)
			continue;
		if (is_ours(&sockets->all[i]))
			close(fd);
		sockets->all[i] = sockets->all[--sockets->n];
		return;
	}
}

void sonde__otlp_sockets_close_all(struct sonde__otlp_sockets *sockets)
{
	while (sockets->n)
		sonde__otlp_sockets_close(sockets, sockets->all[sockets->n - 1].fd);
}

bool sonde__otlp_sockets_are_ours(const struct sonde__otlp_sockets *sockets)
{
	for (size_t i = 0; i < sockets->n; i++)
		if (!is_ours(&sockets->all[i]))
			return false;
	return true;
}
