/* SPDX-License-Identifier: Apache-2.0 */
/* Floods through the pipeline: what leaves, what is told of the rest, and that all is counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "box/box.h"
#include "pipeline/state.h"
#include "flood_rig.h"
#include "support/records.h"

static int begin_metered(void **state)
{
	(void)begin(state);
	rig.options.destinations[0].takes_metrics = true;
	rig.options.metric_interval_ns = 3600 * RIG_S;
	return 0;
}

static void capture(const char *type, uint64_t event_id)
{
	struct error_spec error = {
		.record = { .trace = event_id, .span = event_id, .severity = 17,
			    .flags = SONDE__RECORD_WITH_LOG },
		.types = { type },
		.messages = { "no" },
		.event_id = event_id,
	};

	while (!record_error(&error))
		(void)rig_turn(&rig, 20 * RIG_MS);
}

static void turn_all(uint64_t later_ns)
{
	(void)rig_turn(&rig, later_ns);
	while (rig_turn(&rig, 0) == 0)
		continue;
}

static uint64_t lost(void)
{
	return rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_LIMITED];
}

static void a_flood_becomes_a_handful_and_a_summary(void **state)
{
	(void)state;
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 1; i <= 1000; i++)
		capture("declined", i);
	turn_all(20 * RIG_MS);
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 10);
	assert_int_equal(lost(), 990);
	/* Not before its time, */
	turn_all(59 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 0);
	/* and then with what is known of the last one. */
	turn_all(2 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, "log \"990 more: no\" trace=1000 id=1000 severity=17 "
						"event=exception"),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "exception.type=\"declined\" error.type=\"declined\" "
						"sonde.error.count=990 exception.message=\"no\" "
						"sonde.error.fingerprint=\""),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.id=\"00000000000003e8\""), 1);
	/* Once. */
	turn_all(600 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 1001);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 11);
	/* Losses may be said once a minute; an event that is held back is not. */
	assert_true(rig_said(&rig, "held back") <= 2);
}

static void the_worker_is_woken_to_tell(void **state)
{
	uint64_t wait_ns;

	(void)state;
	rig.options.span_delay_ns = 5000 * RIG_S;
	rig.options.log_delay_ns = 5000 * RIG_S;
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 1; i <= 11; i++)
		capture("declined", i);
	turn_all(20 * RIG_MS);
	/* Once what was just sent is settled nothing else is due. */
	wait_ns = rig_turn(&rig, 30 * RIG_S);
	assert_int_equal(wait_ns, 30 * RIG_S);
	turn_all(wait_ns);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count=1 "), 1);
}

static void a_flush_tells_at_once(void **state)
{
	(void)state;
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 1; i <= 25; i++)
		capture("declined", i);
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count=15 "), 1);
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 1);
	/* But not for each of many flushes, */
	for (uint64_t i = 1; i <= 500; i++) {
		capture("declined", i);
		assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
		turn_all(10 * RIG_MS);
	}
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 1);
	/* unless it is the last one. */
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	turn_all(0);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 2);
}

static void each_group_for_itself(void **state)
{
	(void)state;
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 1; i <= 100; i++) {
		capture("first", i);
		if (i % 4 == 0)
			capture("second", 1000 + i);
		if (i % 20 == 0)
			capture("third", 2000 + i);
	}
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count=90 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count=15 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "exception.type=\"third\""), 5);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 2);
}

static void a_new_error_gets_through_a_flood(void **state)
{
	char type[32];

	(void)state;
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 0; i < 3000; i++) {
		snprintf(type, sizeof(type), "loud_%u", (unsigned)(i % 30));
		capture(type, i + 1);
	}
	capture("the one that matters", 99999);
	turn_all(20 * RIG_MS);
	assert_int_equal(rig_delivered(&rig, 0, "exception.type=\"the one that matters\""), 1);
}

/* More groups than are remembered: one event tells of what was forgotten. */
static void made_up_groups_make_no_flood_of_summaries(void **state)
{
	char type[32];
	uint64_t n_groups;

	(void)state;
	rig.options.flood.total = (struct sonde__rate){ 20, RIG_S };
	rig_start(&rig);
	turn_all(0);
	n_groups = 3 * rig.pipeline->budget.n_groups;
	for (uint64_t i = 0; i < n_groups; i++) {
		snprintf(type, sizeof(type), "made_up_%u", (unsigned)i);
		capture(type, i + 1);
	}
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "more: errors of groups that are not remembered"), 1);
	assert_in_range(rig_delivered(&rig, 0, "sonde.error.count"), 2,
			rig.pipeline->budget.n_groups + 1);
	assert_int_equal(rig_delivered(&rig, 0, "event=exception") -
				 rig_delivered(&rig, 0, "sonde.error.count") + lost(),
			 n_groups);
}

static void every_error_is_in_the_metric(void **state)
{
	char type[32];
	uint64_t n_all = 0;
	uint64_t n_series;

	(void)state;
	rig_start(&rig);
	turn_all(0);
	n_series = rig.pipeline->budget.n_series;
	for (uint64_t i = 0; i < n_series + 50; i++) {
		snprintf(type, sizeof(type), "type_%u", (unsigned)i);
		for (uint64_t k = 0; k <= i % 3; k++, n_all++)
			capture(type, i + 1);
	}
	for (uint64_t i = 0; i < 5000; i++, n_all++)
		capture("type_0", i + 1);
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_point_value(&rig, &(struct rig_point){ 0, "sonde.errors.grouped",
								    "error.type=\"type_0\"" }),
			 5001);
	assert_int_equal(rig_point_sum(&rig, &(struct rig_point){ 0, "sonde.errors.grouped", "" }),
			 n_all);
	assert_in_range(rig_point_value(&rig, &(struct rig_point){ 0, "sonde.errors.grouped",
								   "otel.metric.overflow" }),
			50, 150);
}

static void without_logs_nothing_is_told(void **state)
{
	struct error_spec error = {
		.record = { .trace = 1, .span = 1, .severity = 17,
			    .flags = SONDE__RECORD_WITH_EVENT },
		.types = { "declined" },
		.messages = { "no" },
		.event_id = 1,
	};

	(void)state;
	rig.options.destinations[0].takes_logs = false;
	rig_start(&rig);
	turn_all(0);
	for (int i = 0; i < 30; i++)
		assert_true(record_error(&error));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .name = "s" }));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.count"), 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_LIMITED], 20);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).captured, 10);
	turn_all(100 * RIG_S);
}

static void capture_with(uint64_t span, uint8_t flags)
{
	assert_true(record_error(&(struct error_spec){
		.record = { .trace = 1, .span = span, .severity = 17, .flags = flags },
		.types = { "declined" },
		.messages = { "no" },
		.event_id = span,
	}));
	assert_true(record_span(&(struct record_spec){
		.trace = 1, .span = span, .name = "s", .flags = SONDE__RECORD_FAILED }));
}

/* In each mode: what the span gets, of an error that leaves and of one that is held back. */
static void spans_fail_in_whatever_form(void **state)
{
	static const uint8_t forms[] = { SONDE__RECORD_WITH_EVENT,
					 SONDE__RECORD_WITH_LOG | SONDE__RECORD_FAILED,
					 SONDE__RECORD_WITH_LOG | SONDE__RECORD_WITH_EVENT };

	(void)state;
	rig.options.flood.group = (struct sonde__rate){ .burst = 1, .period_ns = RIG_S };
	rig_start(&rig);
	turn_all(0);
	for (uint64_t i = 0; i < 3; i++) {
		turn_all(10 * RIG_S);
		capture_with(10 * i + 1, forms[i]);
		capture_with(10 * i + 2, forms[i]);
		turn_all(10 * RIG_S);
		turn_all(10 * RIG_S);
		assert_int_equal(lost(), i + 1);
		assert_int_equal(rig_delivered(&rig, 0, "status=2/no"), i + 1);
		assert_int_equal(rig_delivered(&rig, 0, "status=2/ "), i + 1);
		assert_int_equal(rig_delivered(&rig, 0, " event:exception"), i ? i : 1);
		assert_int_equal(rig_delivered(&rig, 0, "=5 event=exception"), 0);
	}
	assert_int_equal(rig_delivered(&rig, 0, " error=\""), 0);
}

/* A summary that cannot be delivered is a log record that was lost. */
static void a_summary_is_accounted_for(void **state)
{
	(void)state;
	rig_start(&rig);
	turn_all(0);
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_REFUSE, .reason = "400" };
	for (uint64_t i = 1; i <= 25; i++)
		capture("declined", i);
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 26);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_REFUSED], 11);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_metered, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flood_becomes_a_handful_and_a_summary),
		TEST(the_worker_is_woken_to_tell),
		TEST(a_flush_tells_at_once),
		TEST(each_group_for_itself),
		TEST(a_new_error_gets_through_a_flood),
		TEST(made_up_groups_make_no_flood_of_summaries),
		TEST(every_error_is_in_the_metric),
		TEST(without_logs_nothing_is_told),
		TEST(spans_fail_in_whatever_form),
		TEST(a_summary_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
