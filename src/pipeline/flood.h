/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_FLOOD_H
#define SONDE_PIPELINE_FLOOD_H

/*
 * What keeps a flood of errors quiet: every error is counted in its group; those past the limits
 * are held back, counted, and told in one event for each group and interval. docs/design/flood.md.
 */

#include <stdbool.h>
#include <stdint.h>

#include "box/box.h"
#include "pipeline/drain.h"
#include "pipeline/group.h"
#include "pipeline/limiter.h"

struct sonde__pipeline;

struct sonde__flood {
	struct sonde__groups groups;
	struct sonde__limiter limiter;
	uint64_t summary_due_ns; /* UINT64_MAX: nothing is held back. */
	uint64_t told_ns; /* The last time, */
	bool has_told; /* if ever. */
	bool is_open;
};

int sonde__flood_init(struct sonde__pipeline *pipeline);
void sonde__flood_deinit(struct sonde__pipeline *pipeline);

/*
 * Counts the error under its fingerprint. False: it is held back; that was noted for the summary,
 * the record is still the caller's.
 */
bool sonde__flood_admit(struct sonde__pipeline *pipeline, const struct sonde__error_record *record,
			uint64_t fingerprint);

/*
 * Tells what is held back as log records, if that is due or a flush asks for it. False: stopped to
 * have batches sent; call again.
 */
bool sonde__flood_tell(struct sonde__pipeline *pipeline, enum sonde__drain_outcome *ret);

#endif
