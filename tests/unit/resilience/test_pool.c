/* SPDX-License-Identifier: Apache-2.0 */

/* Pools: what each call says it does, with one worker behind a gate or none at all. */

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/deadline.h>
#include <sonde/pool.h>

#include "unit/resilience/pool_rig.h"

/* ---- Defaults -------------------------------------------------------------------------------- */

static void test_default_threads_are_the_cpus(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_figures figures;
	cpu_set_t cpus;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	assert_int_equal(sonde_pool_init(&pool, NULL), SONDE_OK);
	sonde_pool_figures(&pool, &figures);
	assert_int_equal(figures.threads, CPU_COUNT(&cpus));
}

static void test_default_capacity_is_1024_and_policy_to_wait(void **state)
{
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_task_options task_options = { .limit_ms = 1 };
	struct sonde_error *error;
	atomic_int n_run = 0;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(sonde_pool_try_submit(&pool, count, &n_run, NULL, NULL), SONDE_OK);
	assert_int_equal(sonde_pool_try_submit(&pool, count, &n_run, NULL, NULL), SONDE_E_LIMITED);
	error = sonde_pool_submit(&pool, count, &n_run, &task_options, NULL);
	assert_error(error, &sonde_queue_full, "pool is full");
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	assert_int_equal(n_run, 1024);
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

static char it[] = "it";

static void test_result_and_error_reach_who_waits(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1, .name = "outcomes" };
	struct seen seen = { 0 };
	struct sonde_observer observer = { see, &seen };
	struct sonde_future futures[2];
	void *result = NULL;

	(void)state;
	options.observer = &observer;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, give_back, &result, NULL, &futures[0]));
	assert_null(sonde_pool_submit(&pool, end_badly, it, NULL, &futures[1]));
	assert_null(sonde_future_wait(&futures[0], UINT64_MAX, NULL, &result));
	assert_ptr_equal(result, &result);
	assert_true(sonde_future_is_taken(&futures[0]));
	assert_error(sonde_future_wait(&futures[1], UINT64_MAX, NULL, NULL), &sonde_conflict,
		     "it failed");
	assert_error(sonde_future_wait(&futures[1], UINT64_MAX, NULL, NULL), &sonde_internal,
		     "the outcome was taken already");
	sonde_future_deinit(&futures[0]);
	sonde_future_deinit(&futures[1]);
	sonde_future_deinit(&futures[1]);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, NULL), SONDE_OK);
	assert_int_equal(seen.n[SONDE_OBSERVED_RUN], 2);
	assert_int_equal(seen.n[SONDE_OBSERVED_WAIT], 2);
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 0);
	assert_int_equal(seen.n[SONDE_OBSERVED_DROP], 0);
	assert_string_equal(seen.name, "outcomes");
}

static void test_errors_nobody_takes_are_orphans_once(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	struct seen seen = { 0 };
	struct sonde_observer observer = { see, &seen };
	struct sonde_future futures[4];

	(void)state;
	options.observer = &observer;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	/* Detached. */
	assert_null(sonde_pool_submit(&pool, end_badly, it, NULL, NULL));
	assert_null(sonde_pool_submit(&pool, give_back, NULL, NULL, NULL));
	while (sonde_pool_turn(&pool))
		;
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 1);
	assert_string_equal(seen.message, "it failed");
	assert_int_equal(seen.n[SONDE_OBSERVED_DROP], 0);
	/* Forsaken, before the end and after it, in failure and success. */
	for (int i = 0; i < 4; i++)
		assert_null(sonde_pool_submit(&pool, i % 2 ? end_badly : give_back, it, NULL,
					      &futures[i]));
	sonde_future_deinit(&futures[0]);
	sonde_future_deinit(&futures[1]);
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 1);
	while (sonde_pool_turn(&pool))
		;
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 2);
	assert_int_equal(seen.n[SONDE_OBSERVED_DROP], 1);
	sonde_future_deinit(&futures[2]);
	sonde_future_deinit(&futures[3]);
	assert_int_equal(seen.n[SONDE_OBSERVED_ORPHAN], 3);
	assert_int_equal(seen.n[SONDE_OBSERVED_DROP], 2);
}

static void test_descriptor_and_poll(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	SONDE_FUTURE_AUTODEINIT struct sonde_future future;
	SONDE_FUTURE_AUTODEINIT struct sonde_future nothing = { { 0 } };
	int fd;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, give_back, NULL, NULL, &future));
	fd = sonde_future_fd(&future);
	assert_true(fd >= 0);
	assert_int_equal(sonde_future_fd(&future), fd);
	assert_false(is_readable(fd));
	assert_false(sonde_future_is_done(&future));
	assert_error(sonde_future_wait(&future, 0, NULL, NULL), &sonde_timeout, NULL);
	assert_false(sonde_future_is_taken(&future));
	assert_true(sonde_pool_turn(&pool));
	assert_true(is_readable(fd));
	assert_true(sonde_future_is_done(&future));
	assert_null(sonde_future_wait(&future, 0, NULL, NULL));
	assert_false(sonde_pool_turn(&pool));

	assert_false(sonde_future_is_done(&nothing));
	assert_false(sonde_future_is_taken(NULL));
	assert_int_equal(sonde_future_fd(&nothing), SONDE_E_INVALID);
	assert_error(sonde_future_wait(&nothing, 0, NULL, NULL), &sonde_internal, NULL);
	sonde_future_cancel(&nothing, NULL);
}

/* ---- Context --------------------------------------------------------------------------------- */

static struct sonde_error *keep_context(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	(void)ret;
	*(struct sonde_context *)argument = sonde_context_current();
	return NULL;
}

static void test_task_has_its_submitters_context(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1 };
	struct sonde_context own = SONDE_CONTEXT_INIT;
	struct sonde_context seen = SONDE_CONTEXT_INIT;
	struct sonde_context after = SONDE_CONTEXT_INIT;

	(void)state;
	memset(own.trace_id, 0x11, sizeof(own.trace_id));
	memset(own.span_id, 0x22, sizeof(own.span_id));
	own.trace_flags = SONDE_TRACE_FLAG_SAMPLED;
	sonde_context_limit(&own, UINT64_MAX - 1);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	{
		SONDE_CONTEXT_SCOPE(&own);

		assert_null(sonde_pool_run(&pool, keep_context, &seen, NULL, NULL));
	}
	assert_null(sonde_pool_run(&pool, keep_context, &after, NULL, NULL));
	assert_memory_equal(&seen, &own, sizeof(own));
	assert_false(sonde_context_is_valid(&after));
	assert_int_equal(sonde_context_deadline_ns(&after), UINT64_MAX);
}

/* ---- Cancelling ------------------------------------------------------------------------------ */

static void test_cancelled_in_the_queue_is_not_run(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	struct sonde_task_options task_options = { .discard = count_discard };
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
	struct sonde_future futures[2];
	struct sonde_pool_figures figures;
	atomic_int n_run = 0;

	(void)state;
	n_discarded = 0;
	sonde_cancel_init(&cancel, NULL);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, count, &n_run, &task_options, &futures[0]));
	task_options.cancel = &cancel;
	assert_null(sonde_pool_submit(&pool, count, &n_run, &task_options, &futures[1]));
	/* By its future: at once. By its token: when its turn comes. */
	sonde_future_cancel(&futures[0], "not needed");
	assert_int_equal(n_discarded, 1);
	assert_error(sonde_future_wait(&futures[0], 0, NULL, NULL), &sonde_cancelled,
		     "cancelled: not needed");
	sonde_cancel_fire(&cancel, "the client has gone");
	assert_true(sonde_pool_turn(&pool));
	assert_error(sonde_future_wait(&futures[1], 0, NULL, NULL), &sonde_cancelled,
		     "cancelled: the client has gone");
	assert_int_equal(n_discarded, 2);
	assert_int_equal(n_run, 0);
	sonde_pool_figures(&pool, &figures);
	assert_int_equal(figures.submitted, 2);
	assert_int_equal(figures.cancelled, 2);
	sonde_future_deinit(&futures[0]);
	sonde_future_deinit(&futures[1]);
	/* And nothing more is accepted with it. */
	assert_error(sonde_pool_submit(&pool, count, &n_run, &task_options, &futures[1]),
		     &sonde_cancelled, NULL);
	assert_false(sonde_future_is_done(&futures[1]));
}

static void test_running_task_is_told_by_its_token(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1 };
	struct sonde_task_options task_options = { .name = NULL };
	struct sonde_cancel cancel;
	struct sonde_future future;
	struct gate gate;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 2; i++) {
		task_options.cancel = i ? &cancel : NULL;
		gate_init(&gate);
		assert_null(
			sonde_pool_submit(&pool, wait_for_token, &gate, &task_options, &future));
		gate_wait_entered(&gate);
		if (i)
			sonde_cancel_fire(&cancel, "enough");
		else
			sonde_future_cancel(&future, "enough");
		assert_error(sonde_future_wait(&future, UINT64_MAX, NULL, NULL), &sonde_cancelled,
			     "cancelled: enough");
		sonde_future_deinit(&future);
		gate_deinit(&gate);
	}
	sonde_pool_deinit(&pool);
	sonde_cancel_deinit(&cancel);
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

static void test_deadline_is_spent_in_the_queue(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct virtual_clock time;
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS, .capacity = 1 };
	SONDE_FUTURE_AUTODEINIT struct sonde_future future;
	struct sonde_pool_figures figures;
	atomic_int n_run = 0;

	(void)state;
	virtual_clock_init(&time, SECOND);
	options.clock = &time.clock;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	{
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

		sonde_deadline_begin(&deadline, 50, &time.clock);
		assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, &future));
		/* No space before it is over. */
		assert_error(sonde_pool_submit(&pool, count, &n_run, NULL, NULL), &sonde_timeout,
			     NULL);
		assert_int_equal(time.now_ns, SECOND + 50 * MS);
	}
	assert_true(sonde_pool_turn(&pool));
	assert_error(sonde_future_wait(&future, 0, NULL, NULL), &sonde_timeout,
		     "over the deadline before the task's turn came");
	assert_int_equal(n_run, 0);
	sonde_pool_figures(&pool, &figures);
	assert_int_equal(figures.expired, 1);
	assert_int_equal(figures.rejected, 1);
}

static void test_run_takes_back_what_is_late(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1 };
	SONDE_FUTURE_AUTODEINIT struct sonde_future future;
	struct sonde_error *error;
	atomic_int n_run = 0;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&pool, pass_gate, &gate, NULL, &future));
	gate_wait_entered(&gate);
	{
		SONDE_DEADLINE(2);
		error = sonde_pool_run(&pool, count, &n_run, NULL, NULL);
	}
	assert_error(error, &sonde_timeout, "over the deadline");
	gate_open(&gate);
	assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, NULL));
	assert_int_equal(n_run, 0);
	gate_deinit(&gate);
	/* A running one is told, and what it makes of that is the cause. */
	gate_init(&gate);
	{
		SONDE_DEADLINE(2);
		error = sonde_pool_run(&pool, wait_for_token, &gate, NULL, NULL);
	}
	assert_non_null(error);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	sonde_error_free(error);
	gate_deinit(&gate);
}

/* ---- Tasks that use their own pool ----------------------------------------------------------- */

struct family {
	struct sonde_pool *pool;
	int n_left;
	int depth;
	int depth_max;
	int n_rejected;
	atomic_int n_run;
};

/* Waits for a child, which waits for a child… all of one worker. */
static struct sonde_error *wait_for_child(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct family *family = argument;
	SONDE_FUTURE_AUTODEINIT struct sonde_future child = { { 0 } };
	struct sonde_error *error;

	(void)ret;
	family->n_run++;
	if (!family->n_left--)
		return NULL;
	error = sonde_pool_submit(family->pool, wait_for_child, family, NULL, &child);
	return error ? error : sonde_future_wait(&child, UINT64_MAX, cancel, NULL);
}

static void test_tasks_wait_for_tasks_of_their_pool(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1, .capacity = 30 };
	struct family family = { .pool = &pool, .n_left = 30 };

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_run(&pool, wait_for_child, &family, NULL, NULL));
	assert_int_equal(family.n_run, 31);
	/* Deeper than a stack may be: an error, neither a standstill nor the process's end. */
	family.n_left = 10 * 1024;
	family.n_run = 0;
	assert_error(sonde_pool_run(&pool, wait_for_child, &family, NULL, NULL), &sonde_queue_full,
		     "too many tasks wait for each other on one thread");
	/*
	 * What nobody waited for is run when the thread is out of them, and then what that waits
	 * for.
	 */
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	assert_int_equal(family.n_run, 10 * 1024 + 1);
}

static struct sonde_error *run_child(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct family *family = argument;

	(void)cancel;
	(void)ret;
	family->n_run++;
	if (!family->n_left--)
		return NULL;
	return sonde_pool_run(family->pool, run_child, family, NULL, NULL);
}

static void test_tasks_that_run_tasks_have_an_end(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1, .capacity = 1 };
	struct family family = { .pool = &pool, .n_left = 1023 };

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_run(&pool, run_child, &family, NULL, NULL));
	assert_int_equal(family.n_run, 1024);
	family.n_left = 1024;
	family.n_run = 0;
	/* The one too many was taken back, and has not run. */
	assert_error(sonde_pool_run(&pool, run_child, &family, NULL, NULL), &sonde_queue_full,
		     "too many tasks wait for each other on one thread");
	assert_int_equal(family.n_run, 1024);
}

/* Submits without waiting: the queue of one is full from the second on. */
static struct sonde_error *submit_deeper(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct family *family = argument;

	(void)cancel;
	(void)ret;
	family->n_run++;
	if (++family->depth > family->depth_max)
		family->depth_max = family->depth;
	while (family->n_left > 0) {
		struct sonde_error *error = NULL;

		family->n_left--;
		error = sonde_pool_submit(family->pool, submit_deeper, family, NULL, NULL);
		if (!error)
			continue;
		family->n_rejected++;
		assert_error(error, &sonde_queue_full, NULL);
	}
	family->depth--;
	return NULL;
}

static void test_submitting_to_a_full_own_pool_runs_it_here(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1, .capacity = 1 };
	struct family family = { .pool = &pool, .n_left = 5 };

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_run(&pool, submit_deeper, &family, NULL, NULL));
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	/* The first, one in the queue, four inside each other. */
	assert_int_equal(family.n_run, 6);
	assert_int_equal(family.depth_max, 5);
	assert_int_equal(family.n_rejected, 0);
	family.n_left = 105;
	assert_null(sonde_pool_run(&pool, submit_deeper, &family, NULL, NULL));
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	assert_int_equal(family.n_run, 12);
	assert_int_equal(family.depth_max, 5);
	assert_int_equal(family.n_rejected, 100);
}

static struct sonde_error *wait_for_own_pool(void *argument, struct sonde_cancel *cancel,
					     void **ret)
{
	(void)cancel;
	(void)ret;
	assert_int_equal(sonde_pool_stop(argument, UINT64_MAX, NULL), SONDE_E_INVALID);
	return sonde_pool_wait(argument, UINT64_MAX, NULL);
}

static struct sonde_error *end_thread(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)cancel;
	(void)ret;
	pthread_exit(argument);
}

static void test_tasks_that_do_what_they_should_not(void **state)
{
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	struct sonde_pool_options options = { .threads = 1 };
	struct sonde_pool_figures figures;
	atomic_int n_run = 0;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_error(sonde_pool_run(&pool, wait_for_own_pool, &pool, NULL, NULL), &sonde_internal,
		     NULL);
	for (int i = 0; i < 3; i++)
		assert_error(sonde_pool_run(&pool, end_thread, NULL, NULL, NULL), &sonde_internal,
			     "the task has ended its thread");
	/* Others take over. */
	assert_null(sonde_pool_run(&pool, count, &n_run, NULL, NULL));
	assert_int_equal(n_run, 1);
	sonde_pool_figures(&pool, &figures);
	assert_int_equal(figures.run, 5);
	assert_int_equal(figures.failed, 4);
}

/* ---- Nonsense -------------------------------------------------------------------------------- */

static void test_nonsense(void **state)
{
	struct sonde_pool_options options = { .threads = 4097 };
	struct sonde_pool none = { { 0 } };
	struct sonde_pool_figures figures;
	struct sonde_pool pool;

	(void)state;
	assert_int_equal(sonde_pool_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_E_INVALID);
	options = (struct sonde_pool_options){ .capacity = (1u << 20) + 1 };
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_E_INVALID);
	options = (struct sonde_pool_options){ .policy = (enum sonde_queue_policy)3 };
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_E_INVALID);
	for (int i = 0; i < 2; i++) {
		struct sonde_pool *nobody = i ? &none : NULL;

		assert_error(sonde_pool_submit(nobody, count, NULL, NULL, NULL), &sonde_closed,
			     NULL);
		assert_int_equal(sonde_pool_try_submit(nobody, count, NULL, NULL, NULL),
				 SONDE_E_CLOSED);
		assert_error(sonde_pool_wait(nobody, 0, NULL), &sonde_closed, NULL);
		assert_int_equal(sonde_pool_stop(nobody, 0, NULL), SONDE_E_CLOSED);
		assert_int_equal(sonde_pool_resize(nobody, 1), SONDE_E_CLOSED);
		assert_false(sonde_pool_turn(nobody));
		sonde_pool_figures(nobody, &figures);
		assert_int_equal(figures.threads, 0);
		sonde_pool_deinit(nobody);
	}
	options = (struct sonde_pool_options){ .threads = SONDE_POOL_NO_THREADS };
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_error(sonde_pool_submit(&pool, NULL, NULL, NULL, NULL), &sonde_internal, NULL);
	assert_int_equal(sonde_pool_try_submit(&pool, NULL, NULL, NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_pool_resize(&pool, 1), SONDE_E_INVALID);
	sonde_pool_figures(&pool, NULL);
	sonde_pool_deinit(&pool);
	sonde_pool_deinit(&pool);
}

static struct sonde_error *look_at_thread(void *argument, struct sonde_cancel *cancel, void **ret)
{
	sigset_t blocked;

	(void)cancel;
	(void)ret;
	pthread_getname_np(pthread_self(), argument, 16);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	assert_true(sigismember(&blocked, SIGTERM) && !sigismember(&blocked, SIGSEGV));
	return NULL;
}

static void test_threads_have_names_and_no_signals(void **state)
{
	struct sonde_pool_options options = { .threads = 1, .name = "a-long-name-of-a-pool" };
	struct sonde_pool pool;
	char name[16];

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_run(&pool, look_at_thread, name, NULL, NULL));
	assert_string_equal(name, "a-long-n-1");
	sonde_pool_deinit(&pool);
	options.name = NULL;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_run(&pool, look_at_thread, name, NULL, NULL));
	assert_string_equal(name, "sonde-1");
	sonde_pool_deinit(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_threads_are_the_cpus),
		cmocka_unit_test(test_default_capacity_is_1024_and_policy_to_wait),
		cmocka_unit_test(test_result_and_error_reach_who_waits),
		cmocka_unit_test(test_errors_nobody_takes_are_orphans_once),
		cmocka_unit_test(test_descriptor_and_poll),
		cmocka_unit_test(test_task_has_its_submitters_context),
		cmocka_unit_test(test_cancelled_in_the_queue_is_not_run),
		cmocka_unit_test(test_running_task_is_told_by_its_token),
		cmocka_unit_test(test_deadline_is_spent_in_the_queue),
		cmocka_unit_test(test_run_takes_back_what_is_late),
		cmocka_unit_test(test_tasks_wait_for_tasks_of_their_pool),
		cmocka_unit_test(test_tasks_that_run_tasks_have_an_end),
		cmocka_unit_test(test_submitting_to_a_full_own_pool_runs_it_here),
		cmocka_unit_test(test_tasks_that_do_what_they_should_not),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_threads_have_names_and_no_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
