/* SPDX-License-Identifier: Apache-2.0 */

/* Pools under storms: every task is run once or discarded once, and the account is exact. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/pool.h>

#include "base/testpoint.h"
#include "unit/resilience/pool_rig.h"

#define SUBMITTERS 3
#define PER_SUBMITTER 400
#define TASKS (SUBMITTERS * PER_SUBMITTER)

struct task {
	atomic_int n_run;
	atomic_int n_discarded;
	bool was_accepted;
};

struct storm {
	struct sonde_pool pool;
	struct seen seen;
	struct sonde_observer observer;
	struct task tasks[TASKS];
	_Atomic uint64_t n_errors; /* Taken by who waited. */
	_Atomic uint64_t n_rejected;
	atomic_int n_submitters;
};

struct submitter {
	struct storm *storm;
	size_t number;
	pthread_t thread;
};

static struct sonde_error *run(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct task *task = argument;

	(void)cancel;
	*ret = task;
	task->n_run++;
	/* Some fail. */
	return (uintptr_t)task / sizeof(*task) % 3 ? NULL
						   : sonde_error_raise(&sonde_conflict, "stormy");
}

static void discard(void *argument)
{
	((struct task *)argument)->n_discarded++;
}

/* What comes of it agrees with what was seen of it. */
static void check_outcome(struct storm *storm, struct task *task, struct sonde_future *future)
{
	void *result = NULL;
	struct sonde_error *error = sonde_future_wait(future, UINT64_MAX, NULL, &result);

	assert_int_equal(task->n_run, result == task);
	assert_int_equal(task->n_discarded, result != task);
	assert_true(task->n_run || error);
	storm->n_errors += error != NULL;
	sonde_error_free(error);
}

static void submit_one(struct storm *storm, size_t number)
{
	struct task *task = &storm->tasks[number];
	struct sonde_task_options options = { .discard = discard, .limit_ms = 1 + number % 3 };
	struct sonde_future future;
	bool has_future = number % 4;
	struct sonde_error *error;

	options.priority = (enum sonde_priority)(number % 3);
	error = sonde_pool_submit(&storm->pool, run, task, &options, has_future ? &future : NULL);
	task->was_accepted = !error;
	storm->n_rejected += error != NULL;
	sonde_error_free(error);
	if (!task->was_accepted || !has_future)
		return;
	if (number % 5 == 1)
		sonde_future_cancel(&future, "storm");
	if (number % 4 != 3)
		check_outcome(storm, task, &future);
	sonde_future_deinit(&future);
}

static void *submit(void *argument)
{
	struct submitter *submitter = argument;

	for (size_t i = 0; i < PER_SUBMITTER; i++)
		submit_one(submitter->storm, submitter->number * PER_SUBMITTER + i);
	submitter->storm->n_submitters--;
	return NULL;
}

static void storm_begin(struct storm *storm, struct submitter *submitters,
			enum sonde_queue_policy policy)
{
	struct sonde_pool_options options = { .threads = 2, .capacity = 3, .policy = policy };

	memset(storm, 0, sizeof(*storm));
	storm->observer = (struct sonde_observer){ see_many, &storm->seen };
	options.observer = &storm->observer;
	storm->n_submitters = SUBMITTERS;
	assert_int_equal(sonde_pool_init(&storm->pool, &options), SONDE_OK);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		submitters[i] = (struct submitter){ .storm = storm, .number = i };
		assert_int_equal(
			pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]), 0);
	}
}

static void storm_check(struct storm *storm, const struct sonde_pool_figures *figures)
{
	uint64_t n_accepted = 0;
	uint64_t n_run = 0;

	for (size_t i = 0; i < TASKS; i++) {
		n_accepted += storm->tasks[i].was_accepted;
		n_run += (uint64_t)storm->tasks[i].n_run;
		assert_int_equal(storm->tasks[i].n_run + storm->tasks[i].n_discarded,
				 storm->tasks[i].was_accepted);
	}
	assert_int_equal(figures->submitted, n_accepted);
	assert_int_equal(figures->rejected, storm->n_rejected);
	assert_int_equal(figures->run, n_run);
	assert_int_equal(figures->submitted,
			 figures->run + figures->cancelled + figures->dropped + figures->expired);
	assert_int_equal(figures->queued + figures->running, 0);
	/* Every error once: taken, or an orphan. */
	assert_int_equal(figures->failed + figures->cancelled + figures->dropped + figures->expired,
			 storm->n_errors + storm->seen.n[SONDE_OBSERVED_ORPHAN]);
	assert_int_equal(storm->seen.n[SONDE_OBSERVED_RUN], figures->run);
	assert_int_equal(storm->seen.n[SONDE_OBSERVED_WAIT], figures->run);
	assert_int_equal(storm->seen.n[SONDE_OBSERVED_REJECTION], figures->rejected);
	assert_true(storm->seen.n[SONDE_OBSERVED_DROP] >= figures->dropped);
}

static struct storm the_storm;

static void test_account_is_exact_while_threads_come_and_go(void **state)
{
	struct storm *storm = &the_storm;

	(void)state;
	for (int policy = 0; policy < 3; policy++) {
		struct submitter submitters[SUBMITTERS];
		struct sonde_pool_figures figures;

		storm_begin(storm, submitters, (enum sonde_queue_policy)policy);
		for (uint32_t i = 0; storm->n_submitters; i++) {
			assert_int_equal(sonde_pool_resize(&storm->pool, 1 + i * 7 % 5), SONDE_OK);
			sched_yield();
		}
		for (size_t i = 0; i < SUBMITTERS; i++)
			pthread_join(submitters[i].thread, NULL);
		assert_null(sonde_pool_wait(&storm->pool, UINT64_MAX, NULL));
		assert_int_equal(sonde_pool_resize(&storm->pool, 3), SONDE_OK);
		assert_int_equal(sonde_pool_stop(&storm->pool, UINT64_MAX, NULL), SONDE_OK);
		sonde_pool_figures(&storm->pool, &figures);
		assert_int_equal(figures.threads, 0);
		storm_check(storm, &figures);
		sonde_pool_deinit(&storm->pool);
	}
}

static void test_stop_in_the_middle(void **state)
{
	struct storm *storm = &the_storm;

	(void)state;
	for (uint64_t i = 0; i < 12; i++) {
		struct submitter submitters[SUBMITTERS];
		struct sonde_pool_figures figures;
		struct sonde_pool_left left;
		int status;

		storm_begin(storm, submitters, (enum sonde_queue_policy)(i % 3));
		do {
			sonde_pool_figures(&storm->pool, &figures);
			sched_yield();
		} while (figures.run < 50 && storm->n_submitters);
		/* Late at once, or not. */
		status = sonde_pool_stop(&storm->pool, i % 2 * 1000, &left);
		assert_true(status == SONDE_OK || !(i % 2) || left.n_cancelled);
		for (size_t j = 0; j < SUBMITTERS; j++)
			pthread_join(submitters[j].thread, NULL);
		(void)sonde_pool_stop(&storm->pool, UINT64_MAX, &left);
		assert_int_equal(left.n_running, 0);
		sonde_pool_figures(&storm->pool, &figures);
		storm_check(storm, &figures);
		sonde_pool_deinit(&storm->pool);
	}
}

/* ---- Tasks that end their threads, in the middle of others ----------------------------------- */

static struct sonde_error *end_some_threads(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	(void)ret;
	if (atomic_fetch_add((atomic_int *)argument, 1) % 4 == 0)
		pthread_exit(NULL);
	return NULL;
}

static void test_threads_that_are_ended_are_replaced(void **state)
{
	struct sonde_pool_options options = { .threads = 2, .capacity = 4 };
	struct sonde_pool_figures figures;
	struct sonde_pool pool;
	struct seen seen = { .n = { 0 } };
	struct sonde_observer observer = { see_many, &seen };
	atomic_int n_run = 0;

	(void)state;
	options.observer = &observer;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 40; i++)
		assert_null(sonde_pool_submit(&pool, end_some_threads, &n_run, NULL, NULL));
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	sonde_pool_figures(&pool, &figures);
	assert_int_equal(figures.run, 40);
	assert_int_equal(figures.failed, 10);
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 10);
	/* Both are there, or about to be. */
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	sonde_pool_deinit(&pool);
}

#ifdef SONDE_TESTPOINTS
/* ---- Who is ended below others --------------------------------------------------------------- */

static void hook_set(sonde__testpoint_fn *hook)
{
	__atomic_store_n(&sonde__testpoint_hook, hook, __ATOMIC_RELEASE);
}

static atomic_bool future_has_ended;

/* The outcome is there: who waits for it ends the future before the call that made it goes on. */
static void let_the_waiter_end(const char *name)
{
	while (strcmp(name, "pool-completed") == 0 && !future_has_ended)
		sched_yield();
}

static void *cancel_it(void *argument)
{
	sonde_future_cancel(argument, "not wanted");
	return NULL;
}

static void test_future_ends_below_its_cancel(void **state)
{
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_future future;
	atomic_int n_run = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, &future));
	hook_set(let_the_waiter_end);
	assert_int_equal(pthread_create(&thread, NULL, cancel_it, &future), 0);
	while (!sonde_future_is_done(&future))
		sched_yield();
	assert_error(sonde_future_wait(&future, 0, NULL, NULL), &sonde_cancelled,
		     "cancelled: not wanted");
	sonde_future_deinit(&future);
	future_has_ended = true;
	pthread_join(thread, NULL);
	hook_set(NULL);
	assert_int_equal(n_run, 0);
}

static atomic_bool is_replacing;
static atomic_bool is_counted;
static atomic_bool pool_has_ended;
static atomic_bool pool_has_ended_early;
static atomic_int n_let_go;

static struct sonde_error *end_thread(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)argument;
	(void)cancel;
	(void)ret;
	is_replacing = true;
	pthread_exit(NULL);
}

/* Gives the pool's end time to miss the thread that is being made: it must not. */
static void hold_the_new_thread(const char *name)
{
	if (!is_replacing || strncmp(name, "pool-thread", strlen("pool-thread")) != 0)
		return;
	is_counted = true;
	for (int i = 0; i < 30 && !pool_has_ended; i++)
		(void)poll(NULL, 0, /* timeout= */ 1);
	if (pool_has_ended)
		pool_has_ended_early = true;
	n_let_go++;
}

static void test_end_waits_for_a_thread_that_is_being_made(void **state)
{
	struct sonde_pool_options options = { .threads = 1 };
	struct sonde_pool pool;

	(void)state;
	hook_set(hold_the_new_thread);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, end_thread, NULL, NULL, NULL));
	while (!is_counted)
		sched_yield();
	sonde_pool_deinit(&pool);
	pool_has_ended = true;
	/* It was counted, and it has begun. */
	while (n_let_go < 2)
		sched_yield();
	hook_set(NULL);
	assert_false(pool_has_ended_early);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account_is_exact_while_threads_come_and_go),
		cmocka_unit_test(test_stop_in_the_middle),
		cmocka_unit_test(test_threads_that_are_ended_are_replaced),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_future_ends_below_its_cancel),
		cmocka_unit_test(test_end_waits_for_a_thread_that_is_being_made),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
