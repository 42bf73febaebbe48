/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_LANE_H
#define SONDE_PIPELINE_LANE_H

/*
 * A lane: one destination's queue of encoded batches of one signal, with everything that says when
 * the first of them is sent. Lanes share the byte budget and nothing else, so that one that hangs
 * holds up no other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/agent.h>
#include <sonde/exporter.h>

#include "pipeline/blob.h"
#include "pipeline/report.h"
#include "pipeline/timing.h"
#include "resilience/circuit.h"
#include "resilience/retry.h"

/* Accepted, to be tried again, refused. */
#define SONDE__LANE_OUTCOMES 3

struct sonde__lane {
	bool is_open; /* The destination takes the signal. */

	struct sonde__blob *first; /* The oldest; the one under way while is_sending. */
	struct sonde__blob *last;
	size_t n_bytes;
	size_t n_items;
	uint64_t n_serials;
	uint64_t made; /* Metric points, which were in no box before. */
	size_t n_fit; /* So many items fit into a request since more did not; 0: any number. */
	uint64_t exported; /* Items. */
	uint64_t lost[SONDE_LOSS_COUNT];

	bool is_sending;
	uint64_t sent_ns; /* When the attempt under way began. */
	uint64_t next_attempt_ns; /* Not before, unless forced. */
	uint64_t accepted_ns; /* The last time something was. */
	struct sonde__retry retry;
	/* With one trial at a time: one that just came back is not met by all that waited. */
	struct sonde__circuit breaker;
	struct sonde__circuit_state breaker_state;
	struct sonde__circuit_slot breaker_slot;
	struct sonde_breaker_ticket ticket; /* Of the attempt under way. */

	bool is_flushing; /* Blobs up to flush_serial are to have their attempt. */
	bool is_forced; /* The attempt that the flush guarantees was not made yet. */
	bool was_kept; /* That attempt failed, and the blob is kept for later. */
	uint64_t flush_serial;

	struct sonde__timing timings[SONDE__LANE_OUTCOMES]; /* Of attempts. */
	struct sonde__lane_news news;
};

void sonde__lane_init(struct sonde__lane *lane, const struct sonde__circuit_options *breaker,
		      const struct sonde__retry_options *retry);
void sonde__lane_push(struct sonde__lane *lane, struct sonde__blob *blob);
/* Removes the oldest; the caller frees it. */
struct sonde__blob *sonde__lane_pop(struct sonde__lane *lane);
/* Removes the oldest that is not under way; NULL: there is none. */
struct sonde__blob *sonde__lane_evict(struct sonde__lane *lane);

/* Items in the queue, found by walking. */
uint64_t sonde__lane_count(const struct sonde__lane *lane);

/* Also of a lane that was not initialised: closed. */
enum sonde_breaker_state sonde__lane_breaker_state(const struct sonde__lane *lane);
/* What became of the attempt under way. */
void sonde__lane_report(struct sonde__lane *lane, bool is_ok, uint64_t now_ns);

/* Whether what is in it goes out by itself soon, so that waiting for room makes sense. */
bool sonde__lane_is_moving(const struct sonde__lane *lane, uint64_t now_ns);

/* Whether an attempt is to be made now; a yes while the breaker is half-open is a trial. */
bool sonde__lane_is_due(struct sonde__lane *lane, uint64_t now_ns);
/* How long until that may be so; UINT64_MAX: something else must happen first. */
uint64_t sonde__lane_wait_ns(const struct sonde__lane *lane, uint64_t now_ns);

void sonde__lane_flush(struct sonde__lane *lane);
/* Whether the flush has nothing more to wait for here. */
bool sonde__lane_is_flushed(const struct sonde__lane *lane);

#endif
