/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_SINK_H
#define SONDE_AGENT_SINK_H

#include <sonde/agent.h>

#include "agent/environment.h"

/*
 * Where diagnostics go: the options' callback, else lines on standard error, "sonde: warning: …",
 * from SONDE_DIAGNOSTICS (none, error, warn, info, debug; warn unless set) upwards.
 */
void sonde__sink_install(const struct sonde_options *options,
			 const struct sonde__environment *environment);

#endif
