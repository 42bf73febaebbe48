/* SPDX-License-Identifier: Apache-2.0 */

/* The breaker as a service uses it: what it says, tells, and makes of mistakes. */

#include <errno.h>

#include "breaker_rig.h"

/* ---- What it says ---------------------------------------------------------------------------- */

SONDE_ERROR_TYPE(prices_gone, sonde_external_service, "PRICES_GONE", .http_status = 521);

static void test_rejection_says_why(void **state)
{
	struct sonde_breaker_ticket ticket;
	const struct sonde_error *cause;
	struct sonde_error *error;

	(void)state;
	rig.options.half_open_calls = 1;
	start();
	call_times(4, &sonde_unavailable);
	call(&prices_gone);
	rig.clock.now_ns += 47690 * MS;
	errno = 4711;
	error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
	assert_int_equal(errno, 4711);
	assert_string_equal(sonde_error_message(error),
			    "the circuit breaker \"prices\" is open for another 12.310 s");
	assert_int_equal(sonde_error_retry_after_ns(error) / MS, 12310);
	cause = sonde_error_cause(error);
	assert_string_equal(sonde_error_message(cause), "no answer from prices");
	assert_ptr_equal(sonde_error_type_of(cause), &prices_gone);
	assert_true(sonde_error_is(cause, &sonde_external_service));
	assert_string_equal(sonde_error_code(cause), "PRICES_GONE");
	assert_int_equal(sonde_error_http_status(cause), 521);
	assert_string_equal(sonde_error_function(cause), "report");
	assert_null(sonde_error_cause(cause));
	sonde_error_free(error);
	assert_int_equal(rig.told.n_rejections, 1);
	assert_int_equal(rig.told.last_delay_ns, 12310 * MS);
	assert_string_equal(rig.told.last_name, "prices");

	rig.clock.now_ns += 20 * SECOND;
	ticket = acquire();
	error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
	assert_string_equal(sonde_error_message(error),
			    "the circuit breaker \"prices\" has its trials under way");
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "no answer from prices");
	sonde_error_free(error);
}

/* The cause is the caller's to wrap, add to and free, as any error. */
static void test_cause_is_an_error_of_its_own(void **state)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *last;
	struct sonde_error *error;

	(void)state;
	rig.options.failures = 1;
	start();
	last = sonde_error_raise(&sonde_timeout, "the read took %d s", 30);
	last = sonde_error_wrap(last, &sonde_external_service, "no prices");
	sonde_error_set_detail(last, "%s", "host b");
	sonde_breaker_report(&rig.breaker, acquire(), last);
	sonde_error_free(last);
	for (int i = 0; i < 200; i++) {
		error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
		assert_string_equal(sonde_error_message(sonde_error_cause(error)), "no prices");
		assert_string_equal(sonde_error_detail(sonde_error_cause(error)), "host b");
		error = sonde_error_wrap(error, NULL, "the page has no prices");
		assert_ptr_equal(sonde_error_find(error, &sonde_external_service),
				 sonde_error_cause(sonde_error_cause(error)));
		sonde_error_free(error);
	}
}

static void open_with(struct sonde_error *error)
{
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	sonde_breaker_report(&rig.breaker, acquire(), error);
	sonde_error_free(error);
}

/* What it said on its way here is not what was wrong. */
static void test_cause_has_its_root(void **state)
{
	struct sonde_breaker_ticket ticket;
	const struct sonde_error *cause;
	struct sonde_error *error;

	(void)state;
	rig.options.failures = 1;
	start();
	error = sonde_error_raise(&prices_gone, "no connection");
	error = sonde_error_wrap(error, NULL, "gave up after 3 attempts");
	open_with(sonde_error_wrap(error, &sonde_timeout, "over the deadline"));
	error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
	cause = sonde_error_cause(error);
	assert_string_equal(sonde_error_message(cause), "over the deadline");
	cause = sonde_error_cause(cause);
	assert_string_equal(sonde_error_message(cause), "no connection");
	assert_ptr_equal(sonde_error_type_of(cause), &prices_gone);
	assert_string_equal(sonde_error_function(cause), "test_cause_has_its_root");
	assert_null(sonde_error_cause(cause));
	sonde_error_free(error);

	/* And nothing is left of it. */
	open_with(sonde_error_raise(&sonde_unavailable, "closed for the night"));
	error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
	cause = sonde_error_cause(error);
	assert_string_equal(sonde_error_message(cause), "closed for the night");
	assert_null(sonde_error_cause(cause));
	sonde_error_free(error);
}

static struct sonde_error *operation(void *argument)
{
	const struct sonde_error_type **type = argument;

	return *type ? sonde_error_raise(*type, "it went wrong") : NULL;
}

static void test_run(void **state)
{
	const struct sonde_error_type *type = &sonde_unavailable;
	struct sonde_error *error;

	(void)state;
	start();
	for (int i = 0; i < 5; i++) {
		error = sonde_breaker_run(&rig.breaker, operation, &type);
		assert_string_equal(sonde_error_message(error), "it went wrong");
		sonde_error_free(error);
	}
	error = sonde_breaker_run(&rig.breaker, operation, &type);
	assert_true(sonde_error_is(error, &sonde_circuit_open));
	sonde_error_free(error);
	rig.clock.now_ns += 60 * SECOND;
	type = NULL;
	for (int i = 0; i < 3; i++)
		assert_null(sonde_breaker_run(&rig.breaker, operation, &type));
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

/* ---- By hand --------------------------------------------------------------------------------- */

static void test_by_hand(void **state)
{
	struct sonde_breaker_counts counts;

	(void)state;
	start();
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_FORCED_OPEN), SONDE_OK);
	rig.clock.now_ns += 1000 * SECOND;
	assert_rejects();
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), UINT64_MAX);
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_FORCED_CLOSED), SONDE_OK);
	call_times(20, &sonde_unavailable);
	sonde_breaker_counts(&rig.breaker, &counts);
	assert_int_equal(counts.state, SONDE_BREAKER_FORCED_CLOSED);
	assert_int_equal(counts.n_failures_in_a_row, 20);
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_DISABLED), SONDE_OK);
	call_times(20, &sonde_unavailable);
	sonde_breaker_counts(&rig.breaker, &counts);
	assert_int_equal(counts.n_failures_in_a_row, 0);
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_OPEN), SONDE_OK);
	assert_rejects();
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 60 * SECOND);
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_HALF_OPEN), SONDE_OK);
	call_times(2, NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	call_times(4, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	/* To the same: begins anew, and is no change. */
	rig.told.n_states = 0;
	assert_int_equal(sonde_breaker_force(&rig.breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	assert_int_equal(rig.told.n_states, 0);
	call_times(4, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	assert_int_equal(sonde_breaker_force(&rig.breaker, (enum sonde_breaker_state)6),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_breaker_force(&rig.breaker, (enum sonde_breaker_state)-1),
			 SONDE_E_INVALID);
}

/* A rejection by hand has no cause: nothing that went wrong brought it about. */
static void test_no_cause_by_hand(void **state)
{
	const enum sonde_breaker_state states[] = { SONDE_BREAKER_OPEN, SONDE_BREAKER_FORCED_OPEN };

	(void)state;
	start();
	call_times(5, &sonde_unavailable);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(states); i++) {
		struct sonde_breaker_ticket ticket;
		struct sonde_error *error;

		sonde_breaker_force(&rig.breaker, states[i]);
		error = sonde_breaker_try_acquire(&rig.breaker, &ticket);
		assert_non_null(error);
		assert_null(sonde_error_cause(error));
		sonde_error_free(error);
	}
}

/* ---- Rates, growth and chance ---------------------------------------------------------------- */

static void test_trials_by_rate(void **state)
{
	(void)state;
	rig.options.mode = SONDE_BREAKER_COUNT_WINDOW;
	rig.options.window_calls = 10;
	rig.options.half_open_calls = 4;
	rig.options.failure_rate = 0.5;
	start();
	call_times(10, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	rig.clock.now_ns += 60 * SECOND;
	call(&sonde_unavailable); /* One of four may fail. */
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	call_times(2, NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	call(NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call_times(10, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	call_times(2, &sonde_unavailable); /* The other two could not save it. */
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_reset_grows_with_jitter(void **state)
{
	(void)state;
	rig.options.failures = 1;
	rig.options.reset_ms = 1000;
	rig.options.reset_factor = 3;
	rig.options.reset_max_ms = 5000;
	rig.options.reset_jitter = 0.2;
	rig.chance = 0;
	start();
	call(&sonde_timeout);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 800 * MS);
	rig.clock.now_ns += 800 * MS;
	rig.chance = 0.5;
	call(&sonde_timeout);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 3000 * MS);
	rig.clock.now_ns += 3000 * MS;
	rig.chance = 0.75;
	call(&sonde_timeout);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 5500 * MS);
	assert_int_equal(rig.n_chances, 3);
}

static void test_goes_on_for_years(void **state)
{
	(void)state;
	rig.options.failures = 1;
	rig.options.half_open_calls = 1;
	rig.options.reset_ms = 1000;
	start();
	for (int year = 0; year < 100; year += 9) {
		call(&sonde_timeout);
		assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), SECOND);
		rig.clock.now_ns += SECOND;
		call(NULL);
		assert_int_equal(sonde_breaker_state_of(&rig.breaker), SONDE_BREAKER_CLOSED);
		rig.clock.now_ns += 9 * 365 * 86400 * SECOND;
	}
}

static void test_never(void **state)
{
	(void)state;
	rig.options.failures = 1;
	rig.options.reset_ms = UINT64_MAX;
	start();
	call(&sonde_timeout);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), UINT64_MAX);
	rig.clock.now_ns = UINT64_MAX - 1;
	assert_rejects();
}

/* What was counted long ago is not there again, wherever the numbers come round. */
static void test_window_after_a_long_time(void **state)
{
	struct sonde_breaker_counts counts;

	(void)state;
	rig.options.mode = SONDE_BREAKER_TIME_WINDOW;
	rig.options.window_ms = 1000;
	start();
	call_times(99, &sonde_timeout);
	for (int i = 10; i < 30; i++) {
		rig.clock.now_ns = 1000 * SECOND + 1 + (UINT64_C(1) << i) * 100 * MS;
		sonde_breaker_counts(&rig.breaker, &counts);
		assert_int_equal(counts.n_calls, 0);
	}
	/* A clock that went back to before the beginning is at the beginning. */
	rig.clock.now_ns = 1;
	sonde_breaker_counts(&rig.breaker, &counts);
	assert_int_equal(counts.n_calls, 99);
	call(NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

/* Each change of state forgets the window, however often it changes. */
static void test_window_of_another_state(void **state)
{
	struct sonde_breaker_counts counts;

	(void)state;
	rig.options.mode = SONDE_BREAKER_TIME_WINDOW;
	start();
	call_times(99, &sonde_timeout);
	for (int i = 0; i < 10000; i++) {
		sonde_breaker_force(&rig.breaker, SONDE_BREAKER_CLOSED);
		sonde_breaker_counts(&rig.breaker, &counts);
		assert_int_equal(counts.n_calls, 0);
	}
	call_times(99, &sonde_timeout);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

/* ---- Mistakes -------------------------------------------------------------------------------- */

static void test_options_that_are_not_valid(void **state)
{
	const struct sonde_breaker_options rows[] = {
		{ .mode = (enum sonde_breaker_mode)3 },
		{ .failures = SONDE_BREAKER_FAILURES_MAX + 1 },
		{ .window_calls = 10 },
		{ .window_ms = 10 },
		{ .minimum_calls = 10 },
		{ .failure_rate = 0.5 },
		{ .slow_rate = 0.5 },
		{ .slow_call_ms = 5 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .failures = 5 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .window_ms = 5000 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .window_calls = 4097 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .window_calls = 10, .minimum_calls = 11 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .minimum_calls = 101 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .failure_rate = 1.01 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .failure_rate = -0.1 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .failure_rate = 0.0 / 0.0 },
		{ .mode = SONDE_BREAKER_COUNT_WINDOW, .slow_rate = 2 },
		{ .mode = SONDE_BREAKER_TIME_WINDOW, .window_calls = 10 },
		{ .mode = SONDE_BREAKER_TIME_WINDOW, .window_ms = 9 },
		{ .reset_factor = 0.5 },
		{ .reset_factor = 1e10 },
		{ .reset_factor = 0.0 / 0.0 },
		{ .reset_ms = 1000, .reset_max_ms = 999 },
		{ .reset_jitter = -0.1 },
		{ .reset_jitter = 1.1 },
		{ .reset_jitter = 0.0 / 0.0 },
		{ .half_open_calls = 1001 },
		{ .half_open_at_once = 17, .half_open_calls = 20 },
		{ .half_open_at_once = 4 },
		{ .n_failure_types = 1 },
		{ .n_ignored_types = 1 },
	};
	struct sonde_breaker breaker;

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(rows); i++)
		assert_int_equal(sonde_breaker_init(&breaker, &rows[i]), SONDE_E_INVALID);
	assert_int_equal(sonde_breaker_init(NULL, NULL), SONDE_E_INVALID);
}

static void test_reports_that_count_for_nothing(void **state)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_breaker_ticket trial;
	struct sonde_breaker_counts counts;

	(void)state;
	rig.options.half_open_calls = 2;
	start();
	for (int i = 0; i < 20; i++)
		report((struct sonde_breaker_ticket){ 0 }, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	ticket = acquire();
	call_times(5, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	trial = acquire();
	report(ticket, &sonde_unavailable); /* Of an earlier generation. */
	sonde_breaker_release(&rig.breaker, ticket);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	report(trial, NULL);
	report(trial, NULL); /* Twice. */
	report(trial, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	trial.permit = 0; /* A trial's ticket without a trial. */
	report(trial, &sonde_unavailable);
	trial.permit = 0x1ffff01;
	report(trial, &sonde_unavailable);
	trial.permit = 0xff;
	report(trial, &sonde_unavailable);
	sonde_breaker_counts(&rig.breaker, &counts);
	assert_int_equal(counts.n_calls, 1);
	assert_int_equal(counts.n_failures, 0);
	assert_int_equal(counts.n_trials, 0);
	call(NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_release_gives_the_permit_back(void **state)
{
	struct sonde_breaker_ticket ticket;

	(void)state;
	rig.options.half_open_calls = 1;
	start();
	call_times(5, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	for (int i = 0; i < 300000; i++) {
		ticket = acquire();
		sonde_breaker_release(&rig.breaker, ticket);
		sonde_breaker_release(&rig.breaker, ticket);
	}
	ticket = acquire();
	assert_rejects();
	report(ticket, &sonde_cancelled); /* The same. */
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	call(NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_nothing(void **state)
{
	struct sonde_breaker_ticket ticket = { 1, 2, 3 };
	struct sonde_breaker_counts counts;
	const struct sonde_error_type *type = &sonde_timeout;
	struct sonde_error *error;

	(void)state;
	assert_null(sonde_breaker_try_acquire(NULL, &ticket));
	assert_int_equal(ticket.generation, 0);
	sonde_breaker_report(NULL, ticket, NULL);
	sonde_breaker_release(NULL, ticket);
	error = sonde_breaker_run(NULL, operation, &type);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	sonde_error_free(error);
	assert_int_equal(sonde_breaker_force(NULL, SONDE_BREAKER_OPEN), SONDE_E_INVALID);
	assert_int_equal(sonde_breaker_state_of(NULL), SONDE_BREAKER_DISABLED);
	assert_int_equal(sonde_breaker_wait_ns(NULL), 0);
	sonde_breaker_counts(NULL, &counts);
	assert_int_equal(counts.state, SONDE_BREAKER_DISABLED);
	sonde_breaker_deinit(NULL);
}

static void test_without_options(void **state)
{
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker;
	struct sonde_breaker_ticket ticket;
	struct sonde_error *error;

	(void)state;
	assert_int_equal(sonde_breaker_init(&breaker, NULL), SONDE_OK);
	assert_null(sonde_breaker_try_acquire(&breaker, &ticket));
	sonde_breaker_report(&breaker, ticket, NULL);
	sonde_breaker_force(&breaker, SONDE_BREAKER_FORCED_OPEN);
	error = sonde_breaker_try_acquire(&breaker, &ticket);
	assert_string_equal(sonde_error_message(error), "the circuit breaker \"\" is held open");
	sonde_error_free(error);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(sonde_breaker_state_name(SONDE_BREAKER_HALF_OPEN), "half_open");
	assert_string_equal(sonde_breaker_state_name(SONDE_BREAKER_DISABLED), "disabled");
	assert_string_equal(sonde_breaker_state_name((enum sonde_breaker_state)6), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rejection_says_why),
		TEST(test_cause_is_an_error_of_its_own),
		TEST(test_cause_has_its_root),
		TEST(test_run),
		TEST(test_by_hand),
		TEST(test_no_cause_by_hand),
		TEST(test_trials_by_rate),
		TEST(test_reset_grows_with_jitter),
		TEST(test_goes_on_for_years),
		TEST(test_never),
		TEST(test_window_after_a_long_time),
		TEST(test_window_of_another_state),
		TEST(test_options_that_are_not_valid),
		TEST(test_reports_that_count_for_nothing),
		TEST(test_release_gives_the_permit_back),
		TEST(test_nothing),
		TEST(test_without_options),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
