/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_DIAGNOSTIC_H
#define SONDE_BASE_DIAGNOSTIC_H

/* What the agent says about itself: one callback for the process, set by the agent. */

#include <stddef.h>

#include <sonde/agent.h>

/* NULL: say nothing. Not for signal handlers. */
void sonde__diagnostic_set(sonde_diagnostic_fn *callback, void *user);

/*
 * What every sentence goes through before it is said: rewrites the terminated text in its room.
 * Set once, before the callback is.
 */
typedef void sonde__diagnostic_filter(char *text, size_t capacity);
void sonde__diagnostic_filter_set(sonde__diagnostic_filter *filter);

/* Says one sentence. Any thread but a signal handler; may call the user's callback. Keeps errno. */
void sonde__report(enum sonde_level level, const char *format, ...) SONDE_PRINTF(2, 3);

#endif
