/* SPDX-License-Identifier: Apache-2.0 */
/* Every code of libcurl and every HTTP status has one outcome and a line that can be shown. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "classify.h"

static char shown[] = "http://collector:4318/v1/traces";
static const struct sonde__otlp_target target = {
	.dialect = &sonde__otlp_dialect, .shown = shown, .setting = "OTEL_EXPORTER_OTLP_ENDPOINT", .port = 4318,
};

static struct sonde__otlp_answer answer_of(CURLcode code, long status)
{
	return (struct sonde__otlp_answer){
		.target = &target, .signal = SONDE_SIGNAL_SPAN, .n_items = 10, .timeout_ms = 500,
		.code = code, .detail = "", .is_connected = true, .status = status,
		.content_type = "application/x-protobuf",
	};
}

static struct sonde_result classify(const struct sonde__otlp_answer *answer)
{
	struct sonde_result result;

	memset(&result, 0x5a, sizeof(result));
	sonde__otlp_classify(answer, &result);
	assert_non_null(memchr(result.reason, '\0', sizeof(result.reason)));
	return result;
}

/* OTLP names four statuses to retry; every other one is final. */
static void test_every_status(void **state)
{
	(void)state;
	for (long status = 100; status < 1000; status++) {
		struct sonde__otlp_answer answer = answer_of(CURLE_OK, status);
		struct sonde_result result;

		answer.retry_after_s = 5;
		result = classify(&answer);
		if (status >= 200 && status < 300) {
			assert_int_equal(result.outcome, SONDE_OUTCOME_ACCEPTED);
			assert_string_equal(result.reason, "");
		} else if (status == 429 || status == 502 || status == 503 || status == 504) {
			assert_int_equal(result.outcome, SONDE_OUTCOME_RETRY);
			assert_int_equal(result.retry_after_ms, 5000);
		} else {
			assert_int_equal(result.outcome, SONDE_OUTCOME_REFUSED);
			assert_int_equal(result.retry_after_ms, -1);
			assert_non_null(strstr(result.reason, target.shown));
		}
		assert_int_equal(result.n_rejected, 0);
	}
}

static void test_every_code(void **state)
{
	(void)state;
	for (int code = 1; code < CURL_LAST; code++) {
		struct sonde__otlp_answer answer = answer_of((CURLcode)code, 0);
		struct sonde_result result = classify(&answer);

		assert_true(result.outcome == SONDE_OUTCOME_RETRY ||
			    result.outcome == SONDE_OUTCOME_REFUSED);
		assert_non_null(strstr(result.reason, target.shown));
		assert_int_equal(result.retry_after_ms, -1);
	}
}

static void test_what_broke_on_the_way_is_tried_again(void **state)
{
	static const CURLcode codes[] = {
		CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT,   CURLE_OPERATION_TIMEDOUT,
		CURLE_GOT_NOTHING,	    CURLE_SEND_ERROR,	     CURLE_RECV_ERROR,
		CURLE_PARTIAL_FILE,	    CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		/* A status that came before the break decides nothing. */
		struct sonde__otlp_answer answer = answer_of(codes[i], 200);

		assert_int_equal(classify(&answer).outcome, SONDE_OUTCOME_RETRY);
	}
}

static void test_a_refused_connection(void **state)
{
	struct sonde__otlp_answer answer = answer_of(CURLE_COULDNT_CONNECT, 0);

	(void)state;
	answer.os_error = ECONNREFUSED;
	assert_string_equal(classify(&answer).reason, "nothing listens at http://collector:4318/v1/traces");
	answer.os_error = EHOSTUNREACH;
	assert_string_equal(classify(&answer).reason,
			    "cannot connect to http://collector:4318/v1/traces (No route to host)");
}

/* With a proxy between, who refused is not known. */
static void test_a_refused_connection_to_a_proxy(void **state)
{
	char proxy[] = "http://proxy:3128";
	struct sonde__otlp_target proxied = target;
	struct sonde__otlp_answer answer = answer_of(CURLE_COULDNT_CONNECT, 0);

	(void)state;
	proxied.proxy = proxy;
	answer.target = &proxied;
	answer.os_error = ECONNREFUSED;
	assert_string_equal(classify(&answer).reason,
			    "cannot connect to http://collector:4318/v1/traces (Connection refused)");
}

static void test_the_grpc_port(void **state)
{
	struct sonde__otlp_target grpc = target;
	struct sonde__otlp_answer answer = answer_of(CURLE_UNSUPPORTED_PROTOCOL, 0);

	(void)state;
	grpc.port = 4317;
	answer.target = &grpc;
	assert_non_null(strstr(classify(&answer).reason, "port 4317 is gRPC's, OTLP over HTTP is at 4318"));
	/* Nothing answered there: the port may be right. */
	answer = answer_of(CURLE_COULDNT_CONNECT, 0);
	answer.target = &grpc;
	answer.is_connected = false;
	assert_null(strstr(classify(&answer).reason, "gRPC"));
}

/* However long and dirty everything is that strangers and settings put in. */
static void test_reasons_stay_in_bounds(void **state)
{
	static char dirt[2000];
	struct sonde__otlp_target long_target = {
		.dialect = &sonde__otlp_dialect, .shown = dirt, .setting = dirt, .port = 4317,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(dirt) - 1; i++)
		dirt[i] = (char)(1 + i * 31 % 255);
	for (long status = 0; status < 600; status += 7) {
		struct sonde__otlp_answer answer = answer_of(status ? CURLE_OK : CURLE_RECV_ERROR,
							     status);
		struct sonde_result result;

		answer.target = &long_target;
		answer.detail = dirt;
		answer.location = dirt;
		answer.content_type = "text/plain; charset=utf-8";
		answer.body = (struct sonde_bytes){ dirt, sizeof(dirt) };
		result = classify(&answer);
		for (const char *at = result.reason; *at; at++)
			assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Bodies of rubbish, and real ones cut and changed, are read within bounds: sanitizers watch. */
static void test_rubbish_is_read_safely(void **state)
{
	static const uint8_t real[] = "\x0a\x0a\x08\x03\x12\x06reason\x10\x01\x1a\x03xyz";
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint8_t body[64];
		size_t size = next_random(&seed) % sizeof(body);
		struct sonde__otlp_answer answer = answer_of(CURLE_OK, round % 2 ? 200 : 400);
		struct sonde_result result;

		for (size_t i = 0; i < size; i++)
			body[i] = i < sizeof(real) && next_random(&seed) % 4
					  ? real[i]
					  : (uint8_t)next_random(&seed);
		answer.signal = round % 3 == 0 ? SONDE_SIGNAL_LOG :
				round % 3 == 1 ? SONDE_SIGNAL_SPAN :
						 SONDE_SIGNAL_METRIC;
		answer.body = (struct sonde_bytes){ body, size };
		result = classify(&answer);
		assert_true(result.n_rejected <= 10);
		assert_int_equal(result.outcome,
				 round % 2 ? SONDE_OUTCOME_ACCEPTED : SONDE_OUTCOME_REFUSED);
	}
}

static void test_each_signal_reads_its_own_answer(void **state)
{
	/* partial_success { rejected_… = 3; error_message = "old" } has the same numbers in all. */
	static const char body[] = "\x0a\x07\x08\x03\x12\x03" "old";
	static const enum sonde_signal signals[] = { SONDE_SIGNAL_SPAN, SONDE_SIGNAL_LOG,
						     SONDE_SIGNAL_METRIC };

	(void)state;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sonde__otlp_answer answer = answer_of(CURLE_OK, 200);
		struct sonde_result result;

		answer.signal = signals[i];
		answer.content_type = "application/x-protobuf";
		answer.body = (struct sonde_bytes){ body, sizeof(body) - 1 };
		result = classify(&answer);
		assert_int_equal(result.outcome, SONDE_OUTCOME_ACCEPTED);
		assert_int_equal(result.n_rejected, 3);
		assert_non_null(strstr(result.reason, "old"));
	}
}

static void test_who_takes_no_metrics(void **state)
{
	struct sonde__otlp_answer answer = answer_of(CURLE_OK, 404);

	(void)state;
	assert_null(strstr(classify(&answer).reason, "OTEL_METRICS_EXPORTER"));
	answer.signal = SONDE_SIGNAL_METRIC;
	assert_non_null(strstr(classify(&answer).reason, "OTEL_METRICS_EXPORTER=none"));
}

static void test_media_types(void **state)
{
	(void)state;
	assert_true(sonde__otlp_answer_is_type("Application/X-Protobuf", "application/x-protobuf"));
	assert_true(sonde__otlp_answer_is_type("text/plain;charset=utf-8", "text/plain"));
	assert_false(sonde__otlp_answer_is_type("text/plainer", "text/plain"));
	assert_false(sonde__otlp_answer_is_type("text", "text/plain"));
	assert_false(sonde__otlp_answer_is_type(NULL, "text/plain"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_status),
		cmocka_unit_test(test_every_code),
		cmocka_unit_test(test_what_broke_on_the_way_is_tried_again),
		cmocka_unit_test(test_a_refused_connection),
		cmocka_unit_test(test_a_refused_connection_to_a_proxy),
		cmocka_unit_test(test_the_grpc_port),
		cmocka_unit_test(test_reasons_stay_in_bounds),
		cmocka_unit_test(test_rubbish_is_read_safely),
		cmocka_unit_test(test_each_signal_reads_its_own_answer),
		cmocka_unit_test(test_who_takes_no_metrics),
		cmocka_unit_test(test_media_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
