/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_OUTPUT_H
#define SONDE_EXPORTERS_CONSOLE_OUTPUT_H

/*
 * Writing to the host's standard output or standard error without ever waiting for who reads it.
 *
 * The descriptor is the host's: the flag O_NONBLOCK on it would be the host's too, and its number
 * may mean something else tomorrow. So a pipe or a terminal is opened anew, which gives a
 * description of our own that does not block; a socket is asked not to block call by call; a file
 * never blocks for long. Where opening anew is refused (another user's terminal), poll is asked
 * before each small write.
 *
 * A service that closes all descriptors gets our number back for a file of its own. So ours is
 * known by its inode, looked at before each write, and made again from the host's where that is
 * still the same.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct output {
	int fd; /* Our own; -1: none. */
	int source; /* The host's. */
	dev_t device;
	ino_t inode;
	bool is_socket;
	bool is_terminal;
	bool must_ask; /* Poll before each write, because a write may block. */
};

/* -1 and errno where `fd` is not open for writing. */
int sonde__output_open(struct output *output, int fd);
void sonde__output_close(struct output *output);

/*
 * Writes from `data` on as much as is taken now, in whole lines where they are short enough for one
 * write, and adds it to *written. 0: all of it; EAGAIN: the rest when the output polls writable;
 * else the errno, EBADF where the host has closed its own too.
 */
int sonde__output_write(struct output *output, const char *data, size_t size, size_t *written);

#endif
