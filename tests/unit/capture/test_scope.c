/* SPDX-License-Identifier: Apache-2.0 */

/* What scopes say stands on what is captured in them; and which spans are scopes. */

#include "fixture.h"

#include <stdio.h>

#include <sonde/scope.h>

static const char *no_header(void *carrier, const char *name)
{
	(void)carrier;
	(void)name;
	return NULL;
}

static void assert_text(enum sonde_fields type, struct sonde_bytes fields, const char *key,
			const char *wanted)
{
	fixture_assert_text(fixture_attribute(type, fields, key).as.string, wanted);
}

static size_t count_attributes(struct sonde_bytes fields)
{
	return fixture_count_items(SONDE_FIELDS_LOG, fields, SONDE_ITEM_ATTRIBUTE);
}

static void capture(void)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	sonde_error_set(error, sonde_str("own", "1"));
	sonde_error_set(error, sonde_str("both", "the error's"));
	sonde_error_capture(error);
}

static void test_errors_and_logs_have_them(void **state)
{
	struct sonde_bytes fields;
	SONDE_SCOPE();

	(void)state;
	sonde_context_set_str("request.id", "r-1");
	sonde_context_set_str("both", "the scope's");
	capture();
	sonde_log(SONDE_INFO, "body", SONDE_ATTRS(sonde_str("both", "the log's")));
	fixture_take();
	fields = sonde__error_record_fields(fixture_error());
	assert_text(SONDE_FIELDS_LOG, fields, "request.id", "r-1");
	assert_text(SONDE_FIELDS_LOG, fields, "own", "1");
	assert_text(SONDE_FIELDS_LOG, fields, "both", "the error's");
	fields = sonde__log_record_fields(fixture_log());
	assert_text(SONDE_FIELDS_LOG, fields, "request.id", "r-1");
	assert_text(SONDE_FIELDS_LOG, fields, "both", "the log's");
	sonde_message(SONDE_INFO, "%s", "a message");
	fixture_take();
	fields = sonde__log_record_fields(fixture_log());
	assert_text(SONDE_FIELDS_LOG, fields, "request.id", "r-1");
}

static void test_large_logs_with_large_scopes(void **state)
{
	static char body[20000];
	struct sonde_bytes fields;
	SONDE_SCOPE();
	char key[16];

	(void)state;
	memset(body, 'x', sizeof(body) - 1);
	for (int i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		sonde_context_set_strn(key, body, 180);
	}
	sonde_log(SONDE_INFO, "short", SONDE_NO_ATTRS);
	fixture_take();
	fixture_assert_text(sonde__log_record_body(fixture_log()), "short");
	fields = sonde__log_record_fields(fixture_log());
	assert_int_equal(count_attributes(fields), 6);
	sonde_log(SONDE_INFO, body, SONDE_ATTRS(sonde_str("own", body)));
	fixture_take();
	fields = sonde__log_record_fields(fixture_log());
	assert_int_equal(count_attributes(fields), 7);
	assert_int_equal(fixture_attribute(SONDE_FIELDS_LOG, fields, "key.5").as.string.size, 180);
}

static size_t values_now(void)
{
	sonde_log(SONDE_INFO, "now", SONDE_NO_ATTRS);
	fixture_take();
	return count_attributes(sonde__log_record_fields(fixture_log()));
}

static void test_which_spans_are_scopes(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		SONDE_SERVER_SPAN(server, "GET", "/", no_header, NULL);
		sonde_context_set_str("request.id", "1");
		{
			SONDE_SPAN(child, "authenticate");
			sonde_context_set_str("user.id", "2");
			{
				SONDE_SPAN(other, "other trace", .root = true);
				sonde_context_set_str("inner", "3");
				assert_int_equal(values_now(), 3);
			}
			assert_int_equal(values_now(), 2);
		}
		/* What a step learned stays for the request. */
		assert_int_equal(values_now(), 2);
		{
			struct sonde_span child;

			sonde_span_begin(&child, "by name", /* options= */ NULL);
			sonde_context_set_str("tenant", "4");
			sonde_span_end(&child);
		}
		assert_int_equal(values_now(), 3);
		sonde_span_end(server);
		assert_int_equal(values_now(), 0);
	}
	fixture_take();
}

static void test_a_span_below_a_callers_has_the_threads_values(void **state)
{
	SONDE_SCOPE();

	(void)state;
	sonde_context_set_str("worker", "7");
	{
		SONDE_SERVER_SPAN(server, "GET", "/", no_header, NULL);
		sonde_context_set_str("request.id", "1");
		assert_int_equal(values_now(), 2);
	}
	assert_int_equal(values_now(), 1);
	fixture_take();
}

static void test_a_spans_context_carries_what_was_set_since(void **state)
{
	struct sonde_context context;

	(void)state;
	{
		SONDE_SERVER_SPAN(server, "GET", "/", no_header, NULL);
		sonde_context_set_str("request.id", "1");
		context = sonde_span_context(server);
	}
	{
		SONDE_CONTEXT_SCOPE(&context);
		assert_int_equal(values_now(), 1);
		assert_text(SONDE_FIELDS_LOG, sonde__log_record_fields(fixture_log()), "request.id",
			    "1");
	}
	assert_int_equal(values_now(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_errors_and_logs_have_them),
		TEST(test_large_logs_with_large_scopes),
		TEST(test_which_spans_are_scopes),
		TEST(test_a_span_below_a_callers_has_the_threads_values),
		TEST(test_a_spans_context_carries_what_was_set_since),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
