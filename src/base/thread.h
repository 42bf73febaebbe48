/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_THREAD_H
#define SONDE_BASE_THREAD_H

/*
 * Threads of the library's own. Every signal is blocked in them but those that a fault of their own
 * would raise: blocked, such a fault would kill the process past the host's handler.
 */

#include <pthread.h>
#include <stddef.h>

/* What a thread's name has room for, with its zero. */
#define SONDE__THREAD_NAME_SIZE 16

/*
 * Starts a thread that can be joined. `stack_size` 0: the system's default; `name` is cut to its
 * room, NULL: as its maker. SONDE_E_SYSTEM: no thread.
 */
int sonde__thread_start(pthread_t *ret, void *(*main)(void *argument), void *argument,
			size_t stack_size, const char *name);

#endif
