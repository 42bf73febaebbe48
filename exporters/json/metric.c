/* SPDX-License-Identifier: Apache-2.0 */
#include "json/metric.h"

#include "json/attributes.h"

#define DELTA 1
#define CUMULATIVE 2

static void put_i32(struct sonde__json *json, int32_t value)
{
	if (value < 0)
		sonde__json_raw(json, "-");
	sonde__json_u32(json, value < 0 ? 0 - (uint32_t)value : (uint32_t)value);
}

static void put_head(struct sonde__json *json, const struct sonde_point_view *point,
		     enum sonde_fields fields)
{
	sonde__json_raw(json, "{\"startTimeUnixNano\":");
	sonde__json_u64(json, point->start_unix_ns);
	sonde__json_raw(json, ",\"timeUnixNano\":");
	sonde__json_u64(json, point->unix_ns);
	sonde__json_attributes(json, fields, &point->attributes, 1);
}

static void put_number(struct sonde__json *json, const struct sonde_point_view *point)
{
	put_head(json, point, SONDE_FIELDS_POINT);
	sonde__json_raw(json, ",\"asInt\":");
	sonde__json_i64(json, point->value);
	sonde__json_raw(json, "}");
}

static void put_buckets(struct sonde__json *json, const struct sonde_histogram_view *histogram)
{
	sonde__json_raw(json, ",\"positive\":{\"offset\":");
	put_i32(json, histogram->offset);
	sonde__json_raw(json, ",\"bucketCounts\":[");
	for (size_t i = 0; i < histogram->n_buckets; i++) {
		if (i)
			sonde__json_raw(json, ",");
		sonde__json_u64(json, histogram->buckets[i]);
	}
	sonde__json_raw(json, "]}");
}

static void put_histogram(struct sonde__json *json, const struct sonde_point_view *point)
{
	const struct sonde_histogram_view *histogram = &point->histogram;

	put_head(json, point, SONDE_FIELDS_HISTOGRAM_POINT);
	sonde__json_raw(json, ",\"count\":");
	sonde__json_u64(json, histogram->count);
	sonde__json_raw(json, ",\"sum\":");
	sonde__json_double(json, histogram->sum);
	sonde__json_raw(json, ",\"scale\":");
	put_i32(json, histogram->scale);
	sonde__json_raw(json, ",\"zeroCount\":");
	sonde__json_u64(json, histogram->zero_count);
	sonde__json_raw(json, ",\"zeroThreshold\":");
	sonde__json_double(json, histogram->zero_threshold);
	if (histogram->n_buckets)
		put_buckets(json, histogram);
	sonde__json_raw(json, "}");
}

static const char *data_key(const struct sonde_metric_view *metric)
{
	switch (metric->type) {
	case SONDE_METRIC_GAUGE:
		return ",\"gauge\":{\"dataPoints\":[";
	case SONDE_METRIC_HISTOGRAM:
		return ",\"exponentialHistogram\":{\"dataPoints\":[";
	default:
		return ",\"sum\":{\"dataPoints\":[";
	}
}

static void begin_metric(struct sonde__json *json, const struct sonde_metric_view *metric)
{
	sonde__json_raw(json, "{\"name\":");
	sonde__json_text(json, metric->name);
	sonde__json_raw(json, ",\"description\":");
	sonde__json_text(json, metric->description);
	sonde__json_raw(json, ",\"unit\":");
	sonde__json_text(json, metric->unit);
	sonde__json_raw(json, data_key(metric));
}

static void end_metric(struct sonde__json *json, const struct sonde_metric_view *metric)
{
	sonde__json_raw(json, "]");
	if (metric->type != SONDE_METRIC_GAUGE) {
		sonde__json_raw(json, ",\"aggregationTemporality\":");
		sonde__json_u32(json, metric->is_delta ? DELTA : CUMULATIVE);
	}
	if (metric->type == SONDE_METRIC_SUM)
		sonde__json_raw(json, metric->is_monotonic ? ",\"isMonotonic\":true" :
							     ",\"isMonotonic\":false");
	sonde__json_raw(json, "}}");
}

void sonde__json_metrics(struct sonde__json *json, const struct sonde_point_view *points,
			 size_t n_points)
{
	for (size_t i = 0; i < n_points; i++) {
		bool is_first = i == 0 || points[i].metric != points[i - 1].metric;
		bool is_last = i + 1 == n_points || points[i].metric != points[i + 1].metric;

		if (i)
			sonde__json_raw(json, ",");
		if (is_first)
			begin_metric(json, points[i].metric);
		if (points[i].metric->type == SONDE_METRIC_HISTOGRAM)
			put_histogram(json, &points[i]);
		else
			put_number(json, &points[i]);
		if (is_last)
			end_metric(json, points[i].metric);
	}
}
