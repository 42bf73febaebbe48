/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_BUDGET_H
#define SONDE_PIPELINE_BUDGET_H

/*
 * Who may use how much of the byte budget. A fixed share is taken once, at the start: the list of
 * records that were seen, the scratch that a batch is built in, the buffers it is encoded into, the
 * parts table's frame, the groups of errors. What is left is for the two things that grow: an
 * eighth of the limit for waiting parts, and all the rest for encoded batches, of which metrics may
 * take a half: a quarter for their own batches, shared by those who take them, a quarter for what
 * deltas are counted from. The two do not borrow from each other: while a collector is away the
 * batches fill their share, and parts must still find their spans.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/pipeline.h"

#define SONDE__BUDGET_MIN ((size_t)384 * 1024)

struct sonde__budget {
	size_t limit;
	size_t fixed;
	size_t parts; /* In use now, */
	size_t blobs; /* by either. */
	size_t parts_limit;
	size_t blobs_limit;

	size_t intake_capacity; /* Records. */
	size_t arena_size[2]; /* By signal: spans, logs. */
	size_t n_buffers; /* To encode into, */
	size_t buffer_size; /* of so many bytes each. */
	size_t table_slots; /* Parts, and exported spans remembered; a power of two. */
	uint32_t n_groups; /* Of errors, */
	uint32_t n_series; /* and of these in the metric. */
	size_t batch_items[2];
	size_t batch_bytes;
	size_t n_points; /* In a batch, and */
	size_t points_size; /* what they refer to. */
	size_t points_limit; /* Encoded, for each destination. */
	size_t seen_slots; /* Fingerprints remembered; a power of two. */
	size_t pasts; /* What metrics stood at, for deltas; counted as blobs, */
	size_t pasts_limit; /* and no more than this of them. */
};

/* SONDE_E_NOMEM: the limit is below SONDE__BUDGET_MIN. */
int sonde__budget_init(struct sonde__budget *budget, const struct sonde__pipeline_options *options);

/* Whether one more batch of `size` encoded bytes fits. */
bool sonde__budget_has_room(const struct sonde__budget *budget, size_t size);

/* Takes `size` bytes for the past of a metric; false: no room. */
bool sonde__budget_take_past(struct sonde__budget *budget, size_t size);
void sonde__budget_give_past(struct sonde__budget *budget, size_t size);

#endif
