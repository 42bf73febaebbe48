/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Options at the end of what their types hold: each object refuses them, or lacks the memory for
 * them, or works as ever. Nothing wraps, nothing hangs, and nothing is made smaller than it says.
 */

#include <float.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/toolkit.h>

/* The shortest that is longer than time goes, and would be 448 us if it were multiplied so. */
#define PAST_MS (UINT64_MAX / 1000000 + 1)

union object {
	struct sonde_batcher batcher;
	struct sonde_breaker breaker;
	struct sonde_bulkhead bulkhead;
	struct sonde_emitter emitter;
	struct sonde_group group;
	struct sonde_limiter limiter;
	struct sonde_policy policy;
	struct sonde_pool pool;
	struct sonde_queue queue;
	struct sonde_retry retry;
	struct sonde_retry_budget budget;
	struct sonde_stream stream;
	struct sonde_watchdog watchdog;
};

/* May be used until this test is over. */
static union object object;
static int n_run;

static void ok(struct sonde_error *error)
{
	if (error)
		print_error("%s\n", sonde_error_message(error));
	assert_null(error);
}

static struct sonde_error *operate(void *argument)
{
	(void)argument;
	__atomic_add_fetch(&n_run, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* ---- What a right one does ------------------------------------------------------------------- */

static void queue_use(void)
{
	void *item = NULL;

	ok(sonde_queue_push(&object.queue, &n_run, UINT64_MAX, NULL));
	ok(sonde_queue_pop(&object.queue, UINT64_MAX, NULL, &item));
	assert_ptr_equal(item, &n_run);
}

static void stream_use(void)
{
	void *item = NULL;

	ok(sonde_stream_push(&object.stream, &n_run, NULL));
	ok(sonde_stream_next(&object.stream, NULL, &item));
	assert_ptr_equal(item, &n_run);
}

static struct sonde_error *task(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	(void)ret_result;
	return operate(argument);
}

static void pool_use(void)
{
	struct sonde_future future = { { 0 } };

	ok(sonde_pool_submit(&object.pool, task, NULL, NULL, &future));
	ok(sonde_future_wait(&future, UINT64_MAX, NULL, NULL));
	sonde_future_deinit(&future);
}

static void pool_without_threads_use(void)
{
	assert_int_equal(sonde_pool_stop(&object.pool, UINT64_MAX, NULL), SONDE_OK);
}

static struct sonde_error *handle(void *user, struct sonde_batcher_batch *batch)
{
	(void)batch;
	return operate(user);
}

static void batcher_use(void)
{
	const struct sonde_batcher_item item = { .key = UINT64_MAX, .n_bytes = UINT64_MAX };

	for (int i = 0; i < 2; i++)
		ok(sonde_batcher_add(&object.batcher, &item, NULL, NULL));
	ok(sonde_batcher_stop(&object.batcher, UINT64_MAX, NULL));
	assert_true(n_run > 0);
}

/* Where there is no thread to be had the task is run by who waits. */
static void group_use(void)
{
	assert_int_equal(sonde_group_spawn(&object.group, "it", operate, NULL, NULL), SONDE_OK);
	ok(sonde_group_wait(&object.group));
	assert_int_equal(n_run, 1);
}

static struct sonde_error *hear(void *user, const struct sonde_event *event)
{
	(void)event;
	return operate(user);
}

static void emitter_use(void)
{
	const struct sonde_subscription subscription = { .event = "it",
							 .priority = INT_MIN,
							 .handle = hear };
	const struct sonde_event event = { .name = "it" };

	assert_int_equal(sonde_emitter_subscribe(&object.emitter, &subscription, NULL), SONDE_OK);
	assert_int_equal(sonde_emitter_emit(&object.emitter, &event), 1);
	assert_int_equal(n_run, 1);
}

static void bulkhead_use(void)
{
	ok(sonde_bulkhead_acquire(&object.bulkhead, NULL));
	sonde_bulkhead_release(&object.bulkhead);
}

static void breaker_use(void)
{
	ok(sonde_breaker_run(&object.breaker, operate, NULL));
	assert_int_equal(sonde_breaker_force(&object.breaker, SONDE_BREAKER_OPEN), SONDE_OK);
	assert_true(sonde_breaker_wait_ns(&object.breaker) > 0);
	assert_int_equal(sonde_breaker_force(&object.breaker, SONDE_BREAKER_HALF_OPEN), SONDE_OK);
	ok(sonde_breaker_run(&object.breaker, operate, NULL));
	assert_int_equal(sonde_breaker_force(&object.breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	ok(sonde_breaker_run(&object.breaker, operate, NULL));
}

/* It is closed for good once it was opened. */
static void breaker_never_use(void)
{
	assert_int_equal(sonde_breaker_force(&object.breaker, SONDE_BREAKER_OPEN), SONDE_OK);
	assert_int_equal(sonde_breaker_wait_ns(&object.breaker), UINT64_MAX);
}

static void retry_use(void)
{
	struct sonde_retry_call call;
	uint64_t before_ns = 0;
	uint64_t delay_ns;

	sonde_retry_call_begin(&call, &object.retry);
	for (int i = 0; i < 100; i++) {
		(void)sonde_retry_call_attempt(&call);
		assert_true(sonde_retry_call_report(&call,
						    sonde_error_raise(&sonde_unavailable, "no"),
						    SONDE_RETRY_NO_WISH, &delay_ns));
		/* Without jitter it never shrinks, as it would where it wraps. */
		assert_true(delay_ns >= before_ns && delay_ns >= 1000000);
		before_ns = delay_ns;
	}
	sonde_error_free(sonde_retry_call_end(&call));
	ok(sonde_retry_run(&object.retry, operate, NULL, NULL));
}

static void budget_use(void)
{
	(void)sonde_retry_budget_left(&object.budget);
	sonde_retry_budget_add_call(&object.budget);
	assert_true(sonde_retry_budget_try_acquire(&object.budget));
}

static void limiter_use(void)
{
	uint64_t wait_ns = 0;

	assert_true(sonde_limiter_try_acquire(&object.limiter, "a", 1, NULL));
	assert_true(sonde_limiter_try_acquire(&object.limiter, NULL, 1, NULL));
	ok(sonde_limiter_acquire(&object.limiter, "b", 1, NULL));
	(void)sonde_limiter_wait_ns(&object.limiter, "a", UINT32_MAX);
	if (!sonde_limiter_try_acquire(&object.limiter, "a", UINT32_MAX, &wait_ns))
		assert_true(wait_ns > 0);
}

static void limiter_full_use(void)
{
	struct sonde_limiter_figures figures;

	limiter_use();
	sonde_limiter_read(&object.limiter, &figures);
	assert_true(figures.n_keys_max >= SONDE_LIMITER_KEYS_MAX);
	assert_true(figures.n_keys_max < SONDE_LIMITER_KEYS_MAX + 7);
}

static void policy_use(void)
{
	ok(sonde_policy_run(&object.policy, operate, NULL, NULL));
}

static void watchdog_use(void)
{
	sonde_watchdog_feed(&object.watchdog);
	assert_int_equal(sonde_watchdog_check(&object.watchdog), SONDE_WATCHDOG_TURNING);
	assert_int_equal(sonde_watchdog_check(&object.watchdog), SONDE_WATCHDOG_TURNING);
}

/* ---- The tables ------------------------------------------------------------------------------ */

#define INVALID SONDE_E_INVALID
/* Or, where the machine has not that much, SONDE_E_NOMEM or SONDE_E_SYSTEM. */
#define WORKS SONDE_OK
#define NO_THREAD SONDE_E_SYSTEM

struct outcome {
	int status;
	void (*use)(void);
	int line;
};

static void check(int status, const struct outcome *wanted, void (*use)(void))
{
	bool lacks = wanted->status == WORKS &&
		     (status == SONDE_E_NOMEM || status == SONDE_E_SYSTEM);

	if (status != wanted->status && !lacks)
		fail_msg("line %d: status %d, not %d", wanted->line, status, wanted->status);
	n_run = 0;
	if (status == SONDE_OK)
		(wanted->use ? wanted->use : use)();
}

/* Each row is options with what comes of them; `use`: what is done with one that is made. */
#define TABLE(kind, use, ...) \
	static void test_##kind(void **state) \
	{ \
		static const struct { \
			struct outcome outcome; \
			struct sonde_##kind##_options options; \
		} rows[] = { __VA_ARGS__ }; \
\
		(void)state; \
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) { \
			memset(&object, 0, sizeof(object)); \
			check(sonde_##kind##_init((void *)&object, &rows[i].options), \
			      &rows[i].outcome, use); \
			sonde_##kind##_deinit((void *)&object); \
		} \
	}
#define ROW(status, ...) { { status, NULL, __LINE__ }, { __VA_ARGS__ } },
#define ROW_USED(status, use, ...) { { status, use, __LINE__ }, { __VA_ARGS__ } },

static void *slots[1];

/* clang-format off */
TABLE(queue, queue_use,
	ROW(INVALID, .capacity = SIZE_MAX)
	ROW(INVALID, .capacity = SIZE_MAX / sizeof(void *) + 1)
	ROW(INVALID, .capacity = SIZE_MAX / sizeof(void *) + 1, .slots = slots)
	ROW(INVALID, .capacity = ((size_t)1 << 24) + 1)
	ROW(INVALID, .policy = (enum sonde_queue_policy)INT_MAX)
	ROW(WORKS, .capacity = (size_t)1 << 24)
	ROW(WORKS, .slow_ms = UINT64_MAX)
	ROW(WORKS, .slow_ms = UINT64_MAX - 1)
	ROW(WORKS, .slow_ms = PAST_MS))

TABLE(stream, stream_use,
	ROW(INVALID, .capacity = SIZE_MAX)
	ROW(INVALID, .capacity = SIZE_MAX / sizeof(void *) + 1)
	ROW(INVALID, .capacity = ((size_t)1 << 24) + 1)
	ROW(WORKS, .capacity = (size_t)1 << 24)
	ROW(WORKS, .item_timeout_ms = UINT64_MAX)
	ROW(WORKS, .item_timeout_ms = PAST_MS)
	ROW(WORKS, .slow_ms = PAST_MS)
	ROW(WORKS, .progress_ms = UINT64_MAX)
	ROW(WORKS, .progress_ms = PAST_MS))

TABLE(pool, pool_use,
	ROW(INVALID, .threads = 4097)
	ROW(INVALID, .threads = UINT32_MAX - 1)
	ROW(INVALID, .capacity = (1 << 20) + 1)
	ROW(INVALID, .capacity = UINT32_MAX)
	ROW(INVALID, .policy = (enum sonde_queue_policy)INT_MAX)
	ROW_USED(WORKS, pool_without_threads_use, .threads = SONDE_POOL_NO_THREADS)
	ROW(WORKS, .threads = 1, .capacity = 1 << 20)
	ROW(WORKS, .threads = 1, .stack_size = 1)
	ROW(NO_THREAD, .threads = 1, .stack_size = SIZE_MAX)
	ROW(NO_THREAD, .threads = 1, .stack_size = SIZE_MAX - 4096)
	ROW(NO_THREAD, .threads = 1, .stack_size = SIZE_MAX / 2))

TABLE(batcher, batcher_use,
	ROW(INVALID, .handle = handle, .max_items = UINT32_MAX)
	ROW(INVALID, .handle = handle, .max_items = UINT32_MAX / 10 + 1)
	ROW(INVALID, .handle = handle, .max_items = SONDE_BATCHER_ITEMS_MAX + 1)
	ROW(INVALID, .handle = handle, .max_keys = UINT32_MAX)
	ROW(INVALID, .handle = handle, .max_waiting = UINT32_MAX)
	ROW(INVALID, .handle = handle, .concurrency = UINT32_MAX)
	ROW(INVALID, .handle = handle, .concurrency = SONDE_BATCHER_CONCURRENCY_MAX + 1)
	ROW(INVALID, .handle = handle, .policy = (enum sonde_batcher_policy)INT_MAX)
	ROW(WORKS, .handle = handle, .max_keys = SONDE_BATCHER_ITEMS_MAX, .max_items = 1)
	ROW(WORKS, .handle = handle, .max_items = SONDE_BATCHER_ITEMS_MAX, .max_waiting = 1)
	ROW(WORKS, .handle = handle, .max_bytes = UINT64_MAX, .delay_ms = UINT64_MAX)
	ROW(WORKS, .handle = handle, .delay_ms = PAST_MS, .wait_ms = PAST_MS)
	ROW(WORKS, .handle = handle, .max_bytes = 1))

TABLE(group, group_use,
	ROW(INVALID, .max_tasks = UINT32_MAX)
	ROW(INVALID, .max_tasks = (1 << 20) + 1)
	ROW(INVALID, .mode = (enum sonde_group_mode)INT_MAX)
	ROW(WORKS, .max_tasks = 1 << 20, .max_running = UINT32_MAX)
	ROW(WORKS, .limit_ms = UINT64_MAX, .slow_leave_ms = UINT64_MAX)
	ROW(WORKS, .limit_ms = PAST_MS, .slow_leave_ms = PAST_MS)
	ROW(WORKS, .stack_size = 1)
	ROW(WORKS, .stack_size = SIZE_MAX)
	ROW(WORKS, .stack_size = SIZE_MAX / 2))

TABLE(emitter, emitter_use,
	ROW(INVALID, .max_subscriptions = UINT32_MAX)
	ROW(INVALID, .max_subscriptions = SONDE_EMITTER_SUBSCRIPTIONS_MAX + 1)
	ROW(WORKS, .max_subscriptions = SONDE_EMITTER_SUBSCRIPTIONS_MAX)
	ROW(WORKS, .max_depth = UINT32_MAX))

TABLE(bulkhead, bulkhead_use,
	ROW(INVALID, .limit = UINT32_MAX)
	ROW(INVALID, .limit = SONDE_BULKHEAD_LIMIT_MAX + 1u)
	ROW(INVALID, .max_limit = UINT32_MAX)
	ROW(INVALID, .shared = true, .limit = SONDE_BULKHEAD_SHARED_MAX + 1)
	ROW(INVALID, .shared = true, .max_limit = UINT32_MAX)
	ROW(INVALID, .shared = true, .max_queue = UINT32_MAX - 1)
	ROW(WORKS, .limit = SONDE_BULKHEAD_LIMIT_MAX, .max_queue = UINT32_MAX)
	ROW(WORKS, .max_wait_ms = UINT64_MAX)
	ROW(WORKS, .max_wait_ms = PAST_MS)
	ROW(WORKS, .shared = true, .limit = SONDE_BULKHEAD_SHARED_MAX, .max_queue = UINT32_MAX)
	ROW(WORKS, .shared = true, .max_wait_ms = PAST_MS))

TABLE(breaker, breaker_use,
	ROW(INVALID, .failures = UINT32_MAX)
	ROW(INVALID, .failures = SONDE_BREAKER_FAILURES_MAX + 1)
	ROW(INVALID, .mode = (enum sonde_breaker_mode)INT_MAX)
	ROW(INVALID, .mode = SONDE_BREAKER_COUNT_WINDOW, .window_calls = UINT32_MAX)
	ROW(INVALID, .mode = SONDE_BREAKER_COUNT_WINDOW, .minimum_calls = UINT32_MAX)
	ROW(INVALID, .mode = SONDE_BREAKER_COUNT_WINDOW, .failure_rate = DBL_MAX)
	ROW(INVALID, .mode = SONDE_BREAKER_COUNT_WINDOW, .slow_rate = NAN)
	ROW(INVALID, .half_open_calls = UINT32_MAX)
	ROW(INVALID, .half_open_at_once = UINT32_MAX)
	ROW(INVALID, .reset_factor = INFINITY)
	ROW(INVALID, .reset_factor = NAN)
	ROW(INVALID, .reset_jitter = NAN)
	ROW(INVALID, .n_failure_types = SIZE_MAX)
	ROW(INVALID, .n_ignored_types = SIZE_MAX)
	ROW(INVALID, .reset_ms = PAST_MS, .reset_max_ms = 1)
	ROW(WORKS, .failures = SONDE_BREAKER_FAILURES_MAX)
	ROW(WORKS, .mode = SONDE_BREAKER_TIME_WINDOW, .window_ms = UINT64_MAX,
	    .minimum_calls = UINT32_MAX, .slow_call_ms = UINT64_MAX)
	ROW(WORKS, .mode = SONDE_BREAKER_TIME_WINDOW, .window_ms = PAST_MS, .slow_call_ms = PAST_MS)
	ROW(WORKS, .trial_timeout_ms = UINT64_MAX)
	ROW(WORKS, .trial_timeout_ms = PAST_MS)
	ROW_USED(WORKS, breaker_never_use, .reset_ms = UINT64_MAX)
	ROW_USED(WORKS, breaker_never_use, .reset_ms = PAST_MS)
	ROW_USED(WORKS, breaker_never_use, .reset_ms = PAST_MS - 1, .reset_jitter = 1.0,
		 .reset_factor = 1e9))

#define UNTIL_THE_END .attempts = UINT32_MAX, .jitter = SONDE_JITTER_NONE
TABLE(retry, retry_use,
	ROW(INVALID, .factor = INFINITY)
	ROW(INVALID, .factor = NAN)
	ROW(INVALID, .jitter = (enum sonde_jitter)INT_MAX)
	ROW(INVALID, .n_types = SIZE_MAX)
	ROW(WORKS, UNTIL_THE_END)
	ROW(WORKS, .attempts = UINT32_MAX - 1, .jitter = SONDE_JITTER_NONE)
	ROW(WORKS, UNTIL_THE_END, .first_delay_ms = UINT64_MAX, .max_delay_ms = UINT64_MAX)
	ROW(WORKS, UNTIL_THE_END, .first_delay_ms = PAST_MS, .max_delay_ms = PAST_MS)
	ROW(WORKS, UNTIL_THE_END, .factor = 1e6, .max_delay_ms = UINT64_MAX)
	ROW(WORKS, UNTIL_THE_END, .attempt_timeout_ms = PAST_MS, .max_retry_after_ms = PAST_MS))

TABLE(retry_budget, budget_use,
	ROW(INVALID, .burst = UINT32_MAX)
	ROW(INVALID, .burst = 1000001)
	ROW(INVALID, .ratio = INFINITY)
	ROW(INVALID, .ratio = NAN)
	ROW(INVALID, .min_per_second = INFINITY)
	ROW(INVALID, .min_per_second = DBL_MIN)
	ROW(INVALID, .min_per_second = NAN)
	ROW(WORKS, .burst = 1000000, .ratio = 1000, .min_per_second = 1e6)
	ROW(WORKS, .burst = 1000000, .ratio = 1000, .min_per_second = 0.001)
	ROW(WORKS, .ratio = 1000, .min_per_second = -INFINITY)
	ROW(WORKS, .ratio = -INFINITY))

TABLE(limiter, limiter_use,
	ROW(INVALID, .max_keys = UINT32_MAX)
	ROW(INVALID, .max_keys = UINT32_MAX - 4)
	ROW(INVALID, .max_keys = SONDE_LIMITER_KEYS_MAX + 1)
	ROW(INVALID, .period_ms = UINT64_MAX)
	ROW(INVALID, .period_ms = PAST_MS)
	ROW(INVALID, .permits = 1, .burst = UINT32_MAX)
	ROW(INVALID, .permits = UINT32_MAX, .burst = UINT32_MAX, .period_ms = UINT64_MAX / 2000000)
	ROW(INVALID, .overflow = (enum sonde_limiter_overflow)INT_MAX)
	ROW_USED(WORKS, limiter_full_use, .max_keys = SONDE_LIMITER_KEYS_MAX)
	ROW(WORKS, .permits = UINT32_MAX, .burst = UINT32_MAX, .period_ms = 1)
	ROW(WORKS, .max_wait_ms = UINT64_MAX)
	ROW(WORKS, .max_wait_ms = PAST_MS))

TABLE(policy, policy_use,
	ROW(WORKS, .timeout_ms = UINT64_MAX)
	ROW(WORKS, .timeout_ms = UINT64_MAX - 1)
	ROW(WORKS, .timeout_ms = PAST_MS))

TABLE(watchdog, watchdog_use,
	ROW(INVALID, .signal = INT_MAX)
	ROW(INVALID, .signal = INT_MIN)
	ROW(INVALID, .signal = 65)
	ROW(WORKS, .stall_ms = UINT64_MAX)
	ROW(WORKS, .stall_ms = PAST_MS)
	ROW(WORKS, .stall_ms = PAST_MS, .is_without_thread = true))
/* clang-format on */

static void test_deadline(void **state)
{
	const uint64_t limits_ms[] = { UINT64_MAX, UINT64_MAX - 1, PAST_MS };
	struct sonde_deadline deadline;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sonde_deadline_begin(&deadline, limits_ms[i], NULL);
		assert_false(sonde_deadline_is_over(NULL));
		assert_int_equal(sonde_deadline_poll_ms(NULL), -1);
		sonde_deadline_end(&deadline);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batcher),	      cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_bulkhead),      cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_emitter),	      cmocka_unit_test(test_group),
		cmocka_unit_test(test_limiter),	      cmocka_unit_test(test_policy),
		cmocka_unit_test(test_pool),	      cmocka_unit_test(test_queue),
		cmocka_unit_test(test_retry),	      cmocka_unit_test(test_retry_budget),
		cmocka_unit_test(test_stream),	      cmocka_unit_test(test_watchdog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
