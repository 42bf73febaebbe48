/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_BATCH_H
#define SONDE_PIPELINE_BATCH_H

/*
 * A batch being built: views of records that stay in the ring, what had to be mended in an arena.
 * It is encoded once for each destination, becomes a blob in each lane, and only then are the
 * records released.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "base/arena.h"
#include "box/box.h"
#include "pipeline/exception.h"
#include "pipeline/join.h"
#include "record/mend.h"

struct sonde__group;
struct sonde__pipeline;

/* What one item is made of, and what is done when it has left. */
struct sonde__batch_item {
	struct sonde__record_ref ref; /* A NULL record: made from a part, or a summary. */
	struct sonde__part *
		/* Joined to a span; or the one that a log is made from; of a summary none. */
		parts;
	bool is_evicted; /* That part had to go; else it came too late. */
	bool is_again; /* Its record was captured as a part. */
};

struct sonde__batch {
	enum sonde_signal signal;
	struct sonde__batch_item *items;
	struct sonde_span_view *spans; /* One of the two. */
	struct sonde_log_view *logs;
	size_t n;
	size_t capacity;
	size_t n_bytes; /* As estimated. */
	size_t bytes_limit;
	struct sonde__arena arena;
	struct sonde_repairs repairs; /* To be booked with the items. */
	struct sonde_redactions redactions; /* So are these. */
};

int sonde__batch_init(struct sonde__batch *batch, enum sonde_signal signal, size_t capacity,
		      size_t bytes_limit, size_t arena_size);
void sonde__batch_deinit(struct sonde__batch *batch);
void sonde__batch_reset(struct sonde__batch *batch);

/* Whether an item of about `estimate` bytes has to wait for the next batch. */
bool sonde__batch_is_full(const struct sonde__batch *batch, size_t estimate);

/*
 * Adds an item; encodes and queues what is there first, where there is no room. What cannot be made
 * into an item at all is counted and released.
 */
void sonde__batch_add_span(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			   struct sonde__part *parts);
void sonde__batch_add_log(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref);
void sonde__batch_add_error(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			    const struct sonde__exception *exception);
/* An error that was captured again, as a log record of its own. */
void sonde__batch_add_again(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref);
/* A log record of what a group holds back, of about `estimate` bytes; nothing is released. */
void sonde__batch_add_summary(struct sonde__pipeline *pipeline, const struct sonde__group *group,
			      size_t estimate);
void sonde__batch_add_part(struct sonde__pipeline *pipeline, struct sonde__part *part,
			   bool is_evicted);

#endif
