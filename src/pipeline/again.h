/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_AGAIN_H
#define SONDE_PIPELINE_AGAIN_H

/*
 * Errors that were captured again on their way up. What that adds joins the first record while both
 * are here, in the same drain; what comes later becomes a log record with the same sonde.error.id.
 * An error that is held back takes what was added with it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "box/box.h"
#include "pipeline/limiter.h"

struct sonde__pipeline;

#define SONDE__AGAIN_INDEXED 256u /* A power of two; others become log records. */
#define SONDE__AGAIN_TEXT_SIZE 2048

struct sonde__again_entry {
	uint64_t event_id;
	uint32_t at; /* In the intake, plus 1; 0: empty. */
};

struct sonde__again {
	struct sonde__again_entry entries[2 * SONDE__AGAIN_INDEXED]; /* By id, the next free one. */
	uint32_t n;
	bool is_open;
	struct sonde__limiter limiter; /* Of the log records. */
	struct sonde__share share;
	char text[SONDE__AGAIN_TEXT_SIZE];
};

/* Finds those that were not scanned yet. The places hold until the intake is compacted. */
void sonde__again_index(struct sonde__pipeline *pipeline);

/* What was added to this error, a line each, in memory that the next call uses again. */
void sonde__again_read(struct sonde__pipeline *pipeline, uint64_t event_id, struct sonde_text *ret);

/* What was added to an error that is held back is held back, too. */
void sonde__again_drop(struct sonde__pipeline *pipeline, uint64_t event_id);

/* One whose error has left: a log record, if there are not too many. */
void sonde__again_alone(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref);

#endif
