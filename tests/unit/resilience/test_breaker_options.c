/* SPDX-License-Identifier: Apache-2.0 */

/* The default of each option, and what errors mean to a breaker. */

#include "breaker_rig.h"

/* ---- Defaults -------------------------------------------------------------------------------- */

static void test_default_5_failures(void **state)
{
	(void)state;
	start();
	call_times(4, &sonde_unavailable);
	call(NULL);
	call_times(4, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call(&sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	assert_string_equal(rig.told.states, "closed>open ");
	assert_string_equal(rig.told.last_error, "no answer from prices");
	assert_int_equal(rig.told.last_delay_ns, 60 * SECOND);
}

static void test_default_reset_60_s(void **state)
{
	(void)state;
	start();
	call_times(5, &sonde_unavailable);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 60 * SECOND);
	rig.clock.now_ns += 60 * SECOND - 1;
	assert_rejects();
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
	rig.clock.now_ns += 1;
	(void)acquire();
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	assert_string_equal(rig.told.states, "closed>open open>half_open ");
}

static void test_default_3_half_open_calls(void **state)
{
	struct sonde_breaker_ticket tickets[3];

	(void)state;
	start();
	call_times(5, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	for (int i = 0; i < 3; i++)
		tickets[i] = acquire();
	assert_rejects();
	report(tickets[1], NULL);
	assert_rejects(); /* Three in all, whoever is back already. */
	report(tickets[0], NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_HALF_OPEN);
	report(tickets[2], NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	assert_string_equal(rig.told.states,
			    "closed>open open>half_open half_open>closed ");
}

static void test_default_trial_timeout_60_s(void **state)
{
	struct sonde_breaker_ticket forgotten;

	(void)state;
	rig.options.half_open_calls = 1;
	start();
	call_times(5, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	forgotten = acquire();
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 60 * SECOND);
	rig.clock.now_ns += 60 * SECOND - 1;
	assert_rejects();
	rig.clock.now_ns += 1;
	call(NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	report(forgotten, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
}

static void test_default_window_100_calls_half_of_them(void **state)
{
	(void)state;
	rig.options.mode = SONDE_BREAKER_COUNT_WINDOW;
	start();
	call_times(50, NULL);
	call_times(49, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED); /* Not 100 yet. */
	call(&sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_default_window_forgets_after_100(void **state)
{
	(void)state;
	rig.options.mode = SONDE_BREAKER_COUNT_WINDOW;
	start();
	for (int i = 0; i < 30; i++) {
		call_times(49, &sonde_unavailable);
		call_times(51, NULL);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call_times(49, &sonde_unavailable); /* In the place of the oldest failures. */
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call(&sonde_unavailable); /* In the place of a success. */
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_default_window_60_s(void **state)
{
	(void)state;
	rig.options.mode = SONDE_BREAKER_TIME_WINDOW;
	start();
	call_times(99, &sonde_unavailable);
	rig.clock.now_ns += 60 * SECOND;
	call_times(99, &sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED); /* Never 100 within a minute. */
	rig.clock.now_ns += 50 * SECOND;
	call(&sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_default_slow_60_s_all(void **state)
{
	struct sonde_breaker_ticket ticket;

	(void)state;
	rig.options.mode = SONDE_BREAKER_COUNT_WINDOW;
	rig.options.window_calls = 2;
	start();
	for (int i = 0; i < 9; i++) {
		ticket = acquire();
		rig.clock.now_ns += i % 2 ? 60 * SECOND : 60 * SECOND - 1;
		report(ticket, NULL);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	for (int i = 0; i < 2; i++) {
		ticket = acquire();
		rig.clock.now_ns += 60 * SECOND;
		report(ticket, NULL);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_default_reset_is_constant(void **state)
{
	(void)state;
	start();
	call_times(5, &sonde_unavailable);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 60 * SECOND);
		rig.clock.now_ns += 60 * SECOND;
		call(&sonde_unavailable);
	}
	assert_int_equal(rig.n_chances, 0);
}

static void test_default_reset_max_10_min(void **state)
{
	const uint64_t resets_s[] = { 60, 120, 240, 480, 600, 600 };

	(void)state;
	rig.options.reset_factor = 2;
	start();
	call_times(5, &sonde_unavailable);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(resets_s); i++) {
		assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), resets_s[i] * SECOND);
		rig.clock.now_ns += resets_s[i] * SECOND;
		call(&sonde_unavailable);
	}
	rig.clock.now_ns += 600 * SECOND;
	call_times(3, NULL);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call_times(5, &sonde_unavailable);
	assert_int_equal(sonde_breaker_wait_ns(&rig.breaker), 60 * SECOND);
}

/* ---- What errors mean ------------------------------------------------------------------------ */

static void test_default_verdicts(void **state)
{
	static const struct {
		const struct sonde_error_type *type;
		enum sonde_breaker_verdict verdict;
	} rows[] = {
		{ &sonde_bad_request, SONDE_BREAKER_GOOD },
		{ &sonde_validation, SONDE_BREAKER_GOOD },
		{ &sonde_unauthorized, SONDE_BREAKER_GOOD },
		{ &sonde_forbidden, SONDE_BREAKER_GOOD },
		{ &sonde_not_found, SONDE_BREAKER_GOOD },
		{ &sonde_conflict, SONDE_BREAKER_GOOD },
		{ &sonde_error_base, SONDE_BREAKER_BAD },
		{ &sonde_internal, SONDE_BREAKER_BAD },
		{ &sonde_external_service, SONDE_BREAKER_BAD },
		{ &sonde_unavailable, SONDE_BREAKER_BAD },
		{ &sonde_timeout, SONDE_BREAKER_BAD },
		{ &sonde_cancelled, SONDE_BREAKER_NEITHER },
		{ &sonde_circuit_open, SONDE_BREAKER_NEITHER },
		{ &sonde_bulkhead_full, SONDE_BREAKER_NEITHER },
		{ &sonde_queue_full, SONDE_BREAKER_NEITHER },
		{ &sonde_rate_limited, SONDE_BREAKER_NEITHER },
	};

	(void)state;
	assert_int_equal(sonde_breaker_judge(NULL), SONDE_BREAKER_GOOD);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(rows); i++) {
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_error_raise(rows[i].type, "as it is");

		assert_int_equal(sonde_breaker_judge(error), rows[i].verdict);
	}
	start();
	for (int i = 0; i < 20; i++) {
		call_times(4, &sonde_timeout);
		call(&sonde_not_found);
	}
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call_times(4, &sonde_timeout);
	call_times(4, &sonde_cancelled); /* Neither ends the row nor goes on with it. */
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call(&sonde_timeout);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static void test_lists_of_types(void **state)
{
	const struct sonde_error_type *const failures[] = { &sonde_conflict, &sonde_timeout };
	const struct sonde_error_type *const ignored[] = { &sonde_timeout };

	(void)state;
	rig.options.failures = 1;
	rig.options.failure_types = failures;
	rig.options.n_failure_types = 2;
	rig.options.ignored_types = ignored;
	rig.options.n_ignored_types = 1;
	start();
	call(&sonde_unavailable);
	call(&sonde_timeout);
	call(&sonde_cancelled);
	assert_int_equal(state_of(), SONDE_BREAKER_CLOSED);
	call(&sonde_conflict);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

static enum sonde_breaker_verdict judge(void *user, const struct sonde_error *error)
{
	assert_ptr_equal(user, &rig);
	return sonde_error_is(error, &sonde_not_found) ? SONDE_BREAKER_BAD
						       : sonde_breaker_judge(error);
}

static void test_judge(void **state)
{
	(void)state;
	rig.options.judge = judge;
	rig.options.judge_user = &rig;
	start();
	call_times(4, &sonde_not_found);
	call(&sonde_unavailable);
	assert_int_equal(state_of(), SONDE_BREAKER_OPEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_default_5_failures),
		TEST(test_default_reset_60_s),
		TEST(test_default_3_half_open_calls),
		TEST(test_default_trial_timeout_60_s),
		TEST(test_default_window_100_calls_half_of_them),
		TEST(test_default_window_forgets_after_100),
		TEST(test_default_window_60_s),
		TEST(test_default_slow_60_s_all),
		TEST(test_default_reset_is_constant),
		TEST(test_default_reset_max_10_min),
		TEST(test_default_verdicts),
		TEST(test_lists_of_types),
		TEST(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
