/* SPDX-License-Identifier: Apache-2.0 */
/* The batch's views, and in its arena what they refer to: attributes, buckets, metrics. */

#include "pipeline/points.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/deliver.h"
#include "pipeline/encode.h"
#include "pipeline/state.h"
#include "record/attribute.h"

int sonde__points_init(struct sonde__points *points, struct sonde__pipeline *pipeline,
		       size_t capacity, size_t arena_size)
{
	*points = (struct sonde__points){
		.pipeline = pipeline,
		.views = malloc(capacity * sizeof(*points->views)),
		.capacity = capacity,
	};
	if (!points->views)
		return SONDE_E_NOMEM;
	return sonde__arena_init(&points->arena, arena_size);
}

void sonde__points_deinit(struct sonde__points *points)
{
	free(points->views);
	sonde__arena_deinit(&points->arena);
	*points = (struct sonde__points){ 0 };
}

static struct sonde_text text_of(const char *text)
{
	return (struct sonde_text){ text, strlen(text) };
}

static bool is_delta(const struct sonde__points *points, const struct sonde__metric *metric)
{
	if (metric->kind != SONDE__COUNTER && metric->kind != SONDE__HISTOGRAM)
		return false;
	if (points->temporality == SONDE__LOW_MEMORY)
		return !metric->is_observed;
	return points->temporality == SONDE__DELTA;
}

/* The batch's own description of the metric; NULL: no room. */
static const struct sonde_metric_view *metric_view(struct sonde__points *points,
						   const struct sonde__metric *metric)
{
	static const enum sonde_metric_type types[] = {
		[SONDE__COUNTER] = SONDE_METRIC_SUM,
		[SONDE__UPDOWN] = SONDE_METRIC_SUM,
		[SONDE__GAUGE] = SONDE_METRIC_GAUGE,
		[SONDE__HISTOGRAM] = SONDE_METRIC_HISTOGRAM,
	};
	struct sonde_metric_view *view;

	if (points->n && points->metric == metric)
		return points->views[points->n - 1].metric;
	view = sonde__arena_take(&points->arena, sizeof(*view));
	if (!view)
		return NULL;
	*view = (struct sonde_metric_view){
		.name = text_of(metric->name),
		.description = text_of(metric->description),
		.unit = text_of(metric->unit),
		.type = types[metric->kind],
		.is_monotonic = metric->kind == SONDE__COUNTER,
		.is_delta = is_delta(points, metric),
	};
	return view;
}

static bool encode_attrs(struct sonde__points *points, const struct sonde__sample *sample,
			 struct sonde_bytes *ret)
{
	uint8_t tag = sample->metric->kind == SONDE__HISTOGRAM ?
			      SONDE__TAG_HISTOGRAM_POINT_ATTRIBUTE :
			      SONDE__TAG_POINT_ATTRIBUTE;
	size_t capacity = 0;
	size_t size = 0;
	uint8_t *data;

	for (size_t i = 0; i < sample->n_attrs; i++)
		capacity += sonde__attr_size(&sample->attrs[i]);
	data = sonde__arena_take(&points->arena, capacity);
	if (!data)
		return false;
	for (size_t i = 0; i < sample->n_attrs; i++)
		size += sonde__attr_encode(tag, &sample->attrs[i], data + size, capacity - size);
	*ret = (struct sonde_bytes){ data, size };
	return true;
}

/* Leaves the empty buckets at both ends out. */
static void trim(struct sonde_histogram_view *histogram)
{
	while (histogram->n_buckets && !histogram->buckets[0]) {
		histogram->buckets++;
		histogram->offset++;
		histogram->n_buckets--;
	}
	while (histogram->n_buckets && !histogram->buckets[histogram->n_buckets - 1])
		histogram->n_buckets--;
}

static uint64_t *copy_buckets(struct sonde__points *points, struct sonde_histogram_view *histogram)
{
	uint64_t *copy;

	trim(histogram);
	copy = sonde__arena_take(&points->arena, histogram->n_buckets * sizeof(*copy));
	if (copy && histogram->n_buckets)
		memcpy(copy, histogram->buckets, histogram->n_buckets * sizeof(*copy));
	return copy;
}

/* 1: there is something to tell; 0: nothing was added; SONDE_E_NOMEM. */
static int subtract(struct sonde__points *points, const struct sonde__sample *sample,
		    uint64_t *buckets, struct sonde_point_view *view)
{
	struct sonde__budget *budget = &points->pipeline->budget;
	struct sonde__series series = { sample->metric, sample->number };
	struct sonde_histogram_view now = view->histogram;
	uint64_t added = 0;
	bool has_past;

	if (sample->metric->kind == SONDE__HISTOGRAM) {
		has_past = sonde__baseline_advance_histogram(points->baseline, budget, series, &now,
							     buckets, &view->histogram);
		added = view->histogram.count;
		trim(&view->histogram);
	} else {
		has_past = sonde__baseline_advance(points->baseline, budget, series,
						   (uint64_t)sample->value, &added);
		view->value = (int64_t)added;
	}
	if (!has_past)
		return SONDE_E_NOMEM;
	return added > 0;
}

/* As subtract; SONDE_E_TOO_BIG: no room in the batch. */
static int make_point(struct sonde__points *points, const struct sonde__sample *sample,
		      struct sonde_point_view *view)
{
	uint64_t *buckets;

	*view = (struct sonde_point_view){
		.metric = metric_view(points, sample->metric),
		.start_unix_ns = points->start_unix_ns,
		.unix_ns = points->unix_ns,
		.value = sample->value,
		.histogram = sample->histogram,
	};
	if (!view->metric || !encode_attrs(points, sample, &view->attributes))
		return SONDE_E_TOO_BIG;
	buckets = copy_buckets(points, &view->histogram);
	if (!buckets)
		return SONDE_E_TOO_BIG;
	view->histogram.buckets = buckets;
	if (!view->metric->is_delta)
		return 1;
	view->start_unix_ns = points->since_unix_ns;
	return subtract(points, sample, buckets, view);
}

static int add(struct sonde__points *points, const struct sonde__sample *sample)
{
	size_t used = points->arena.used;
	int status = make_point(points, sample, &points->views[points->n]);

	if (status > 0) {
		points->metric = sample->metric;
		points->n++;
	} else {
		points->arena.used = used;
	}
	return status;
}

void sonde__points_add(struct sonde__points *points, const struct sonde__sample *sample)
{
	int status;

	if (points->n == points->capacity)
		sonde__points_emit(points);
	status = add(points, sample);
	if (status == SONDE_E_TOO_BIG && points->n) {
		sonde__points_emit(points);
		status = add(points, sample);
	}
	if (status < 0)
		sonde__encode_lose_point(points->pipeline, points->temporality,
					 status == SONDE_E_TOO_BIG ? SONDE_LOSS_TOO_BIG :
								     SONDE_LOSS_NO_MEMORY);
}

void sonde__points_emit(struct sonde__points *points)
{
	struct sonde_batch batch = {
		.size = sizeof(batch),
		.signal = SONDE_SIGNAL_METRIC,
		.resource = &points->pipeline->options.resource,
		.n_items = points->n,
		.points = points->views,
	};

	if (points->n) {
		sonde__encode_points(points->pipeline, &batch, points->temporality);
		/* Before the next: whoever takes it at once makes room. */
		(void)sonde__deliver(points->pipeline);
	}
	points->n = 0;
	points->metric = NULL;
	sonde__arena_reset(&points->arena);
}
