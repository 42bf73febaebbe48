/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_DIAGNOSTIC_H
#define SONDE_BASE_DIAGNOSTIC_H

/* What the agent says about itself: one callback for the process, set by the agent. */

#include <sonde/agent.h>

/* NULL: say nothing. Not for signal handlers. */
void sonde__diagnostic_set(sonde_diagnostic_fn *callback, void *user);

/* Says one sentence. Any thread but a signal handler; may call the user's callback. Keeps errno. */
void sonde__report(enum sonde_level level, const char *format, ...) SONDE_PRINTF(2, 3);

#endif
