/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_STACKS_H
#define SONDE_AGENT_STACKS_H

#include <sonde/agent.h>

#include "agent/environment.h"

/* How stacks are named, by the options, the environment and the defaults. No worker may run. */
void sonde__stacks_configure(const struct sonde__environment *environment,
			     const struct sonde_options *options);

#endif
