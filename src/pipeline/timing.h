/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_TIMING_H
#define SONDE_PIPELINE_TIMING_H

/*
 * How long something of the agent's own took, each time: one bucket to a power of two from a
 * microsecond to an hour, which is as much as is worth keeping of it.
 */

#include <stdint.h>

#include <sonde/exporter.h>

#define SONDE__TIMING_BUCKETS 32
#define SONDE__TIMING_OFFSET (-20) /* Bucket 0 is (2^-20 s, 2^-19 s]; what is shorter, zero. */

struct sonde__timing {
	double sum; /* Seconds. */
	uint32_t zero_count;
	uint32_t buckets[SONDE__TIMING_BUCKETS];
};

void sonde__timing_add(struct sonde__timing *timing, uint64_t ns);

/* `buckets` becomes that of *ret. */
void sonde__timing_read(const struct sonde__timing *timing, uint64_t buckets[SONDE__TIMING_BUCKETS],
			struct sonde_histogram_view *ret);

#endif
