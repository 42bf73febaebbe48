/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_batch.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((struct sonde_text){ (literal), sizeof(literal) - 1 })
#define BYTES(literal) ((struct sonde_bytes){ (literal), sizeof(literal) - 1 })

/*
 * Hand-made protobuf. A KeyValue is 1 key, 2 AnyValue; in field 9 of Span and field 6 of LogRecord.
 */
static const struct sonde_bytes span_pieces[] = {
	/* order.items = 3 and order.currency = "EUR" */
	BYTES("\x4a\x11\x0a\x0b" "order.items" "\x12\x02\x18\x03"
	      "\x4a\x17\x0a\x0e" "order.currency" "\x12\x05\x0a\x03" "EUR"),
	/* An event, field 11: 1 time (fixed64), 2 name, 3 attributes { n = true } */
	BYTES("\x5a\x1a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x12\x04" "tick"
	      "\x1a\x07\x0a\x01" "n" "\x12\x02\x10\x01" "\x20\x02"),
	/* A link, field 13: 1 trace id, 2 span id, 6 flags (fixed32) */
	BYTES("\x6a\x21\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567" "\x35\x01\x03\x00\x00"),
};

static const struct sonde_bytes log_pieces[] = {
	/* exception.type = "payment_declined" */
	BYTES("\x32\x24\x0a\x0e" "exception.type" "\x12\x12\x0a\x10" "payment_declined"),
};

/* service.name = "checkout", field 1 of Resource */
static const struct sonde_resource resource = {
	.attributes = BYTES("\x0a\x1a\x0a\x0c" "service.name" "\x12\x0a\x0a\x08" "checkout"),
	.schema_url = TEXT("https://opentelemetry.io/schemas/1.44.0"),
	.scope_name = TEXT("sonde"),
	.scope_version = TEXT("0.1.0"),
};

static void fill_id(uint8_t *id, size_t size, size_t i)
{
	memset(id, 0xa0, size);
	for (size_t k = 0; k < 4; k++)
		id[size - 1 - k] = (uint8_t)((i + 1) >> 8 * k);
}

static void fill_span(struct sonde_span_view *span, size_t i)
{
	fill_id(span->trace_id, 16, i);
	fill_id(span->span_id, 8, i);
	if (i % 2)
		fill_id(span->parent_id, 8, i - 1);
	span->start_unix_ns = UINT64_C(1800000000000000000) + i;
	span->end_unix_ns = span->start_unix_ns + 1 + i;
	span->name = TEXT("charge card");
	span->trace_state = i % 3 ? (struct sonde_text){ NULL, 0 } : TEXT("congo=t61rcWkgMzE");
	span->status = (uint8_t)(i % 3);
	span->status_description = i % 3 == 2 ? TEXT("declined \xc3\xa9") : (struct sonde_text){ NULL, 0 };
	span->flags = 0x101 | (i % 2 ? 0x200 : 0);
	span->kind = (uint8_t)(1 + i % 5);
	span->dropped_attributes = (uint32_t)(i * 100);
	span->dropped_events = (uint32_t)(i % 4);
	span->dropped_links = i == 7 ? UINT32_MAX : 0;
	span->pieces = span_pieces;
	span->n_pieces = i % 4;
}

static void fill_log(struct sonde_log_view *log, size_t i)
{
	if (i % 3) {
		fill_id(log->trace_id, 16, i);
		fill_id(log->span_id, 8, i);
		log->trace_flags = 3;
	}
	log->unix_ns = i % 5 ? UINT64_C(1800000000000000000) + i : 0;
	log->observed_unix_ns = UINT64_C(1800000000000000500) + i;
	log->body = i % 4 ? TEXT("card declined") : (struct sonde_text){ NULL, 0 };
	log->event_name = i % 2 ? TEXT("exception") : (struct sonde_text){ NULL, 0 };
	log->severity = (uint8_t)(1 + i % 24);
	log->dropped_attributes = (uint32_t)(i % 7);
	log->pieces = log_pieces;
	log->n_pieces = i % 2;
}

/* Three points a metric; its type, and what it means, go by turns. */
static void fill_metric(struct sonde_metric_view *metric, size_t m)
{
	static const enum sonde_metric_type types[] = {
		SONDE_METRIC_SUM, SONDE_METRIC_SUM, SONDE_METRIC_GAUGE, SONDE_METRIC_HISTOGRAM
	};

	metric->name = m % 2 ? TEXT("orders.open") : TEXT("orders");
	metric->description = m % 3 ? TEXT("What came in") : (struct sonde_text){ NULL, 0 };
	metric->unit = m % 5 ? TEXT("{order}") : (struct sonde_text){ NULL, 0 };
	metric->type = types[m % 4];
	metric->is_monotonic = m % 4 == 0;
	metric->is_delta = m % 8 >= 4;
}

static void fill_histogram(struct sonde_histogram_view *histogram, uint64_t *buckets, size_t i)
{
	histogram->zero_count = i % 3;
	histogram->zero_threshold = i % 2 ? 0x1p-30 : 0.0;
	histogram->sum = (double)i + 0.25;
	histogram->scale = (int32_t)(i % 3) - 1;
	histogram->offset = i % 2 ? -(int32_t)i : (int32_t)i;
	histogram->n_buckets = i % 5;
	histogram->buckets = buckets;
	histogram->count = histogram->zero_count;
	for (size_t k = 0; k < histogram->n_buckets; k++) {
		buckets[k] = (uint64_t)1 << (20 * k + i % 4);
		histogram->count += buckets[k];
	}
}

static void fill_point(struct sonde_point_view *point, uint64_t *buckets, size_t i)
{
	bool is_histogram = point->metric->type == SONDE_METRIC_HISTOGRAM;

	point->start_unix_ns = UINT64_C(1800000000000000000) + i;
	point->unix_ns = point->start_unix_ns + 60000000000;
	if (i % 2)
		point->attributes = is_histogram ? BYTES("\x0a\x08\x0a\x01k\x12\x03\x0a\x01v") :
						   BYTES("\x3a\x08\x0a\x01k\x12\x03\x0a\x01v");
	if (is_histogram)
		fill_histogram(&point->histogram, buckets, i);
	else
		point->value = i % 2 && !point->metric->is_monotonic ? -(int64_t)i :
								       (int64_t)i * 1000;
}

static void begin(struct otlp_batch *made, enum sonde_signal signal, size_t n, size_t size)
{
	memset(made, 0, sizeof(*made));
	made->resource = resource;
	made->memory = calloc(n, size);
	if (!made->memory)
		abort();
	made->batch.size = sizeof(made->batch);
	made->batch.signal = signal;
	made->batch.resource = &made->resource;
	made->batch.n_items = n;
}

void otlp_batch_spans(struct otlp_batch *made, size_t n)
{
	begin(made, SONDE_SIGNAL_SPAN, n, sizeof(struct sonde_span_view));
	made->batch.spans = made->memory;
	for (size_t i = 0; i < n; i++)
		fill_span((struct sonde_span_view *)made->memory + i, i);
}

void otlp_batch_logs(struct otlp_batch *made, size_t n)
{
	begin(made, SONDE_SIGNAL_LOG, n, sizeof(struct sonde_log_view));
	made->batch.logs = made->memory;
	for (size_t i = 0; i < n; i++)
		fill_log((struct sonde_log_view *)made->memory + i, i);
}

void otlp_batch_points(struct otlp_batch *made, size_t n)
{
	struct sonde_point_view *points;

	begin(made, SONDE_SIGNAL_METRIC, n, sizeof(struct sonde_point_view));
	points = made->memory;
	made->batch.points = points;
	made->metrics = calloc(n / 3 + 1, sizeof(*made->metrics));
	made->buckets = calloc(n, sizeof(*made->buckets));
	if (!made->metrics || !made->buckets)
		abort();
	for (size_t i = 0; i < n; i++) {
		fill_metric(&made->metrics[i / 3], i / 3);
		points[i].metric = &made->metrics[i / 3];
		fill_point(&points[i], made->buckets[i], i);
	}
}

void otlp_batch_free(struct otlp_batch *made)
{
	free(made->memory);
	free(made->metrics);
	free(made->buckets);
	*made = (struct otlp_batch){ .memory = NULL };
}
