/* SPDX-License-Identifier: Apache-2.0 */
/* What an exporter is shown of spans, messages and errors. */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "box/box.h"
#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 1);
	rig_start(&rig);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

/* The number after `key` in what was delivered. */
static uint64_t number_after(const char *key)
{
	const char *at = strstr(rig.fakes[0].text, key);

	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

static void ticks_become_unix_time(void **state)
{
	uint64_t before_ns = sonde__realtime_ns();
	uint64_t start = sonde__ticks();
	uint64_t after_ns;

	(void)state;
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 1, .name = "s", .start = start, .event = "e" }));
	after_ns = sonde__realtime_ns();
	assert_true(rig_flush(&rig, NULL));
	assert_in_range(number_after("start="), before_ns - 1000, after_ns);
	assert_in_range(number_after("end="), number_after("start=") + 1, after_ns + 1000);
	assert_in_range(number_after("event:e@"), number_after("start="), after_ns + 1000);
}

static void end_is_after_start(void **state)
{
	const uint8_t flags = SONDE__RECORD_START_IS_UNIX | SONDE__RECORD_TIME_IS_UNIX;

	(void)state;
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 1, .name = "same", .start = 50, .time = 50, .flags = flags }));
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 2, .name = "back", .start = 50, .time = 20, .flags = flags }));
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 3,
						       .name = "last",
						       .start = UINT64_MAX,
						       .time = 20,
						       .flags = flags }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "start=50 end=51 "), 2);
	assert_int_equal(
		rig_delivered(&rig, 0, "start=18446744073709551614 end=18446744073709551615 "), 1);
}

static void names_come_from_sites(void **state)
{
	static struct sonde_site site = { "the site", "shop.c", "charge", 41, 0 };
	uint32_t id = sonde__site_id(&site);

	(void)state;
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .site = id }));
	assert_true(
		record_span(&(struct record_spec){ .trace = 1, .span = 2, .site = 4000000000 }));
	assert_true(record_span(
		&(struct record_spec){ .trace = 1, .span = 3, .site = id, .name = "own" }));
	assert_true(record_log(&(struct record_spec){ .name = "m", .site = id }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "span the site trace=1 id=1 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "span unnamed trace=1 id=2 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "span own trace=1 id=3 "), 1);
	assert_int_equal(rig_delivered(&rig, 0,
				       " code.function.name=\"charge\" code.file.path=\"shop.c\""
				       " code.line.number=41\n"),
			 1);
}

/* More sites than are remembered, and one whose name has to be repaired each time. */
static void names_of_many_sites(void **state)
{
	static struct sonde_site sites[150];
	static char names[150][16];
	struct sonde_repairs repairs;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 150; i++) {
			(void)snprintf(names[i], sizeof(names[i]), i == 77 ? "\xff%d." : "n%d.",
				       (int)i);
			sites[i].name = names[i];
			assert_true(record_span(&(struct record_spec){
				.trace = 1, .span = i + 1, .site = sonde__site_id(&sites[i]) }));
		}
		assert_true(rig_flush(&rig, NULL));
	}
	for (int i = 0; i < 150; i++) {
		char line[64];

		(void)snprintf(line, sizeof(line), "span %s%d. trace=1 id=%d ",
			       i == 77 ? "\xef\xbf\xbd" : "n", i, i + 1);
		assert_int_equal(rig_delivered(&rig, 0, line), 3);
	}
	sonde__pipeline_repairs(rig.pipeline, &repairs);
	assert_int_equal(repairs.invalid_utf8, 3);
}

/* Views are made where others were: nothing of these may show. */
static void plain_spans_show_nothing_of_others(void **state)
{
	const struct sonde_attr attr = sonde_int("n", 3);
	struct record_spec full = { .trace = 1, .span = 1, .parent = 5, .name = "full",
				    .trace_state = "a=b", .description = "broke", .status = 2,
				    .kind = 3, .n_dropped_attributes = 7, .attrs = &attr,
				    .n_attrs = 1, .event = "e", .link = 9, .trace_flags = 1,
				    .flags = SONDE__RECORD_PARENT_REMOTE };
	struct record_spec plain = { .trace = 2, .span = 2, .name = "plain" };

	(void)state;
	assert_true(record_span(&full));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "status=2/broke flags=301"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "state=a=b dropped=7/0/0"), 1);
	assert_true(record_span(&plain));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(
		rig_delivered(&rig, 0, "span plain trace=2 id=2 parent=0 kind=1 status=0/ flags=100"),
		1);
	assert_int_equal(rig_delivered(&rig, 0, "state= dropped=0/0/0\n"), 1);
}

static void callers_attributes_beat_ours(void **state)
{
	static struct sonde_site site = { "x", "shop.c", "charge", 41, 0 };
	const struct sonde_attr attrs[] = { sonde_str("code.function.name", "mine"),
					    sonde_int("n", 3) };

	(void)state;
	assert_true(record_log(&(struct record_spec){
		.name = "m", .site = sonde__site_id(&site), .attrs = attrs, .n_attrs = 2 }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0,
				       " code.function.name=\"mine\" code.file.path=\"shop.c\""
				       " code.line.number=41 n=3\n"),
			 1);
}

static void invalid_text_is_repaired_and_counted(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("k", "a\xff") };
	struct sonde_repairs repairs;

	(void)state;
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = "n\xc3",
						       .status = 2,
						       .description = "d\x80",
						       .trace_state = "t\xfe",
						       .attrs = attrs,
						       .n_attrs = 1 }));
	assert_true(record_log(&(struct record_spec){ .name = "b\xe2\x82" }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "span n\xef\xbf\xbd "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "status=2/d\xef\xbf\xbd "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "state=t\xef\xbf\xbd "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "k=\"a\xef\xbf\xbd\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "log \"b\xef\xbf\xbd\""), 1);
	sonde__pipeline_repairs(rig.pipeline, &repairs);
	assert_int_equal(repairs.invalid_utf8, 5);
}

static void dropped_and_cut_things_are_counted(void **state)
{
	struct sonde_attr attrs[200];
	static char keys[200][8];
	struct sonde_repairs repairs;

	(void)state;
	for (int i = 0; i < 200; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		attrs[i] = sonde_int(keys[i], i);
	}
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = "s",
						       .attrs = attrs,
						       .n_attrs = 200,
						       .n_dropped_attributes = 3,
						       .flags = SONDE__RECORD_TEXT_CUT }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "dropped=75/0/0"), 1);
	assert_int_equal(rig_delivered(&rig, 0, " k127=127"), 1);
	assert_int_equal(rig_delivered(&rig, 0, " k128=128"), 0);
	sonde__pipeline_repairs(rig.pipeline, &repairs);
	assert_int_equal(repairs.dropped_attributes, 75);
	assert_int_equal(repairs.cut_values, 1);
}

static const struct error_spec chain = {
	.record = { .trace = 5,
		    .span = 7,
		    .flags = SONDE__RECORD_WITH_LOG | SONDE__RECORD_WITH_EVENT },
	.types = { "payment_declined", "gateway_error" },
	.messages = { "the card was declined", "503" },
	.event_id = 0xabcdef,
	.frames = { 4096 },
	.n_frames = 1,
};

#define CHAIN_TEXT \
	"payment_declined: the card was declined (shop.c:41 in charge)\n" \
	"caused by: gateway_error: 503 (shop.c:42 in charge)\n"

/* Joined errors as a tree; of the details the outermost, and its errno, are attributes as well. */
static void joined_errors_are_a_tree(void **state)
{
	const struct error_spec error = {
		.record = { .trace = 5, .span = 7, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "all_failed", "no_a", "no_b", "no_file" },
		.messages = { "2 errors", "a", "b", "f" },
		.details = { NULL, "a\xff said 503", NULL, "of b" },
		.errnos = { 0, 0, 0, 111 },
		.n_omitted = { 9, 0, 0, 0 },
		.levels = { 0, 1, 1, 1 },
		.link_flags = { 0, SONDE__LINK_JOINED, SONDE__LINK_JOINED, 0 },
		.event_id = 1,
	};

	(void)state;
	assert_true(record_error(&error));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0,
				       "exception.stacktrace=\"all_failed: 2 errors (shop.c:41 in charge)\n"
				       "… 9 more left out\n"
				       "  + no_a: a (shop.c:42 in charge)\n"
				       "    detail: a\xef\xbf\xbd said 503\n"
				       "  + no_b: b (shop.c:43 in charge)\n"
				       "    caused by: no_file: f (shop.c:44 in charge) [ECONNREFUSED]\n"
				       "    detail: of b\""),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.detail=\"a\xef\xbf\xbd said 503\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.errno=\"ECONNREFUSED\""), 1);
}

static void error_is_a_log_and_a_span_event(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("card", "visa") };
	struct error_spec error = chain;

	(void)state;
	error.record.attrs = attrs;
	error.record.n_attrs = 1;
	assert_true(record_error(&error));
	assert_true(record_span(&(struct record_spec){ .trace = 5, .span = 7, .name = "s" }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0,
				       "log \"the card was declined\" trace=5 id=7 severity=17"
				       " event=exception "),
			 1);
	assert_int_equal(
		rig_delivered(&rig, 0,
			      " error.type=\"payment_declined\" code.function.name=\"charge\""
			      " code.file.path=\"shop.c\" code.line.number=41 card=\"visa\"\n"),
		1);
	assert_int_equal(rig_delivered(&rig, 0,
				       " exception.type=\"payment_declined\""
				       " exception.message=\"the card was declined\""
				       " exception.stacktrace=\"" CHAIN_TEXT "#0 "),
			 2);
	assert_int_equal(rig_delivered(&rig, 0, " sonde.error.id=\"0000000000abcdef\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "status=2/the card was declined "), 1);
	assert_int_equal(
		rig_delivered(&rig, 0, " error.type=\"payment_declined\" event:exception@"), 1);
	assert_int_equal(rig_delivered(&rig, 0, " card=\"visa\" }"), 1);
	assert_int_equal(rig_delivered(&rig, 0, " error="), 0);
	/* The event belongs to the log that was counted. */
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).captured, 0);
}

static void error_as_event_alone_counts_as_a_part(void **state)
{
	struct error_spec error = chain;

	(void)state;
	error.record.flags = SONDE__RECORD_WITH_EVENT;
	assert_true(record_error(&error));
	assert_true(record_span(&(struct record_spec){ .trace = 5, .span = 7, .name = "s" }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "log "), 0);
	assert_int_equal(rig_delivered(&rig, 0, "event:exception@"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 1);
}

static void error_without_a_span_is_a_log_whatever_was_asked(void **state)
{
	struct error_spec error = chain;

	(void)state;
	error.record.flags = SONDE__RECORD_WITH_EVENT;
	error.record.span = 0;
	error.record.trace = 0;
	assert_true(record_error(&error));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "log \"the card was declined\" trace=0 id=0 "), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 1);
}

static void spans_own_status_and_type_beat_the_errors(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("error.type", "own") };
	struct error_spec error = chain;

	(void)state;
	assert_true(record_error(&error));
	assert_true(record_span(
		&(struct record_spec){ .trace = 5, .span = 7, .name = "ok", .status = 1 }));
	error.record.span = 8;
	assert_true(record_error(&error));
	assert_true(record_span(&(struct record_spec){ .trace = 5,
						       .span = 8,
						       .name = "failed",
						       .status = 2,
						       .description = "own words",
						       .attrs = attrs,
						       .n_attrs = 1 }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "span ok trace=5 id=7 parent=0 kind=1 status=1/ "),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "status=2/own words "), 1);
	assert_int_equal(rig_delivered(&rig, 0, " error.type=\"own\" event:exception@"), 1);
}

/* As when a limiter held the error back: nothing but the span says that it failed. */
static void a_failed_span_says_so_without_its_error(void **state)
{
	(void)state;
	assert_true(record_span(&(struct record_spec){
		.trace = 5, .span = 7, .name = "failed", .flags = SONDE__RECORD_FAILED }));
	assert_true(record_span(&(struct record_spec){ .trace = 5,
						       .span = 8,
						       .name = "ok",
						       .status = 1,
						       .flags = SONDE__RECORD_FAILED }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "id=7 parent=0 kind=1 status=2/ "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "id=8 parent=0 kind=1 status=1/ "), 1);
}

/* Four messages as long as a record may be: the text is cut and still valid. */
static void long_error_is_cut_at_a_character(void **state)
{
	static char message[3500];
	struct error_spec error = {
		.record = { .trace = 5, .span = 7, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "a", "b", "c", "d" },
		.frames = { 4096 },
		.n_frames = 1,
	};
	struct sonde_repairs repairs;

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(message); i += 2)
		memcpy(message + i, "\xc3\xa9", 2);
	for (int i = 0; i < 4; i++)
		error.messages[i] = message;
	assert_true(record_error(&error));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 1);
	sonde__pipeline_repairs(rig.pipeline, &repairs);
	assert_int_equal(repairs.invalid_utf8, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ticks_become_unix_time, begin, end),
		cmocka_unit_test_setup_teardown(end_is_after_start, begin, end),
		cmocka_unit_test_setup_teardown(names_come_from_sites, begin, end),
		cmocka_unit_test_setup_teardown(names_of_many_sites, begin, end),
		cmocka_unit_test_setup_teardown(plain_spans_show_nothing_of_others, begin, end),
		cmocka_unit_test_setup_teardown(callers_attributes_beat_ours, begin, end),
		cmocka_unit_test_setup_teardown(invalid_text_is_repaired_and_counted, begin, end),
		cmocka_unit_test_setup_teardown(dropped_and_cut_things_are_counted, begin, end),
		cmocka_unit_test_setup_teardown(joined_errors_are_a_tree, begin, end),
		cmocka_unit_test_setup_teardown(error_is_a_log_and_a_span_event, begin, end),
		cmocka_unit_test_setup_teardown(error_as_event_alone_counts_as_a_part, begin, end),
		cmocka_unit_test_setup_teardown(error_without_a_span_is_a_log_whatever_was_asked,
						begin, end),
		cmocka_unit_test_setup_teardown(spans_own_status_and_type_beat_the_errors, begin,
						end),
		cmocka_unit_test_setup_teardown(a_failed_span_says_so_without_its_error, begin,
						end),
		cmocka_unit_test_setup_teardown(long_error_is_cut_at_a_character, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
