/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every wait of the toolkit spends the context's deadline: without a limit of its own it ends
 * exactly then, and where the deadline is over it does not wait at all. What it ends with has the
 * deadline's type. On virtual time, but for groups and pools, whose tasks are on threads.
 */

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/batcher.h>
#include <sonde/bulkhead.h>
#include <sonde/cancel.h>
#include <sonde/deadline.h>
#include <sonde/emitter.h>
#include <sonde/group.h>
#include <sonde/limiter.h>
#include <sonde/lock.h>
#include <sonde/policy.h>
#include <sonde/pool.h>
#include <sonde/queue.h>
#include <sonde/retry.h>
#include <sonde/stream.h>

#include "support/virtual_clock.h"

/* Everything that can be waited for, and will not come. */
struct rig {
	struct virtual_clock clock;
	struct sonde_queue full;
	struct sonde_queue empty;
	struct sonde_bulkhead bulkhead;
	struct sonde_bulkhead shared;
	struct sonde_limiter limiter;
	struct sonde_mutex mutex;
	struct sonde_rwlock rwlock;
	struct sonde_condition condition;
	struct sonde_mutex own; /* The main thread's. */
	struct sonde_retry retry;
	struct sonde_stream stuffed;
	struct sonde_stream dry;
	struct sonde_batcher batcher; /* Without a handler. */
	struct sonde_batcher_ticket ticket;
	struct sonde_policy policy; /* Around the bulkhead. */
	struct sonde_emitter emitter;
	uint64_t subscription;
	pthread_t holder;
	sem_t is_held;
	sem_t is_over;
};

static void hold(struct rig *rig)
{
	sem_post(&rig->is_held);
	while (sem_wait(&rig->is_over))
		;
}

static struct sonde_error *handle(void *user, const struct sonde_event *event)
{
	(void)event;
	hold(user);
	return NULL;
}

/* Another thread, which has the locks and is in a handler. */
static void *hold_all(void *argument)
{
	struct rig *rig = argument;

	sonde_mutex_lock(&rig->mutex);
	sonde_rwlock_write_lock(&rig->rwlock);
	sonde_emitter_emit(&rig->emitter, &(struct sonde_event){ .name = "hold" });
	sonde_rwlock_write_unlock(&rig->rwlock);
	sonde_mutex_unlock(&rig->mutex);
	return NULL;
}

static void rig_init_locks(struct rig *rig, const struct sonde_clock *clock)
{
	struct sonde_lock_options options = { .clock = clock, .slow_wait_ms = UINT64_MAX };

	sonde_mutex_init(&rig->mutex, &options);
	sonde_mutex_init(&rig->own, &options);
	sonde_rwlock_init(&rig->rwlock, &options);
	sonde_condition_init(&rig->condition, &options);
	sonde_mutex_lock(&rig->own);
}

static void rig_init_queues(struct rig *rig, const struct sonde_clock *clock)
{
	struct sonde_queue_options queue = { .capacity = 1, .clock = clock };
	struct sonde_stream_options stream = { .capacity = 1, .clock = clock };

	sonde_queue_init(&rig->full, &queue);
	sonde_queue_init(&rig->empty, &queue);
	assert_int_equal(sonde_queue_try_push(&rig->full, rig), SONDE_OK);
	sonde_stream_init(&rig->stuffed, &stream);
	sonde_stream_init(&rig->dry, &stream);
	while (!sonde_stream_try_push(&rig->stuffed, rig))
		;
}

static void rig_init_limits(struct rig *rig, const struct sonde_clock *clock)
{
	struct sonde_bulkhead_options bulkhead = { .limit = 1,
						   .max_queue = 10,
						   .max_wait_ms = UINT64_MAX,
						   .clock = clock };
	struct sonde_limiter_options limiter = { .permits = 1,
						 .period_ms = 60000,
						 .max_wait_ms = UINT64_MAX,
						 .clock = clock };
	struct sonde_retry_options retry = { .attempts = UINT32_MAX,
					     .first_delay_ms = 7,
					     .factor = 1.0,
					     .jitter = SONDE_JITTER_NONE,
					     .clock = clock };

	sonde_bulkhead_init(&rig->bulkhead, &bulkhead);
	assert_true(sonde_bulkhead_try_acquire(&rig->bulkhead));
	bulkhead.shared = true;
	assert_int_equal(sonde_bulkhead_init(&rig->shared, &bulkhead), SONDE_OK);
	assert_true(sonde_bulkhead_try_acquire(&rig->shared));
	sonde_limiter_init(&rig->limiter, &limiter);
	assert_true(sonde_limiter_try_acquire(&rig->limiter, NULL, 1, NULL));
	sonde_retry_init(&rig->retry, &retry);
}

static void rig_init_batcher(struct rig *rig, const struct sonde_clock *clock)
{
	struct sonde_batcher_options options = { .max_waiting = 1, .clock = clock };
	struct sonde_batcher_item item = { .value = rig };

	assert_int_equal(sonde_batcher_init(&rig->batcher, &options), SONDE_OK);
	assert_null(sonde_batcher_try_add(&rig->batcher, &item, &rig->ticket));
}

static int rig_init(void **state)
{
	static struct rig rig;
	const struct sonde_clock *clock = &rig.clock.clock;
	struct sonde_subscription subscription = { .event = "hold", .handle = handle, .user = &rig };

	/* A test that failed was left by a jump: its deadline is still there. */
	sonde_context_attach(NULL);
	memset(&rig, 0, sizeof(rig));
	virtual_clock_init(&rig.clock, 5 * SECOND);
	rig_init_locks(&rig, clock);
	rig_init_queues(&rig, clock);
	rig_init_limits(&rig, clock);
	rig_init_batcher(&rig, clock);
	sonde_policy_init(&rig.policy, &(struct sonde_policy_options){ .bulkhead = &rig.bulkhead,
								       .clock = clock });
	sonde_emitter_init(&rig.emitter, &(struct sonde_emitter_options){ .clock = clock });
	sonde_emitter_subscribe(&rig.emitter, &subscription, &rig.subscription);
	sem_init(&rig.is_held, 0, 0);
	sem_init(&rig.is_over, 0, 0);
	assert_int_equal(pthread_create(&rig.holder, NULL, hold_all, &rig), 0);
	while (sem_wait(&rig.is_held))
		;
	*state = &rig;
	return 0;
}

static int rig_deinit(void **state)
{
	struct rig *rig = *state;

	sem_post(&rig->is_over);
	pthread_join(rig->holder, NULL);
	sonde_mutex_unlock(&rig->own);
	sonde_mutex_deinit(&rig->own);
	sonde_mutex_deinit(&rig->mutex);
	sonde_rwlock_deinit(&rig->rwlock);
	sonde_condition_deinit(&rig->condition);
	sonde_queue_deinit(&rig->full);
	sonde_queue_deinit(&rig->empty);
	sonde_stream_deinit(&rig->stuffed);
	sonde_stream_deinit(&rig->dry);
	sonde_bulkhead_deinit(&rig->bulkhead);
	sonde_bulkhead_deinit(&rig->shared);
	sonde_limiter_deinit(&rig->limiter);
	sonde_retry_deinit(&rig->retry);
	sonde_policy_deinit(&rig->policy);
	sonde_batcher_ticket_deinit(&rig->ticket);
	sonde_batcher_deinit(&rig->batcher);
	sonde_emitter_deinit(&rig->emitter);
	sem_destroy(&rig->is_held);
	sem_destroy(&rig->is_over);
	return 0;
}

/* ---- The waits ------------------------------------------------------------------------------- */

static struct sonde_error *push(struct rig *rig)
{
	return sonde_queue_push(&rig->full, rig, UINT64_MAX, NULL);
}

static struct sonde_error *pop(struct rig *rig)
{
	void *item;

	return sonde_queue_pop(&rig->empty, UINT64_MAX, NULL, &item);
}

static struct sonde_error *acquire(struct rig *rig)
{
	return sonde_bulkhead_acquire(&rig->bulkhead, NULL);
}

static struct sonde_error *acquire_shared(struct rig *rig)
{
	return sonde_bulkhead_acquire(&rig->shared, NULL);
}

static struct sonde_error *lock(struct rig *rig)
{
	return sonde_mutex_lock_within(&rig->mutex, UINT64_MAX, NULL);
}

static struct sonde_error *lock_to_read(struct rig *rig)
{
	return sonde_rwlock_read_lock_within(&rig->rwlock, UINT64_MAX, NULL);
}

static struct sonde_error *lock_to_write(struct rig *rig)
{
	return sonde_rwlock_write_lock_within(&rig->rwlock, UINT64_MAX, NULL);
}

static struct sonde_error *wait(struct rig *rig)
{
	return sonde_condition_wait(&rig->condition, &rig->own, UINT64_MAX, NULL);
}

static bool is_never(void *user)
{
	(void)user;
	return false;
}

static struct sonde_error *wait_for(struct rig *rig)
{
	return sonde_condition_wait_for(&rig->condition, &rig->own, is_never, NULL, UINT64_MAX,
					NULL);
}

static struct sonde_error *stream_push(struct rig *rig)
{
	return sonde_stream_push(&rig->stuffed, rig, NULL);
}

static struct sonde_error *stream_next(struct rig *rig)
{
	void *item;

	return sonde_stream_next(&rig->dry, NULL, &item);
}

static struct sonde_error *stream_next_chunk(struct rig *rig)
{
	void *items[4];
	size_t n;

	return sonde_stream_next_chunk(&rig->dry, items, 4, UINT64_MAX, NULL, &n);
}

static struct sonde_error *add(struct rig *rig)
{
	return sonde_batcher_add(&rig->batcher, &(struct sonde_batcher_item){ .value = rig },
				 /* ticket= */ NULL, NULL);
}

static struct sonde_error *wait_for_ticket(struct rig *rig)
{
	return sonde_batcher_ticket_wait(&rig->ticket, NULL, /* ret_result= */ NULL);
}

static struct sonde_error *run_batched(struct rig *rig)
{
	return sonde_batcher_run(&rig->batcher, &(struct sonde_batcher_item){ .value = rig }, NULL,
				 /* ret_result= */ NULL);
}

static struct sonde_error *run_nothing(void *argument)
{
	(void)argument;
	return NULL;
}

static struct sonde_error *run_policy(struct rig *rig)
{
	return sonde_policy_run(&rig->policy, run_nothing, rig, NULL);
}

/* What says so by its status. */
static struct sonde_error *unsubscribe(struct rig *rig)
{
	int status = sonde_emitter_unsubscribe_wait(&rig->emitter, rig->subscription, NULL);

	assert_true(status == SONDE_INCOMPLETE || status == SONDE_E_NOT_FOUND);
	return sonde_deadline_error(NULL);
}

struct wait {
	const char *name;
	struct sonde_error *(*call)(struct rig *rig);
};

static const struct wait waits[] = {
	{ "queue push", push },
	{ "queue pop", pop },
	{ "bulkhead", acquire },
	{ "shared bulkhead", acquire_shared },
	{ "mutex", lock },
	{ "lock to read", lock_to_read },
	{ "lock to write", lock_to_write },
	{ "condition", wait },
	{ "condition that is so", wait_for },
	{ "stream push", stream_push },
	{ "stream next", stream_next },
	{ "stream chunk", stream_next_chunk },
	{ "batcher", add },
	{ "batcher's ticket", wait_for_ticket },
	{ "batcher's run", run_batched },
	{ "policy", run_policy },
	{ "unsubscribe", unsubscribe },
};

#define N_WAITS (sizeof(waits) / sizeof(waits[0]))

static void assert_waits(struct rig *rig, const struct wait *wait, uint64_t left_ns)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	uint64_t since_ns = rig->clock.now_ns;
	struct sonde_error *error;

	sonde_deadline_begin_ns(&deadline, left_ns, &rig->clock.clock);
	error = wait->call(rig);
	if (!sonde_error_is(error, &sonde_timeout) || rig->clock.now_ns - since_ns != left_ns)
		fail_msg("%s: waited %llu ns, not %llu, and ended with %s", wait->name,
			 (unsigned long long)(rig->clock.now_ns - since_ns),
			 (unsigned long long)left_ns, sonde_error_code(error));
	sonde_error_free(error);
}

static void test_each_wait_ends_at_the_deadline(void **state)
{
	for (size_t i = 0; i < N_WAITS; i++)
		assert_waits(*state, &waits[i], 123456789);
}

static void test_none_waits_when_it_is_over(void **state)
{
	for (size_t i = 0; i < N_WAITS; i++)
		assert_waits(*state, &waits[i], 0);
}

/* A deadline of the caller's caller, past which a longer one of the callee's does not reach. */
static void test_the_sooner_of_two_counts(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < N_WAITS; i++) {
		SONDE_DEADLINE_AUTOEND struct sonde_deadline outer;
		SONDE_DEADLINE_AUTOEND struct sonde_deadline inner;
		uint64_t since_ns = rig->clock.now_ns;

		sonde_deadline_begin_ns(&outer, 50 * MS, &rig->clock.clock);
		sonde_deadline_begin_ns(&inner, 90 * MS, &rig->clock.clock);
		sonde_error_free(waits[i].call(rig));
		assert_true(rig->clock.now_ns - since_ns == 50 * MS);
	}
}

/* ---- Those that do not wait for what cannot come in time ------------------------------------- */

static struct sonde_error *fail_always(void *argument)
{
	++*(uint32_t *)argument;
	return sonde_error_raise(&sonde_unavailable, "refused");
}

static void test_retry_begins_no_wait_past_it(void **state)
{
	struct rig *rig = *state;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	uint64_t since_ns = rig->clock.now_ns;
	struct sonde_error *error;
	uint32_t n = 0;

	sonde_deadline_begin_ns(&deadline, 30 * MS, &rig->clock.clock);
	error = sonde_retry_run(&rig->retry, fail_always, &n, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_non_null(sonde_error_find(error, &sonde_unavailable));
	/* At 0, 7, 14, 21 and 28 ms. */
	assert_int_equal(n, 5);
	assert_true(rig->clock.now_ns - since_ns == 28 * MS);
	sonde_error_free(error);
}

static void test_limiter_turns_away_who_would_wait_past_it(void **state)
{
	struct rig *rig = *state;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	uint64_t since_ns = rig->clock.now_ns;
	struct sonde_error *error;

	sonde_deadline_begin_ns(&deadline, 30 * SECOND, &rig->clock.clock);
	error = sonde_limiter_acquire(&rig->limiter, NULL, 1, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_rate_limited);
	assert_true(rig->clock.now_ns == since_ns);
	sonde_error_free(error);
	rig->clock.now_ns += 30 * SECOND;
	error = sonde_limiter_acquire(&rig->limiter, NULL, 1, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	sonde_error_free(error);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static struct sonde_error *wait_for_token(void *argument)
{
	struct sonde_cancel *token = argument;
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;
	void *item;

	sonde_queue_init(&queue, NULL);
	SONDE_DEADLINE_SHIELD();
	return sonde_queue_pop(&queue, UINT64_MAX, token, &item);
}

static void test_group_ends_at_it(void **state)
{
	SONDE_GROUP_AUTODEINIT struct sonde_group group;
	struct sonde_error *error;

	(void)state;
	SONDE_DEADLINE(5);
	assert_int_equal(sonde_group_init(&group, NULL), SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, NULL, wait_for_token, sonde_group_token(&group),
					   NULL),
			 SONDE_OK);
	error = sonde_group_wait(&group);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_true(sonde_deadline_is_over(NULL));
	sonde_error_free(error);
}

/* ---- Pools ----------------------------------------------------------------------------------- */

static struct sonde_error *stay(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	sem_t *is_over = argument;

	(void)cancel;
	(void)ret_result;
	while (sem_wait(is_over))
		;
	return NULL;
}

static void assert_over(struct sonde_error *error)
{
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_true(sonde_deadline_is_over(NULL));
	sonde_error_free(error);
}

/* One thread, which stays in its task, and one task that waits for it. */
static void test_pool_ends_at_it(void **state)
{
	struct sonde_pool_options options = { .threads = 1, .capacity = 1 };
	struct sonde_future future = { { 0 } };
	struct sonde_pool pool;
	sem_t is_over;

	(void)state;
	sem_init(&is_over, 0, 0);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, stay, &is_over, NULL, &future));
	/* Waits until the first one is taken up. */
	assert_null(sonde_pool_submit(&pool, stay, &is_over, NULL, /* future= */ NULL));
	{
		SONDE_DEADLINE(5);
		assert_over(sonde_pool_submit(&pool, stay, &is_over, NULL, /* future= */ NULL));
	}
	{
		SONDE_DEADLINE(5);
		assert_over(sonde_future_wait(&future, UINT64_MAX, NULL, /* ret_result= */ NULL));
	}
	{
		SONDE_DEADLINE(5);
		assert_over(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	}
	{
		SONDE_DEADLINE(5);
		assert_over(sonde_pool_run(&pool, stay, &is_over, NULL, /* ret_result= */ NULL));
	}
	sem_post(&is_over);
	sem_post(&is_over);
	assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, /* ret_result= */ NULL));
	sonde_future_deinit(&future);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	sonde_pool_deinit(&pool);
	sem_destroy(&is_over);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_init, rig_deinit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_wait_ends_at_the_deadline),
		TEST(test_none_waits_when_it_is_over),
		TEST(test_the_sooner_of_two_counts),
		TEST(test_retry_begins_no_wait_past_it),
		TEST(test_limiter_turns_away_who_would_wait_past_it),
		cmocka_unit_test(test_group_ends_at_it),
		cmocka_unit_test(test_pool_ends_at_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
