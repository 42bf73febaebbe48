/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/timing.h"

#include <math.h>

/* The index of the bucket whose upper bound is the next power of two, or this very one. */
static int index_of(double seconds)
{
	int exponent;
	double fraction = frexp(seconds, &exponent);

	return exponent - 1 - (fraction <= 0.5) - SONDE__TIMING_OFFSET;
}

void sonde__timing_add(struct sonde__timing *timing, uint64_t ns)
{
	double seconds = (double)ns * 1e-9;
	int index = index_of(seconds);

	timing->sum += seconds;
	if (index >= SONDE__TIMING_BUCKETS)
		index = SONDE__TIMING_BUCKETS - 1;
	if (!ns || index < 0)
		timing->zero_count++;
	else
		timing->buckets[index]++;
}

void sonde__timing_read(const struct sonde__timing *timing, uint64_t buckets[SONDE__TIMING_BUCKETS],
			struct sonde_histogram_view *ret)
{
	*ret = (struct sonde_histogram_view){
		.count = timing->zero_count,
		.sum = timing->sum,
		.zero_count = timing->zero_count,
		.zero_threshold = 0x1p-20,
		.scale = 0,
		.offset = SONDE__TIMING_OFFSET,
		.buckets = buckets,
		.n_buckets = SONDE__TIMING_BUCKETS,
	};
	for (int i = 0; i < SONDE__TIMING_BUCKETS; i++) {
		buckets[i] = timing->buckets[i];
		ret->count += buckets[i];
	}
}
