/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is given back, ended or taken a second time. For each there is one of two answers: it is
 * harmless, and nothing is said; or it changes nothing, and is said, by an ORPHAN with an error of
 * type sonde_internal. docs/toolkit.md has the table, and what is neither.
 */

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

/* What was said of misuse: on any thread, one at a time. */
static unsigned n_said;
static char said[256];

static void hear(void *user, const struct sonde_observation *observation)
{
	(void)user;
	if (observation->what != SONDE_OBSERVED_ORPHAN ||
	    !sonde_error_is(observation->error, &sonde_internal))
		return;
	n_said++;
	(void)snprintf(said, sizeof(said), "%s", sonde_error_message(observation->error));
}

static const struct sonde_observer observer = { hear, NULL };

static void expect_type(struct sonde_error *error, const struct sonde_error_type *type)
{
	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), type);
	sonde_error_free(error);
}

static struct sonde_error *be_refused(void *argument)
{
	(void)argument;
	return sonde_error_raise(&sonde_external_service, "no answer");
}

static struct sonde_error *succeed(void *argument)
{
	(void)argument;
	return NULL;
}

/* ---- Bulkheads ------------------------------------------------------------------------------- */

#define PERMITS 3u

/* However often it is given back, there are as many permits as there were. */
static void expect_permits(struct sonde_bulkhead *bulkhead, uint32_t n)
{
	struct sonde_bulkhead_figures figures;

	for (uint32_t i = 0; i < n; i++)
		assert_true(sonde_bulkhead_try_acquire(bulkhead));
	assert_false(sonde_bulkhead_try_acquire(bulkhead));
	sonde_bulkhead_read(bulkhead, &figures);
	assert_int_equal(figures.n_taken, PERMITS);
	assert_int_equal(figures.n_waiting, 0);
}

static void release_twice(bool is_shared)
{
	const struct sonde_bulkhead_options options = { .name = "desk",
							.limit = PERMITS,
							.shared = is_shared,
							.observer = &observer };
	struct sonde_bulkhead bulkhead;

	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	sonde_bulkhead_release(&bulkhead);
	assert_int_equal(n_said, 0);
	sonde_bulkhead_release(&bulkhead);
	sonde_bulkhead_release(&bulkhead);
	expect_permits(&bulkhead, PERMITS);
	sonde_bulkhead_deinit(&bulkhead);
}

static void bulkhead_release_twice(void)
{
	release_twice(/* is_shared= */ false);
}

static void shared_bulkhead_release_twice(void)
{
	release_twice(/* is_shared= */ true);
}

static void forbid_grant(void *user)
{
	(void)user;
	fail();
}

static void count_grant(void *user)
{
	++*(int *)user;
}

struct desk {
	struct sonde_bulkhead bulkhead;
	struct sonde_bulkhead_waiter places[3];
	int n_granted;
};

/* All permits are taken, and three wait, of whom the second must never be let in. */
static void desk_open(struct desk *desk)
{
	const struct sonde_bulkhead_options options = { .name = "desk",
							.limit = PERMITS,
							.max_queue = 3,
							.observer = &observer };

	desk->n_granted = 0;
	assert_int_equal(sonde_bulkhead_init(&desk->bulkhead, &options), SONDE_OK);
	for (uint32_t i = 0; i < PERMITS; i++)
		assert_true(sonde_bulkhead_try_acquire(&desk->bulkhead));
	for (int i = 0; i < 3; i++)
		assert_int_equal(sonde_bulkhead_ask(&desk->bulkhead, &desk->places[i],
						    i == 1 ? forbid_grant : count_grant,
						    &desk->n_granted),
				 SONDE_BULKHEAD_QUEUED);
}

static void bulkhead_withdraw_twice(void)
{
	struct sonde_bulkhead_figures figures;
	struct desk desk;

	desk_open(&desk);
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[1]));
	assert_int_equal(n_said, 0);
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[1]));
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[1]));
	sonde_bulkhead_read(&desk.bulkhead, &figures);
	assert_int_equal(figures.n_waiting, 2);
	assert_int_equal(figures.n_withdrawn, 1);
	for (uint32_t i = 0; i < 2 + PERMITS; i++)
		sonde_bulkhead_release(&desk.bulkhead);
	assert_int_equal(desk.n_granted, 2);
	expect_permits(&desk.bulkhead, PERMITS);
	sonde_bulkhead_deinit(&desk.bulkhead);
}

/* The permit is his who is told so, and he is told once. */
static void bulkhead_withdraw_granted_twice(void)
{
	struct desk desk;

	desk_open(&desk);
	sonde_bulkhead_release(&desk.bulkhead);
	assert_int_equal(desk.n_granted, 1);
	assert_false(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[0]));
	assert_int_equal(n_said, 0);
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[0]));
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[0]));
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[1]));
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[2]));
	expect_permits(&desk.bulkhead, 0);
	sonde_bulkhead_deinit(&desk.bulkhead);
}

/* Sent away there is none, nor at another one's. */
static void bulkhead_withdraw_no_place(void)
{
	struct sonde_bulkhead_waiter place;
	struct sonde_bulkhead other;
	struct desk desk;

	desk_open(&desk);
	assert_int_equal(sonde_bulkhead_ask(&desk.bulkhead, &place, forbid_grant, NULL),
			 SONDE_BULKHEAD_REJECTED);
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &place));
	assert_int_equal(sonde_bulkhead_init(&other, &(struct sonde_bulkhead_options){
							     .name = "desk",
							     .observer = &observer }),
			 SONDE_OK);
	assert_true(sonde_bulkhead_withdraw(&other, &desk.places[0]));
	sonde_bulkhead_deinit(&other);
	sonde_bulkhead_release(&desk.bulkhead);
	assert_int_equal(desk.n_granted, 1);
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[1]));
	assert_true(sonde_bulkhead_withdraw(&desk.bulkhead, &desk.places[2]));
	sonde_bulkhead_deinit(&desk.bulkhead);
}

static void bulkhead_deinit_twice(void)
{
	for (int is_shared = 0; is_shared < 2; is_shared++) {
		const struct sonde_bulkhead_options options = { .shared = is_shared,
								.observer = &observer };
		struct sonde_bulkhead bulkhead;

		assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
		sonde_bulkhead_deinit(&bulkhead);
		sonde_bulkhead_deinit(&bulkhead);
		assert_false(sonde_bulkhead_try_acquire(&bulkhead));
	}
}

/* ---- Breakers, retries, policies ------------------------------------------------------------- */

/* Of a trial it says nothing: neither is another trial made of it, nor a second success. */
static void breaker_report_trial_twice(void)
{
	const struct sonde_breaker_options options = { .failures = 1,
						       .half_open_calls = 2,
						       .observer = &observer };
	struct sonde_breaker_ticket ticket;
	struct sonde_breaker breaker;

	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_HALF_OPEN), SONDE_OK);
	assert_null(sonde_breaker_try_acquire(&breaker, &ticket));
	for (int i = 0; i < 3; i++)
		sonde_breaker_report(&breaker, ticket, NULL);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_HALF_OPEN);
	assert_null(sonde_breaker_try_acquire(&breaker, &ticket));
	sonde_breaker_report(&breaker, ticket, NULL);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
	sonde_breaker_deinit(&breaker);
	sonde_breaker_deinit(&breaker);
}

static void retry_report_after_the_last(void)
{
	struct sonde_retry_call call;
	uint64_t delay_ns = 7;

	sonde_retry_call_begin(&call, NULL);
	assert_false(sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, &delay_ns));
	assert_false(
		sonde_retry_call_report(&call, be_refused(NULL), SONDE_RETRY_NO_WISH, &delay_ns));
	assert_int_equal(delay_ns, 7);
	assert_int_equal(sonde_retry_call_attempts(&call), 1);
	assert_null(sonde_retry_call_end(&call));
	assert_null(sonde_retry_call_end(&call));
	assert_false(
		sonde_retry_call_report(&call, be_refused(NULL), SONDE_RETRY_NO_WISH, &delay_ns));
	sonde_retry_call_deinit(&call);
}

static void policy_report_twice(void)
{
	struct sonde_policy_call call;
	struct sonde_policy policy;
	uint64_t ns;

	assert_int_equal(sonde_policy_init(&policy, NULL), SONDE_OK);
	sonde_policy_call_begin(&call, &policy, NULL);
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_GO);
	sonde_policy_call_report(&call, NULL);
	sonde_policy_call_report(&call, be_refused(NULL));
	assert_int_equal(sonde_policy_call_next(&call, &ns), SONDE_POLICY_DONE);
	assert_null(sonde_policy_call_end(&call));
	sonde_policy_call_deinit(&call);
	sonde_policy_deinit(&policy);
	sonde_policy_deinit(&policy);
}

static void limiter_deinit_twice(void)
{
	struct sonde_limiter limiter;

	assert_int_equal(sonde_limiter_init(&limiter, &(struct sonde_limiter_options){
							      .observer = &observer }),
			 SONDE_OK);
	sonde_limiter_deinit(&limiter);
	sonde_limiter_deinit(&limiter);
}

/* ---- Pools, futures, groups ------------------------------------------------------------------ */

static struct sonde_error *make(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	*ret_result = argument;
	return NULL;
}

static void pool_end_twice(void)
{
	struct sonde_pool_options options = { .threads = 1, .observer = &observer };
	struct sonde_pool pool;

	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	sonde_pool_deinit(&pool);
	sonde_pool_deinit(&pool);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_E_CLOSED);
}

/* The second wait says so itself, to who calls it. */
static void future_wait_and_free_twice(void)
{
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS,
					      .observer = &observer };
	struct sonde_future future;
	struct sonde_pool pool;
	void *result = NULL;

	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, make, &pool, NULL, &future));
	assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, &result));
	assert_ptr_equal(result, &pool);
	expect_type(sonde_future_wait(&future, UINT64_MAX, NULL, &result), &sonde_internal);
	sonde_future_deinit(&future);
	sonde_future_deinit(&future);
	expect_type(sonde_future_wait(&future, UINT64_MAX, NULL, &result), &sonde_internal);
	sonde_pool_deinit(&pool);
}

/* The errors are given once, and what ended it is said each time. */
static void group_wait_and_free_twice(void)
{
	struct sonde_group_options options = { .observer = &observer };
	struct sonde_group group;

	assert_int_equal(sonde_group_init(&group, &options), SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, NULL, be_refused, NULL, NULL), SONDE_OK);
	expect_type(sonde_group_wait(&group), &sonde_external_service);
	assert_null(sonde_group_wait(&group));
	assert_int_equal(sonde_group_gather(&group), 1);
	assert_null(sonde_group_take(&group, 0));
	assert_int_equal(sonde_group_spawn(&group, NULL, succeed, NULL, NULL), SONDE_E_CLOSED);
	sonde_group_deinit(&group);
	sonde_group_deinit(&group);
	expect_type(sonde_group_wait(&group), &sonde_closed);
}

static void exit_stack_run_twice(void)
{
	struct sonde_exit_stack stack;
	int n_run = 0;

	assert_int_equal(sonde_exit_stack_init(&stack, &(struct sonde_exit_stack_options){
							       .observer = &observer }),
			 SONDE_OK);
	assert_int_equal(sonde_exit_stack_push(&stack, count_grant, &n_run), SONDE_OK);
	expect_type(sonde_exit_stack_close(&stack, be_refused(NULL)), &sonde_external_service);
	assert_null(sonde_exit_stack_close(&stack, NULL));
	sonde_exit_stack_deinit(&stack);
	sonde_exit_stack_deinit(&stack);
	assert_int_equal(n_run, 1);
}

/* ---- Locks ----------------------------------------------------------------------------------- */

static void *unlock(void *argument)
{
	sonde_mutex_unlock(argument);
	return NULL;
}

static void mutex_unlock_by_another(void)
{
	const struct sonde_lock_options options = { .name = "door", .observer = &observer };
	struct sonde_mutex mutex;
	pthread_t thread;

	assert_int_equal(sonde_mutex_init(&mutex, &options), SONDE_OK);
	sonde_mutex_lock_at(&mutex, "here:1");
	assert_int_equal(pthread_create(&thread, NULL, unlock, &mutex), 0);
	pthread_join(thread, NULL);
	/* It is still held. */
	expect_type(sonde_mutex_lock_within(&mutex, 0, NULL), &sonde_internal);
	sonde_mutex_unlock(&mutex);
	assert_int_equal(n_said, 1);
	sonde_mutex_unlock(&mutex);
	assert_true(sonde_mutex_try_lock_at(&mutex, "here:1"));
	sonde_mutex_unlock(&mutex);
	sonde_mutex_deinit(&mutex);
}

static void rwlock_unlock_twice(void)
{
	const struct sonde_lock_options options = { .name = "door", .observer = &observer };
	struct sonde_rwlock rwlock;

	assert_int_equal(sonde_rwlock_init(&rwlock, &options), SONDE_OK);
	sonde_rwlock_read_lock_at(&rwlock, "here:2");
	sonde_rwlock_read_unlock(&rwlock);
	sonde_rwlock_read_unlock(&rwlock);
	assert_int_equal(n_said, 1);
	sonde_rwlock_write_lock_at(&rwlock, "here:2");
	sonde_rwlock_write_unlock(&rwlock);
	sonde_rwlock_write_unlock(&rwlock);
	assert_true(sonde_rwlock_write_try_lock_at(&rwlock, "here:2"));
	sonde_rwlock_write_unlock(&rwlock);
	sonde_rwlock_deinit(&rwlock);
}

/* ---- Queues, batchers, streams, emitters, watchdogs ------------------------------------------ */

static void queue_end_twice(void)
{
	struct sonde_queue queue;

	assert_int_equal(sonde_queue_init(&queue, &(struct sonde_queue_options){
							  .observer = &observer }),
			 SONDE_OK);
	sonde_queue_close(&queue);
	sonde_queue_close(&queue);
	sonde_queue_deinit(&queue);
	sonde_queue_deinit(&queue);
}

static void batcher_report_and_free_twice(void)
{
	const struct sonde_batcher_options options = { .max_items = 1, .observer = &observer };
	const struct sonde_batcher_item item = { .key = 1 };
	struct sonde_batcher_ticket ticket;
	struct sonde_batcher_batch *batch;
	struct sonde_batcher_figures figures;
	struct sonde_batcher batcher;

	assert_int_equal(sonde_batcher_init(&batcher, &options), SONDE_OK);
	assert_null(sonde_batcher_try_add(&batcher, &item, &ticket));
	batch = sonde_batcher_take(&batcher);
	assert_non_null(batch);
	sonde_batcher_report(&batcher, batch, be_refused(NULL));
	sonde_batcher_report(&batcher, batch, be_refused(NULL));
	sonde_batcher_figures(&batcher, &figures);
	assert_int_equal(figures.n_handled, 1);
	expect_type(sonde_batcher_ticket_wait(&ticket, NULL, NULL), &sonde_external_service);
	assert_null(sonde_batcher_ticket_wait(&ticket, NULL, NULL));
	sonde_batcher_ticket_deinit(&ticket);
	sonde_batcher_ticket_deinit(&ticket);
	sonde_batcher_deinit(&batcher);
	sonde_batcher_deinit(&batcher);
}

static void stream_end_twice(void)
{
	struct sonde_stream stream;

	assert_int_equal(sonde_stream_init(&stream, &(struct sonde_stream_options){
							    .observer = &observer }),
			 SONDE_OK);
	sonde_stream_end(&stream, NULL);
	sonde_stream_end(&stream, be_refused(NULL));
	sonde_stream_leave(&stream);
	sonde_stream_leave(&stream);
	sonde_stream_deinit(&stream);
	sonde_stream_deinit(&stream);
}

static void emitter_end_twice(void)
{
	struct sonde_emitter emitter;

	assert_int_equal(sonde_emitter_init(&emitter, &(struct sonde_emitter_options){
							      .observer = &observer }),
			 SONDE_OK);
	assert_int_equal(sonde_emitter_unsubscribe(&emitter, 1), SONDE_E_NOT_FOUND);
	sonde_emitter_deinit(&emitter);
	sonde_emitter_deinit(&emitter);
}

static void watchdog_end_twice(void)
{
	struct sonde_watchdog watchdog;

	assert_int_equal(sonde_watchdog_init(&watchdog, &(struct sonde_watchdog_options){
								.observer = &observer }),
			 SONDE_OK);
	sonde_watchdog_deinit(&watchdog);
	sonde_watchdog_deinit(&watchdog);
}

static void cancel_twice(void)
{
	struct sonde_cancel cancel;
	struct sonde_error *error;

	assert_int_equal(sonde_cancel_init(&cancel, NULL), SONDE_OK);
	sonde_cancel_fire(&cancel, "first");
	sonde_cancel_fire(&cancel, "second");
	error = sonde_cancel_error(&cancel);
	assert_non_null(strstr(sonde_error_message(error), "first"));
	sonde_error_free(error);
	sonde_cancel_deinit(&cancel);
	sonde_cancel_deinit(&cancel);
}

/* ---- The table ------------------------------------------------------------------------------- */

struct row {
	const char *name;
	void (*play)(void);
	unsigned n_said;
	const char *said; /* The last of it. */
};

#define ROW(name, n_said, said) { #name, name, n_said, said }
#define NO_PERMIT "bulkhead \"desk\" was given back a permit that nobody had"
#define NO_PLACE "bulkhead \"desk\" was given back a place that nobody had"

static const struct row rows[] = {
	ROW(bulkhead_release_twice, 2, NO_PERMIT),
	ROW(shared_bulkhead_release_twice, 2, NO_PERMIT),
	ROW(bulkhead_withdraw_twice, 2, NO_PLACE),
	ROW(bulkhead_withdraw_granted_twice, 2, NO_PLACE),
	ROW(bulkhead_withdraw_no_place, 2, NO_PLACE),
	ROW(bulkhead_deinit_twice, 0, ""),
	ROW(breaker_report_trial_twice, 0, ""),
	ROW(retry_report_after_the_last, 0, ""),
	ROW(policy_report_twice, 0, ""),
	ROW(limiter_deinit_twice, 0, ""),
	ROW(pool_end_twice, 0, ""),
	ROW(future_wait_and_free_twice, 0, ""),
	ROW(group_wait_and_free_twice, 0, ""),
	ROW(exit_stack_run_twice, 0, ""),
	ROW(mutex_unlock_by_another, 2,
	    "the mutex \"door\" was unlocked by a thread that does not hold it; it was taken last at here:1"),
	ROW(rwlock_unlock_twice, 2,
	    "the write lock \"door\" was let go by a thread that does not write; it was taken last at here:2"),
	ROW(queue_end_twice, 0, ""),
	ROW(batcher_report_and_free_twice, 0, ""),
	ROW(stream_end_twice, 0, ""),
	ROW(emitter_end_twice, 0, ""),
	ROW(watchdog_end_twice, 0, ""),
	ROW(cancel_twice, 0, ""),
};

static void test_what_is_done_twice_is_harmless_or_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n_said = 0;
		said[0] = '\0';
		rows[i].play();
		if (n_said != rows[i].n_said || strcmp(said, rows[i].said) != 0)
			fail_msg("%s: said %u times, at last \"%s\"", rows[i].name, n_said, said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_done_twice_is_harmless_or_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
