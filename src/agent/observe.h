/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_OBSERVE_H
#define SONDE_AGENT_OBSERVE_H

/*
 * The agent as the observer of the toolkit: what a retry or a breaker says becomes counts, an event
 * of the current span, a log record. docs/design/observe.md argues it.
 */

#include "agent/settings.h"

/* From here on, and until then. Under the agent's lock. */
void sonde__observe_begin(const struct sonde__settings *settings);
void sonde__observe_end(void);

/* Nothing that happens on the calling thread is told: it is the agent's own. */
void sonde__observe_leave_out_thread(void);

#endif
