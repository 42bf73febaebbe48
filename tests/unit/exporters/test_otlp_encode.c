/* SPDX-License-Identifier: Apache-2.0 */
/* Requests decode to what the views said, whole, within every limit, compressed or not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "collector_logs.pb-c.h"
#include "collector_metrics.pb-c.h"
#include "collector_trace.pb-c.h"
#include "encode.h"
#include "item.h"
#include "metric.h"
#include "support/otlp_batch.h"

#define NO_LIMIT ((size_t)256 << 20)

typedef SondeOtlp__CollectorTrace__ExportTraceServiceRequest trace_request;
typedef SondeOtlp__CollectorLogs__ExportLogsServiceRequest logs_request;
typedef SondeOtlp__CollectorMetrics__ExportMetricsServiceRequest metrics_request;

struct fixture {
	struct sonde__otlp_encoder encoder;
	struct sonde_buffer out;
	struct otlp_batch made;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	sonde__otlp_encoder_init(&f->encoder);
	f->out.limit = NO_LIMIT;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sonde__otlp_encoder_deinit(&f->encoder);
	otlp_batch_free(&f->made);
	free(f->out.data);
	free(f);
	return 0;
}

static void assert_text(const char *got, struct sonde_text wanted)
{
	if (!wanted.size) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_int_equal(strlen(got), wanted.size);
	assert_memory_equal(got, wanted.data, wanted.size);
}

static void assert_span(const SondeOtlp__Trace__Span *got, const struct sonde_span_view *wanted)
{
	static const uint8_t none[8];

	assert_int_equal(got->trace_id.len, 16);
	assert_memory_equal(got->trace_id.data, wanted->trace_id, 16);
	assert_int_equal(got->span_id.len, 8);
	assert_memory_equal(got->span_id.data, wanted->span_id, 8);
	assert_int_equal(got->parent_span_id.len, memcmp(wanted->parent_id, none, 8) ? 8 : 0);
	assert_text(got->name, wanted->name);
	assert_text(got->trace_state, wanted->trace_state);
	assert_int_equal(got->kind, wanted->kind);
	assert_true(got->start_time_unix_nano == wanted->start_unix_ns);
	assert_true(got->end_time_unix_nano == wanted->end_unix_ns);
	assert_int_equal(got->flags, wanted->flags);
	assert_int_equal(got->dropped_attributes_count, wanted->dropped_attributes);
	assert_int_equal(got->dropped_events_count, wanted->dropped_events);
	assert_int_equal(got->dropped_links_count, wanted->dropped_links);
	assert_int_equal(got->n_attributes, wanted->n_pieces > 0 ? 2 : 0);
	assert_int_equal(got->n_events, wanted->n_pieces > 1);
	assert_int_equal(got->n_links, wanted->n_pieces > 2);
	assert_int_equal(got->status ? (int)got->status->code : 0, wanted->status);
	if (got->status)
		assert_text(got->status->message, wanted->status_description);
	assert_int_equal(got->base.n_unknown_fields, 0);
}

static void test_spans_decode_to_their_views(void **state)
{
	struct fixture *f = *state;
	SondeOtlp__Trace__ResourceSpans *resource;
	trace_request *request;

	otlp_batch_spans(&f->made, 50);
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out), SONDE_OK);
	request = sonde_otlp__collector_trace__export_trace_service_request__unpack(
		NULL, f->out.size, f->out.data);
	assert_non_null(request);
	assert_int_equal(request->n_resource_spans, 1);
	resource = request->resource_spans[0];
	assert_string_equal(resource->resource->attributes[0]->key, "service.name");
	assert_text(resource->schema_url, f->made.resource.schema_url);
	assert_int_equal(resource->n_scope_spans, 1);
	assert_text(resource->scope_spans[0]->scope->name, f->made.resource.scope_name);
	assert_text(resource->scope_spans[0]->scope->version, f->made.resource.scope_version);
	assert_int_equal(resource->scope_spans[0]->n_spans, 50);
	for (size_t i = 0; i < 50; i++)
		assert_span(resource->scope_spans[0]->spans[i], &f->made.batch.spans[i]);
	sonde_otlp__collector_trace__export_trace_service_request__free_unpacked(request, NULL);
}

static void assert_log(const SondeOtlp__Logs__LogRecord *got, const struct sonde_log_view *wanted,
		       size_t i)
{
	static const uint8_t none[16];
	size_t has_trace = memcmp(wanted->trace_id, none, 16) ? 1 : 0;

	assert_true(got->time_unix_nano == wanted->unix_ns);
	assert_true(got->observed_time_unix_nano == wanted->observed_unix_ns);
	assert_int_equal(got->severity_number, wanted->severity);
	assert_non_null(got->severity_text);
	assert_int_equal(got->trace_id.len, 16 * has_trace);
	assert_int_equal(got->span_id.len, 8 * has_trace);
	assert_int_equal(got->flags, wanted->trace_flags);
	assert_text(got->body ? got->body->string_value : NULL, wanted->body);
	assert_text(got->event_name, wanted->event_name);
	assert_int_equal(got->dropped_attributes_count, wanted->dropped_attributes);
	assert_int_equal(got->n_attributes, i % 2);
	assert_int_equal(got->base.n_unknown_fields, 0);
}

static void test_logs_decode_to_their_views(void **state)
{
	struct fixture *f = *state;
	SondeOtlp__Logs__ScopeLogs *scope;
	logs_request *request;

	otlp_batch_logs(&f->made, 60);
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out), SONDE_OK);
	request = sonde_otlp__collector_logs__export_logs_service_request__unpack(NULL, f->out.size,
										  f->out.data);
	assert_non_null(request);
	scope = request->resource_logs[0]->scope_logs[0];
	assert_int_equal(scope->n_log_records, 60);
	for (size_t i = 0; i < 60; i++)
		assert_log(scope->log_records[i], &f->made.batch.logs[i], i);
	assert_string_equal(scope->log_records[0]->severity_text, "TRACE");
	assert_string_equal(scope->log_records[17]->severity_text, "ERROR2");
	sonde_otlp__collector_logs__export_logs_service_request__free_unpacked(request, NULL);
}

static void assert_number(const SondeOtlp__Metrics__NumberDataPoint *got,
			  const struct sonde_point_view *wanted)
{
	assert_true(got->start_time_unix_nano == wanted->start_unix_ns);
	assert_true(got->time_unix_nano == wanted->unix_ns);
	assert_int_equal(got->value_case, SONDE_OTLP__METRICS__NUMBER_DATA_POINT__VALUE_AS_INT);
	assert_true(got->as_int == wanted->value);
	assert_int_equal(got->n_attributes, wanted->attributes.size > 0);
	assert_int_equal(got->base.n_unknown_fields, 0);
}

static void assert_histogram(const SondeOtlp__Metrics__ExponentialHistogramDataPoint *got,
			     const struct sonde_point_view *wanted)
{
	const struct sonde_histogram_view *histogram = &wanted->histogram;

	assert_true(got->start_time_unix_nano == wanted->start_unix_ns);
	assert_true(got->time_unix_nano == wanted->unix_ns);
	assert_true(got->count == histogram->count && got->zero_count == histogram->zero_count);
	assert_true(got->sum == histogram->sum);
	assert_true(got->zero_threshold == histogram->zero_threshold);
	assert_int_equal(got->scale, histogram->scale);
	assert_int_equal(got->n_attributes, wanted->attributes.size > 0);
	assert_int_equal(got->positive != NULL, histogram->n_buckets > 0);
	if (got->positive) {
		assert_int_equal(got->positive->offset, histogram->offset);
		assert_int_equal(got->positive->n_bucket_counts, histogram->n_buckets);
		assert_memory_equal(got->positive->bucket_counts, histogram->buckets,
				    histogram->n_buckets * sizeof(*histogram->buckets));
	}
	assert_int_equal(got->base.n_unknown_fields, 0);
}

static void assert_metric(const SondeOtlp__Metrics__Metric *got,
			  const struct sonde_point_view *points, size_t n)
{
	const struct sonde_metric_view *wanted = points[0].metric;
	const SondeOtlp__Metrics__Sum *sum = got->sum;

	assert_text(got->name, wanted->name);
	assert_text(got->description, wanted->description);
	assert_text(got->unit, wanted->unit);
	if (wanted->type == SONDE_METRIC_HISTOGRAM) {
		assert_int_equal(got->exponential_histogram->aggregation_temporality,
				 wanted->is_delta ? 1 : 2);
		assert_int_equal(got->exponential_histogram->n_data_points, n);
		for (size_t i = 0; i < n; i++)
			assert_histogram(got->exponential_histogram->data_points[i], &points[i]);
	} else if (wanted->type == SONDE_METRIC_GAUGE) {
		assert_int_equal(got->gauge->n_data_points, n);
		for (size_t i = 0; i < n; i++)
			assert_number(got->gauge->data_points[i], &points[i]);
	} else {
		assert_int_equal(sum->aggregation_temporality, wanted->is_delta ? 1 : 2);
		assert_int_equal(sum->is_monotonic, wanted->is_monotonic);
		assert_int_equal(sum->n_data_points, n);
		for (size_t i = 0; i < n; i++)
			assert_number(sum->data_points[i], &points[i]);
	}
}

static void test_points_decode_to_their_views(void **state)
{
	struct fixture *f = *state;
	SondeOtlp__Metrics__ScopeMetrics *scope;
	metrics_request *request;

	for (size_t n = 1; n < 100; n += 7) {
		otlp_batch_free(&f->made);
		otlp_batch_points(&f->made, n);
		f->out.size = 0;
		assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
				 SONDE_OK);
		request = sonde_otlp__collector_metrics__export_metrics_service_request__unpack(
			NULL, f->out.size, f->out.data);
		assert_non_null(request);
		assert_int_equal(request->n_resource_metrics, 1);
		scope = request->resource_metrics[0]->scope_metrics[0];
		assert_int_equal(scope->n_metrics, (n + 2) / 3);
		for (size_t m = 0; m < scope->n_metrics; m++)
			assert_metric(scope->metrics[m], &f->made.batch.points[3 * m],
				      n - 3 * m < 3 ? n - 3 * m : 3);
		sonde_otlp__collector_metrics__export_metrics_service_request__free_unpacked(
			request, NULL);
	}
}

/* The extremes of every varint: the size said is the size written. */
static void test_sizes_of_metrics_are_exact(void **state)
{
	static const int32_t numbers[] = { 0,  1,   -1,	  63,	 -64,	   64,
					   -65, 8191, -8192, INT32_MAX, INT32_MIN };
	struct fixture *f = *state;
	struct sonde_point_view *point;
	uint64_t buckets[11];

	otlp_batch_points(&f->made, 10);
	point = (struct sonde_point_view *)f->made.memory + 9;
	assert_int_equal(point->metric->type, SONDE_METRIC_HISTOGRAM);
	for (size_t i = 0; i < 11; i++) {
		struct sonde__otlp_sink sink;

		buckets[i] = i < 9 ? (UINT64_C(1) << 7 * i) - (i > 0) : UINT64_MAX - i;
		point->histogram = (struct sonde_histogram_view){
			.count = UINT64_MAX, .scale = numbers[i], .offset = numbers[10 - i],
			.buckets = buckets, .n_buckets = i,
		};
		f->out.size = 0;
		assert_int_equal(sonde__otlp_sink_begin(&sink, &f->out, NULL,
							sonde__otlp_metric_size(point, 1)),
				 SONDE_OK);
		sonde__otlp_metric_write(point, 1, &sink);
		assert_int_equal(sonde__otlp_sink_end(&sink), SONDE_OK);
		assert_int_equal(f->out.size, sonde__otlp_metric_size(point, 1));
	}
}

/* Every combination of what decides a length: the size said is the size written. */
static void test_sizes_are_exact_at_every_length(void **state)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 16383, 16384, 100000 };
	struct fixture *f = *state;
	char *text = malloc(100000);
	struct sonde_span_view *span;

	memset(text, 'x', 100000);
	otlp_batch_spans(&f->made, 1);
	span = f->made.memory;
	for (size_t i = 0; i < 7; i++) {
		trace_request *request;
		struct sonde__otlp_sink sink;

		span->name = (struct sonde_text){ text, lengths[i] };
		span->status = 2;
		span->status_description = (struct sonde_text){ text, lengths[6 - i] };
		span->dropped_events = 1u << (4 * i);
		f->out.size = 0;
		assert_int_equal(
			sonde__otlp_sink_begin(&sink, &f->out, NULL, sonde__otlp_span_size(span)),
			SONDE_OK);
		sonde__otlp_span_write(span, &sink);
		assert_int_equal(sonde__otlp_sink_end(&sink), SONDE_OK);
		assert_int_equal(f->out.size, sonde__otlp_span_size(span));
		f->out.size = 0;
		assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
				 SONDE_OK);
		request = sonde_otlp__collector_trace__export_trace_service_request__unpack(
			NULL, f->out.size, f->out.data);
		assert_non_null(request);
		assert_span(request->resource_spans[0]->scope_spans[0]->spans[0], span);
		sonde_otlp__collector_trace__export_trace_service_request__free_unpacked(request,
											 NULL);
	}
	free(text);
}

static size_t inflate_all(const struct sonde_buffer *from, uint8_t *to, size_t capacity)
{
	z_stream stream = { .next_in = from->data, .avail_in = (uInt)from->size, .next_out = to,
			    .avail_out = (uInt)capacity };

	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0);
	assert_int_equal(inflateEnd(&stream), Z_OK);
	return stream.total_out;
}

/* Twice with one encoder, with small items and with one larger than the stage. */
static void test_gzip_holds_the_same_bytes(void **state)
{
	struct fixture *f = *state;
	struct sonde_buffer plain = { .limit = NO_LIMIT };
	char *text = malloc(200000);
	uint8_t *inflated;

	for (size_t i = 0; i < 200000; i++)
		text[i] = (char)('a' + i * 7919 % 26);
	otlp_batch_spans(&f->made, 2000);
	((struct sonde_span_view *)f->made.memory)[3].name = (struct sonde_text){ text, 200000 };
	((struct sonde_span_view *)f->made.memory)[5].name = (struct sonde_text){ text, 20000 };
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &plain), SONDE_OK);
	inflated = malloc(plain.size + 1);
	for (int round = 0; round < 2; round++) {
		f->out.size = 0;
		assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, true, &f->out),
				 SONDE_OK);
		assert_true(f->out.size < plain.size / 4);
		assert_int_equal(inflate_all(&f->out, inflated, plain.size + 1), plain.size);
		assert_memory_equal(inflated, plain.data, plain.size);
	}
	free(inflated);
	free(plain.data);
	free(text);
}

/* The pipeline appends to what is there already; a failure leaves that alone. */
static void test_a_full_buffer_is_left_as_it_was(void **state)
{
	struct fixture *f = *state;

	otlp_batch_spans(&f->made, 5000);
	f->out.limit = 20000;
	assert_int_equal(sonde_buffer_append(&f->out, "before", 6), SONDE_OK);
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_NOMEM);
	assert_int_equal(f->out.size, 6);
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, true, &f->out),
			 SONDE_E_NOMEM);
	assert_int_equal(f->out.size, 6);
	assert_memory_equal(f->out.data, "before", 6);
	f->out.limit = NO_LIMIT;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, true, &f->out), SONDE_OK);
	assert_memory_equal(f->out.data, "before\x1f\x8b", 8);
}

/* 64 MiB is allowed and one byte more is not, however small it would get. */
static void test_more_than_64_mib_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t size = (size_t)65 << 20;
	char *text = calloc(1, size);
	struct sonde_span_view *span;
	size_t around;

	otlp_batch_spans(&f->made, 1);
	span = f->made.memory;
	span->name = (struct sonde_text){ text, (size_t)60 << 20 };
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out), SONDE_OK);
	around = f->out.size - span->name.size;
	span->name.size = SONDE__OTLP_REQUEST_MAX - around;
	f->out.size = 0;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out), SONDE_OK);
	assert_int_equal(f->out.size, SONDE__OTLP_REQUEST_MAX);
	span->name.size++;
	f->out.size = 0;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_TOO_BIG);
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, true, &f->out),
			 SONDE_E_TOO_BIG);
	assert_int_equal(f->out.size, 0);
	free(text);
}

static void test_what_is_no_batch_is_invalid(void **state)
{
	struct fixture *f = *state;

	otlp_batch_spans(&f->made, 1);
	f->made.batch.size--;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_INVALID);
	f->made.batch.size++;
	f->made.batch.n_items = 0;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_INVALID);
	f->made.batch.n_items = 1;
	f->made.batch.signal = SONDE_SIGNAL_PART;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_INVALID);
	f->made.batch.signal = SONDE_SIGNAL_METRIC;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_INVALID);
	f->made.batch.signal = SONDE_SIGNAL_LOG;
	assert_int_equal(sonde__otlp_encode(&f->encoder, &f->made.batch, false, &f->out),
			 SONDE_E_INVALID);
	assert_int_equal(sonde__otlp_encode(&f->encoder, NULL, false, &f->out), SONDE_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_spans_decode_to_their_views, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_logs_decode_to_their_views, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_points_decode_to_their_views, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_sizes_of_metrics_are_exact, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sizes_are_exact_at_every_length, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_gzip_holds_the_same_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_buffer_is_left_as_it_was, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_more_than_64_mib_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_batch_is_invalid, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
