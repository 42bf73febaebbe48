/* SPDX-License-Identifier: Apache-2.0 */

/* Each guard alone and all together: who is asked in which order, and who has the last word. */

#include <stdio.h>
#include <string.h>

#include "support/virtual_clock.h"

#include <sonde/deadline.h>
#include <sonde/exporter.h>
#include <sonde/policy.h>

#include "error/error.h"
#include "resilience/clock.h"

#define SEEN_MAX 32

struct seen {
	struct sonde_observation observations[SEEN_MAX];
	size_t n;
};

struct fixture {
	struct virtual_clock clock;
	struct seen seen;
	struct sonde_observer observer;
	struct sonde_cancel cancel;
	struct sonde_retry retry;
	struct sonde_breaker breaker;
	struct sonde_bulkhead bulkhead;
	struct sonde_limiter limiter;
	struct sonde_policy_options options;
	struct sonde_policy policy;

	/* The operation's. */
	int n_calls;
	int n_failures;
	int cancels_at;
	bool closes_bulkhead; /* Nobody is let in after it. */
	uint64_t takes_ns;
	uint64_t deadline_ns;
	uint32_t n_taken; /* Permits, while it runs. */
	const struct sonde_error_type *type;

	/* The fallback's. */
	int n_fallbacks;
	bool fallback_fails;
	uint64_t fallback_deadline_ns;
	char fallback_message[128];
};

static void see(void *user, const struct sonde_observation *observation)
{
	struct seen *seen = user;

	assert_true(seen->n < SEEN_MAX);
	seen->observations[seen->n++] = *observation;
}

static double half(void *user)
{
	(void)user;
	return 0.5;
}

static void fixture_init(struct fixture *f)
{
	const struct sonde_retry_options retry = { .clock = &f->clock.clock, .random = half };
	const struct sonde_breaker_options breaker = { .clock = &f->clock.clock, .failures = 3 };
	const struct sonde_bulkhead_options bulkhead = { .clock = &f->clock.clock, .limit = 1 };
	const struct sonde_limiter_options limiter = { .clock = &f->clock.clock,
						       .permits = 1,
						       .period_ms = 60000,
						       .burst = 4,
						       .max_keys = 1 };

	memset(f, 0, sizeof(*f));
	virtual_clock_init(&f->clock, 1000 * SECOND);
	f->observer = (struct sonde_observer){ see, &f->seen };
	sonde_cancel_init(&f->cancel, /* parent= */ NULL);
	assert_int_equal(sonde_retry_init(&f->retry, &retry), SONDE_OK);
	assert_int_equal(sonde_breaker_init(&f->breaker, &breaker), SONDE_OK);
	assert_int_equal(sonde_bulkhead_init(&f->bulkhead, &bulkhead), SONDE_OK);
	assert_int_equal(sonde_limiter_init(&f->limiter, &limiter), SONDE_OK);
	f->options = (struct sonde_policy_options){ .name = "prices",
						    .clock = &f->clock.clock,
						    .observer = &f->observer };
}

static void fixture_deinit(struct fixture *f)
{
	struct sonde_bulkhead_figures figures;

	/* Whatever happened, nothing is held. */
	sonde_bulkhead_read(&f->bulkhead, &figures);
	assert_int_equal(figures.n_taken, 0);
	sonde_policy_deinit(&f->policy);
	sonde_limiter_deinit(&f->limiter);
	sonde_bulkhead_deinit(&f->bulkhead);
	sonde_breaker_deinit(&f->breaker);
	sonde_retry_deinit(&f->retry);
	sonde_cancel_deinit(&f->cancel);
}

static struct sonde_error *operation(void *argument)
{
	struct fixture *f = argument;
	struct sonde_bulkhead_figures figures;

	f->n_calls++;
	f->deadline_ns = sonde_deadline_moment_ns();
	sonde_bulkhead_read(&f->bulkhead, &figures);
	f->n_taken = figures.n_taken;
	f->clock.now_ns += f->takes_ns;
	if (f->n_calls == f->cancels_at)
		sonde_cancel_fire(&f->cancel, "enough");
	if (f->closes_bulkhead)
		(void)sonde_bulkhead_set_limit(&f->bulkhead, 0);
	if (f->n_calls > f->n_failures)
		return NULL;
	return sonde_error_raise(f->type ? f->type : &sonde_unavailable, "refused %d", f->n_calls);
}

static struct sonde_error *fallback(void *user, void *argument, struct sonde_error *error)
{
	struct fixture *f = user;

	assert_ptr_equal(argument, f);
	f->n_fallbacks++;
	f->fallback_deadline_ns = sonde_deadline_moment_ns();
	(void)snprintf(f->fallback_message, sizeof(f->fallback_message), "%s",
		       sonde_error_message(error));
	if (f->fallback_fails)
		return sonde_error_wrap(error, &sonde_internal, "no old prices, too");
	sonde_error_free(error);
	return NULL;
}

static struct sonde_error *run(struct fixture *f)
{
	assert_int_equal(sonde_policy_init(&f->policy, &f->options), SONDE_OK);
	return sonde_policy_run(&f->policy, operation, f, &f->cancel);
}

static void assert_attribute(const struct sonde_error *error, const char *key, const char *value)
{
	struct sonde_item_view item;
	uint16_t n_dropped;
	struct sonde_bytes rest = sonde__error_attributes(error, &n_dropped);

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		if (item.name.size != strlen(key) || memcmp(item.name.data, key, item.name.size))
			continue;
		assert_int_equal(item.value.as.string.size, strlen(value));
		assert_memory_equal(item.value.as.string.data, value, strlen(value));
		return;
	}
	fail_msg("%s is not there", key);
}

/* Frees it. */
static void assert_error(struct sonde_error *error, const struct sonde_error_type *type,
			 const char *message, const char *cause, const char *stage)
{
	assert_ptr_equal(sonde_error_type_of(error), type);
	if (message)
		assert_string_equal(sonde_error_message(error), message);
	if (cause)
		assert_string_equal(sonde_error_message(sonde_error_cause(error)), cause);
	assert_attribute(error, "sonde.policy.stage", stage);
	assert_attribute(error, "sonde.policy.name", "prices");
	sonde_error_free(error);
}

/* ---- The order ------------------------------------------------------------------------------- */

static void test_the_order_is_told(void **state)
{
	struct fixture f;
	struct sonde_policy empty;

	(void)state;
	assert_int_equal(sonde_policy_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_policy_init(&empty, NULL), SONDE_OK);
	assert_string_equal(sonde_policy_order(&empty), "operation");
	fixture_init(&f);
	f.options.timeout_ms = 1000;
	f.options.retry = &f.retry;
	f.options.breaker = &f.breaker;
	f.options.bulkhead = &f.bulkhead;
	f.options.limiter = &f.limiter;
	f.options.fallback = fallback;
	assert_int_equal(sonde_policy_init(&f.policy, &f.options), SONDE_OK);
	assert_string_equal(
		sonde_policy_order(&f.policy),
		"fallback(deadline > retry > breaker > bulkhead > limiter > operation)");
	f.options.timeout_ms = UINT64_MAX;
	f.options.fallback = NULL;
	f.options.bulkhead = NULL;
	assert_int_equal(sonde_policy_init(&f.policy, &f.options), SONDE_OK);
	assert_string_equal(sonde_policy_order(&f.policy), "retry > breaker > limiter > operation");
	fixture_deinit(&f);
}

static void test_nothing_at_all(void **state)
{
	struct sonde_error *error;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	assert_null(run(&f));
	assert_int_equal(f.seen.n, 0);
	f.n_failures = 9;
	error = run(&f);
	assert_int_equal(f.n_calls, 2);
	assert_null(sonde_error_cause(error));
	assert_attribute(error, "sonde.policy.order", "operation");
	assert_error(error, &sonde_unavailable, "refused 2", NULL, "operation");
	assert_int_equal(f.seen.n, 1);
	fixture_deinit(&f);
}

/* ---- One guard each -------------------------------------------------------------------------- */

static void test_retry(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.retry = &f.retry;
	f.n_failures = 2;
	assert_null(run(&f));
	assert_int_equal(f.n_calls, 3);
	assert_int_equal(f.clock.waited_ns, 3 * SECOND);
	assert_int_equal(f.seen.n, 1);
	assert_string_equal(f.seen.observations[0].to, "ok");
	assert_int_equal(f.seen.observations[0].count, 3);
	assert_int_equal(f.seen.observations[0].duration_ns, 3 * SECOND);
	f.n_failures = 99;
	assert_error(run(&f), &sonde_unavailable, "gave up after 3 attempts in 3.0 s", "refused 6",
		     "retry");
	f.type = &sonde_not_found;
	assert_error(run(&f), &sonde_not_found, "refused 7", "", "operation");
	fixture_deinit(&f);
}

static void test_deadline(void **state)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline outer;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.timeout_ms = 2500;
	f.options.retry = &f.retry;
	f.n_failures = 99;
	assert_error(run(&f), &sonde_timeout,
		     "gave up after 2 attempts in 1.0 s: the deadline is before the next attempt",
		     "refused 2", "deadline");
	assert_int_equal(f.deadline_ns, 1000 * SECOND + 2500 * MS);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	/* Without a retry, too, what fails late is late. */
	f.options.retry = NULL;
	f.takes_ns = 3 * SECOND;
	assert_error(run(&f), &sonde_timeout, "failed past the deadline", "refused 3", "deadline");
	f.type = &sonde_timeout;
	assert_error(run(&f), &sonde_timeout, "refused 4", "", "operation");
	f.n_failures = 0;
	assert_null(run(&f));
	/* An outer one that is sooner counts. */
	sonde_deadline_begin_at(&outer, f.clock.now_ns);
	assert_error(run(&f), &sonde_timeout, "the deadline was over before the first attempt", "",
		     "deadline");
	assert_int_equal(f.n_calls, 5);
	fixture_deinit(&f);
}

static void test_breaker_hears_of_each_attempt(void **state)
{
	struct sonde_error *error;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.retry = &f.retry;
	f.options.breaker = &f.breaker;
	f.n_failures = 99;
	assert_error(run(&f), &sonde_unavailable, "gave up after 3 attempts in 3.0 s", "refused 3",
		     "retry");
	assert_int_equal(sonde_breaker_state_of(&f.breaker), SONDE_BREAKER_OPEN);
	/* Turned away, at once, and not tried again. */
	error = run(&f);
	assert_int_equal(f.n_calls, 3);
	assert_int_equal(f.clock.waited_ns, 3 * SECOND);
	assert_error(error, &sonde_circuit_open, NULL, NULL, "breaker");
	/* A trial that is not the other side's fault gives its place back. */
	f.clock.now_ns += 61 * SECOND;
	f.type = &sonde_cancelled;
	f.n_failures = 4;
	assert_error(run(&f), &sonde_cancelled, "refused 4", "", "operation");
	for (int i = 0; i < 3; i++)
		assert_null(run(&f));
	assert_int_equal(sonde_breaker_state_of(&f.breaker), SONDE_BREAKER_CLOSED);
	fixture_deinit(&f);
}

/* It opens between two attempts of a call: what the attempt said is not lost. */
static void test_rejection_keeps_the_last_real_error(void **state)
{
	struct sonde_error *error;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.retry = &f.retry;
	f.options.bulkhead = &f.bulkhead;
	f.options.limiter = &f.limiter;
	for (int i = 0; i < 3; i++)
		assert_null(run(&f));
	f.n_failures = 99;
	error = run(&f);
	assert_int_equal(f.n_calls, 4);
	assert_true(sonde_error_find(error, &sonde_rate_limited) != NULL);
	assert_error(error, &sonde_rate_limited, NULL, "refused 4", "limiter");
	fixture_deinit(&f);
}

/*
 * There are no permits any more, and the deadline comes: that the bulkhead was full is no more the
 * real error than that time is over.
 */
static void test_wait_in_vain_keeps_the_last_real_error(void **state)
{
	struct sonde_bulkhead_options bulkhead = { .limit = 1, .max_queue = 1 };
	const struct sonde_error *cause;
	struct sonde_error *error;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	bulkhead.clock = &f.clock.clock;
	sonde_bulkhead_deinit(&f.bulkhead);
	assert_int_equal(sonde_bulkhead_init(&f.bulkhead, &bulkhead), SONDE_OK);
	f.options.retry = &f.retry;
	f.options.bulkhead = &f.bulkhead;
	f.options.timeout_ms = 3000;
	f.closes_bulkhead = true;
	f.n_failures = 99;
	error = run(&f);
	assert_int_equal(f.n_calls, 1);
	cause = sonde_error_cause(error);
	assert_true(sonde_error_is(cause, &sonde_bulkhead_full));
	assert_string_equal(sonde_error_message(sonde_error_cause(cause)), "refused 1");
	assert_error(error, &sonde_timeout, NULL, NULL, "bulkhead");
	fixture_deinit(&f);
}

static void test_bulkhead(void **state)
{
	struct sonde_breaker_counts counts;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.retry = &f.retry;
	f.options.breaker = &f.breaker;
	f.options.bulkhead = &f.bulkhead;
	assert_null(run(&f));
	assert_int_equal(f.n_taken, 1);
	assert_true(sonde_bulkhead_try_acquire(&f.bulkhead));
	for (int i = 0; i < 9; i++)
		assert_error(run(&f), &sonde_bulkhead_full, NULL, "", "bulkhead");
	assert_int_equal(f.n_calls, 1);
	/* Nobody was asked, so nobody failed. */
	sonde_breaker_counts(&f.breaker, &counts);
	assert_int_equal(counts.n_failures_in_a_row, 0);
	assert_int_equal(f.clock.waited_ns, 0);
	/* Where it is wanted they are tried again. */
	f.options.retries_rejections = true;
	assert_error(run(&f), &sonde_bulkhead_full, "gave up after 3 attempts in 3.0 s", NULL,
		     "retry");
	assert_int_equal(f.clock.waited_ns, 3 * SECOND);
	sonde_bulkhead_release(&f.bulkhead);
	assert_null(run(&f));
	fixture_deinit(&f);
}

static const char *key_of(void *argument)
{
	return ((struct fixture *)argument)->n_calls % 2 ? "odd" : "even";
}

static void test_limiter(void **state)
{
	struct sonde_error *error;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.breaker = &f.breaker;
	f.options.bulkhead = &f.bulkhead;
	f.options.limiter = &f.limiter;
	f.options.key = key_of;
	for (int i = 0; i < 8; i++)
		assert_null(run(&f));
	error = run(&f);
	assert_int_equal(f.n_calls, 8);
	assert_int_equal(sonde_error_retry_after_ns(error), 60 * SECOND);
	assert_error(error, &sonde_rate_limited, NULL, "", "limiter");
	fixture_deinit(&f);
}

static void test_waiting_for_a_token_is_not_slowness(void **state)
{
	const struct sonde_breaker_options breaker = { .mode = SONDE_BREAKER_COUNT_WINDOW,
						       .minimum_calls = 1,
						       .window_calls = 10,
						       .slow_call_ms = 1000,
						       .slow_rate = 0.1 };
	struct sonde_breaker_options options = breaker;
	const struct sonde_limiter_options limiter = { .permits = 1, .period_ms = 4000 };
	struct sonde_limiter_options limiter_options = limiter;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	options.clock = limiter_options.clock = &f.clock.clock;
	sonde_breaker_deinit(&f.breaker);
	sonde_limiter_deinit(&f.limiter);
	assert_int_equal(sonde_breaker_init(&f.breaker, &options), SONDE_OK);
	assert_int_equal(sonde_limiter_init(&f.limiter, &limiter_options), SONDE_OK);
	f.options.breaker = &f.breaker;
	f.options.limiter = &f.limiter;
	f.takes_ns = 10 * MS;
	assert_null(run(&f));
	assert_null(run(&f));
	assert_true(f.clock.waited_ns > 3 * SECOND);
	assert_int_equal(sonde_breaker_state_of(&f.breaker), SONDE_BREAKER_CLOSED);
	f.takes_ns = SECOND;
	assert_null(run(&f));
	assert_int_equal(sonde_breaker_state_of(&f.breaker), SONDE_BREAKER_OPEN);
	fixture_deinit(&f);
}

/* ---- The fallback ---------------------------------------------------------------------------- */

static void test_fallback(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.fallback = fallback;
	f.options.fallback_user = &f;
	f.options.timeout_ms = 10000;
	f.options.retry = &f.retry;
	assert_null(run(&f));
	assert_int_equal(f.n_fallbacks, 0);
	f.n_calls = 0;
	f.n_failures = 99;
	assert_null(run(&f));
	assert_int_equal(f.n_fallbacks, 1);
	assert_string_equal(f.fallback_message, "gave up after 3 attempts in 3.0 s");
	/* It has the caller's time, not the policy's, which may be over. */
	assert_true(f.fallback_deadline_ns == UINT64_MAX);
	assert_int_equal(f.seen.n, 1);
	assert_string_equal(f.seen.observations[0].from, "retry");
	assert_string_equal(f.seen.observations[0].to, "fallback");
	assert_string_equal(f.seen.observations[0].name, "prices");
	f.fallback_fails = true;
	f.seen.n = 0;
	sonde_error_free(run(&f));
	assert_int_equal(f.n_fallbacks, 2);
	assert_int_equal(f.seen.n, 2);
	assert_string_equal(f.seen.observations[1].to, "fallback_failed");
	fixture_deinit(&f);
}

static void test_fallback_is_not_asked_by_the_token(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	f.options.fallback = fallback;
	f.options.fallback_user = &f;
	f.options.retry = &f.retry;
	f.n_failures = 99;
	f.cancels_at = 2;
	assert_error(run(&f), &sonde_cancelled, "cancelled: enough", "refused 2", "cancel");
	assert_error(run(&f), &sonde_cancelled, "cancelled: enough", "", "cancel");
	assert_int_equal(f.n_calls, 2);
	assert_int_equal(f.n_fallbacks, 0);
	fixture_deinit(&f);
}

/* ---- Ask and report -------------------------------------------------------------------------- */

static void test_a_loop_asks(void **state)
{
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call call;
	struct fixture f;
	uint64_t ns = 0;

	(void)state;
	fixture_init(&f);
	f.options.timeout_ms = 5000;
	f.options.retry = &f.retry;
	f.options.breaker = &f.breaker;
	f.options.bulkhead = &f.bulkhead;
	assert_int_equal(sonde_policy_init(&f.policy, &f.options), SONDE_OK);
	sonde_policy_call_begin(&call, &f.policy, &f);
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	assert_int_equal(ns, 5 * SECOND);
	f.clock.now_ns += SECOND;
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	assert_int_equal(ns, 4 * SECOND);
	sonde_policy_call_report(&call, sonde_error_raise(&sonde_unavailable, "refused"));
	/* Said twice, it is freed. */
	sonde_policy_call_report(&call, sonde_error_raise(&sonde_unavailable, "refused"));
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_WAIT);
	assert_int_equal(ns, SECOND);
	f.clock.now_ns += 400 * MS;
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_WAIT);
	assert_int_equal(ns, 600 * MS);
	f.clock.now_ns += 600 * MS;
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	sonde_policy_call_report(&call, NULL);
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_DONE);
	assert_null(sonde_policy_call_end(&call));
	assert_null(sonde_policy_call_end(&call));
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_DONE);
	fixture_deinit(&f);
}

static void test_a_loop_is_turned_away(void **state)
{
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call first;
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call second;
	struct fixture f;
	uint64_t ns = 0;

	(void)state;
	fixture_init(&f);
	f.options.bulkhead = &f.bulkhead;
	f.options.limiter = &f.limiter;
	assert_int_equal(sonde_policy_init(&f.policy, &f.options), SONDE_OK);
	sonde_policy_call_begin(&first, &f.policy, &f);
	sonde_policy_call_begin(&second, &f.policy, &f);
	assert_int_equal(sonde_policy_call_next(&first, &ns), SONDE_POLICY_GO);
	assert_true(ns == UINT64_MAX);
	assert_int_equal(sonde_policy_call_next(&second, &ns), SONDE_POLICY_DONE);
	assert_error(sonde_policy_call_end(&second), &sonde_bulkhead_full, NULL, "", "bulkhead");
	sonde_policy_call_report(&first, NULL);
	assert_null(sonde_policy_call_end(&first));
	for (int i = 0; i < 3; i++) {
		sonde_policy_call_begin(&second, &f.policy, &f);
		assert_int_equal(sonde_policy_call_next(&second, &ns), SONDE_POLICY_GO);
		sonde_policy_call_report(&second, NULL);
		assert_null(sonde_policy_call_end(&second));
	}
	sonde_policy_call_begin(&second, &f.policy, &f);
	assert_int_equal(sonde_policy_call_next(&second, &ns), SONDE_POLICY_DONE);
	assert_error(sonde_policy_call_end(&second), &sonde_rate_limited, NULL, "", "limiter");
	fixture_deinit(&f);
}

/* A call that nobody ends holds nothing after its deinit, and its attempt counts for nothing. */
static void test_a_loop_gives_up(void **state)
{
	struct sonde_breaker_counts counts;
	struct sonde_policy_call call;
	struct sonde_error *error;
	struct fixture f;
	uint64_t ns;

	(void)state;
	fixture_init(&f);
	f.options.retry = &f.retry;
	f.options.breaker = &f.breaker;
	f.options.bulkhead = &f.bulkhead;
	f.options.fallback = fallback;
	assert_int_equal(sonde_policy_init(&f.policy, &f.options), SONDE_OK);
	sonde_policy_call_begin(&call, &f.policy, &f);
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	sonde_policy_call_deinit(&call);
	sonde_policy_call_deinit(&call);
	sonde_policy_call_deinit(NULL);
	sonde_policy_call_begin(&call, &f.policy, &f);
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	sonde_policy_call_report(&call, sonde_error_raise(&sonde_unavailable, "refused"));
	error = sonde_policy_call_end(&call);
	assert_string_equal(sonde_error_message(error), "refused");
	sonde_error_free(error);
	sonde_breaker_counts(&f.breaker, &counts);
	assert_int_equal(counts.n_failures_in_a_row, 1);
	assert_int_equal(f.n_fallbacks, 0);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_order_is_told),
		cmocka_unit_test(test_nothing_at_all),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_breaker_hears_of_each_attempt),
		cmocka_unit_test(test_rejection_keeps_the_last_real_error),
		cmocka_unit_test(test_wait_in_vain_keeps_the_last_real_error),
		cmocka_unit_test(test_bulkhead),
		cmocka_unit_test(test_limiter),
		cmocka_unit_test(test_waiting_for_a_token_is_not_slowness),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_fallback_is_not_asked_by_the_token),
		cmocka_unit_test(test_a_loop_asks),
		cmocka_unit_test(test_a_loop_is_turned_away),
		cmocka_unit_test(test_a_loop_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
