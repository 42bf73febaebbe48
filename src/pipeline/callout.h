/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_CALLOUT_H
#define SONDE_PIPELINE_CALLOUT_H

/* A call out of the pipeline into the service's own code: one of these for each hook. */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/context.h>

struct sonde__callout {
	const char *name; /* For people: "before_send". */
	struct sonde_context context; /* While the hook runs: its own records bear this trace. */
	struct sonde_context previous;
	uint64_t from_ns;
	uint64_t n_slow; /* Calls, since it was last said. */
	uint64_t slowest_ns;
	uint64_t said_ns;
	bool has_said;
};

/* `name` lives as long. */
void sonde__callout_init(struct sonde__callout *callout, const char *name);

/* Before and after each call; the latter says if the hook is slow, and returns how long it took. */
void sonde__callout_enter(struct sonde__callout *callout);
uint64_t sonde__callout_leave(struct sonde__callout *callout);

/* Whether what bears that trace id was recorded by the hook. */
bool sonde__callout_is_own(const struct sonde__callout *callout, const uint8_t trace_id[16]);

#endif
