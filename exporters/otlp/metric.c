/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages four deep, each with its length in front of it. The lengths are worked out again at each
 * level instead of being kept: points are few, and come once a minute.
 */

#include "metric.h"

#include <string.h>

#include "wire.h"

/* Of Metric: which field holds the points, by their type. */
#define FIELD_GAUGE 5
#define FIELD_SUM 7
#define FIELD_HISTOGRAM 10

#define DELTA 1
#define CUMULATIVE 2

size_t sonde__otlp_metric_run(const struct sonde_point_view *points, size_t n)
{
	size_t n_run = 1;

	while (n_run < n && points[n_run].metric == points[0].metric)
		n_run++;
	return n_run;
}

static uint64_t zigzag(int32_t value)
{
	return (uint32_t)value << 1 ^ (value < 0 ? UINT32_MAX : 0);
}

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static size_t counts_size(const struct sonde_histogram_view *histogram)
{
	size_t size = 0;

	for (size_t i = 0; i < histogram->n_buckets; i++)
		size += varint_size(histogram->buckets[i]);
	return size;
}

static size_t sint_size(int32_t value)
{
	return value ? 1 + varint_size(zigzag(value)) : 0;
}

/* Nothing for 0, as proto3 has it. */
static size_t fixed64_size(uint64_t value)
{
	return value ? FIXED64_SIZE : 0;
}

static size_t buckets_size(const struct sonde_histogram_view *histogram)
{
	return sint_size(histogram->offset) + field_size(counts_size(histogram));
}

static size_t point_size(const struct sonde_point_view *point)
{
	const struct sonde_histogram_view *histogram = &point->histogram;

	if (point->metric->type != SONDE_METRIC_HISTOGRAM)
		return 3 * FIXED64_SIZE + point->attributes.size;
	return 3 * FIXED64_SIZE + fixed64_size(histogram->count) + sint_size(histogram->scale) +
	       fixed64_size(histogram->zero_count) +
	       fixed64_size(bits_of(histogram->zero_threshold)) +
	       (histogram->n_buckets ? field_size(buckets_size(histogram)) : 0) +
	       point->attributes.size;
}

/* Of a Gauge, Sum or ExponentialHistogram. */
static size_t data_size(const struct sonde_point_view *points, size_t n_run)
{
	const struct sonde_metric_view *metric = points[0].metric;
	size_t size = metric->type == SONDE_METRIC_GAUGE ? 0 : 2;

	if (metric->type == SONDE_METRIC_SUM && metric->is_monotonic)
		size += 2;
	for (size_t i = 0; i < n_run; i++)
		size += field_size(point_size(&points[i]));
	return size;
}

size_t sonde__otlp_metric_size(const struct sonde_point_view *points, size_t n_run)
{
	const struct sonde_metric_view *metric = points[0].metric;

	return text_size(metric->name) + text_size(metric->description) + text_size(metric->unit) +
	       field_size(data_size(points, n_run));
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_head(struct sonde__otlp_sink *sink, uint8_t tag, size_t size)
{
	uint8_t *at = sonde__otlp_sink_room(sink, 11);

	*at++ = tag;
	sink->at = put_varint(at, size);
}

static void write_sint(struct sonde__otlp_sink *sink, uint8_t tag, int32_t value)
{
	uint8_t *at;

	if (!value)
		return;
	at = sonde__otlp_sink_room(sink, 11);
	*at++ = tag;
	sink->at = put_varint(at, zigzag(value));
}

static void write_fixed64(struct sonde__otlp_sink *sink, uint8_t tag, uint64_t value)
{
	sink->at = put_fixed64(sonde__otlp_sink_room(sink, FIXED64_SIZE), tag, value);
}

static void write_set_fixed64(struct sonde__otlp_sink *sink, uint8_t tag, uint64_t value)
{
	if (value)
		write_fixed64(sink, tag, value);
}

static void write_number(struct sonde__otlp_sink *sink, const struct sonde_point_view *point)
{
	write_fixed64(sink, FIXED64(2), point->start_unix_ns);
	write_fixed64(sink, FIXED64(3), point->unix_ns);
	write_fixed64(sink, FIXED64(6), (uint64_t)point->value);
	sonde__otlp_sink_copy(sink, point->attributes.data, point->attributes.size);
}

static void write_buckets(struct sonde__otlp_sink *sink,
			  const struct sonde_histogram_view *histogram)
{
	if (!histogram->n_buckets)
		return;
	write_head(sink, BYTES(8), buckets_size(histogram));
	write_sint(sink, VARINT(1), histogram->offset);
	write_head(sink, BYTES(2), counts_size(histogram));
	for (size_t i = 0; i < histogram->n_buckets; i++)
		sink->at = put_varint(sonde__otlp_sink_room(sink, 10), histogram->buckets[i]);
}

static void write_histogram(struct sonde__otlp_sink *sink, const struct sonde_point_view *point)
{
	const struct sonde_histogram_view *histogram = &point->histogram;

	sonde__otlp_sink_copy(sink, point->attributes.data, point->attributes.size);
	write_fixed64(sink, FIXED64(2), point->start_unix_ns);
	write_fixed64(sink, FIXED64(3), point->unix_ns);
	write_set_fixed64(sink, FIXED64(4), histogram->count);
	write_fixed64(sink, FIXED64(5), bits_of(histogram->sum));
	write_sint(sink, VARINT(6), histogram->scale);
	write_set_fixed64(sink, FIXED64(7), histogram->zero_count);
	write_set_fixed64(sink, FIXED64(14), bits_of(histogram->zero_threshold));
	write_buckets(sink, histogram);
}

static uint8_t data_tag(const struct sonde_metric_view *metric)
{
	switch (metric->type) {
	case SONDE_METRIC_GAUGE:
		return BYTES(FIELD_GAUGE);
	case SONDE_METRIC_HISTOGRAM:
		return BYTES(FIELD_HISTOGRAM);
	default:
		return BYTES(FIELD_SUM);
	}
}

/* Field 2 of Sum and ExponentialHistogram, field 3 of Sum. */
static void write_meaning(struct sonde__otlp_sink *sink, const struct sonde_metric_view *metric)
{
	uint8_t *at = sonde__otlp_sink_room(sink, 4);

	if (metric->type == SONDE_METRIC_GAUGE)
		return;
	*at++ = VARINT(2);
	*at++ = metric->is_delta ? DELTA : CUMULATIVE;
	if (metric->type == SONDE_METRIC_SUM && metric->is_monotonic) {
		*at++ = VARINT(3);
		*at++ = 1;
	}
	sink->at = at;
}

void sonde__otlp_metric_write(const struct sonde_point_view *points, size_t n_run,
			      struct sonde__otlp_sink *sink)
{
	const struct sonde_metric_view *metric = points[0].metric;

	write_text(sink, BYTES(1), metric->name);
	write_text(sink, BYTES(2), metric->description);
	write_text(sink, BYTES(3), metric->unit);
	write_head(sink, data_tag(metric), data_size(points, n_run));
	for (size_t i = 0; i < n_run; i++) {
		write_head(sink, BYTES(1), point_size(&points[i]));
		if (metric->type == SONDE_METRIC_HISTOGRAM)
			write_histogram(sink, &points[i]);
		else
			write_number(sink, &points[i]);
	}
	write_meaning(sink, metric);
}
