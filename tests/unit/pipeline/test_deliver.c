/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery on virtual time: what is sent when, and what each answer leads to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>

#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;
static uint64_t next_id;

static int begin(void **state)
{
	(void)state;
	next_id = 0;
	rig_init(&rig, /* n_destinations= */ 1);
	rig_start(&rig);
	(void)rig_turn(&rig, 0);
	return 0;
}

static int begin_two(void **state)
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

static void script(struct fake *fake, const struct fake_step *steps, size_t n)
{
	memcpy(fake->steps, steps, n * sizeof(*steps));
	fake->n_steps = n;
}

/* Turns as the worker does: at the times that turn itself asks for, until `until_ns`. */
static void run_until(uint64_t until_ns)
{
	uint64_t wait_ns = 0;

	while (rig.now_ns < until_ns) {
		wait_ns = rig_turn(&rig, 0);
		if (wait_ns > until_ns - rig.now_ns)
			wait_ns = until_ns - rig.now_ns;
		rig.now_ns += wait_ns;
	}
	(void)rig_turn(&rig, 0);
}

static void backoff_is_exact(void **state)
{
	static const double delays_s[] = { 1, 1.5, 2.25, 3.375 };
	const struct fake_step steps[] = {
		{ .what = FAKE_RETRY, .reason = "503" },
		{ .what = FAKE_RETRY, .reason = "503" },
		{ .what = FAKE_RETRY, .reason = "503" },
		{ .what = FAKE_RETRY, .reason = "503" },
	};

	(void)state;
	script(&rig.fakes[0], steps, 4);
	put_spans(3);
	run_until(rig.now_ns + 60 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 5);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(rig.fakes[0].sent_ns[i + 1] - rig.fakes[0].sent_ns[i],
				 (uint64_t)(delays_s[i] * 1e9));
	assert_int_equal(rig_delivered(&rig, 0, "span s "), 3);
	assert_int_equal(rig_said(&rig, "503"), 1);
	assert_int_equal(
		rig_said(&rig, "first did not take spans, which are kept for another attempt: 503"),
		1);
	assert_int_equal(rig_said(&rig, "first takes spans again"), 1);
}

static void receivers_wish_beats_backoff(void **state)
{
	const struct fake_step steps[] = {
		{ .what = FAKE_RETRY, .retry_after_ms = 7000 },
		{ .what = FAKE_RETRY, .retry_after_ms = 100 },
		{ .what = FAKE_RETRY },
		{ .what = FAKE_RETRY, .retry_after_ms = INT64_MAX },
	};
	const struct fake *fake = &rig.fakes[0];

	(void)state;
	script(&rig.fakes[0], steps, 4);
	put_spans(1);
	run_until(rig.now_ns + 5000 * RIG_S);
	assert_int_equal(fake->n_sends, 5);
	assert_int_equal(fake->sent_ns[1] - fake->sent_ns[0], 7 * RIG_S);
	assert_int_equal(fake->sent_ns[2] - fake->sent_ns[1], 100 * RIG_MS);
	assert_int_equal(fake->sent_ns[3] - fake->sent_ns[2], 2250 * RIG_MS);
	assert_int_equal(fake->sent_ns[4] - fake->sent_ns[3],
			 3600 * RIG_S); /* No longer than an hour. */
}

static void jitter_spans_half_to_one_and_a_half(void **state)
{
	const struct fake_step steps[] = { { .what = FAKE_RETRY }, { .what = FAKE_RETRY } };

	(void)state;
	script(&rig.fakes[0], steps, 2);
	put_spans(1);
	rig.random = 0.0;
	run_until(rig.now_ns + 5 * RIG_S);
	rig.random = 0.999999;
	run_until(rig.now_ns + 60 * RIG_S);
	assert_int_equal(rig.fakes[0].sent_ns[1] - rig.fakes[0].sent_ns[0], 500 * RIG_MS);
	assert_in_range(rig.fakes[0].sent_ns[2] - rig.fakes[0].sent_ns[1], 2249 * RIG_MS,
			2250 * RIG_MS);
}

static void breaker_opens_and_lets_trials_through(void **state)
{
	struct fake *fake = &rig.fakes[0];
	size_t before;

	(void)state;
	fake->otherwise = (struct fake_step){ .what = FAKE_RETRY, .reason = "connection refused" };
	put_spans(1);
	run_until(rig.now_ns + 40 * RIG_S);
	assert_int_equal(fake->n_sends, 5);
	assert_int_equal(rig_said(&rig, "first: sending spans pauses after 5 failures in a row; "
					"next trial in 60 s"),
			 1);
	run_until(fake->sent_ns[4] + 60 * RIG_S - 1);
	assert_int_equal(fake->n_sends, 5);
	run_until(fake->sent_ns[4] + 60 * RIG_S);
	assert_int_equal(fake->n_sends, 6); /* The trial, which fails. */
	run_until(fake->sent_ns[5] + 60 * RIG_S - 1);
	assert_int_equal(fake->n_sends, 6);
	put_spans(1200); /* Three batches: trials one after another, then closed. */
	fake->otherwise = (struct fake_step){ .pending = true };
	before = fake->n_sends;
	run_until(fake->sent_ns[5] + 60 * RIG_S + 6 * RIG_S);
	for (int i = 0; i < 20; i++)
		(void)rig_turn(&rig, RIG_MS);
	assert_true(fake->n_sends >= before + 4);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1201);
	assert_int_equal(rig_said(&rig, "first takes spans again"), 1);
	assert_int_equal(rig_said(&rig, "pauses"), 1);
}

static void open_breaker_waits_for_a_longer_wish(void **state)
{
	const struct fake_step steps[] = {
		{ .what = FAKE_RETRY },
		{ .what = FAKE_RETRY },
		{ .what = FAKE_RETRY },
		{ .what = FAKE_RETRY },
		{ .what = FAKE_RETRY, .retry_after_ms = 100000 },
	};

	(void)state;
	script(&rig.fakes[0], steps, 5);
	put_spans(1);
	run_until(rig.now_ns + 300 * RIG_S);
	assert_int_equal(rig.fakes[0].sent_ns[5] - rig.fakes[0].sent_ns[4], 100 * RIG_S);
}

/* The breaker's reset time alone says when a trial is due, however long the backoff has grown. */
static void open_breaker_does_not_wait_for_the_backoff(void **state)
{
	struct fake *fake = &rig.fakes[0];

	(void)state;
	rig_end(&rig);
	rig_init(&rig, 1);
	rig.options.retry_initial_ns = 30 * RIG_S;
	rig.options.breaker_failures = 1;
	rig.options.breaker_reset_ns = 2 * RIG_S;
	rig_start(&rig);
	fake->otherwise = (struct fake_step){ .what = FAKE_RETRY };
	(void)rig_turn(&rig, 0);
	put_spans(1);
	run_until(rig.now_ns + 20 * RIG_S);
	assert_true(fake->n_sends >= 7);
	for (size_t i = 1; i < fake->n_sends; i++)
		assert_int_equal(fake->sent_ns[i] - fake->sent_ns[i - 1], 2 * RIG_S);
}

/* Even where no delay at all is configured, a failing lane is tried once a turn. */
static void no_delay_is_no_loop(void **state)
{
	(void)state;
	rig_end(&rig);
	rig_init(&rig, 1);
	rig.options.retry_initial_ns = 0;
	rig.options.retry_max_ns = 0;
	rig.options.breaker_failures = 1000000;
	rig_start(&rig);
	(void)rig_turn(&rig, 0);
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	put_spans(1);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 1);
	assert_int_equal(rig_turn(&rig, 0), 0);
	assert_int_equal(rig.fakes[0].n_sends, 2);
}

static void partial_success_is_counted_and_not_sent_again(void **state)
{
	const struct fake_step steps[] = { { .n_rejected = 4, .reason = "too old" },
					   { .n_rejected = 1000, .reason = "too old" },
					   { .reason = "by the way" } };

	(void)state;
	script(&rig.fakes[0], steps, 3);
	put_spans(10);
	run_until(rig.now_ns + 6 * RIG_S);
	put_spans(5);
	run_until(rig.now_ns + 6 * RIG_S);
	put_spans(1);
	run_until(rig.now_ns + 60 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 3);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 7);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_REJECTED], 9);
	assert_int_equal(rig_said(&rig, "first rejected 4 of 10 spans: too old"), 1);
	assert_int_equal(rig_said(&rig, "first says about spans: by the way"), 1);
}

static void refused_is_dropped_and_said(void **state)
{
	struct fake *fake = &rig.fakes[0];

	(void)state;
	fake->otherwise = (struct fake_step){ .what = FAKE_REFUSE, .reason = "401 Unauthorized" };
	for (int i = 0; i < 20; i++) {
		put_spans(2);
		run_until(rig.now_ns + 5 * RIG_S);
	}
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_REFUSED], 40);
	/* It answered: the breaker stays closed, each batch gets its one attempt. */
	assert_int_equal(fake->n_sends, 20);
	assert_in_range(rig_said(&rig, "first refused 2 spans for good: 401 Unauthorized"), 1, 2);
	fake->otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
	put_spans(1);
	run_until(rig.now_ns + 5 * RIG_S);
	assert_int_equal(rig_said(&rig, "first takes spans again"), 1);
}

static void pending_request_is_polled_for(void **state)
{
	struct pollfd fds[4];
	int timeout_ms = 1000;

	(void)state;
	rig.fakes[0].otherwise = (struct fake_step){ .pending = true };
	put_spans(1);
	assert_int_equal(sonde__pipeline_poll(rig.pipeline, fds, 4, &timeout_ms), 0);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).queued, 1);
	assert_int_equal(sonde__pipeline_poll(rig.pipeline, fds, 4, &timeout_ms), 1);
	assert_int_equal(fds[0].fd, 77);
	assert_int_equal(timeout_ms, 5);
	(void)rig_turn(&rig, RIG_MS);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1);
}

static void hanging_request_is_cancelled_and_tried_again(void **state)
{
	const struct fake_step steps[] = { { .what = FAKE_HANG } };
	struct fake *fake = &rig.fakes[0];

	(void)state;
	script(fake, steps, 1);
	put_spans(1);
	run_until(rig.now_ns + 36 * RIG_S - 1);
	assert_int_equal(fake->n_cancels, 0);
	run_until(rig.now_ns + 60 * RIG_S);
	assert_int_equal(fake->n_cancels, 1);
	assert_int_equal(fake->n_sends, 2);
	assert_int_equal(fake->sent_ns[1] - fake->sent_ns[0],
			 32 * RIG_S); /* 30, a moment, and the backoff. */
	assert_int_equal(rig_said(&rig, "no answer within the export timeout"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1);
}

static void exporter_that_cannot_be_asked_is_not_believed(void **state)
{
	(void)state;
	rig_end(&rig);
	rig_init(&rig, 1);
	rig.options.destinations[0].exporter = &fake_plain_exporter;
	rig_start(&rig);
	script(&rig.fakes[0], (struct fake_step[]){ { .pending = true } }, 1);
	(void)rig_turn(&rig, 0);
	put_spans(1);
	run_until(rig.now_ns + 10 * RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 2);
	assert_int_equal(rig_said(&rig, "the exporter cannot say what became of it"), 1);
}

static void one_that_hangs_delays_no_other(void **state)
{
	uint64_t longest_ns = 0;

	(void)state;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_HANG };
	for (int i = 0; i < 120; i++) {
		uint64_t before_ns = rig.now_ns;

		put_spans(100);
		run_until(rig.now_ns + 5 * RIG_S);
		if (rig.fakes[1].sent_ns[rig.fakes[1].n_sends - 1] - before_ns > longest_ns)
			longest_ns = rig.fakes[1].sent_ns[rig.fakes[1].n_sends - 1] - before_ns;
	}
	assert_int_equal(rig.fakes[1].n_items[SONDE_SIGNAL_SPAN], 12000);
	assert_true(longest_ns <= 5 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 12000);
}

/* Spans that are not taken hold up no logs of the same destination. */
static void signals_are_apart(void **state)
{
	(void)state;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_HANG };
	put_spans(1);
	(void)rig_turn(&rig, 5 * RIG_S);
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	run_until(rig.now_ns + 2 * RIG_S);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_LOG], 1);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_SPAN], 0);
}

static void too_big_is_halved(void **state)
{
	(void)state;
	rig.fakes[0].max_items = 100;
	put_spans(512);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_SPAN], 512);
	assert_int_equal(rig.fakes[0].n_sends, 8);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 512);
}

/* What did not fit is not begun in vain for each batch, and is tried again in time. */
static void what_fits_is_remembered(void **state)
{
	size_t n_encodes;

	(void)state;
	rig.fakes[0].max_items = 300;
	put_spans(512);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_encodes, 3);
	put_spans(512);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_encodes, 5);
	put_spans(10);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_encodes, 6);
	rig.fakes[0].max_items = 0;
	for (int i = 0; i < 20; i++) {
		n_encodes = rig.fakes[0].n_encodes;
		put_spans(512);
		run_until(rig.now_ns + 6 * RIG_S);
	}
	assert_int_equal(rig.fakes[0].n_encodes, n_encodes + 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 22 * 512 + 10);
}

static void single_item_too_big_is_a_loss_for_one_destination(void **state)
{
	(void)state;
	rig.fakes[0].too_big = "WHALE";
	put_spans(20);
	assert_true(
		record_span(&(struct record_spec){ .trace = 1, .span = 99999, .name = "WHALE" }));
	put_spans(20);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_SPAN], 40);
	assert_int_equal(rig.fakes[1].n_items[SONDE_SIGNAL_SPAN], 41);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_TOO_BIG], 1);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_TOO_BIG], 0);
}

static void encoder_that_fails_loses_by_its_reason(void **state)
{
	(void)state;
	rig.fakes[0].encode_status = SONDE_E_NOMEM;
	put_spans(3);
	run_until(rig.now_ns + 6 * RIG_S);
	rig.fakes[0].encode_status = SONDE_E_INVALID;
	put_spans(4);
	run_until(rig.now_ns + 6 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_NO_MEMORY], 3);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_INVALID], 4);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 7);
}

static void put_named(const char *name, size_t n)
{
	while (n--)
		assert_true(record_log(&(struct record_spec){ .name = name }));
}

static void what_nobody_wants_is_done_without_a_request(void **state)
{
	(void)state;
	rig.fakes[0].wanted = "alert";
	put_named("chatter", 10);
	put_spans(5);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig.fakes[0].n_sends, 0);
	assert_int_equal(rig.fakes[0].n_encodes, 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 10);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 5);
	assert_int_equal(rig.fakes[1].n_items[SONDE_SIGNAL_LOG], 10);
}

/* A refusal costs what was sent, and not what stood around it in the batch. */
static void a_refusal_is_of_what_was_wanted(void **state)
{
	(void)state;
	rig.fakes[0].wanted = "alert";
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_REFUSE, .pending = true };
	put_named("chatter", 7);
	put_named("alert", 2);
	(void)rig_turn(&rig, 2 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).queued, 2);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig.fakes[0].n_sends, 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 7);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_REFUSED], 2);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_LOG).exported, 9);
}

static void what_is_wanted_is_halved_too(void **state)
{
	(void)state;
	rig.fakes[0].wanted = "alert";
	rig.fakes[0].max_items = 4;
	for (int i = 0; i < 8; i++) {
		put_named("chatter", 3);
		put_named("alert", 1);
	}
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "log \"alert\""), 8);
	assert_int_equal(rig_delivered(&rig, 0, "chatter"), 0);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_LOG], 8);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 32);
}

/* Not halved in search of what fits: the encoder has said enough for now. */
static void a_limit_is_a_loss_of_what_was_wanted(void **state)
{
	(void)state;
	rig.fakes[0].wanted = "alert";
	rig.fakes[0].encode_status = SONDE_E_LIMITED;
	put_named("chatter", 20);
	put_named("alert", 4);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig.fakes[0].n_encodes, 1);
	assert_int_equal(rig.fakes[0].n_sends, 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 20);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_LIMITED], 4);
	rig.fakes[0].encode_status = SONDE_OK;
	put_named("alert", 1);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "alert"), 1);
}

/* A collector that takes every second batch: one line each way in a minute. */
static void flapping_is_held_back(void **state)
{
	(void)state;
	for (int i = 0; i < 60; i++)
		rig.fakes[0].steps[i] =
			(struct fake_step){ .what = i % 2 ? FAKE_ACCEPT : FAKE_RETRY,
					    .reason = i % 2 ? NULL : "503" };
	rig.fakes[0].n_steps = 60;
	for (int i = 0; i < 11; i++) {
		put_spans(1);
		run_until(rig.now_ns + 5 * RIG_S);
	}
	assert_true(rig.fakes[0].n_sends >= 20);
	assert_int_equal(rig_said(&rig, "503"), 1);
	assert_int_equal(rig_said(&rig, "takes spans again"), 1);
}

/* Texts that differ each time are held to a few a minute. */
static void changing_reasons_are_held_back(void **state)
{
	static char reasons[40][32];

	(void)state;
	for (int i = 0; i < 40; i++) {
		(void)snprintf(reasons[i], sizeof(reasons[i]), "reset after %d bytes", i);
		rig.fakes[0].steps[i] =
			(struct fake_step){ .what = FAKE_REFUSE, .reason = reasons[i] };
	}
	rig.fakes[0].n_steps = 40;
	for (int i = 0; i < 10; i++) {
		put_spans(1);
		run_until(rig.now_ns + 5 * RIG_S);
	}
	assert_int_equal(rig.fakes[0].n_sends, 10);
	assert_int_equal(rig_said(&rig, "reset after"), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(backoff_is_exact, begin, end),
		cmocka_unit_test_setup_teardown(receivers_wish_beats_backoff, begin, end),
		cmocka_unit_test_setup_teardown(jitter_spans_half_to_one_and_a_half, begin, end),
		cmocka_unit_test_setup_teardown(breaker_opens_and_lets_trials_through, begin, end),
		cmocka_unit_test_setup_teardown(open_breaker_waits_for_a_longer_wish, begin, end),
		cmocka_unit_test_setup_teardown(open_breaker_does_not_wait_for_the_backoff, begin,
						end),
		cmocka_unit_test_setup_teardown(no_delay_is_no_loop, begin, end),
		cmocka_unit_test_setup_teardown(partial_success_is_counted_and_not_sent_again,
						begin, end),
		cmocka_unit_test_setup_teardown(refused_is_dropped_and_said, begin, end),
		cmocka_unit_test_setup_teardown(pending_request_is_polled_for, begin, end),
		cmocka_unit_test_setup_teardown(hanging_request_is_cancelled_and_tried_again, begin,
						end),
		cmocka_unit_test_setup_teardown(exporter_that_cannot_be_asked_is_not_believed,
						begin, end),
		cmocka_unit_test_setup_teardown(one_that_hangs_delays_no_other, begin_two, end),
		cmocka_unit_test_setup_teardown(signals_are_apart, begin, end),
		cmocka_unit_test_setup_teardown(too_big_is_halved, begin, end),
		cmocka_unit_test_setup_teardown(what_fits_is_remembered, begin, end),
		cmocka_unit_test_setup_teardown(single_item_too_big_is_a_loss_for_one_destination,
						begin_two, end),
		cmocka_unit_test_setup_teardown(what_nobody_wants_is_done_without_a_request,
						begin_two, end),
		cmocka_unit_test_setup_teardown(a_refusal_is_of_what_was_wanted, begin_two, end),
		cmocka_unit_test_setup_teardown(what_is_wanted_is_halved_too, begin, end),
		cmocka_unit_test_setup_teardown(a_limit_is_a_loss_of_what_was_wanted, begin, end),
		cmocka_unit_test_setup_teardown(encoder_that_fails_loses_by_its_reason, begin_two,
						end),
		cmocka_unit_test_setup_teardown(flapping_is_held_back, begin, end),
		cmocka_unit_test_setup_teardown(changing_reasons_are_held_back, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
