/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every object of the toolkit ends with its block: what it held is given back, and one that was
 * never initialised, because the function was left before, does no harm. Run with AddressSanitizer
 * it sees the memory; here descriptors and threads are counted.
 */

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/batcher.h>
#include <sonde/breaker.h>
#include <sonde/bulkhead.h>
#include <sonde/cancel.h>
#include <sonde/deadline.h>
#include <sonde/emitter.h>
#include <sonde/exit_stack.h>
#include <sonde/group.h>
#include <sonde/limiter.h>
#include <sonde/lock.h>
#include <sonde/policy.h>
#include <sonde/pool.h>
#include <sonde/queue.h>
#include <sonde/retry.h>
#include <sonde/stream.h>
#include <sonde/watchdog.h>

static struct sonde_error *succeed(void *argument)
{
	++*(int *)argument;
	return NULL;
}

static void call(void *argument)
{
	++*(int *)argument;
}

/* ---- Each object in a block of its own ------------------------------------------------------- */

static void leave_errors(int *n)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "no");

	*n += error != NULL;
}

static void leave_cancel(int *n)
{
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel parent;
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;

	*n += sonde_cancel_init(&parent, NULL) == SONDE_OK;
	sonde_cancel_init(&cancel, &parent);
	assert_true(sonde_cancel_fd(&parent) >= 0);
	assert_true(sonde_cancel_fd(&cancel) >= 0);
}

static void leave_deadline(int *n)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

	sonde_deadline_begin(&deadline, 1000, NULL);
	*n += sonde_deadline_moment_ns() != UINT64_MAX;
}

static void leave_exit_stack(int *n)
{
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;
	int before = *n;

	sonde_exit_stack_init(&stack, NULL);
	for (int i = 0; i < 40; i++)
		sonde_exit_stack_push(&stack, call, n);
	assert_int_equal(*n, before);
}

static void leave_queue(int *n)
{
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;

	*n += sonde_queue_init(&queue, NULL) == SONDE_OK;
	assert_true(sonde_queue_fd(&queue) >= 0);
	assert_int_equal(sonde_queue_try_push(&queue, n), SONDE_OK);
}

static void leave_locks(int *n)
{
	SONDE_MUTEX_AUTODEINIT struct sonde_mutex mutex;
	SONDE_RWLOCK_AUTODEINIT struct sonde_rwlock rwlock;
	SONDE_CONDITION_AUTODEINIT struct sonde_condition condition;

	*n += sonde_mutex_init(&mutex, NULL) == SONDE_OK;
	sonde_rwlock_init(&rwlock, NULL);
	sonde_condition_init(&condition, NULL);
	SONDE_LOCK_SCOPE(&mutex);
	{
		SONDE_READ_SCOPE(&rwlock);
		assert_false(sonde_rwlock_write_try_lock(&rwlock));
	}
	SONDE_WRITE_SCOPE(&rwlock);
	sonde_condition_broadcast(&condition);
	assert_false(sonde_mutex_try_lock(&mutex));
}

static void leave_retry(int *n)
{
	SONDE_RETRY_BUDGET_AUTODEINIT struct sonde_retry_budget budget;
	SONDE_RETRY_AUTODEINIT struct sonde_retry retry;
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call_of_it;
	uint64_t delay_ns;

	sonde_retry_budget_init(&budget, NULL);
	*n += sonde_retry_init(&retry, &(struct sonde_retry_options){ .budget = &budget }) ==
	      SONDE_OK;
	sonde_retry_call_begin(&call_of_it, &retry);
	assert_true(sonde_retry_call_report(&call_of_it,
					    sonde_error_raise(&sonde_unavailable, "no"),
					    SONDE_RETRY_NO_WISH, &delay_ns));
}

static void leave_breaker(int *n)
{
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker;
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker shared;
	struct sonde_breaker_options options = { .mode = SONDE_BREAKER_COUNT_WINDOW };

	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
	options.shared = true;
	assert_int_equal(sonde_breaker_init(&shared, &options), SONDE_OK);
	assert_null(sonde_breaker_run(&breaker, succeed, n));
	assert_null(sonde_breaker_run(&shared, succeed, n));
}

static void leave_bulkhead(int *n)
{
	SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead bulkhead;
	SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead shared;

	sonde_bulkhead_init(&bulkhead, NULL);
	assert_int_equal(sonde_bulkhead_init(&shared, &(struct sonde_bulkhead_options){
							      .limit = 2, .shared = true }),
			 SONDE_OK);
	assert_null(sonde_bulkhead_run(&bulkhead, NULL, succeed, n));
	assert_true(sonde_bulkhead_try_acquire(&shared));
}

static void leave_limiter(int *n)
{
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;

	*n += sonde_limiter_init(&limiter, NULL) == SONDE_OK;
	assert_true(sonde_limiter_try_acquire(&limiter, "somebody", 1, NULL));
}

static struct sonde_error *handle(void *user, const struct sonde_event *event)
{
	(void)event;
	return succeed(user);
}

static void leave_emitter(int *n)
{
	const struct sonde_subscription subscription = { .is_for_all = true,
							 .handle = handle,
							 .user = n };
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter;

	sonde_emitter_init(&emitter, NULL);
	sonde_emitter_subscribe(&emitter, &subscription, NULL);
	assert_int_equal(sonde_emitter_emit(&emitter, &(struct sonde_event){ .name = "e" }), 1);
}

static struct sonde_error *produce(struct sonde_stream *stream, void *argument)
{
	/* Until the consumer has left. */
	for (;;) {
		struct sonde_error *error = sonde_stream_push(stream, argument, NULL);

		if (error)
			return error;
	}
}

static void leave_stream(int *n)
{
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	void *item;

	sonde_stream_init(&stream, NULL);
	assert_true(sonde_stream_fd(&stream) >= 0);
	assert_int_equal(sonde_stream_start(&stream, produce, n), SONDE_OK);
	assert_null(sonde_stream_next(&stream, NULL, &item));
	*n += item == n;
}

static void leave_group(int *n)
{
	SONDE_GROUP_AUTODEINIT struct sonde_group group;

	*n += sonde_group_init(&group, NULL) == SONDE_OK;
	assert_true(sonde_group_fd(&group) >= 0);
	assert_int_equal(sonde_group_spawn(&group, NULL, succeed, n, NULL), SONDE_OK);
}

static struct sonde_error *handle_batch(void *user, struct sonde_batcher_batch *batch)
{
	(void)batch;
	return succeed(user);
}

static void leave_batcher(int *n)
{
	const struct sonde_batcher_options options = { .handle = handle_batch, .user = n };
	const struct sonde_batcher_item item = { .value = n };
	SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher;
	SONDE_BATCHER_TICKET_AUTODEINIT struct sonde_batcher_ticket ticket = { { 0 } };

	*n += sonde_batcher_init(&batcher, &options) == SONDE_OK;
	assert_null(sonde_batcher_add(&batcher, &item, &ticket, NULL));
}

static struct sonde_error *fail_once(void *argument)
{
	++*(int *)argument;
	return sonde_error_raise(&sonde_unavailable, "no");
}

static void leave_policy(int *n)
{
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker;
	SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead bulkhead;
	SONDE_POLICY_AUTODEINIT struct sonde_policy policy;
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call call_of_it;
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
	struct sonde_policy_options options = { .breaker = &breaker, .bulkhead = &bulkhead };
	uint64_t limit_ns;

	sonde_breaker_init(&breaker, NULL);
	sonde_bulkhead_init(&bulkhead, NULL);
	assert_int_equal(sonde_policy_init(&policy, &options), SONDE_OK);
	error = sonde_policy_run(&policy, fail_once, n, NULL);
	assert_non_null(error);
	sonde_policy_call_begin(&call_of_it, &policy, n);
	/* Left with a permit taken, and no report. */
	assert_int_equal(sonde_policy_call_next(&call_of_it, &limit_ns), SONDE_POLICY_GO);
}

static struct sonde_error *task(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	*ret_result = argument;
	return NULL;
}

static void leave_pool(int *n)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
	SONDE_FUTURE_AUTODEINIT struct sonde_future forgotten = { { 0 } };
	void *result;

	assert_int_equal(sonde_pool_init(&pool, &(struct sonde_pool_options){ .threads = 2 }),
			 SONDE_OK);
	assert_null(sonde_pool_submit(&pool, task, n, NULL, &future));
	assert_null(sonde_pool_submit(&pool, task, n, NULL, &forgotten));
	assert_true(sonde_future_fd(&forgotten) >= 0);
	assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, &result));
	*n += result == n;
}

static void leave_watchdog(int *n)
{
	SONDE_WATCHDOG_AUTODEINIT struct sonde_watchdog watchdog;

	*n += sonde_watchdog_init(&watchdog, NULL) == SONDE_OK;
	sonde_watchdog_feed(&watchdog);
}

typedef void leave_fn(int *n);
static leave_fn *const blocks[] = {
	leave_errors, leave_cancel, leave_deadline, leave_exit_stack, leave_queue, leave_locks,
	leave_retry, leave_breaker, leave_bulkhead, leave_limiter, leave_emitter, leave_stream,
	leave_group, leave_pool, leave_batcher, leave_policy, leave_watchdog,
};

/* ---- What is left ---------------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
	DIR *folder = opendir(path);
	size_t n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

/* A thread that was joined may still be seen for a moment. */
static void assert_threads(size_t wanted)
{
	size_t n = wanted + 1;

	for (int i = 0; i < 10000 && n > wanted; i++)
		n = count_entries("/proc/self/task");
	assert_true(n <= wanted);
}

static void *begin_and_end(void *argument)
{
	return argument;
}

/* A sanitizer begins a thread of its own with the first one. */
static int begin_a_thread(void **state)
{
	pthread_t thread;

	(void)state;
	return pthread_create(&thread, NULL, begin_and_end, NULL) || pthread_join(thread, NULL);
}

static void test_each_gives_back_what_it_held(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		size_t n_threads = count_entries("/proc/self/task");
		size_t n_fds = count_entries("/proc/self/fd");
		int n = 0;

		for (int round = 0; round < 10; round++)
			blocks[i](&n);
		assert_true(n >= 10);
		assert_int_equal(count_entries("/proc/self/fd"), n_fds);
		assert_threads(n_threads);
		assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	}
}

/* Left before anything was initialised. */
static int leave_at_once(bool early)
{
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel = { { 0 } };
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline = { { 0 } };
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack = { { 0 } };
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue = { { 0 } };
	SONDE_MUTEX_AUTODEINIT struct sonde_mutex mutex = SONDE_MUTEX_INIT;
	SONDE_RWLOCK_AUTODEINIT struct sonde_rwlock rwlock = SONDE_RWLOCK_INIT;
	SONDE_CONDITION_AUTODEINIT struct sonde_condition condition = SONDE_CONDITION_INIT;
	SONDE_RETRY_BUDGET_AUTODEINIT struct sonde_retry_budget budget = { { 0 } };
	SONDE_RETRY_AUTODEINIT struct sonde_retry retry = { { 0 } };
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call retry_call = { { 0 } };
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker = { { 0 } };
	SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead bulkhead = { { 0 } };
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter = { { 0 } };
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter = { { 0 } };
	SONDE_GROUP_AUTODEINIT struct sonde_group group = { { 0 } };
	SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher = { { 0 } };
	SONDE_BATCHER_TICKET_AUTODEINIT struct sonde_batcher_ticket ticket = { { 0 } };
	SONDE_POLICY_AUTODEINIT struct sonde_policy policy = { { 0 } };
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call policy_call = { { 0 } };
	SONDE_POOL_AUTODEINIT struct sonde_pool pool = { { 0 } };
	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream = { { 0 } };
	SONDE_WATCHDOG_AUTODEINIT struct sonde_watchdog watchdog = { { 0 } };
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;

	if (early)
		return 1;
	error = sonde_deadline_error(NULL);
	return 2;
}

static void test_none_does_harm_before_its_init(void **state)
{
	size_t n_fds = count_entries("/proc/self/fd");

	(void)state;
	assert_int_equal(leave_at_once(true), 1);
	assert_int_equal(leave_at_once(false), 2);
	assert_int_equal(count_entries("/proc/self/fd"), n_fds);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

/* An init that fails, in memory that was never zero, and the end of the block all the same. */
#define AFTER_NO_INIT(noun, owned, ...) \
	static void noun##_after_no_init(void) \
	{ \
		const struct sonde_##noun##_options options = { __VA_ARGS__ }; \
		owned struct sonde_##noun object; \
\
		memset(&object, 0xa5, sizeof(object)); \
		assert_int_equal(sonde_##noun##_init(&object, &options), SONDE_E_INVALID); \
	}

AFTER_NO_INIT(queue, SONDE_QUEUE_AUTODEINIT, .capacity = SIZE_MAX)
AFTER_NO_INIT(pool, SONDE_POOL_AUTODEINIT, .threads = 5000)
AFTER_NO_INIT(stream, SONDE_STREAM_AUTODEINIT, .capacity = SIZE_MAX)
AFTER_NO_INIT(breaker, SONDE_BREAKER_AUTODEINIT, .failure_rate = 5.0)
AFTER_NO_INIT(bulkhead, SONDE_BULKHEAD_AUTODEINIT, .limit = UINT32_MAX)
AFTER_NO_INIT(limiter, SONDE_LIMITER_AUTODEINIT, .overflow = 77)
AFTER_NO_INIT(emitter, SONDE_EMITTER_AUTODEINIT, .max_subscriptions = UINT32_MAX)
AFTER_NO_INIT(batcher, SONDE_BATCHER_AUTODEINIT, .max_items = UINT32_MAX)
AFTER_NO_INIT(group, SONDE_GROUP_AUTODEINIT, .mode = 77)
AFTER_NO_INIT(watchdog, SONDE_WATCHDOG_AUTODEINIT, .signal = 1)

static void test_none_does_harm_after_its_init_failed(void **state)
{
	(void)state;
	queue_after_no_init();
	pool_after_no_init();
	stream_after_no_init();
	breaker_after_no_init();
	bulkhead_after_no_init();
	limiter_after_no_init();
	emitter_after_no_init();
	batcher_after_no_init();
	group_after_no_init();
	watchdog_after_no_init();
}

/* A second end, by hand and by the block. */
static void test_ends_by_hand_and_by_the_block(void **state)
{
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;
	int n = 0;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	assert_true(sonde_cancel_fd(&cancel) >= 0);
	sonde_cancel_deinit(&cancel);
	sonde_deadline_begin(&deadline, 1000, NULL);
	sonde_deadline_end(&deadline);
	sonde_exit_stack_init(&stack, NULL);
	sonde_exit_stack_push(&stack, call, &n);
	sonde_exit_stack_deinit(&stack);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_gives_back_what_it_held),
		cmocka_unit_test(test_none_does_harm_before_its_init),
		cmocka_unit_test(test_none_does_harm_after_its_init_failed),
		cmocka_unit_test(test_ends_by_hand_and_by_the_block),
	};

	return cmocka_run_group_tests(tests, begin_a_thread, /* group_teardown= */ NULL);
}
