/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_SOCKETS_H
#define SONDE_OTLP_SOCKETS_H

/*
 * The descriptors of one instance's connections, each remembered with the identity of its socket. A
 * number alone proves nothing: a service that closes all descriptors, after fork() or in the middle
 * of its life, opens others with the same numbers, and these are not to be written to nor closed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define SONDE__OTLP_SOCKETS_MAX 16

struct sonde__otlp_socket {
	int fd;
	dev_t device;
	ino_t inode;
};

struct sonde__otlp_sockets {
	struct sonde__otlp_socket all[SONDE__OTLP_SOCKETS_MAX];
	size_t n;
};

/*
 * A new socket, closed on exec, non-blocking as libcurl wants it; -1 where there cannot be one.
 * Never one of the three standard numbers: a service that has closed its output prints there.
 */
int sonde__otlp_sockets_open(struct sonde__otlp_sockets *sockets, int family, int type,
			     int protocol);

/*
 * Occupies those of the three standard numbers that are free, so that what libcurl opens for itself
 * comes after them; closed again like the others.
 */
void sonde__otlp_sockets_hold_standard(struct sonde__otlp_sockets *sockets);

/* Forgets it, and closes it if it still is what was opened. */
void sonde__otlp_sockets_close(struct sonde__otlp_sockets *sockets, int fd);
void sonde__otlp_sockets_close_all(struct sonde__otlp_sockets *sockets);

/* All of them still are what was opened. */
bool sonde__otlp_sockets_are_ours(const struct sonde__otlp_sockets *sockets);

#endif
