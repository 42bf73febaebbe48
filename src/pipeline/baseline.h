/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_BASELINE_H
#define SONDE_PIPELINE_BASELINE_H

/*
 * What each series stood at when it was last told, so that the next time only what was added is
 * told. Made as series appear, within the byte budget; a series whose past cannot be kept is not
 * told at all, rather than twice.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/exporter.h>

struct sonde__budget;
struct sonde__metric;
struct sonde__past;

#define SONDE__BASELINE_HEADS 256

struct sonde__baseline {
	struct sonde__past *heads[SONDE__BASELINE_HEADS];
};

void sonde__baseline_deinit(struct sonde__baseline *baseline, struct sonde__budget *budget);

struct sonde__series {
	const struct sonde__metric *metric;
	uint64_t number; /* Within the metric. */
};

/*
 * What was added since the call before; moves the baseline on. A value that went down, which no
 * total should, adds nothing until it has caught up. False: no memory, and nothing was moved.
 */
bool sonde__baseline_advance(struct sonde__baseline *baseline, struct sonde__budget *budget,
			     struct sonde__series series, uint64_t value, uint64_t *ret_added);

/*
 * The same for a histogram, whose scale never changes. `buckets` has room for now->n_buckets
 * entries, and becomes those of *ret.
 */
bool sonde__baseline_advance_histogram(struct sonde__baseline *baseline,
				       struct sonde__budget *budget, struct sonde__series series,
				       const struct sonde_histogram_view *now, uint64_t *buckets,
				       struct sonde_histogram_view *ret);

#endif
