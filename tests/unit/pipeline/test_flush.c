/* SPDX-License-Identifier: Apache-2.0 */
/* Flush and end: one attempt for everything, whatever holds; then every item counted. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "box/box.h"
#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;
static uint64_t next_id;

static int begin(void **state)
{
	(void)state;
	next_id = 0;
	rig_init(&rig, /* n_destinations= */ 2);
	rig_start(&rig);
	(void)rig_turn(&rig, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	return 0;
}

static void put_spans(size_t n)
{
	while (n--)
		assert_true(record_span(
			&(struct record_spec){ .trace = 1, .span = ++next_id, .name = "s" }));
}

static void flush_delivers_what_was_captured_before(void **state)
{
	bool is_incomplete = true;

	(void)state;
	put_spans(2000);
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_false(is_incomplete);
	for (size_t d = 0; d < 2; d++) {
		assert_int_equal(rig.fakes[d].n_items[SONDE_SIGNAL_SPAN], 2000);
		assert_int_equal(rig.fakes[d].n_items[SONDE_SIGNAL_LOG], 1);
	}
}

static void flush_of_nothing_is_done_at_once(void **state)
{
	bool is_incomplete = true;

	(void)state;
	sonde__pipeline_flush_begin(rig.pipeline, rig.now_ns);
	(void)rig_turn(&rig, 0);
	assert_true(sonde__pipeline_flush_is_done(rig.pipeline, &is_incomplete));
	assert_false(is_incomplete);
}

static void flush_waits_for_a_request_under_way(void **state)
{
	bool is_incomplete = true;

	(void)state;
	rig.fakes[1].otherwise = (struct fake_step){ .pending = true };
	put_spans(1);
	sonde__pipeline_flush_begin(rig.pipeline, rig.now_ns);
	(void)rig_turn(&rig, 0);
	assert_false(sonde__pipeline_flush_is_done(rig.pipeline, &is_incomplete));
	(void)rig_turn(&rig, RIG_MS);
	assert_true(sonde__pipeline_flush_is_done(rig.pipeline, &is_incomplete));
	assert_false(is_incomplete);
}

static void flush_makes_one_attempt_while_a_lane_backs_off(void **state)
{
	bool is_incomplete = false;
	size_t before;

	(void)state;
	rig.fakes[0].otherwise =
		(struct fake_step){ .what = FAKE_RETRY, .retry_after_ms = 1000000 };
	put_spans(1);
	(void)rig_turn(&rig, 5 * RIG_S);
	before = rig.fakes[0].n_sends;
	put_spans(1000);
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_true(is_incomplete);
	assert_int_equal(rig.fakes[0].n_sends, before + 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).queued, 1001);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 1001);
	/* And then backs off as before. */
	(void)rig_turn(&rig, 900 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, before + 1);
}

static void flush_makes_one_attempt_while_the_breaker_is_open(void **state)
{
	bool is_incomplete = true;

	(void)state;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	put_spans(1);
	for (int i = 0; i < 40; i++)
		(void)rig_turn(&rig, RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 5);
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_true(is_incomplete);
	assert_int_equal(rig.fakes[0].n_sends, 6);
	/* Another one, and now it works: everything goes. */
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
	put_spans(1500);
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_false(is_incomplete);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1501);
}

/* The attempt under way began before: its failure is not the flush's attempt. */
static void flush_does_not_count_an_attempt_from_before(void **state)
{
	bool is_incomplete = true;

	(void)state;
	rig.fakes[0].steps[0] = (struct fake_step){ .what = FAKE_RETRY, .pending = true };
	rig.fakes[0].n_steps = 1;
	put_spans(1);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_true(rig_flush(&rig, &is_incomplete));
	assert_false(is_incomplete);
	assert_int_equal(rig.fakes[0].n_sends, 2);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1);
}

/* What a flush forced once is not forced for ever. */
static void nothing_is_forced_after_the_flush(void **state)
{
	bool is_incomplete = true;

	(void)state;
	rig.fakes[0].steps[0] = (struct fake_step){ .what = FAKE_RETRY, .retry_after_ms = 50000 };
	rig.fakes[0].n_steps = 1;
	assert_true(rig_flush(&rig, &is_incomplete));
	put_spans(1);
	(void)rig_turn(&rig, 6 * RIG_S);
	put_spans(1);
	(void)rig_turn(&rig, 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 1);
	(void)rig_turn(&rig, 50 * RIG_S);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_SPAN], 2);
}

static void flush_with_a_hanging_destination_is_not_done_and_expires(void **state)
{
	struct sonde_account account;
	struct sonde__slot slot;
	bool is_incomplete;

	(void)state;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_HANG };
	put_spans(1200);
	assert_false(rig_flush(&rig, &is_incomplete));
	put_spans(7);
	assert_true(record_part(&(struct record_spec){ .trace = 1, .span = 4000, .event = "e" }));
	assert_true(sonde__box_reserve(200, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot));
	sonde__pipeline_expire(rig.pipeline);
	assert_int_equal(rig.fakes[0].n_cancels, 1);
	account = rig_account(&rig, 0, SONDE_SIGNAL_SPAN);
	assert_int_equal(account.captured, 1208);
	assert_true(account.lost[SONDE_LOSS_UNKNOWN] > 0 &&
		    account.lost[SONDE_LOSS_UNKNOWN] <= 512);
	assert_int_equal(account.lost[SONDE_LOSS_UNKNOWN] + account.lost[SONDE_LOSS_DEADLINE],
			 1207);
	assert_int_equal(account.lost[SONDE_LOSS_ABANDONED], 1);
	assert_int_equal(account.queued, 0);
	account = rig_account(&rig, 1, SONDE_SIGNAL_SPAN);
	assert_int_equal(account.exported, 1200);
	assert_int_equal(account.lost[SONDE_LOSS_DEADLINE], 7);
	account = rig_account(&rig, 1, SONDE_SIGNAL_PART);
	assert_int_equal(account.lost[SONDE_LOSS_DEADLINE], 1);
	assert_true(rig_said(&rig, "(outcome unknown at the deadline)") == 1);
	assert_int_equal(rig_said(&rig, "lost spans: 7 (not sent when the agent stopped)"), 1);
	sonde__box_discard(&slot);
}

static void forked_child_says_so_when_it_closes(void **state)
{
	(void)state;
	rig.pipeline = sonde__pipeline_free(rig.pipeline, /* forked= */ true);
	assert_null(rig.pipeline);
	assert_true(rig.fakes[0].closed_forked && rig.fakes[1].closed_forked);
	rig.fakes[0].n_closes = 0;
	rig.fakes[1].n_closes = 0;
	rig_start(&rig);
	assert_null(sonde__pipeline_free(/* pipeline= */ NULL, /* forked= */ false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flush_delivers_what_was_captured_before, begin,
						end),
		cmocka_unit_test_setup_teardown(flush_of_nothing_is_done_at_once, begin, end),
		cmocka_unit_test_setup_teardown(flush_waits_for_a_request_under_way, begin, end),
		cmocka_unit_test_setup_teardown(flush_makes_one_attempt_while_a_lane_backs_off,
						begin, end),
		cmocka_unit_test_setup_teardown(flush_makes_one_attempt_while_the_breaker_is_open,
						begin, end),
		cmocka_unit_test_setup_teardown(flush_does_not_count_an_attempt_from_before, begin,
						end),
		cmocka_unit_test_setup_teardown(nothing_is_forced_after_the_flush, begin, end),
		cmocka_unit_test_setup_teardown(
			flush_with_a_hanging_destination_is_not_done_and_expires, begin, end),
		cmocka_unit_test_setup_teardown(forked_child_says_so_when_it_closes, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
