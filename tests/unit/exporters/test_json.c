/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP/JSON, byte for byte: what the standard's readers are strict about is looked at literally. */

#include "json/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sonde/span.h>

#include "json/attributes.h"
#include "json/write.h"

#define TEXT(literal) ((struct sonde_text){ (literal), sizeof(literal) - 1 })
#define BYTES(literal) ((struct sonde_bytes){ (literal), sizeof(literal) - 1 })

static struct sonde_buffer buffer;

/* What was written, as a string; the buffer is empty again. */
static char *take(void)
{
	static char text[65536];

	assert_true(buffer.size < sizeof(text));
	memcpy(text, buffer.data, buffer.size);
	text[buffer.size] = '\0';
	buffer.size = 0;
	return text;
}

static struct sonde__json begin(void)
{
	buffer.size = 0;
	buffer.limit = 1 << 20;
	return (struct sonde__json){ .out = &buffer, .status = SONDE_OK };
}

static const struct sonde_resource resource = {
	.attributes = BYTES("\x0a\x07\x0a\x01r\x12\x02\x18\x05"),
	.schema_url = TEXT("https://schema"),
	.scope_name = TEXT("scope"),
	.scope_version = TEXT("1"),
};

#define RESOURCE \
	"[{\"resource\":{\"droppedAttributesCount\":0,\"attributes\":[{\"key\":\"r\"," \
	"\"value\":{\"intValue\":\"5\"}}]},\"schemaUrl\":\"https://schema\""
#define SCOPE \
	"[{\"scope\":{\"name\":\"scope\",\"version\":\"1\"},\"schemaUrl\":\"https://schema\""

static const struct sonde_bytes span_pieces[] = {
	BYTES("\x4a\x09\x0a\x01" "a" "\x12\x04\x0a\x02" "xy"),
	/* Event: time 1, name, attribute b = true, dropped 2 */
	BYTES("\x5a\x1a\x09\x01\x00\x00\x00\x00\x00\x00\x00\x12\x04" "tick"
	      "\x1a\x07\x0a\x01" "b" "\x12\x02\x10\x01" "\x20\x02"),
	/* Link: ids, trace state, attribute c = 1, dropped 3 */
	BYTES("\x6a\x2c\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567" "\x1a\x03" "k=v"
	      "\x22\x07\x0a\x01" "c" "\x12\x02\x18\x01" "\x28\x03"),
};

static struct sonde_span_view full_span(void)
{
	struct sonde_span_view span = {
		.start_unix_ns = UINT64_MAX - 1,
		.end_unix_ns = UINT64_MAX,
		.name = TEXT("n"),
		.trace_state = TEXT("k=v"),
		.status_description = TEXT("why"),
		.flags = 0x301,
		.kind = SONDE_KIND_CONSUMER,
		.status = SONDE_SPAN_ERROR,
		.dropped_attributes = 7,
		.dropped_events = 8,
		.dropped_links = UINT32_MAX,
		.pieces = span_pieces,
		.n_pieces = 3,
	};

	memset(span.trace_id, 0xab, 16);
	memset(span.span_id, 0x0c, 8);
	memset(span.parent_id, 0xf0, 8);
	return span;
}

static struct sonde_batch batch_of(enum sonde_signal signal, const void *items, size_t n)
{
	return (struct sonde_batch){ .size = sizeof(struct sonde_batch),
				     .signal = signal,
				     .resource = &resource,
				     .spans = signal == SONDE_SIGNAL_SPAN ? items : NULL,
				     .logs = signal == SONDE_SIGNAL_LOG ? items : NULL,
				     .points = signal == SONDE_SIGNAL_METRIC ? items : NULL,
				     .n_items = n };
}

static void every_field_of_a_span(void **state)
{
	struct sonde_span_view span = full_span();
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_SPAN, &span, 1);

	(void)state;
	begin();
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
	assert_string_equal(
		take(),
		"{\"resourceSpans\":" RESOURCE ",\"scopeSpans\":" SCOPE ",\"spans\":["
		"{\"traceId\":\"abababababababababababababababab\",\"spanId\":\"0c0c0c0c0c0c0c0c\","
		"\"traceState\":\"k=v\",\"parentSpanId\":\"f0f0f0f0f0f0f0f0\",\"flags\":769,"
		"\"name\":\"n\",\"kind\":5,\"startTimeUnixNano\":\"18446744073709551614\","
		"\"endTimeUnixNano\":\"18446744073709551615\",\"attributes\":[{\"key\":\"a\","
		"\"value\":{\"stringValue\":\"xy\"}}],\"droppedAttributesCount\":7,\"events\":[{"
		"\"timeUnixNano\":\"1\",\"name\":\"tick\",\"attributes\":[{\"key\":\"b\",\"value\":{"
		"\"boolValue\":true}}],\"droppedAttributesCount\":2}],\"droppedEventsCount\":8,"
		"\"links\":[{\"traceId\":\"30313233343536373839616263646566\",\"spanId\":"
		"\"3031323334353637\",\"traceState\":\"k=v\",\"attributes\":[{\"key\":\"c\","
		"\"value\":{\"intValue\":\"1\"}}],\"droppedAttributesCount\":3}],"
		"\"droppedLinksCount\":4294967295,\"status\":{\"code\":2,\"message\":\"why\"}}"
		"]}]}]}\n");
}

static void a_bare_span_and_its_neighbour(void **state)
{
	struct sonde_span_view spans[2] = {
		{ .name = TEXT("n"), .start_unix_ns = 1, .end_unix_ns = 2, .status = SONDE_SPAN_OK },
		{ .name = TEXT("m"), .start_unix_ns = 3, .end_unix_ns = 4 },
	};
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_SPAN, spans, 2);

	(void)state;
	begin();
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
	assert_non_null(strstr(
		take(),
		"\"flags\":0,\"name\":\"n\",\"kind\":0,\"startTimeUnixNano\":\"1\","
		"\"endTimeUnixNano\":\"2\",\"status\":{\"code\":1}},"
		"{\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"0000000000000000\","
		"\"flags\":0,\"name\":\"m\",\"kind\":0,\"startTimeUnixNano\":\"3\","
		"\"endTimeUnixNano\":\"4\"}]}]}]}\n"));
}

static void every_field_of_a_log_record(void **state)
{
	static const struct sonde_bytes pieces[] = { BYTES("\x32\x07\x0a\x01" "a" "\x12\x02\x18\x02") };
	struct sonde_log_view logs[2] = {
		{ .unix_ns = 5, .observed_unix_ns = 6, .body = TEXT("b"), .event_name = TEXT("exception"),
		  .severity = SONDE_FATAL, .trace_flags = 1, .dropped_attributes = 9,
		  .pieces = pieces, .n_pieces = 1 },
		{ .observed_unix_ns = 7 },
	};
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_LOG, logs, 2);

	(void)state;
	memset(logs[0].trace_id, 1, 16);
	memset(logs[0].span_id, 2, 8);
	begin();
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
	assert_string_equal(
		take(),
		"{\"resourceLogs\":" RESOURCE ",\"scopeLogs\":" SCOPE ",\"logRecords\":["
		"{\"timeUnixNano\":\"5\",\"observedTimeUnixNano\":\"6\",\"severityNumber\":21,"
		"\"eventName\":\"exception\",\"body\":{\"stringValue\":\"b\"},\"attributes\":[{"
		"\"key\":\"a\",\"value\":{\"intValue\":\"2\"}}],\"droppedAttributesCount\":9,"
		"\"flags\":1,\"traceId\":\"01010101010101010101010101010101\","
		"\"spanId\":\"0202020202020202\"},"
		"{\"timeUnixNano\":\"0\",\"observedTimeUnixNano\":\"7\",\"severityNumber\":0,"
		"\"body\":{\"stringValue\":\"\"}}]}]}]}\n");
}

static void text_is_escaped(void **state)
{
	struct sonde__json json = begin();

	(void)state;
	sonde__json_text(&json, TEXT("a\"b\\c/d"));
	assert_string_equal(take(), "\"a\\\"b\\\\c/d\"");
	sonde__json_text(&json, TEXT("\0\x01\x1f\n\t\x7f"));
	assert_string_equal(take(), "\"\\u0000\\u0001\\u001f\\u000a\\u0009\\u007f\"");
	sonde__json_text(&json, TEXT("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"));
	assert_string_equal(take(), "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
	sonde__json_text(&json, (struct sonde_text){ NULL, 0 });
	assert_string_equal(take(), "\"\"");
	sonde__json_text(&json, TEXT("\"\""));
	assert_string_equal(take(), "\"\\\"\\\"\"");
	assert_int_equal(json.status, SONDE_OK);
}

static void doubles_are_short_and_exact(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0.0, "0" }, { -0.0, "-0" }, { 0.1, "0.1" }, { 0.5, "0.5" }, { -1.5, "-1.5" },
		{ 1.0 / 3, "0.3333333333333333" }, { 1e22, "1e+22" }, { 1.5e-300, "1.5e-300" },
		{ 5e-324, "4.94065645841247e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ NAN, "\"NaN\"" }, { -NAN, "\"NaN\"" }, { INFINITY, "\"Infinity\"" },
		{ -INFINITY, "\"-Infinity\"" }, { 9007199254740993.0, "9007199254740992" },
	};
	struct sonde__json json = begin();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sonde__json_double(&json, cases[i].value);
		assert_string_equal(take(), cases[i].text);
	}
}

static void integers_and_bytes(void **state)
{
	struct sonde__json json = begin();

	(void)state;
	sonde__json_i64(&json, INT64_MIN);
	sonde__json_i64(&json, INT64_MAX);
	sonde__json_u64(&json, UINT64_MAX);
	sonde__json_u32(&json, UINT32_MAX);
	assert_string_equal(take(), "\"-9223372036854775808\"\"9223372036854775807\""
				    "\"18446744073709551615\"4294967295");
	/* RFC 4648, section 10. */
	sonde__json_base64(&json, BYTES(""));
	sonde__json_base64(&json, BYTES("f"));
	sonde__json_base64(&json, BYTES("fo"));
	sonde__json_base64(&json, BYTES("foo"));
	sonde__json_base64(&json, BYTES("foob"));
	sonde__json_base64(&json, BYTES("\xff\xff\xbe"));
	assert_string_equal(take(), "\"\"\"Zg==\"\"Zm8=\"\"Zm9v\"\"Zm9vYg==\"\"//++\"");
}

/* One KeyValue "k" with the AnyValue, as field 9 of a span. */
static char *written(const void *value, size_t size)
{
	uint8_t bytes[256] = { 0x4a, (uint8_t)(size + 5), 0x0a, 1, 'k', 0x12, (uint8_t)size };
	struct sonde_bytes piece = { bytes, size + 7 };
	struct sonde__json json = begin();

	assert_true(size < 120);
	memcpy(bytes + 7, value, size);
	sonde__json_attributes(&json, SONDE_FIELDS_SPAN, &piece, 1);
	assert_int_equal(json.status, SONDE_OK);
	return take();
}

#define WRITTEN(literal) written(literal, sizeof(literal) - 1)
#define ATTRIBUTE(value) ",\"attributes\":[{\"key\":\"k\",\"value\":" value "}]"

static void values_of_every_type(void **state)
{
	(void)state;
	assert_string_equal(WRITTEN("\x0a\x00"), ATTRIBUTE("{\"stringValue\":\"\"}"));
	assert_string_equal(WRITTEN("\x10\x00"), ATTRIBUTE("{\"boolValue\":false}"));
	assert_string_equal(WRITTEN("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			    ATTRIBUTE("{\"intValue\":\"-1\"}"));
	assert_string_equal(WRITTEN("\x21\x00\x00\x00\x00\x00\x00\xf0\x7f"),
			    ATTRIBUTE("{\"doubleValue\":\"Infinity\"}"));
	assert_string_equal(WRITTEN("\x3a\x01\x00"), ATTRIBUTE("{\"bytesValue\":\"AA==\"}"));
	assert_string_equal(WRITTEN(""), ATTRIBUTE("{}"));
	assert_string_equal(WRITTEN("\x2a\x00"), ATTRIBUTE("{\"arrayValue\":{\"values\":[]}}"));
	assert_string_equal(WRITTEN("\x2a\x0a\x0a\x02\x18\x01\x0a\x04\x2a\x02\x0a\x00"),
			    ATTRIBUTE("{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"},"
				      "{\"arrayValue\":{\"values\":[{}]}}]}}"));
}

/* Twenty arrays in each other: the walk ends, with as many brackets closed as were opened. */
static void nesting_is_bounded(void **state)
{
	uint8_t value[128];
	size_t size = 0;
	int open = 0;
	int n_arrays = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		uint8_t head[4] = { 0x2a, (uint8_t)(size + 2), 0x0a, (uint8_t)size };

		memmove(value + 4, value, size);
		memcpy(value, head, 4);
		size += 4;
	}
	for (const char *c = written(value, size); *c; c++) {
		open += *c == '{' || *c == '[';
		open -= *c == '}' || *c == ']';
		n_arrays += *c == '[';
		assert_true(open >= 0);
	}
	assert_int_equal(open, 0);
	assert_in_range(n_arrays, 8, 10);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	struct sonde_span_view span = full_span();
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_SPAN, &span, 1);
	size_t size;

	(void)state;
	begin();
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
	size = buffer.size;
	for (size_t limit = 3; limit < size + 3; limit++) {
		begin();
		assert_int_equal(sonde_buffer_append(&buffer, "abc", 3), SONDE_OK);
		buffer.limit = limit;
		assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_E_NOMEM);
		assert_int_equal(buffer.size, 3);
	}
	buffer.limit = size + 3;
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
}

static void other_signals_are_refused(void **state)
{
	struct sonde_span_view span = full_span();
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_SPAN, &span, 1);

	(void)state;
	begin();
	batch.signal = SONDE_SIGNAL_PART;
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_E_INVALID);
	batch.signal = (enum sonde_signal)77;
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_E_INVALID);
	assert_int_equal(buffer.size, 0);
}

static void points_of_one_metric_stand_together(void **state)
{
	static const struct sonde_metric_view sum = { .name = TEXT("s"), .unit = TEXT("1"),
						      .type = SONDE_METRIC_SUM,
						      .is_monotonic = true };
	static const struct sonde_metric_view times = { .name = TEXT("h"), .description = TEXT("d"),
							.type = SONDE_METRIC_HISTOGRAM,
							.is_delta = true };
	static const uint64_t buckets[] = { 1, 0, UINT64_MAX };
	const struct sonde_point_view points[] = {
		{ .metric = &sum, .start_unix_ns = 1, .unix_ns = 2, .value = -3 },
		{ .metric = &sum, .start_unix_ns = 1, .unix_ns = 2, .value = 4 },
		{ .metric = &times, .start_unix_ns = 1, .unix_ns = 2,
		  .histogram = { .count = 3, .sum = 0.5, .zero_count = 1, .zero_threshold = 0x1p-3,
				 .scale = -2, .offset = INT32_MIN, .buckets = buckets,
				 .n_buckets = 3 } },
	};
	struct sonde_batch batch = batch_of(SONDE_SIGNAL_METRIC, points, 3);

	(void)state;
	begin();
	assert_int_equal(sonde__json_encode(&batch, &buffer), SONDE_OK);
	assert_string_equal(
		take(),
		"{\"resourceMetrics\":" RESOURCE ",\"scopeMetrics\":" SCOPE ",\"metrics\":["
		"{\"name\":\"s\",\"description\":\"\",\"unit\":\"1\",\"sum\":{\"dataPoints\":["
		"{\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"asInt\":\"-3\"},"
		"{\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"asInt\":\"4\"}"
		"],\"aggregationTemporality\":2,\"isMonotonic\":true}},"
		"{\"name\":\"h\",\"description\":\"d\",\"unit\":\"\",\"exponentialHistogram\":{"
		"\"dataPoints\":[{\"startTimeUnixNano\":\"1\",\"timeUnixNano\":\"2\",\"count\":\"3\","
		"\"sum\":0.5,\"scale\":-2,\"zeroCount\":\"1\",\"zeroThreshold\":0.125,"
		"\"positive\":{\"offset\":-2147483648,\"bucketCounts\":[\"1\",\"0\","
		"\"18446744073709551615\"]}}],\"aggregationTemporality\":1}}]}]}]}\n");
}

static int free_buffer(void **state)
{
	(void)state;
	free(buffer.data);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_of_a_span),
		cmocka_unit_test(a_bare_span_and_its_neighbour),
		cmocka_unit_test(every_field_of_a_log_record),
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(doubles_are_short_and_exact),
		cmocka_unit_test(integers_and_bytes),
		cmocka_unit_test(values_of_every_type),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(other_signals_are_refused),
		cmocka_unit_test(points_of_one_metric_stand_together),
	};

	return cmocka_run_group_tests(tests, /* setup= */ NULL, free_buffer);
}
