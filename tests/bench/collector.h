/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_COLLECTOR_H
#define SONDE_BENCH_COLLECTOR_H

/* An agent with all defaults that delivers to a collector on a port of this machine. */

#include <sonde/sonde.h>

/* Ends the program where there is no agent. */
struct sonde_agent *collector_agent_start(const char *port);

#endif
