/* SPDX-License-Identifier: Apache-2.0 */
/* Breadcrumbs as they leave: as lines, through the hook, redacted and mended. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <sonde/span.h>

#include "base/clock.h"
#include "pipeline/breadcrumbs.h"
#include "record/check.h"
#include "redact/redact.h"
#include "rig.h"
#include "support/records.h"

/* ---- Lines ----------------------------------------------------------------------------------- */

static struct {
	struct sonde__error_record record;
	struct sonde__error_link link;
	uint8_t crumbs[4096];
} memory __attribute__((aligned(8)));

static size_t used;

static void record_begin(void)
{
	memset(&memory, 0, sizeof(memory));
	used = 0;
	memory.record.head.type = SONDE__RECORD_ERROR;
	memory.record.n_links = 1;
}

static struct sonde__crumb *crumb_add(uint64_t ticks, int level, const char *category,
				      const char *message)
{
	struct sonde__crumb *crumb = (void *)(memory.crumbs + used);

	*crumb = (struct sonde__crumb){ .ticks = ticks,
					.level = (uint8_t)level,
					.category_size = (uint8_t)strlen(category),
					.message_size = (uint8_t)strlen(message) };
	memcpy(crumb + 1, category, strlen(category));
	memcpy((uint8_t *)(crumb + 1) + strlen(category), message, strlen(message));
	used += sonde__crumb_size(crumb);
	return crumb;
}

static bool record_is_valid(void)
{
	memory.record.crumbs_size = (uint16_t)used;
	memory.record.head.size =
		(uint32_t)(offsetof(__typeof__(memory), crumbs) + used);
	return sonde__record_is_valid(&memory.record.head, memory.record.head.size);
}

static void read_lines(struct sonde__breadcrumbs *breadcrumbs)
{
	/* Ticks are nanoseconds since 1970-01-02 03:04:05.678. */
	const uint64_t begin = ((24 + 3) * 3600 + 4 * 60 + 5) * RIG_S + 678 * RIG_MS;
	const struct sonde__anchor anchors[] = {
		{ 0, 0, begin },
		{ 100 * RIG_S, 100 * RIG_S, begin + 100 * RIG_S },
	};
	struct sonde__clock clock = { 0 };

	sonde__clock_add(&clock, &anchors[0]);
	sonde__clock_add(&clock, &anchors[1]);
	assert_true(record_is_valid());
	sonde__breadcrumbs_read(breadcrumbs, &clock, &memory.record);
}

static void test_lines(void **state)
{
	static struct sonde__breadcrumbs breadcrumbs;

	(void)state;
	sonde__breadcrumbs_init(&breadcrumbs, /* before= */ NULL, /* user= */ NULL);
	record_begin();
	crumb_add(0, SONDE_INFO, "cart", "3 items");
	crumb_add(RIG_S, SONDE_WARN + 3, "", "no category");
	crumb_add(60 * RIG_S, 24, "x", "")->cuts =
		SONDE__CRUMB_MESSAGE_CUT;
	crumb_add(60 * RIG_S, 1, "", "");
	read_lines(&breadcrumbs);
	assert_int_equal(breadcrumbs.n, 4);
	assert_string_equal(breadcrumbs.lines[0], "03:04:05.678 INFO cart: 3 items");
	assert_string_equal(breadcrumbs.lines[1], "03:04:06.678 WARN no category");
	assert_string_equal(breadcrumbs.lines[2], "03:05:05.678 FATAL x: …");
	assert_string_equal(breadcrumbs.lines[3], "03:05:05.678 TRACE ");
	record_begin();
	read_lines(&breadcrumbs);
	assert_int_equal(breadcrumbs.n, 0);
	/* Zeros behind them are none. */
	record_begin();
	crumb_add(0, SONDE_INFO, "a", "b");
	used += 48;
	read_lines(&breadcrumbs);
	assert_int_equal(breadcrumbs.n, 1);
}

static void test_no_more_than_there_are_lines_for(void **state)
{
	static struct sonde__breadcrumbs breadcrumbs;

	(void)state;
	sonde__breadcrumbs_init(&breadcrumbs, /* before= */ NULL, /* user= */ NULL);
	record_begin();
	for (int i = 0; i < 100; i++)
		crumb_add((uint64_t)i, SONDE_INFO, "a", "b");
	read_lines(&breadcrumbs);
	assert_int_equal(breadcrumbs.n, SONDE__BREADCRUMBS_MAX);
}

static void test_damaged_ones_do_not_pass(void **state)
{
	struct sonde__crumb *crumb;

	(void)state;
	record_begin();
	crumb = crumb_add(0, SONDE_INFO, "a", "b");
	assert_true(record_is_valid());
	crumb->level = 25;
	assert_false(record_is_valid());
	crumb->level = SONDE_INFO;
	crumb->message_size = 255;
	assert_false(record_is_valid());
	crumb->message_size = 1;
	used -= 8;
	assert_false(record_is_valid());
	used += 4;
	assert_false(record_is_valid());
	used += 4;
	crumb_add(0, 0, "no level", "and not zero");
	assert_false(record_is_valid());
	record_begin();
	crumb_add(0, SONDE_INFO, "a", "b");
	assert_true(record_is_valid());
	memory.record.head.size -= 8;
	assert_false(sonde__record_is_valid(&memory.record.head, memory.record.head.size));
}

/* ---- In the pipeline ------------------------------------------------------------------------- */

static struct rig rig;
static size_t n_calls;

static bool change_or_drop(void *user, struct sonde_breadcrumb *breadcrumb)
{
	n_calls++;
	assert_ptr_equal(user, &rig);
	assert_int_equal(breadcrumb->size, sizeof(*breadcrumb));
	assert_string_equal(breadcrumb->category, "test");
	assert_true(breadcrumb->unix_ns > 0);
	if (!strcmp(breadcrumb->message, "drop me"))
		return false;
	if (!strcmp(breadcrumb->message, "change me")) {
		breadcrumb->message = "changed";
		breadcrumb->category = NULL;
		breadcrumb->level = SONDE_ERROR;
	}
	return true;
}

static bool be_slow(void *user, struct sonde_breadcrumb *breadcrumb)
{
	const struct timespec pause = { .tv_nsec = 12 * 1000 * 1000 };

	(void)user;
	(void)breadcrumb;
	nanosleep(&pause, NULL);
	return true;
}

static bool answer_with_huge(void *user, struct sonde_breadcrumb *breadcrumb)
{
	static char huge[100000];

	(void)user;
	for (size_t i = 0; i + 2 < sizeof(huge); i += 2)
		memcpy(huge + i, "\xc3\xa4", 2);
	breadcrumb->message = huge;
	return true;
}

/* As a service's own calls in a hook would: an error, with breadcrumbs, in the hook's context. */
static bool capture_an_error(void *user, struct sonde_breadcrumb *breadcrumb)
{
	const struct sonde_context context = sonde_context_current();
	struct error_spec spec = { .types = { "from_hook" }, .messages = { "m" },
				   .event_id = 9, .crumbs = { "left by the hook" } };

	(void)user;
	(void)breadcrumb;
	n_calls++;
	spec.context = &context;
	assert_true(record_error(&spec));
	return true;
}

/* A secret at another place each time, so that the line's end goes through all of it. */
static bool answer_with_a_secret(void *user, struct sonde_breadcrumb *breadcrumb)
{
	static char text[600];
	size_t at = 230 + n_calls++;

	(void)user;
	memset(text, '.', sizeof(text) - 1);
	memcpy(text + at, " redis://svc:hunter2@h/0 ", 25);
	breadcrumb->message = text;
	breadcrumb->category = n_calls % 2 ? "Bearer abc123" : NULL;
	breadcrumb->level = (enum sonde_level)(n_calls % 2 ? -1000 : 1000);
	return true;
}

static bool answer_with_nothing(void *user, struct sonde_breadcrumb *breadcrumb)
{
	(void)user;
	n_calls++;
	*breadcrumb = (struct sonde_breadcrumb){ 0 };
	return true;
}

static void start(sonde_before_breadcrumb_fn *before)
{
	n_calls = 0;
	rig_init(&rig, /* n_destinations= */ 1);
	rig.options.before_breadcrumb = before;
	rig.options.before_breadcrumb_user = &rig;
	rig_start(&rig);
}

static void flush(void)
{
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	rig_check_accounts(&rig);
}

static void test_on_log_and_event(void **state)
{
	struct error_spec spec = { .types = { "timeout" },
				   .messages = { "late" },
				   .event_id = 7,
				   .crumbs = { "one", "drop me", "change me", "\xff bad" } };
	struct record_spec span = { .trace = 5, .span = 6, .name = "span" };

	(void)state;
	start(change_or_drop);
	spec.record = (struct record_spec){ .trace = 5, .span = 6,
					    .flags = SONDE__RECORD_WITH_EVENT |
						     SONDE__RECORD_WITH_LOG };
	assert_true(record_error(&spec));
	assert_true(record_span(&span));
	flush();
	assert_int_equal(n_calls, 4);
	assert_int_equal(rig_delivered(&rig, 0, " INFO test: one"), 2);
	assert_int_equal(rig_delivered(&rig, 0, " ERROR changed"), 2);
	assert_int_equal(rig_delivered(&rig, 0, " INFO test: \xef\xbf\xbd bad"), 2);
	assert_int_equal(rig_delivered(&rig, 0, "drop me"), 0);
	rig_end(&rig);
}

static void test_none_where_there_are_none(void **state)
{
	struct error_spec with = { .types = { "a" }, .messages = { "m" }, .event_id = 7,
				   .crumbs = { "one" } };
	struct error_spec without = { .types = { "b" }, .messages = { "m" }, .event_id = 8 };

	(void)state;
	start(/* before= */ NULL);
	assert_true(record_error(&with));
	assert_true(record_error(&without));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "sonde.breadcrumbs"), 1);
	rig_end(&rig);
}

static void test_what_a_hook_answers_is_redacted(void **state)
{
	static struct sonde__redactor redactor;
	struct error_spec spec = { .types = { "t" }, .messages = { "m" }, .event_id = 7 };

	(void)state;
	assert_int_equal(sonde__redactor_init(&redactor, /* keys= */ NULL, /* detectors= */ NULL,
					      /* report= */ NULL, /* user= */ NULL),
			 SONDE_OK);
	for (size_t i = 0; i < SONDE__BREADCRUMBS_MAX; i++)
		spec.crumbs[i] = "harmless";
	rig_init(&rig, /* n_destinations= */ 1);
	rig.options.redactor = &redactor;
	rig.options.before_breadcrumb = answer_with_a_secret;
	rig_start(&rig);
	n_calls = 0;
	for (int i = 0; i < 3; i++) {
		spec.event_id++;
		assert_true(record_error(&spec));
	}
	flush();
	assert_int_equal(n_calls, 3 * SONDE__BREADCRUMBS_MAX);
	assert_int_equal(rig_delivered(&rig, 0, "svc"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "abc123"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "Bearer [redacted]: ."), n_calls / 2);
	assert_true(rig_delivered(&rig, 0, "redis://REDACTED:REDACTED…") > 5);
	rig_end(&rig);
	sonde__redactor_deinit(&redactor);
}

static void test_a_hook_that_answers_with_nothing(void **state)
{
	struct error_spec spec = { .types = { "t" }, .messages = { "m" }, .event_id = 7,
				   .crumbs = { "one" } };

	(void)state;
	start(answer_with_nothing);
	assert_true(record_error(&spec));
	flush();
	assert_int_equal(n_calls, 1);
	assert_int_equal(rig_delivered(&rig, 0, "00:00:00.000 TRACE "), 1);
	rig_end(&rig);
}

static void test_a_slow_hook_is_told_of(void **state)
{
	struct error_spec spec = { .types = { "a" }, .messages = { "m" }, .event_id = 7,
				   .crumbs = { "one", "two" } };

	(void)state;
	start(be_slow);
	assert_true(record_error(&spec));
	flush();
	assert_int_equal(rig_said(&rig, "before_breadcrumb is slow"), 1);
	assert_int_equal(rig_delivered(&rig, 0, " INFO test: two"), 1);
	rig_end(&rig);
}

static void test_huge_answers_are_cut(void **state)
{
	struct error_spec spec = { .types = { "a" }, .messages = { "m" }, .event_id = 7 };

	(void)state;
	start(answer_with_huge);
	for (size_t i = 0; i < 40; i++)
		spec.crumbs[i] = "x";
	assert_true(record_error(&spec));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, " INFO test: \xc3\xa4"), 32);
	assert_int_equal(rig_delivered(&rig, 0, "\xef\xbf\xbd"), 0);
	rig_end(&rig);
}

static void test_a_hook_that_captures_errors_comes_to_an_end(void **state)
{
	struct error_spec spec = { .types = { "a" }, .messages = { "m" }, .event_id = 7,
				   .crumbs = { "one" } };

	(void)state;
	start(capture_an_error);
	assert_true(record_error(&spec));
	flush();
	flush();
	flush();
	assert_int_equal(n_calls, 1);
	assert_int_equal(rig_delivered(&rig, 0, "left by the hook"), 1);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_no_more_than_there_are_lines_for),
		cmocka_unit_test(test_damaged_ones_do_not_pass),
		cmocka_unit_test(test_on_log_and_event),
		cmocka_unit_test(test_none_where_there_are_none),
		cmocka_unit_test(test_what_a_hook_answers_is_redacted),
		cmocka_unit_test(test_a_hook_that_answers_with_nothing),
		cmocka_unit_test(test_a_slow_hook_is_told_of),
		cmocka_unit_test(test_huge_answers_are_cut),
		cmocka_unit_test(test_a_hook_that_captures_errors_comes_to_an_end),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
