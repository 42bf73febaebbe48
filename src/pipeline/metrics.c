/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flush collects last, so that the figures cover the deliveries that it makes: when every lane of
 * spans and logs had its attempt, or after a moment, for a collector that hangs must not keep the
 * figures from their own attempt.
 */

#include "pipeline/metrics.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "pipeline/state.h"

#define FLUSH_PATIENCE_NS (200 * SONDE__NS_PER_MS)

static sonde__metric_source *const sources[] = { sonde__site_metrics, sonde__error_metrics,
					       sonde__event_metrics, sonde__group_metrics,
					       sonde__own_metrics };

/* Later than every time told so far: points of one series never go back, as the clock may. */
static uint64_t unix_ns_now(struct sonde__pipeline *pipeline)
{
	const struct sonde__metrics *metrics = &pipeline->metrics;
	uint64_t unix_ns;

	sonde__clock_anchor(&pipeline->clock);
	unix_ns = sonde__clock_unix_ns(&pipeline->clock, sonde__ticks());
	for (int t = 0; t < SONDE__TEMPORALITIES; t++) {
		if (unix_ns <= metrics->since_unix_ns[t])
			unix_ns = metrics->since_unix_ns[t] + 1;
	}
	return unix_ns;
}

int sonde__metrics_init(struct sonde__pipeline *pipeline)
{
	struct sonde__metrics *metrics = &pipeline->metrics;

	if (!pipeline->is_taken[SONDE_SIGNAL_METRIC])
		return SONDE_OK;
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		if (pipeline->lanes[d][SONDE_SIGNAL_METRIC].is_open)
			metrics->is_used[pipeline->options.destinations[d].temporality] = true;
	}
	/* A forked child has captured something before it gets a pipeline. */
	metrics->start_unix_ns = sonde__box_opened_unix_ns();
	for (int t = 0; t < SONDE__TEMPORALITIES; t++)
		metrics->since_unix_ns[t] = metrics->start_unix_ns;
	return sonde__points_init(&metrics->points, pipeline, pipeline->budget.n_points,
				  pipeline->budget.points_size);
}

void sonde__metrics_deinit(struct sonde__pipeline *pipeline)
{
	for (int t = 0; t < SONDE__TEMPORALITIES; t++)
		sonde__baseline_deinit(&pipeline->metrics.baselines[t], &pipeline->budget);
	sonde__points_deinit(&pipeline->metrics.points);
}

static uint64_t later(uint64_t now_ns, uint64_t delay_ns)
{
	return delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
}

void sonde__metrics_schedule(struct sonde__pipeline *pipeline)
{
	pipeline->metrics.due_ns = later(pipeline->now_ns, pipeline->options.metric_interval_ns);
}

void sonde__metrics_flush(struct sonde__pipeline *pipeline)
{
	pipeline->metrics.must_collect = pipeline->is_taken[SONDE_SIGNAL_METRIC];
	pipeline->metrics.collect_by_ns = later(pipeline->now_ns, FLUSH_PATIENCE_NS);
}

static void collect(struct sonde__pipeline *pipeline, enum sonde__temporality temporality,
		    uint64_t unix_ns)
{
	struct sonde__metrics *metrics = &pipeline->metrics;
	struct sonde__points *points = &metrics->points;

	points->temporality = temporality;
	points->baseline = &metrics->baselines[temporality];
	points->start_unix_ns = metrics->start_unix_ns;
	points->since_unix_ns = metrics->since_unix_ns[temporality];
	points->unix_ns = unix_ns;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(sources); i++)
		sources[i](pipeline, points);
	sonde__points_emit(points);
	metrics->since_unix_ns[temporality] = unix_ns;
}

static bool has_delivered(const struct sonde__pipeline *pipeline)
{
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__BATCH_SIGNALS; s++) {
			if (!sonde__lane_is_flushed(&pipeline->lanes[d][s]))
				return false;
		}
	}
	return true;
}

static bool is_due(const struct sonde__pipeline *pipeline)
{
	const struct sonde__metrics *metrics = &pipeline->metrics;

	if (!pipeline->is_taken[SONDE_SIGNAL_METRIC])
		return false;
	if (!metrics->must_collect)
		return pipeline->now_ns >= metrics->due_ns;
	return !pipeline->must_drain &&
	       (pipeline->now_ns >= metrics->collect_by_ns || has_delivered(pipeline));
}

static void collect_all(struct sonde__pipeline *pipeline)
{
	struct sonde__metrics *metrics = &pipeline->metrics;
	uint64_t begun_ns = sonde__monotonic_ns();
	uint64_t unix_ns = unix_ns_now(pipeline);

	for (int t = 0; t < SONDE__TEMPORALITIES; t++) {
		if (metrics->is_used[t])
			collect(pipeline, (enum sonde__temporality)t, unix_ns);
	}
	sonde__timing_add(&metrics->timing, sonde__monotonic_ns() - begun_ns);
}

bool sonde__metrics_step(struct sonde__pipeline *pipeline)
{
	struct sonde__metrics *metrics = &pipeline->metrics;
	uint64_t interval_ns = pipeline->options.metric_interval_ns;

	if (!is_due(pipeline))
		return false;
	collect_all(pipeline);
	/* Starts of collections stand an interval apart, but none is made up for. */
	if (pipeline->now_ns >= metrics->due_ns)
		metrics->due_ns = later(metrics->due_ns, interval_ns);
	if (pipeline->now_ns >= metrics->due_ns)
		sonde__metrics_schedule(pipeline);
	if (metrics->must_collect) {
		for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
			struct sonde__lane *lane = &pipeline->lanes[d][SONDE_SIGNAL_METRIC];

			lane->flush_serial = lane->n_serials;
		}
	}
	metrics->must_collect = false;
	return true;
}

uint64_t sonde__metrics_wait_ns(const struct sonde__pipeline *pipeline)
{
	const struct sonde__metrics *metrics = &pipeline->metrics;
	uint64_t due_ns = metrics->must_collect ? metrics->collect_by_ns : metrics->due_ns;

	/* The drain before a flush's collection has its own times. */
	if (!pipeline->is_taken[SONDE_SIGNAL_METRIC] ||
	    (metrics->must_collect && pipeline->must_drain))
		return UINT64_MAX;
	return due_ns > pipeline->now_ns ? due_ns - pipeline->now_ns : 0;
}
