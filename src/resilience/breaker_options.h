/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BREAKER_OPTIONS_H
#define SONDE_RESILIENCE_BREAKER_OPTIONS_H

/* What the options of a breaker mean: its defaults and limits, and what an error says. */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/breaker.h>

#include "resilience/circuit.h"

struct sonde__breaker_plan {
	struct sonde__circuit_options circuit;
	struct sonde__outcomes outcomes; /* Without its words. */
	uint64_t slow_ns;
	bool measures;
};

/* SONDE_E_INVALID: an option is not valid, or is of another mode. */
int sonde__breaker_plan(const struct sonde_breaker_options *options,
			struct sonde__breaker_plan *ret);

enum sonde_breaker_verdict sonde__breaker_verdict(const struct sonde_breaker_options *options,
						  const struct sonde_error *error);

#endif
