/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_BARRIER_H
#define SONDE_AGENT_BARRIER_H

#include "agent/agent.h"

/*
 * Makes fork wait, a tenth of a second at most, until the worker is between two turns. Registers
 * once a process; called with the agent's lock held. Failing to register is no error: see
 * barrier.c.
 */
void sonde__barrier_install(void);

#endif
