/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_METRICS_H
#define SONDE_PIPELINE_METRICS_H

/*
 * When metrics are collected, and from where: once an interval, and once in each flush. See
 * docs/design/metrics.md.
 */

#include <stdbool.h>
#include <stdint.h>

#include "box/box.h"
#include "pipeline/points.h"
#include "pipeline/timing.h"

struct sonde__pipeline;

struct sonde__metrics {
	struct sonde__points points;
	bool is_used[SONDE__TEMPORALITIES]; /* Some destination wants it so. */
	struct sonde__baseline baselines[SONDE__TEMPORALITIES];
	uint64_t since_unix_ns[SONDE__TEMPORALITIES];
	bool told_states[SONDE__FIGURES_READ_SITES]; /* Of breakers; by the site, 0: all others. */
	uint64_t start_unix_ns;
	uint64_t due_ns;
	bool must_collect; /* For a flush, */
	struct sonde__timing timing; /* Of collections. */
	uint64_t collect_by_ns; /* when what it delivers was taken, or then. */
};

/*
 * Where samples come from: adds what its metrics stand at. Called in each collection once for each
 * temporality in use, on the worker.
 */
typedef void sonde__metric_source(struct sonde__pipeline *pipeline, struct sonde__points *points);

sonde__metric_source sonde__site_metrics;
sonde__metric_source sonde__error_metrics;
sonde__metric_source sonde__event_metrics;
sonde__metric_source sonde__group_metrics;
sonde__metric_source sonde__own_metrics;

/* After the lanes. A pipeline whose metrics nobody takes needs no memory for them. */
int sonde__metrics_init(struct sonde__pipeline *pipeline);
void sonde__metrics_deinit(struct sonde__pipeline *pipeline);

void sonde__metrics_schedule(struct sonde__pipeline *pipeline);
void sonde__metrics_flush(struct sonde__pipeline *pipeline);
/* Collects if that is due; true when it did. */
bool sonde__metrics_step(struct sonde__pipeline *pipeline);
uint64_t sonde__metrics_wait_ns(const struct sonde__pipeline *pipeline);

#endif
