/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_THREAD_STACK_H
#define SONDE_RESILIENCE_THREAD_STACK_H

/*
 * The stack of another thread of the process, taken by that thread in a signal's handler.
 * docs/design/watchdog.md argues how it disturbs the host as little as can be.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/process.h"

/* The calling thread, to be recognised: its number may be given to another one. */
void sonde__thread_identify(struct sonde__process_id *ret);

/*
 * Stores return addresses as sonde__stack_walk_interrupted does. `signal`: which, 0: any that is
 * free. Waits for the thread, up to a second. 0: there is none, and *ret_why says why, for
 * ever. For the background; any thread, also the one that is meant.
 */
size_t sonde__thread_stack_take(const struct sonde__process_id *thread, int signal,
				uint64_t *frames, size_t capacity, const char **ret_why);

/* Puts the signals back as they were found: now, or when the last that was sent has come. */
void sonde__thread_stack_restore(void);

/* In a forked child: whoever was inside is not there. */
void sonde__thread_stack_forget(void);

#endif
