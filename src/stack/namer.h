/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_NAMER_H
#define SONDE_STACK_NAMER_H

/*
 * The thread that asks symbol providers, so that the pipeline's worker does not wait for debug
 * information to be read. One for a process, made at the first question.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From now on a thread asks, and calls `done` after each answer. By the worker's thread, as all
 * here; in a forked child again.
 */
void sonde__namer_start(void (*done)(void));

/*
 * Whether the stack can be resolved with all that can be known: it is known, has been asked for, or
 * nobody knows more. Else it is asked for, unless another one is: come again.
 */
bool sonde__namer_has(const uint64_t *frames, size_t n_frames);

/* A question is under way. */
bool sonde__namer_is_busy(void);

/*
 * Ends the thread, and frees what the provider keeps. A thread that is in the provider is left to
 * end by itself, so this never waits for one.
 */
void sonde__namer_stop(void);

#endif
