/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_OBSERVE_H
#define SONDE_RESILIENCE_OBSERVE_H

/*
 * Tells an object's observer and the process's what happened. Called without locks. An admission
 * that neither waited nor changed anything is not told: that is the path that must cost nothing.
 */

#include <sonde/resilience.h>

/* The process's observer: the agent's, while one runs; NULL takes it away. */
void sonde__observer_install(sonde_observer_fn *observe);

/* Is there anybody to hear? For those who would have to measure first. Wait-free. */
bool sonde__is_observed(const struct sonde_observer *own);

/* `own` may be NULL; a NULL name is told as "". Keeps errno. */
void sonde__observe(const struct sonde_observer *own, const struct sonde_observation *observation);

#endif
