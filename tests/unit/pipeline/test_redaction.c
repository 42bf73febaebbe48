/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in every place of every record, and none of them delivered. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/span.h>

#include "box/box.h"
#include "record/attribute.h"
#include "record/layout.h"
#include "redact/redact.h"
#include "rig.h"
#include "support/records.h"

#define SECRET "hunter2"
#define TEXT "x password=" SECRET " y"
#define CLEAN "x password=[redacted] y"

static struct rig rig;
static struct sonde__redactor redactor;

static int begin(void **state)
{
	(void)state;
	sonde__redact_count_anew();
	rig_init(&rig, /* n_destinations= */ 2);
	if (sonde__redactor_init(&redactor, /* keys= */ NULL, /* detectors= */ NULL,
				 /* report= */ NULL, /* user= */ NULL) < 0)
		return -1;
	rig.options.redactor = &redactor;
	rig_start(&rig);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	sonde__redactor_deinit(&redactor);
	return 0;
}

static void flush(void)
{
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	for (size_t d = 0; d < 2; d++)
		assert_int_equal(rig_delivered(&rig, d, SECRET), 0);
}

static uint64_t redacted(enum sonde_redaction kind)
{
	struct sonde_redactions redactions;

	sonde__pipeline_redactions(rig.pipeline, &redactions);
	return redactions.counts[kind];
}

static void spans_are_redacted(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("user.password", SECRET),
					    sonde_str("note", TEXT), sonde_int("db.pwd", 1234),
					    sonde_bool("password.is_set", true),
					    sonde_int("pan", 4111111111111111),
					    sonde_int("started", 1730000000000000000) };

	(void)state;
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = TEXT,
						       .status = SONDE_SPAN_ERROR,
						       .description = TEXT,
						       .attrs = attrs,
						       .n_attrs = 6,
						       .event = TEXT,
						       .event_attrs = attrs,
						       .n_event_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "span " CLEAN " trace="), 1);
	assert_int_equal(rig_delivered(&rig, 0, "user.password=\"[redacted]\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "note=\"" CLEAN "\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "db.pwd=\"[redacted]\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "password.is_set=true"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "pan=\"[redacted]\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "started=1730000000000000000"), 1);
	/* Once, however many destinations there are. */
	assert_int_equal(redacted(SONDE_REDACTION_KEY), 3);
	assert_int_equal(redacted(SONDE_REDACTION_PAIR), 5);
	assert_int_equal(redacted(SONDE_REDACTION_CARD), 1);
}

static void lists_are_redacted(void **state)
{
	static const char *const texts[] = { "a", TEXT, "b" };
	static const int64_t numbers[] = { 1, 4111111111111111 };
	const struct sonde_attr attrs[] = { sonde_str_array("secrets", texts, 3),
					    sonde_str_array("texts", texts, 3),
					    sonde_int_array("numbers", numbers, 2) };

	(void)state;
	assert_true(record_log(
		&(struct record_spec){ .name = "m", .attrs = attrs, .n_attrs = 3 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "secrets=\"[redacted]\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "texts=[\"a\",\"" CLEAN "\",\"b\",]"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "numbers=[1,\"[redacted]\",]"), 1);
}

static void logs_and_parts_are_redacted(void **state)
{
	const struct sonde_attr attr = sonde_str("token", SECRET);

	(void)state;
	assert_true(
		record_log(&(struct record_spec){ .name = TEXT, .attrs = &attr, .n_attrs = 1 }));
	/* One that finds its span, and one that never will. */
	assert_true(record_part(&(struct record_spec){
		.trace = 1, .span = 1, .name = TEXT, .attrs = &attr, .n_attrs = 1 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .name = "s" }));
	assert_true(record_part(&(struct record_spec){ .trace = 1,
						       .span = 2,
						       .event = TEXT,
						       .event_attrs = &attr,
						       .n_event_attrs = 1 }));
	assert_true(record_part(&(struct record_spec){ .trace = 1,
						       .span = 3,
						       .status = SONDE_SPAN_ERROR,
						       .description = TEXT }));
	flush();
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "log \"" CLEAN "\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "span " CLEAN), 1);
	assert_int_equal(rig_delivered(&rig, 0, "event=" CLEAN), 1);
}

static void errors_are_redacted(void **state)
{
	const struct sonde_attr attr = sonde_str("client_secret", SECRET);

	(void)state;
	for (uint64_t span = 0; span < 2; span++)
		assert_true(record_error(&(struct error_spec){
			.record = { .trace = span,
				    .span = span,
				    .severity = 17,
				    .flags = SONDE__RECORD_WITH_EVENT | SONDE__RECORD_WITH_LOG,
				    .attrs = &attr,
				    .n_attrs = 1 },
			.types = { "outer", "inner" },
			.messages = { TEXT, "postgres://u:" SECRET "@h/d" } }));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .name = "s" }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "log \"" CLEAN "\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "client_secret=\"[redacted]\""), 3);
	assert_int_equal(rig_delivered(&rig, 0, "postgres://REDACTED:REDACTED@h/d"), 3);
}

/* Whoever makes a key of what somebody entered. */
static void keys_are_redacted(void **state)
{
	const struct sonde_attr attrs[] = {
		sonde_str("cart.4111111111111111", "v"),
		sonde_str("Bearer my.secret1", "v"), /* Its value is a secret's, too. */
		sonde_bool("password=" SECRET, true),
		sonde_str("at postgres://u:" SECRET "@h", "v"),
		sonde_str("plain", "v"),
	};
	const struct sonde_attr same[] = { sonde_int("cart.4111111111111111", 1),
					   sonde_int("cart.5555555555554444", 2) };

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_true(record_log(
			&(struct record_spec){ .name = "m", .attrs = attrs, .n_attrs = 5 }));
		assert_true(record_span(&(struct record_spec){ .trace = 1,
							       .span = 1,
							       .name = "s",
							       .attrs = attrs,
							       .n_attrs = 5,
							       .event = "e",
							       .event_attrs = attrs,
							       .n_event_attrs = 5 }));
	}
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "41111111"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "my.secret1"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "cart.[redacted]=\"v\""), 6);
	assert_int_equal(rig_delivered(&rig, 0, "Bearer [redacted]=\"[redacted]\""), 6);
	assert_int_equal(rig_delivered(&rig, 0, "password=[redacted]=true"), 6);
	assert_int_equal(rig_delivered(&rig, 0, "at postgres://REDACTED:REDACTED@h=\"v\""), 6);
	assert_int_equal(rig_delivered(&rig, 0, "plain=\"v\""), 6);
	assert_int_equal(redacted(SONDE_REDACTION_CARD), 6);
	/* What cannot be told apart any more is one: the last value counts. */
	assert_true(
		record_log(&(struct record_spec){ .name = "n", .attrs = same, .n_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "cart.[redacted]=2"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "cart.[redacted]=1"), 0);
}

static void trace_states_are_redacted(void **state)
{
	static const char text[] = "a=1,pan@v=4111111111111111,token=" SECRET;

	(void)state;
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .name = "s",
						       .trace_state = text, .link = 7 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 2, .name = "s",
						       .trace_state = "rojo=00f067aa0ba902b7",
						       .link = 7 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "41111111"), 0);
	assert_int_equal(redacted(SONDE_REDACTION_CARD), 2);
	assert_int_equal(redacted(SONDE_REDACTION_PAIR), 2);
}

static void summaries_are_redacted(void **state)
{
	/* The secret straddles where a group cuts the messages it keeps. */
	char message[400];
	struct error_spec spec = { .record = { .severity = 17, .flags = SONDE__RECORD_WITH_LOG },
				   .types = { "t" },
				   .messages = { message } };

	(void)state;
	rig_end(&rig);
	rig_init(&rig, /* n_destinations= */ 2);
	rig.options.redactor = &redactor;
	rig.options.flood = (struct sonde__flood_options){
		.group = { 1, 1000 * RIG_S }, .total = { 1000, RIG_S }, .summary_ns = RIG_S
	};
	rig_start(&rig);
	for (size_t at = 0; at < 300; at++) {
		memset(message, '.', sizeof(message));
		snprintf(message + at, sizeof(message) - at, " 4111111111111111 and more");
		assert_true(record_error(&spec));
		(void)rig_turn(&rig, 2 * RIG_S);
		flush();
	}
	/* With the blank: six digits alone may be part of a time. */
	assert_int_equal(rig_delivered(&rig, 0, " 411111"), 0);
	assert_true(rig_delivered(&rig, 0, "sonde.error.count") > 200);
}

/* A secret is looked for before a limit cuts it in two. */
static void limits_do_not_hide_secrets(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("a", "4111 1111 1111 1111"),
					    sonde_str("b", "pw 1 Bearer abc123456789") };

	(void)state;
	rig_end(&rig);
	rig_init(&rig, /* n_destinations= */ 1);
	rig.options.redactor = &redactor;
	rig.options.limits.span_value_length = 13;
	rig.options.limits.log_value_length = 4;
	rig_start(&rig);
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 1, .name = "s", .attrs = attrs, .n_attrs = 2 }));
	assert_true(record_log(
		&(struct record_spec){ .name = "m", .attrs = attrs, .n_attrs = 2 }));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "a=\"[redacted]\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "b=\"pw 1 Bearer [\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "a=\"[red\" b=\"pw 1\""), 1);
}

/* Each text ends where capture cut it, in the middle of a secret. */
static void cut_texts_are_redacted(void **state)
{
	static const char text[] = "at postgres://svc:hun";
	const struct sonde_attr attrs[] = { sonde_str("a", text), sonde_str("b", "pan 4111111111") };

	(void)state;
	assert_true(record_log(&(struct record_spec){ .name = text,
						      .flags = SONDE__RECORD_TEXT_CUT,
						      .attrs = attrs,
						      .n_attrs = 1 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = text,
						       .flags = SONDE__RECORD_TEXT_CUT,
						       .attrs = attrs,
						       .n_attrs = 2,
						       .event = text,
						       .event_attrs = attrs,
						       .n_event_attrs = 2 }));
	/* A part that finds its span, and one that finds none. */
	for (uint64_t span = 2; span < 4; span++)
		assert_true(record_part(&(struct record_spec){ .trace = 1,
							       .span = span,
							       .flags = SONDE__RECORD_TEXT_CUT,
							       .status = SONDE_SPAN_ERROR,
							       .description = text,
							       .attrs = attrs,
							       .n_attrs = 2 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 2, .name = "s" }));
	flush();
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "svc"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "41111111"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "a=\"at postgres://REDACTED:REDACTED\""), 5);
	assert_int_equal(rig_delivered(&rig, 0, "b=\"pan [redacted]\""), 4);
	assert_int_equal(redacted(SONDE_REDACTION_CARD), 4);
	/* What is whole is not taken for half of something. */
	assert_true(record_log(&(struct record_spec){ .name = "at http://host",
						      .attrs = attrs,
						      .n_attrs = 2 }));
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 5, .name = "at http://host", .attrs = attrs, .n_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "at http://host"), 2);
	assert_int_equal(rig_delivered(&rig, 0, "b=\"pan 4111111111\""), 2);
}

/* Only what was cut: an id beside a long message is no half of a card's number. */
static void what_stands_beside_a_cut_is_left(void **state)
{
	static char large[SONDE__RECORD_MAX_SIZE];
	const struct sonde_attr ids[] = { sonde_str("user.id", "5500123"),
					  sonde_str("url", "http://host:8080") };
	struct sonde_attr last[] = { sonde_str("large", large), sonde_str("b", "at 411111111") };
	const struct error_spec error = {
		.record = { .severity = 17,
			    .flags = SONDE__RECORD_WITH_LOG | SONDE__RECORD_TEXT_CUT },
		.types = { "t" },
		.messages = { "user 5500123" },
	};
	static char name[6000];
	size_t size;

	(void)state;
	/* A message, as the call that formats it leaves it. */
	assert_true(record_log(&(struct record_spec){ .name = "an order of http://user:pas",
						      .flags = SONDE__RECORD_TEXT_CUT,
						      .attrs = ids,
						      .n_attrs = 2 }));
	assert_true(record_error(&error));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "order of http://REDACTED:REDACTED\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "user.id=\"5500123\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "url=\"http://host:8080\""), 1);
	assert_true(rig_delivered(&rig, 0, "user 5500123") > 0);
	/* A record that was full: any of its texts, and that is the last one. */
	memset(large, '.', sizeof(large));
	memset(name, '.', sizeof(name) - 1);
	last[0] = sonde_strn("large", large, 1000);
	size = sizeof(struct sonde__log_record) + strlen(name) + sonde__attr_size(&last[0]) +
	       sonde__attr_size(&last[1]);
	last[0] = sonde_strn("large", large, last[0].size + SONDE__RECORD_MAX_SIZE - size);
	assert_true(record_log(&(struct record_spec){ .name = name,
						      .flags = SONDE__RECORD_TEXT_CUT,
						      .attrs = last,
						      .n_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "b=\"at [redacted]\""), 1);
}

/* The part that has the whole name is lost. */
static void what_is_left_of_a_name_is_redacted(void **state)
{
	char name[SONDE__SPAN_NAME_KEPT + 1];

	(void)state;
	memset(name, '.', sizeof(name));
	snprintf(name + SONDE__SPAN_NAME_KEPT - 21, 22, "%s", "at postgres://svc:hun");
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 1, .name = name, .flags = SONDE__RECORD_HAS_PARTS }));
	rig_turn(&rig, 60 * RIG_S);
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "svc"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "postgres://REDACTED:REDACTED "), 1);
}

/* Their texts carry a mark where they were cut, and stand in the middle of others. */
static void errors_that_were_cut_are_redacted(void **state)
{
	struct error_spec spec = {
		.record = { .severity = 17, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "outer", "inner" },
		.messages = { "at postgres://svc:hun…", "pan 41111111…" },
		.details = { "Bearer abc…", "at redis://:hun…" },
		.crumbs = { "at postgres://svc:hun…" },
	};

	(void)state;
	assert_true(record_error(&spec));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "hun"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "41111111"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "abc"), 0);
	assert_true(rig_delivered(&rig, 0, "postgres://REDACTED:REDACTED…") >= 3);
}

/* Not UTF-8, and a secret: both are mended. */
static void invalid_text_is_redacted(void **state)
{
	const struct sonde_attr attr = sonde_str("a", "\xff password=" SECRET "\xfe z");

	(void)state;
	assert_true(record_log(&(struct record_spec){ .name = "\xff " TEXT,
						      .attrs = &attr,
						      .n_attrs = 1 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "\xef\xbf\xbd password=[redacted] z"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "\xef\xbf\xbd " CLEAN), 1);
}

static void ids_are_left_alone(void **state)
{
	/* Sixteen digits that a card could bear. */
	const struct sonde_attr attrs[] = { sonde_str("sonde.error.id", "4111111111111111"),
					    sonde_str("peer.trace_id", "4111111111111111") };

	(void)state;
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = 1, .name = "s", .attrs = attrs, .n_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "\"4111111111111111\""), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(spans_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(lists_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(logs_and_parts_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(errors_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(keys_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(trace_states_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(summaries_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(limits_do_not_hide_secrets, begin, end),
		cmocka_unit_test_setup_teardown(cut_texts_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(what_stands_beside_a_cut_is_left, begin, end),
		cmocka_unit_test_setup_teardown(what_is_left_of_a_name_is_redacted, begin, end),
		cmocka_unit_test_setup_teardown(errors_that_were_cut_are_redacted, begin, end),
		cmocka_unit_test_setup_teardown(invalid_text_is_redacted, begin, end),
		cmocka_unit_test_setup_teardown(ids_are_left_alone, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
