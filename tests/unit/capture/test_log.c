/* SPDX-License-Identifier: Apache-2.0 */

/* Messages: their level, place, text and attributes. */

#include "fixture.h"

#include <errno.h>

static void test_message(void **state)
{
	struct sonde_context context;
	struct sonde__site_view site;
	uint32_t line;

	(void)state;
	{
		SONDE_SPAN(span, "x");
		context = sonde_span_context(span);
		errno = ENOENT;
		sonde_message(SONDE_WARN, "%d orders wait: %m", 7);
		line = __LINE__ - 1;
		assert_int_equal(errno, ENOENT);
	}
	assert_int_equal(fixture_take(), 2);
	fixture_assert_text(sonde__log_record_body(fixture_log()), "7 orders wait: No such file or directory");
	assert_int_equal(fixture_log()->severity, SONDE_WARN);
	assert_memory_equal(fixture_log()->trace_id, context.trace_id, 16);
	assert_memory_equal(fixture_log()->span_id, context.span_id, 8);
	assert_int_equal(fixture_log()->trace_flags, context.trace_flags);
	assert_true(sonde__site_get(fixture_log()->site, &site));
	fixture_assert_text(site.function, __func__);
	fixture_assert_text(site.file, __FILE__);
	assert_int_equal(site.line, line);
}

static void test_levels_are_clamped(void **state)
{
	static const int levels[][2] = { { -5, 1 },  { 0, 1 },	 { 1, 1 },
					 { 24, 24 }, { 25, 24 }, { 1000, 24 } };

	(void)state;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		sonde_message((enum sonde_level)levels[i][0], "x");
		fixture_take();
		assert_int_equal(fixture_log()->severity, levels[i][1]);
	}
}

static void test_cut_before_a_character(void **state)
{
	char text[2048];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[1023] = '\0';
	sonde_message(SONDE_INFO, "%s", text);
	fixture_take();
	fixture_assert_text(sonde__log_record_body(fixture_log()), text);
	assert_int_equal(fixture_log()->head.flags, 0);
	for (size_t at = 1020; at < 1024; at++) {
		memset(text, 'x', sizeof(text));
		memcpy(text + at, "\xf0\x9f\x98\x80", 4);
		text[1500] = '\0';
		sonde_message(SONDE_INFO, "%s", text);
		fixture_take();
		assert_int_equal(fixture_log()->body_size, at < 1020 ? 1023 : at);
		assert_int_equal(fixture_log()->head.flags, SONDE__RECORD_TEXT_CUT);
	}
}

static void test_log_with_attributes(void **state)
{
	(void)state;
	errno = 42;
	sonde_log(SONDE_INFO, "order placed", SONDE_ATTRS(sonde_int("items", 3), sonde_str("currency", "EUR")));
	sonde_log(SONDE_INFO, NULL, NULL, 7);
	assert_int_equal(errno, 42);
	assert_int_equal(fixture_take(), 2);
	const struct sonde__log_record *log = (const void *)fixture_record(0);
	fixture_assert_text(sonde__log_record_body(log), "order placed");
	assert_int_equal(fixture_attribute(SONDE_FIELDS_LOG, sonde__log_record_fields(log), "items").as.integer, 3);
	assert_int_equal(log->site, 0);
	assert_memory_equal(log->trace_id, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	log = (const void *)fixture_record(1);
	assert_int_equal(log->body_size + log->fields_size, 0);
}

static void test_beyond_a_record(void **state)
{
	static char text[40000];
	struct sonde_attr attrs[2000];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 2000; i++)
		attrs[i] = sonde_int("a key", (int64_t)i);

	text[sizeof(text) - 1] = '\0';
	sonde_log(SONDE_INFO, text, SONDE_NO_ATTRS);
	fixture_take();
	assert_int_equal(fixture_log()->head.size, SONDE__RECORD_MAX_SIZE);
	assert_int_equal(fixture_log()->head.flags, SONDE__RECORD_TEXT_CUT);

	sonde_log(SONDE_INFO, "short", attrs, 2000);
	fixture_take();
	fixture_assert_text(sonde__log_record_body(fixture_log()), "short");
	assert_int_equal(fixture_count_items(SONDE_FIELDS_LOG,
					     sonde__log_record_fields(fixture_log()),
					     SONDE_ITEM_ATTRIBUTE) +
				 fixture_log()->head.n_dropped_attributes,
			 2000);
	assert_true(fixture_log()->head.n_dropped_attributes > 0);

	sonde_log(SONDE_INFO, text, attrs, 2000);
	fixture_take();
	assert_in_range(fixture_log()->fields_size, 4000, 4096);
	assert_in_range(fixture_log()->body_size, 12000, 12288);

	sonde_log(SONDE_INFO, text, attrs, 1);
	fixture_take();
	assert_int_equal(fixture_attribute(SONDE_FIELDS_LOG, sonde__log_record_fields(fixture_log()), "a key")
				 .as.integer,
			 0);

	sonde_log(SONDE_INFO, "short", SONDE_ATTRS(sonde_strn("long", text, sizeof(text))));
	fixture_take();
	assert_int_equal(fixture_log()->head.flags, SONDE__RECORD_TEXT_CUT);
	assert_true(fixture_attribute(SONDE_FIELDS_LOG, sonde__log_record_fields(fixture_log()), "long")
			    .as.string.size > 16000);
}

static void test_nothing_without_an_agent(void **state)
{
	(void)state;
	sonde__capture_close();
	sonde_message(SONDE_FATAL, "x");
	sonde_log(SONDE_FATAL, "x", SONDE_NO_ATTRS);
	assert_int_equal(fixture_take(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_message),
		TEST(test_levels_are_clamped),
		TEST(test_cut_before_a_character),
		TEST(test_log_with_attributes),
		TEST(test_beyond_a_record),
		TEST(test_nothing_without_an_agent),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
