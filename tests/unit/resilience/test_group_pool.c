/* SPDX-License-Identifier: Apache-2.0 */

/* Groups on a pool: whatever its threads are at, a group ends, and by the pool's rules. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/pool.h>

#include "base/clock.h"
#include "support/yard.h"

static void pool_begin(struct sonde_pool *pool, uint32_t threads, uint32_t capacity,
		       enum sonde_queue_policy policy)
{
	assert_int_equal(sonde_pool_init(pool, &(struct sonde_pool_options){
						       .threads = threads,
						       .capacity = capacity,
						       .policy = policy }),
			 SONDE_OK);
}

/* Its tasks may still be on their way out of a gate in the test's stack. */
static void pool_end(struct sonde_pool *pool)
{
	(void)sonde_pool_stop(pool, UINT64_MAX, NULL);
	sonde_pool_deinit(pool);
}

/* Somebody else's task, which keeps a thread of the pool. */
static struct sonde_error *stand(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)cancel;
	(void)ret_result;
	return gate_pass(argument);
}

static struct sonde_error *pass(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)argument;
	(void)cancel;
	(void)ret_result;
	return NULL;
}

static void pool_block(struct sonde_pool *pool, struct gate *gate)
{
	gate_init(gate, 0, NULL);
	assert_int_equal(sonde_pool_try_submit(pool, stand, gate, NULL, NULL), SONDE_OK);
	gate_await(gate);
}

static struct sonde_error *who_runs(void *argument)
{
	*(pthread_t *)argument = pthread_self();
	return NULL;
}

static void test_tasks_run_on_the_pools_threads(void **state)
{
	struct sonde_pool pool;
	struct sonde_group group;
	pthread_t threads[5];

	(void)state;
	pool_begin(&pool, 2, 64, SONDE_QUEUE_WAIT);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){ .pool = &pool }),
			 SONDE_OK);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(sonde_group_spawn(&group, NULL, who_runs, &threads[i], NULL),
				 SONDE_OK);
	assert_null(sonde_group_wait(&group));
	for (unsigned i = 0; i < 5; i++)
		assert_false(pthread_equal(threads[i], pthread_self()));
	sonde_group_deinit(&group);
	pool_end(&pool);
}

struct nest {
	struct sonde_pool *pool;
	unsigned depth;
	_Atomic unsigned *n_run;
	struct nest *inner;
};

/* A group in a task of a group in a task, each with three tasks. */
static struct sonde_error *nest_groups(void *argument)
{
	SONDE_GROUP_AUTODEINIT struct sonde_group group;
	const struct nest *nest = argument;

	atomic_fetch_add_explicit(nest->n_run, 1, memory_order_relaxed);
	sonde_group_init(&group, &(struct sonde_group_options){ .pool = nest->pool });
	for (unsigned i = 0; nest->inner && i < 3; i++)
		if (sonde_group_spawn(&group, NULL, nest_groups, nest->inner, NULL) < 0)
			return sonde_error_raise(&sonde_internal, "not spawned");
	return sonde_group_wait(&group);
}

static void test_nested_groups_end_on_one_thread(void **state)
{
	_Atomic unsigned n_run = 0;
	struct sonde_pool pool;
	struct nest nests[4];

	(void)state;
	pool_begin(&pool, 1, 64, SONDE_QUEUE_WAIT);
	for (unsigned i = 0; i < 4; i++)
		nests[i] = (struct nest){ &pool, i, &n_run, i < 3 ? &nests[i + 1] : NULL };
	assert_null(nest_groups(&nests[0]));
	assert_int_equal(n_run, 1 + 3 + 9 + 27);
	pool_end(&pool);
}

static void test_pool_without_threads_is_turned_by_who_waits(void **state)
{
	struct sonde_pool pool;
	struct yard yard;

	(void)state;
	pool_begin(&pool, SONDE_POOL_NO_THREADS, 64, SONDE_QUEUE_WAIT);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool });
	yard_spawn(&yard, 4);
	for (unsigned i = 0; i < 4; i++)
		gate_open(&yard.gates[i], false);
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
	pool_end(&pool);
}

static void test_what_a_full_pool_does_not_take_runs_where_it_is_waited_for(void **state)
{
	struct sonde_pool pool;
	struct sonde_group group;
	pthread_t threads[4];
	struct gate gate;

	(void)state;
	pool_begin(&pool, 1, 1, SONDE_QUEUE_REJECT);
	pool_block(&pool, &gate);
	memset(threads, 0, sizeof(threads));
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
							  .pool = &pool,
							  .mode = SONDE_GROUP_ALL }),
			 SONDE_OK);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sonde_group_spawn(&group, NULL, who_runs, &threads[i], NULL),
				 SONDE_OK);
	for (unsigned i = 0; i < 3; i++) {
		struct sonde_group_result result;

		assert_true(sonde_group_next(&group, &result));
		assert_true(pthread_equal(threads[result.index], pthread_self()));
		assert_int_not_equal(result.index, 0);
	}
	gate_open(&gate, false);
	assert_null(sonde_group_wait(&group));
	assert_false(pthread_equal(threads[0], pthread_self()));
	sonde_group_deinit(&group);
	pool_end(&pool);
}

static void test_what_a_full_pool_does_not_take_is_offered_again_by_a_look(void **state)
{
	struct sonde_group_result result;
	struct sonde_pool pool;
	struct sonde_group group;
	struct gate gate;
	pthread_t thread;

	(void)state;
	pool_begin(&pool, 1, 1, SONDE_QUEUE_REJECT);
	pool_block(&pool, &gate);
	assert_int_equal(sonde_pool_try_submit(&pool, pass, NULL, NULL, NULL), SONDE_OK);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){ .pool = &pool }),
			 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, NULL, who_runs, &thread, NULL), SONDE_OK);
	assert_int_equal(sonde_group_try_next(&group, &result), SONDE_INCOMPLETE);
	gate_open(&gate, false);
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	/* Nothing of the group's runs, so that nothing but the look can do it. */
	assert_int_equal(sonde_group_try_next(&group, &result), SONDE_INCOMPLETE);
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	assert_int_equal(sonde_group_try_next(&group, &result), SONDE_OK);
	assert_false(pthread_equal(thread, pthread_self()));
	sonde_group_deinit(&group);
	pool_end(&pool);
}

static void test_as_many_run_as_the_group_allows(void **state)
{
	struct sonde_pool_figures figures;
	struct sonde_pool pool;
	struct yard yard;

	(void)state;
	pool_begin(&pool, 4, 64, SONDE_QUEUE_WAIT);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool, .max_running = 2 });
	yard_spawn(&yard, 6);
	for (unsigned i = 0; i < 6; i++) {
		gate_await(&yard.gates[i]);
		/* One more: whoever ends makes room for the next before his end is entered. */
		sonde_pool_figures(&pool, &figures);
		assert_in_range(figures.queued + figures.running, 1, 3);
		assert_in_range(figures_of(&yard).running, 1, 3);
		if (i < 4)
			assert_false(gate_has_begun(&yard.gates[i + 2]));
		gate_open(&yard.gates[i], false);
	}
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
	pool_end(&pool);
}

static void test_cancelled_tasks_are_taken_back_from_the_queue(void **state)
{
	struct sonde_pool pool;
	struct yard yard;
	struct gate gate;

	(void)state;
	pool_begin(&pool, 1, 64, SONDE_QUEUE_WAIT);
	pool_block(&pool, &gate);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool });
	yard_spawn(&yard, 3);
	sonde_group_cancel(&yard.group, NULL);
	/* The pool's only thread still stands at the gate. */
	error_expect(sonde_group_wait(&yard.group), &sonde_cancelled);
	assert_int_equal(figures_of(&yard).cancelled, 3);
	assert_int_equal(yard.told.n_items[SONDE_OBSERVED_DROP], 3);
	sonde_group_deinit(&yard.group);
	gate_open(&gate, false);
	pool_end(&pool);
}

static void test_deadline_takes_them_back_as_well(void **state)
{
	struct sonde_pool pool;
	struct yard yard;
	struct gate gate;

	(void)state;
	pool_begin(&pool, 1, 64, SONDE_QUEUE_WAIT);
	pool_block(&pool, &gate);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool, .limit_ms = 5 });
	yard_spawn(&yard, 3);
	error_expect(sonde_group_wait(&yard.group), &sonde_timeout);
	assert_false(gate_has_begun(&yard.gates[0]));
	sonde_group_deinit(&yard.group);
	gate_open(&gate, false);
	pool_end(&pool);
}

static void test_closed_pool_runs_nothing(void **state)
{
	struct sonde_pool pool;
	struct yard yard;

	(void)state;
	pool_begin(&pool, 1, 64, SONDE_QUEUE_WAIT);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool, .mode = SONDE_GROUP_ALL });
	yard_spawn(&yard, 2);
	assert_int_equal(sonde_group_gather(&yard.group), 2);
	error_expect(sonde_group_take(&yard.group, 0), &sonde_closed);
	error_expect(sonde_group_take(&yard.group, 1), &sonde_closed);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_REJECTION], 2);
	sonde_group_deinit(&yard.group);
	pool_end(&pool);
}

static void test_overdue_stop_of_the_pool_ends_the_group(void **state)
{
	struct sonde_pool pool;
	struct yard yard;

	(void)state;
	pool_begin(&pool, 1, 64, SONDE_QUEUE_WAIT);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool });
	yard_spawn(&yard, 3);
	gate_await(&yard.gates[0]);
	(void)sonde_pool_stop(&pool, 0, NULL);
	error_expect(sonde_group_wait(&yard.group), &sonde_cancelled);
	assert_int_equal(figures_of(&yard).cancelled + figures_of(&yard).failed, 3);
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
	pool_end(&pool);
}

static void test_task_dropped_for_a_newer_one_has_failed(void **state)
{
	struct sonde_pool pool;
	struct yard yard;
	struct gate gate;
	struct gate other;

	(void)state;
	pool_begin(&pool, 1, 1, SONDE_QUEUE_DROP_OLDEST);
	pool_block(&pool, &gate);
	yard_init(&yard, (struct sonde_group_options){ .pool = &pool, .mode = SONDE_GROUP_ALL });
	yard_spawn(&yard, 1);
	gate_init(&other, 0, NULL);
	gate_open(&other, false);
	assert_int_equal(sonde_pool_try_submit(&pool, stand, &other, NULL, NULL), SONDE_OK);
	error_expect(sonde_group_wait(&yard.group), &sonde_queue_full);
	gate_open(&gate, false);
	sonde_group_deinit(&yard.group);
	pool_end(&pool);
}

/* ---- What it costs --------------------------------------------------------------------------- */

#define FEW 1000u
#define MANY (16 * FEW)

static struct sonde_error *succeed(void *argument)
{
	++*(unsigned *)argument;
	return NULL;
}

static uint64_t processor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* The processor's time for having all of so many tasks back from the pool. */
static uint64_t time_to_take_back(unsigned n_tasks, bool is_cancelled)
{
	struct sonde_group group;
	struct sonde_pool pool;
	uint64_t before_ns;
	uint64_t duration_ns;
	unsigned n_run = 0;

	pool_begin(&pool, SONDE_POOL_NO_THREADS, n_tasks, SONDE_QUEUE_WAIT);
	sonde_group_init(&group, &(struct sonde_group_options){ .pool = &pool,
								.max_tasks = n_tasks });
	for (unsigned i = 0; i < n_tasks; i++)
		assert_int_equal(sonde_group_spawn(&group, NULL, succeed, &n_run, NULL), SONDE_OK);
	if (is_cancelled)
		sonde_group_cancel(&group, NULL);
	before_ns = processor_ns();
	if (is_cancelled)
		error_expect(sonde_group_wait(&group), &sonde_cancelled);
	else
		assert_null(sonde_group_wait(&group));
	duration_ns = processor_ns() - before_ns;
	assert_int_equal(n_run, is_cancelled ? 0 : n_tasks);
	sonde_group_deinit(&group);
	pool_end(&pool);
	return duration_ns;
}

static uint64_t best_time(unsigned n_tasks, bool is_cancelled)
{
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < 3; i++) {
		uint64_t now_ns = time_to_take_back(n_tasks, is_cancelled);

		if (now_ns < best_ns)
			best_ns = now_ns;
	}
	return best_ns;
}

/* Sixteen times as many take about that much longer: with a look through all it was 200 times. */
static void test_cost_of_a_task_does_not_grow_with_their_number(void **state)
{
	(void)state;
	for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++)
		assert_in_range(best_time(MANY, is_cancelled), 0,
				64 * best_time(FEW, is_cancelled));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tasks_run_on_the_pools_threads),
		cmocka_unit_test(test_nested_groups_end_on_one_thread),
		cmocka_unit_test(test_pool_without_threads_is_turned_by_who_waits),
		cmocka_unit_test(test_what_a_full_pool_does_not_take_runs_where_it_is_waited_for),
		cmocka_unit_test(test_what_a_full_pool_does_not_take_is_offered_again_by_a_look),
		cmocka_unit_test(test_as_many_run_as_the_group_allows),
		cmocka_unit_test(test_cancelled_tasks_are_taken_back_from_the_queue),
		cmocka_unit_test(test_deadline_takes_them_back_as_well),
		cmocka_unit_test(test_closed_pool_runs_nothing),
		cmocka_unit_test(test_overdue_stop_of_the_pool_ends_the_group),
		cmocka_unit_test(test_task_dropped_for_a_newer_one_has_failed),
		cmocka_unit_test(test_cost_of_a_task_does_not_grow_with_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
