/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_POINTS_H
#define SONDE_PIPELINE_POINTS_H

/*
 * Metric points being gathered. A source says what its series stand at, always as totals since the
 * start; what is made of them for whom (totals, or what was added since the collection before) is
 * decided here. Points leave in batches: what does not fit any more sends the batch on its way.
 */

#include <stddef.h>
#include <stdint.h>

#include <sonde/attribute.h>
#include <sonde/exporter.h>

#include "base/arena.h"
#include "pipeline/baseline.h"
#include "pipeline/pipeline.h"

enum sonde__metric_kind {
	SONDE__COUNTER, /* Only goes up. */
	SONDE__UPDOWN, /* The sum over all processes means something, */
	SONDE__GAUGE, /* or it does not. */
	SONDE__HISTOGRAM,
};

/* Static: its address is the metric's identity. */
struct sonde__metric {
	const char *name;
	const char *unit;
	const char *description;
	enum sonde__metric_kind kind;
	bool is_observed; /* A total that is read off, not measurements that are added up. */
};

struct sonde__sample {
	const struct sonde__metric *metric;
	uint64_t number; /* Of the series: one for the same attributes, and for no others. */
	const struct sonde_attr *attrs; /* Valid UTF-8, keys unique. */
	size_t n_attrs;
	int64_t value;
	struct sonde_histogram_view histogram;
};

struct sonde__points {
	struct sonde__pipeline *pipeline;
	struct sonde__arena arena;
	struct sonde_point_view *views;
	size_t n;
	size_t capacity;

	/* Of the collection under way. */
	enum sonde__temporality temporality;
	struct sonde__baseline *baseline; /* For deltas; else NULL. */
	uint64_t start_unix_ns; /* Since when totals count, */
	uint64_t since_unix_ns; /* and what was added. */
	uint64_t unix_ns;
	const struct sonde__metric *metric; /* Of the last view. */
};

int sonde__points_init(struct sonde__points *points, struct sonde__pipeline *pipeline,
		       size_t capacity, size_t arena_size);
void sonde__points_deinit(struct sonde__points *points);

/*
 * Adds the sample as a point, or nothing where nothing was added to it. All samples of a metric
 * come one after the other. A point that cannot be made is counted lost.
 */
void sonde__points_add(struct sonde__points *points, const struct sonde__sample *sample);

/* Sends what was gathered. */
void sonde__points_emit(struct sonde__points *points);

#endif
