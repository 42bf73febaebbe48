/* SPDX-License-Identifier: Apache-2.0 */

/* What an answer leaves behind: on the span, as an error, as a message; once. */

#include "fixture.h"

#include <errno.h>

#include <sonde/problem.h>
#include <sonde/scope.h>

#define BODY_SIZE 512

static char body[BODY_SIZE];

static int answer(struct sonde_error *error)
{
	return sonde_problem_answer(error, body, sizeof(body), /* options= */ NULL);
}

static int64_t part_status_code(void)
{
	return fixture_attribute(SONDE_FIELDS_SPAN, sonde__part_record_fields(fixture_part()),
				 "http.response.status_code")
		.as.integer;
}

static bool part_has_error_type(void)
{
	struct sonde_bytes rest = sonde__part_record_fields(fixture_part());
	struct sonde_item_view item;

	while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item))
		if (item.name.size == 10 && memcmp(item.name.data, "error.type", 10) == 0)
			return true;
	return false;
}

static void test_failure(void **state)
{
	static const enum sonde_exception_signal signals[] = { SONDE_EXCEPTION_BOTH,
							       SONDE_EXCEPTION_LOG,
							       SONDE_EXCEPTION_SPAN_EVENT };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sonde_error *error = sonde_error_raise(&sonde_timeout, "hunter2");

		fixture_reopen(128, signals[i]);
		{
			SONDE_SERVER_SPAN(span, "GET", "/", NULL, NULL);
			errno = 4711;
			assert_int_equal(answer(error), 504);
			assert_int_equal(errno, 4711);
		}
		assert_int_equal(fixture_take(), 3);
		assert_int_equal(fixture_error()->severity, SONDE_ERROR);
		assert_true(fixture_span()->head.flags & SONDE__RECORD_FAILED);
		assert_int_equal(part_status_code(), 504);
		/* Once: by the event, or by the part. */
		assert_int_equal(part_has_error_type(), signals[i] == SONDE_EXCEPTION_LOG);
		assert_int_equal(fixture_part()->status,
				 signals[i] == SONDE_EXCEPTION_LOG ? SONDE_SPAN_ERROR
								   : SONDE_SPAN_UNSET);
		assert_non_null(strstr(body, "\"trace_id\":\""));
		assert_null(strstr(body, "hunter2"));
		sonde_error_free(error);
	}
}

/* Captured further down, on a span of its own: the server's span fails all the same. */
static void test_failure_captured_before(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	{
		SONDE_SERVER_SPAN(span, "GET", "/", NULL, NULL);
		{
			SONDE_SPAN(inner, "inner");
			sonde_error_capture(error);
		}
		error = sonde_error_wrap(error, &sonde_internal, "outer");
		assert_int_equal(answer(error), 500);
	}
	/* Two spans, the error, what it was wrapped in, and the span's part. */
	assert_int_equal(fixture_take(), 5);
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 1);
	assert_int_equal(fixture_part()->status, SONDE_SPAN_ERROR);
	assert_true(part_has_error_type());
	assert_true(fixture_span_named("GET /")->head.flags & SONDE__RECORD_FAILED);
	sonde_error_free(error);
}

static void test_clients_mistake(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "row 7 is not there");
	struct sonde_bytes fields;
	int line = __LINE__ - 1;

	(void)state;
	sonde_error_set(error, sonde_int("row", 7));
	error = sonde_error_wrap(error, &sonde_conflict, "order %d is gone", 7);
	sonde_error_set_detail(error, "looked twice");
	sonde_error_set(error, sonde_int("order", 7));
	sonde_error_set(error, sonde_str("error.type", "another"));
	{
		SONDE_SERVER_SPAN(span, "GET", "/", NULL, NULL);
		sonde_context_set_str("request.id", "r1");
		assert_int_equal(answer(error), 409);
		assert_int_equal(answer(error), 409);
		sonde_error_capture(error);
	}
	/*
	 * A message, the span, what each answer said of the status, and where it was captured all
	 * the same.
	 */
	assert_int_equal(fixture_take(), 5);
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 0);
	assert_int_equal(fixture_log()->severity, SONDE_WARN);
	assert_memory_equal(fixture_log()->trace_id, fixture_span()->trace_id, 16);
	fixture_assert_text(sonde__log_record_body(fixture_log()), "order 7 is gone");
	fields = sonde__log_record_fields(fixture_log());
#define LOG_ATTRIBUTE(key) fixture_attribute(SONDE_FIELDS_LOG, fields, key).as
	fixture_assert_text(LOG_ATTRIBUTE("error.type").string, "sonde_conflict");
	fixture_assert_text(LOG_ATTRIBUTE("sonde.error.detail").string, "looked twice");
	fixture_assert_text(LOG_ATTRIBUTE("sonde.error.cause").string,
			    "sonde_not_found: row 7 is not there");
	fixture_assert_text(LOG_ATTRIBUTE("code.function.name").string, __func__);
	assert_int_equal(LOG_ATTRIBUTE("code.line.number").integer, line + 5);
	assert_int_equal(LOG_ATTRIBUTE("http.response.status_code").integer, 409);
	fixture_assert_text(LOG_ATTRIBUTE("request.id").string, "r1");
	assert_int_equal(LOG_ATTRIBUTE("row").integer, 7);
	assert_int_equal(LOG_ATTRIBUTE("order").integer, 7);
	assert_int_equal(fixture_span()->status, SONDE_SPAN_UNSET);
	assert_false(fixture_span()->head.flags & SONDE__RECORD_FAILED);
	sonde_error_free(error);
}

/* The client is told of a conflict; that a dependency failed is the service's to know. */
static void test_failure_behind_a_clients_status(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_external_service, "the bank says 503");

	(void)state;
	error = sonde_error_wrap(error, &sonde_conflict, "not paid");
	{
		SONDE_SERVER_SPAN(span, "GET", "/", NULL, NULL);
		assert_int_equal(answer(error), 409);
	}
	assert_int_equal(fixture_take(), 3);
	assert_int_equal(fixture_error()->head.flags, SONDE__RECORD_WITH_LOG);
	assert_int_equal(fixture_part()->status, SONDE_SPAN_UNSET);
	assert_false(part_has_error_type());
	assert_false(fixture_span()->head.flags & SONDE__RECORD_FAILED);
	sonde_error_free(error);
}

static void test_without_a_span_and_without_an_error(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "nobody");

	(void)state;
	assert_int_equal(answer(NULL), 200);
	assert_string_equal(body, "");
	assert_int_equal(answer(error), 404);
	assert_int_equal(fixture_take(), 1);
	assert_int_equal(fixture_log()->body_size, 6);
	sonde_error_free(error);
	sonde__capture_close();
	error = sonde_error_raise(&sonde_internal, "closed");
	assert_int_equal(answer(error), 500);
	assert_non_null(strstr(body, "\"status\":500"));
	assert_int_equal(fixture_take(), 0);
	sonde_error_free(error);
}

/* Answered under a caller's context with no span of this process: its span is the caller's. */
static void test_below_a_remote_span(void **state)
{
	struct sonde_context before;
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "late");

	(void)state;
	before = fixture_attach_remote();
	for (int i = 0; i < 3; i++)
		assert_int_equal(answer(error), 500);
	(void)sonde_context_attach(&before);
	assert_non_null(strstr(body, FIXTURE_REMOTE_TRACE));
	sonde_error_free(error);
	fixture_take();
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 1);
	assert_int_equal(fixture_count(SONDE__RECORD_PART), 0);
}

/* Attributes of a whole chain may be more than a record: they are left out, and counted. */
static void test_large(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "root");
	char text[500];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 60; i++) {
		error = sonde_error_wrap(error, &sonde_not_found, "wrap");
		sonde_error_set(error, sonde_strn("big", text, sizeof(text)));
	}
	assert_int_equal(answer(error), 404);
	assert_int_equal(fixture_take(), 1);
	assert_true(fixture_log()->head.n_dropped_attributes > 0);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_LOG, SONDE_LOSS_TOO_BIG), 0);
	sonde_error_free(error);
}

/* ---- Nobody answered ------------------------------------------------------------------------- */

enum end { ANSWERED, CAPTURED, FORGOTTEN, NO_ERROR };

static void request(enum end end, const struct sonde_error_type *type)
{
	SONDE_SERVER_SPAN(span, "GET", "/", NULL, NULL);
	SONDE_REQUEST_ERROR(error);

	if (end != NO_ERROR)
		error = sonde_error_raise(type, "x");
	if (end == ANSWERED)
		answer(error);
	if (end == CAPTURED)
		sonde_error_capture(error);
	errno = 4711;
}

static void test_request_scope(void **state)
{
	struct sonde_bytes fields;

	(void)state;
	request(NO_ERROR, NULL);
	assert_int_equal(fixture_take(), 1);
	request(ANSWERED, &sonde_not_found);
	assert_int_equal(fixture_take(), 3);
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 0);
	request(ANSWERED, &sonde_internal);
	assert_int_equal(fixture_take(), 3);
	assert_int_equal(fixture_count_items(SONDE_FIELDS_LOG,
					     sonde__error_record_fields(fixture_error()),
					     SONDE_ITEM_ATTRIBUTE),
			 0);
	request(CAPTURED, &sonde_internal);
	assert_int_equal(fixture_take(), 2);
	errno = 0;
	request(FORGOTTEN, &sonde_not_found);
	assert_int_equal(errno, 4711);
	assert_int_equal(fixture_take(), 2);
	fields = sonde__error_record_fields(fixture_error());
	assert_false(LOG_ATTRIBUTE("sonde.error.handled").boolean);
	assert_true(fixture_span()->head.flags & SONDE__RECORD_FAILED);
	fixture_reopen(128, SONDE_EXCEPTION_LOG);
	request(FORGOTTEN, &sonde_internal);
	assert_int_equal(fixture_take(), 3);
	assert_int_equal(fixture_part()->status, SONDE_SPAN_ERROR);
	assert_true(part_has_error_type());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failure),
		TEST(test_failure_captured_before),
		TEST(test_clients_mistake),
		TEST(test_failure_behind_a_clients_status),
		TEST(test_without_a_span_and_without_an_error),
		TEST(test_below_a_remote_span),
		TEST(test_large),
		TEST(test_request_scope),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
