/* SPDX-License-Identifier: Apache-2.0 */

/* A call that asks and reports: each default, each reason to end, and what the error then says. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/virtual_clock.h"

#include <sonde/context.h>
#include <sonde/retry.h>

#define SEEN_MAX 32

struct seen {
	struct sonde_observation observations[SEEN_MAX];
	char messages[SEEN_MAX][64];
	size_t n;
};

struct fixture {
	struct virtual_clock clock;
	struct seen seen;
	struct sonde_observer observer;
	double chance;
	struct sonde_retry_options options;
	struct sonde_retry retry;
};

static void see(void *user, const struct sonde_observation *observation)
{
	struct seen *seen = user;

	assert_true(seen->n < SEEN_MAX);
	(void)snprintf(seen->messages[seen->n], sizeof(seen->messages[0]), "%s",
		       sonde_error_message(observation->error));
	seen->observations[seen->n++] = *observation;
}

static double given(void *user)
{
	return *(double *)user;
}

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	virtual_clock_init(&f->clock, 1000 * SECOND);
	f->chance = 0.5;
	f->observer = (struct sonde_observer){ see, &f->seen };
	f->options = (struct sonde_retry_options){
		.name = "tested",
		.clock = &f->clock.clock,
		.observer = &f->observer,
		.random = given,
		.random_user = &f->chance,
	};
	assert_int_equal(sonde_retry_init(&f->retry, &f->options), SONDE_OK);
}

static void rules(struct fixture *f)
{
	assert_int_equal(sonde_retry_init(&f->retry, &f->options), SONDE_OK);
}

static struct sonde_error *failure(const char *text)
{
	return sonde_error_raise(&sonde_unavailable, "%s", text);
}

/* The delay after the next failure; UINT64_MAX: there is no other attempt. */
static uint64_t fail_next(struct sonde_retry_call *call)
{
	uint64_t delay_ns = 4711;

	if (sonde_retry_call_report(call, failure("refused"), SONDE_RETRY_NO_WISH, &delay_ns))
		return delay_ns;
	assert_int_equal(delay_ns, 4711);
	return UINT64_MAX;
}

static void assert_end(struct sonde_retry_call *call, const struct sonde_error_type *type,
		       const char *message, const char *cause)
{
	struct sonde_error *error = sonde_retry_call_end(call);

	assert_ptr_equal(sonde_error_type_of(error), type);
	assert_string_equal(sonde_error_message(error), message);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), cause);
	sonde_error_free(error);
	assert_null(sonde_retry_call_end(call));
}

/* ---- Defaults -------------------------------------------------------------------------------- */

static uint32_t attempts_of(const struct sonde_retry *retry)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;

	sonde_retry_call_begin(&call, retry);
	while (fail_next(&call) != UINT64_MAX && sonde_retry_call_attempts(&call) < 1000)
		;
	return sonde_retry_call_attempts(&call);
}

static void test_default_three_attempts(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_int_equal(attempts_of(&f.retry), 3);
	assert_int_equal(attempts_of(/* retry= */ NULL), 3);
	assert_int_equal(sonde_retry_init(&f.retry, /* options= */ NULL), SONDE_OK);
	assert_int_equal(attempts_of(&f.retry), 3);
}

static void test_default_first_delay_is_a_second(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), SECOND);
}

static void test_default_factor_is_two(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.attempts = 6;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	for (uint64_t n = 0; n < 5; n++)
		assert_int_equal(fail_next(&call), SECOND << n);
}

static void test_default_limit_is_a_minute(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns = 0;

	(void)state;
	fixture_init(&f);
	f.options.attempts = UINT32_MAX;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	for (int n = 0; n < 5000; n++) {
		delay_ns = fail_next(&call);
		assert_true(delay_ns <= 60 * SECOND);
		f.seen.n = 0;
	}
	assert_int_equal(delay_ns, 60 * SECOND);
}

static uint64_t first_delay_by(struct fixture *f, double chance)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;

	f->chance = chance;
	sonde_retry_call_begin(&call, &f->retry);
	return fail_next(&call);
}

static void test_default_jitter_is_half_to_one_and_a_half(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_int_equal(first_delay_by(&f, 0.0), SECOND / 2);
	assert_int_equal(first_delay_by(&f, 0.25), 3 * SECOND / 4);
	assert_in_range(first_delay_by(&f, 0.999999), 3 * SECOND / 2 - 1001, 3 * SECOND / 2);
}

static void test_default_filter_is_the_type(void **state)
{
	static const struct {
		const struct sonde_error_type *type;
		bool is_retried;
	} cases[] = {
		{ &sonde_unavailable, true },    { &sonde_external_service, true },
		{ &sonde_timeout, true },        { &sonde_out_of_memory, true },
		{ &sonde_rate_limited, true },   { &sonde_bad_request, false },
		{ &sonde_not_found, false },     { &sonde_internal, false },
		{ &sonde_circuit_open, false },  { &sonde_cancelled, false },
		{ &sonde_closed, false },        { &sonde_error_base, false },
	};
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
		uint64_t delay_ns;

		sonde_retry_call_begin(&call, &f.retry);
		assert_int_equal(sonde_retry_call_report(&call,
							 sonde_error_raise(cases[i].type, "x"),
							 SONDE_RETRY_NO_WISH, &delay_ns),
				 cases[i].is_retried);
	}
}

static void test_default_asked_delay_is_at_most_a_minute(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_true(sonde_retry_call_report(&call, failure("a"), 60 * SECOND, &delay_ns));
	assert_int_equal(delay_ns, 60 * SECOND);
	assert_false(sonde_retry_call_report(&call, failure("b"), 60 * SECOND + 1, &delay_ns));
	assert_end(&call, &sonde_unavailable, "gave up after 2 attempts in 0 ms: asked to wait 60.0 s",
		   "b");
}

static void test_default_no_attempt_timeout(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_true(sonde_retry_call_attempt(&call) == UINT64_MAX);
}

static void test_default_random_is_used(void **state)
{
	struct sonde_retry_options options = { .attempts = 2 };
	struct sonde_retry retry;
	uint64_t lowest = UINT64_MAX;
	uint64_t highest = 0;

	(void)state;
	assert_int_equal(sonde_retry_init(&retry, &options), SONDE_OK);
	for (int i = 0; i < 200; i++) {
		SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
		uint64_t delay_ns;

		sonde_retry_call_begin(&call, &retry);
		delay_ns = fail_next(&call);
		lowest = delay_ns < lowest ? delay_ns : lowest;
		highest = delay_ns > highest ? delay_ns : highest;
	}
	assert_in_range(lowest, SECOND / 2, SECOND * 3 / 4);
	assert_in_range(highest, SECOND * 5 / 4, SECOND * 3 / 2);
}

/* ---- How it ends ----------------------------------------------------------------------------- */

static void test_used_up_says_how_often_and_how_long(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	for (int n = 0; n < 3; n++) {
		uint64_t delay_ns;
		char text[16];

		(void)snprintf(text, sizeof(text), "refused %d", n + 1);
		f.clock.now_ns += 967 * MS;
		assert_int_equal(sonde_retry_call_report(&call, failure(text), SONDE_RETRY_NO_WISH,
							 &delay_ns),
				 n < 2);
	}
	assert_end(&call, &sonde_unavailable, "gave up after 3 attempts in 2.9 s", "refused 3");
}

static void test_success_frees_what_went_wrong(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), SECOND);
	assert_false(sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_null(sonde_retry_call_end(&call));
}

static void test_not_worth_it_is_returned_as_it_is(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "no such order");
	struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), SECOND);
	assert_false(sonde_retry_call_report(&call, error, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_ptr_equal(sonde_retry_call_end(&call), error);
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
}

static void test_ended_before_its_time_gives_the_last_error(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_null(sonde_retry_call_end(&call));
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), SECOND);
	assert_end(&call, &sonde_unavailable, "refused", "");
}

static void test_reports_after_the_end_change_nothing(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	f.options.attempts = 1;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_true(fail_next(&call) == UINT64_MAX);
	assert_true(fail_next(&call) == UINT64_MAX);
	assert_false(sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_int_equal(sonde_retry_call_attempts(&call), 1);
	assert_int_equal(f.seen.n, 1);
	assert_end(&call, &sonde_unavailable, "gave up after 1 attempt in 0 ms", "refused");
	assert_true(fail_next(&call) == UINT64_MAX);
}

/* ---- The deadline ---------------------------------------------------------------------------- */

static struct sonde_context with_deadline(uint64_t moment_ns)
{
	struct sonde_context context = sonde_context_current();

	context.extension[0] = moment_ns;
	return sonde_context_attach(&context);
}

static void test_no_wait_ends_at_the_deadline_or_past_it(void **state)
{
	for (int offset = -1; offset <= 1; offset++) {
		struct sonde_context before;
		struct sonde_retry_call call;
		struct fixture f;
		uint64_t delay_ns;

		(void)state;
		fixture_init(&f);
		before = with_deadline(f.clock.now_ns + SECOND + (uint64_t)(int64_t)offset);
		sonde_retry_call_begin(&call, &f.retry);
		sonde_context_attach(&before);
		delay_ns = fail_next(&call);
		if (offset == 1) {
			assert_int_equal(delay_ns, SECOND);
			sonde_retry_call_deinit(&call);
			continue;
		}
		assert_true(delay_ns == UINT64_MAX);
		assert_end(&call, &sonde_timeout,
			   "gave up after 1 attempt in 0 ms: the deadline is before the next attempt",
			   "refused");
	}
}

static void test_timeout_keeps_the_last_real_error(void **state)
{
	struct sonde_context before;
	struct sonde_retry_call call;
	struct fixture f;
	struct sonde_error *error;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	before = with_deadline(f.clock.now_ns + 2 * SECOND);
	sonde_retry_call_begin(&call, &f.retry);
	sonde_context_attach(&before);
	assert_int_equal(fail_next(&call), SECOND);
	f.clock.now_ns += 2 * SECOND;
	error = sonde_error_raise(&sonde_timeout, "no answer");
	assert_false(sonde_retry_call_report(&call, error, SONDE_RETRY_NO_WISH, &delay_ns));
	error = sonde_retry_call_end(&call);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "no answer");
	assert_string_equal(sonde_error_message(sonde_error_cause(sonde_error_cause(error))),
			    "refused");
	sonde_error_free(error);
}

static void test_attempts_have_the_shorter_limit(void **state)
{
	struct sonde_context before;
	struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.attempt_timeout_ms = 700;
	rules(&f);
	before = with_deadline(f.clock.now_ns + 2 * SECOND);
	sonde_retry_call_begin(&call, &f.retry);
	sonde_context_attach(&before);
	assert_int_equal(sonde_retry_call_attempt(&call), 700 * MS);
	f.clock.now_ns += 1500 * MS;
	assert_int_equal(sonde_retry_call_attempt(&call), 500 * MS);
	f.clock.now_ns += 500 * MS;
	assert_int_equal(sonde_retry_call_attempt(&call), 0);
	sonde_retry_call_deinit(&call);
}

/* ---- Filters and wishes ---------------------------------------------------------------------- */

static bool only_short(void *user, const struct sonde_error *error, uint32_t attempt)
{
	assert_int_equal(attempt, 1);
	(*(int *)user)++;
	return strlen(sonde_error_message(error)) < 4;
}

static bool is_retried(const struct fixture *f, const struct sonde_error_type *type,
		       const char *text)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	uint64_t delay_ns;

	sonde_retry_call_begin(&call, &f->retry);
	return sonde_retry_call_report(&call, sonde_error_raise(type, "%s", text),
				       SONDE_RETRY_NO_WISH, &delay_ns);
}

static void test_types_and_filter(void **state)
{
	static const struct sonde_error_type *const types[] = { &sonde_bad_request,
								&sonde_timeout };
	struct fixture f;
	int n_asked = 0;

	(void)state;
	fixture_init(&f);
	f.options.types = types;
	f.options.n_types = 2;
	rules(&f);
	assert_true(is_retried(&f, &sonde_validation, "a subtype, not retryable by itself"));
	assert_true(is_retried(&f, &sonde_timeout, "x"));
	assert_false(is_retried(&f, &sonde_unavailable, "retryable by itself, and not listed"));
	f.options.filter = only_short;
	f.options.filter_user = &n_asked;
	rules(&f);
	assert_true(is_retried(&f, &sonde_timeout, "abc"));
	assert_false(is_retried(&f, &sonde_timeout, "abcd"));
	assert_int_equal(n_asked, 2);
	assert_false(is_retried(&f, &sonde_unavailable, "abc"));
	assert_int_equal(n_asked, 2);
	f.options.types = NULL;
	f.options.n_types = 0;
	rules(&f);
	assert_true(is_retried(&f, &sonde_internal, "abc"));
}

static void test_wishes_count_without_chance(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct sonde_error *error = failure("busy");
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	f.options.attempts = 10;
	f.chance = 0.1;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	sonde_error_set_retry_after(error, 7 * SECOND);
	error = sonde_error_wrap(error, &sonde_external_service, "no prices");
	assert_true(sonde_retry_call_report(&call, error, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_int_equal(delay_ns, 7 * SECOND);
	error = failure("busy");
	sonde_error_set_retry_after(error, 7 * SECOND);
	assert_true(sonde_retry_call_report(&call, error, 3 * SECOND, &delay_ns));
	assert_int_equal(delay_ns, 3 * SECOND);
	assert_true(sonde_retry_call_report(&call, failure("a"), 0, &delay_ns));
	assert_int_equal(delay_ns, 0);
	/* The backoff has grown all the same. */
	assert_int_equal(fail_next(&call), 8 * SECOND * 6 / 10);
}

static void test_immediate(void **state)
{
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	f.options.is_immediate = true;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), 0);
	assert_true(sonde_retry_call_report(&call, failure("a"), SECOND, &delay_ns));
	assert_int_equal(delay_ns, SECOND);
}

static void test_budget_ends_it(void **state)
{
	SONDE_RETRY_BUDGET_AUTODEINIT struct sonde_retry_budget budget;
	struct sonde_retry_call call;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_int_equal(sonde_retry_budget_init(&budget,
						 &(struct sonde_retry_budget_options){
							 .name = "all clients",
							 .ratio = 1,
							 .min_per_second = -1,
							 .clock = &f.clock.clock }),
			 SONDE_OK);
	f.options.budget = &budget;
	rules(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_int_equal(fail_next(&call), SECOND);
	assert_true(fail_next(&call) == UINT64_MAX);
	assert_int_equal(f.seen.n, 3);
	assert_int_equal(f.seen.observations[2].what, SONDE_OBSERVED_REJECTION);
	assert_string_equal(f.seen.observations[2].name, "all clients");
	assert_end(&call, &sonde_unavailable,
		   "gave up after 2 attempts in 0 ms: the retry budget is spent", "refused");
}

/* ---- Observation ----------------------------------------------------------------------------- */

static void test_attempts_are_observed(void **state)
{
	struct sonde_retry_call call;
	const struct sonde_observation *seen;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	seen = f.seen.observations;
	sonde_retry_call_begin(&call, &f.retry);
	f.clock.now_ns += 20 * MS;
	assert_int_equal(fail_next(&call), SECOND);
	/* Not said when it began: it is taken to begin when the delay is over. */
	f.clock.now_ns += SECOND + 30 * MS;
	assert_int_equal(fail_next(&call), 2 * SECOND);
	f.clock.now_ns += 5 * SECOND;
	(void)sonde_retry_call_attempt(&call);
	f.clock.now_ns += 40 * MS;
	assert_false(sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_null(sonde_retry_call_end(&call));
	assert_int_equal(f.seen.n, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(seen[i].pattern, SONDE_PATTERN_RETRY);
		assert_int_equal(seen[i].what, SONDE_OBSERVED_ATTEMPT);
		assert_string_equal(seen[i].name, "tested");
		assert_int_equal(seen[i].attempt, i + 1);
		assert_int_equal(seen[i].is_last, i == 2);
		assert_int_equal(seen[i].delay_ns, i == 2 ? 0 : SECOND << i);
		assert_int_equal(seen[i].duration_ns, (20 + 10 * i) * MS);
		assert_string_equal(f.seen.messages[i], i == 2 ? "" : "refused");
	}
}

static void test_what_goes_well_at_once_is_not_told(void **state)
{
	struct sonde_retry_call call;
	struct fixture f;
	uint64_t delay_ns;

	(void)state;
	fixture_init(&f);
	sonde_retry_call_begin(&call, &f.retry);
	assert_false(sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_null(sonde_retry_call_end(&call));
	assert_int_equal(f.seen.n, 0);
}

static void test_nonsense_is_refused(void **state)
{
	static const struct sonde_retry_options nonsense[] = {
		{ .factor = 0.5 },
		{ .factor = -2 },
		{ .factor = NAN },
		{ .factor = INFINITY },
		{ .jitter = (enum sonde_jitter)5 },
		{ .n_types = 1 },
	};
	struct sonde_retry retry;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(sonde_retry_init(&retry, &nonsense[i]), SONDE_E_INVALID);
	assert_int_equal(sonde_retry_init(NULL, NULL), SONDE_E_INVALID);
	sonde_retry_deinit(NULL);
	sonde_retry_call_deinit(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_three_attempts),
		cmocka_unit_test(test_default_first_delay_is_a_second),
		cmocka_unit_test(test_default_factor_is_two),
		cmocka_unit_test(test_default_limit_is_a_minute),
		cmocka_unit_test(test_default_jitter_is_half_to_one_and_a_half),
		cmocka_unit_test(test_default_filter_is_the_type),
		cmocka_unit_test(test_default_asked_delay_is_at_most_a_minute),
		cmocka_unit_test(test_default_no_attempt_timeout),
		cmocka_unit_test(test_default_random_is_used),
		cmocka_unit_test(test_used_up_says_how_often_and_how_long),
		cmocka_unit_test(test_success_frees_what_went_wrong),
		cmocka_unit_test(test_not_worth_it_is_returned_as_it_is),
		cmocka_unit_test(test_ended_before_its_time_gives_the_last_error),
		cmocka_unit_test(test_reports_after_the_end_change_nothing),
		cmocka_unit_test(test_no_wait_ends_at_the_deadline_or_past_it),
		cmocka_unit_test(test_timeout_keeps_the_last_real_error),
		cmocka_unit_test(test_attempts_have_the_shorter_limit),
		cmocka_unit_test(test_types_and_filter),
		cmocka_unit_test(test_wishes_count_without_chance),
		cmocka_unit_test(test_immediate),
		cmocka_unit_test(test_budget_ends_it),
		cmocka_unit_test(test_attempts_are_observed),
		cmocka_unit_test(test_what_goes_well_at_once_is_not_told),
		cmocka_unit_test(test_nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
