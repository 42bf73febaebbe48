/* SPDX-License-Identifier: Apache-2.0 */
/* When a drain happens, and what it makes of each kind of record. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

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

static void span_goes_out_when_its_delay_is_over(void **state)
{
	(void)state;
	assert_int_equal(rig_turn(&rig, 0), RIG_S);
	assert_true(record_span(&(struct record_spec){ .trace = 5,
						       .span = 7,
						       .parent = 3,
						       .name = "GET /",
						       .kind = 2,
						       .trace_flags = 1,
						       .start = 100,
						       .time = 300,
						       .trace_state = "a=b",
						       .flags = SONDE__RECORD_START_IS_UNIX |
								SONDE__RECORD_TIME_IS_UNIX |
								SONDE__RECORD_PARENT_REMOTE }));
	for (int i = 0; i < 4; i++)
		(void)rig_turn(&rig, RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).queued, 1);
	(void)rig_turn(&rig, RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 1);
	assert_int_equal(rig_delivered(&rig, 0,
				       "span GET / trace=5 id=7 parent=3 kind=2 status=0/ flags=301"
				       " start=100 end=300 state=a=b dropped=0/0/0\n"),
			 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1);
}

static void log_goes_out_when_its_delay_is_over_and_takes_spans_along(void **state)
{
	(void)state;
	(void)rig_turn(&rig, 0);
	assert_true(record_log(
		&(struct record_spec){ .trace = 5, .span = 7, .name = "hello", .severity = 13 }));
	assert_true(record_span(&(struct record_spec){ .trace = 5, .span = 7, .name = "s" }));
	(void)rig_turn(&rig, RIG_S - 1);
	assert_int_equal(rig.fakes[0].n_sends, 0);
	(void)rig_turn(&rig, 1);
	assert_int_equal(rig_delivered(&rig, 0, "log \"hello\" trace=5 id=7 severity=13 event= "),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "span s "), 1);
}

static void error_goes_out_at_once(void **state)
{
	struct error_spec error = {
		.record = { .trace = 5, .span = 7, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "declined" },
		.messages = { "no" },
	};

	(void)state;
	(void)rig_turn(&rig, 0);
	(void)rig_turn(&rig, 100 * RIG_MS);
	assert_true(sonde__pipeline_calm_ns(rig.pipeline) == 0);
	assert_true(record_error(&error));
	(void)rig_turn(&rig, 0);
	assert_int_equal(rig_delivered(&rig, 0, "log \"no\""), 1);
	assert_true(sonde__pipeline_calm_ns(rig.pipeline) == 20 * RIG_MS);
	/* The next one waits a moment, so that a storm makes batches. */
	assert_true(record_error(&error));
	assert_true(rig_turn(&rig, 0) <= 20 * RIG_MS);
	assert_int_equal(rig_delivered(&rig, 0, "log \"no\""), 1);
	(void)rig_turn(&rig, 20 * RIG_MS);
	assert_int_equal(rig_delivered(&rig, 0, "log \"no\""), 2);
	/* Until none has come for as long. */
	(void)rig_turn(&rig, 20 * RIG_MS);
	assert_true(sonde__pipeline_calm_ns(rig.pipeline) == 0);
}

static void fill_level_begins_a_drain(void **state)
{
	size_t n = 0;

	(void)state;
	(void)rig_turn(&rig, 0);
	while (sonde__box_fill_percent() < 50 && n < 100000) {
		assert_true(record_span(
			&(struct record_spec){ .trace = 1, .span = ++n, .name = "filler" }));
	}
	while (rig_turn(&rig, 0) == 0)
		continue;
	assert_true(sonde__box_fill_percent() < 50);
	/* A small rest makes no request of its own, but does not stay for ever. */
	assert_in_range(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, n - n / 4, n);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported % 512, 0);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, n);
	assert_int_equal(rig_delivered(&rig, 0, "span filler "), n);
}

/* A flush takes the rest that such a drain leaves, and so does one that begins in its middle. */
static void flush_leaves_no_rest(void **state)
{
	size_t n = 0;

	(void)state;
	(void)rig_turn(&rig, 0);
	for (int round = 0; round < 2; round++) {
		while (sonde__box_fill_percent() < 50 && n < 100000) {
			assert_true(record_span(
				&(struct record_spec){ .trace = 1, .span = ++n, .name = "filler" }));
		}
		if (round == 0)
			(void)rig_turn(&rig, 0);
		assert_true(rig_flush(&rig, NULL));
		assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, n);
	}
}

/* A head that is right, and fields that are not; without parts in the table and with some. */
static void damaged_fields_are_counted(void **state)
{
	const struct sonde_attr attr = sonde_int("k", 1);
	struct record_spec good = { .trace = 1, .span = 1, .name = "good", .attrs = &attr,
				    .n_attrs = 1 };
	struct record_spec bad = good;

	(void)state;
	bad.span = 2;
	bad.is_damaged = true;
	assert_true(record_span(&good));
	assert_true(record_span(&bad));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_INVALID], 1);
	assert_true(record_part(&(struct record_spec){ .trace = 1, .span = 3, .event = "kept" }));
	good.span = 4;
	bad.span = 3;
	assert_true(record_span(&bad));
	assert_true(record_span(&good));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_INVALID], 2);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 2);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).queued, 1);
	assert_int_equal(rig_delivered(&rig, 0, "span good "), 2);
}

static void garbage_is_counted(void **state)
{
	(void)state;
	assert_true(record_garbage(200, SONDE__RECORD_SPAN, SONDE_SIGNAL_SPAN));
	assert_true(record_garbage(200, SONDE__RECORD_PART, SONDE_SIGNAL_PART));
	assert_true(record_garbage(200, SONDE__RECORD_ERROR, SONDE_SIGNAL_LOG));
	assert_true(record_garbage(200, 77, SONDE_SIGNAL_LOG));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = 1, .name = "good" }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_INVALID], 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).lost[SONDE_LOSS_INVALID], 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_INVALID], 2);
	assert_int_equal(rig_delivered(&rig, 0, "span good "), 1);
}

/* An hour of nothing: a look each second at most, nothing sent. */
static void idle_process_sends_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 3600; i++) {
		uint64_t wait_ns = rig_turn(&rig, RIG_S);

		assert_true(wait_ns > 0 && wait_ns <= RIG_S);
	}
	assert_int_equal(rig.fakes[0].n_sends, 0);
	assert_int_equal(rig.n_diagnostics, 0);
}

static void more_than_a_turn_of_spans(void **state)
{
	size_t n = 0;

	(void)state;
	while (record_span(&(struct record_spec){ .trace = 1, .span = n + 1, .name = "s" }))
		n++;
	assert_true(n > 1000);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, n);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_RING_FULL], 1);
	assert_true(rig.fakes[0].n_sends >= n / 512);
	assert_int_equal(rig_said(&rig, "lost spans: 1 (the ring was full)"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(span_goes_out_when_its_delay_is_over, begin, end),
		cmocka_unit_test_setup_teardown(
			log_goes_out_when_its_delay_is_over_and_takes_spans_along, begin, end),
		cmocka_unit_test_setup_teardown(error_goes_out_at_once, begin, end),
		cmocka_unit_test_setup_teardown(fill_level_begins_a_drain, begin, end),
		cmocka_unit_test_setup_teardown(flush_leaves_no_rest, begin, end),
		cmocka_unit_test_setup_teardown(damaged_fields_are_counted, begin, end),
		cmocka_unit_test_setup_teardown(garbage_is_counted, begin, end),
		cmocka_unit_test_setup_teardown(idle_process_sends_nothing, begin, end),
		cmocka_unit_test_setup_teardown(more_than_a_turn_of_spans, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
