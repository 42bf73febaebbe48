/* SPDX-License-Identifier: Apache-2.0 */

/* The end of pools: in time, late, and never. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/pool.h>

#include "resilience/observe.h"
#include "unit/resilience/pool_rig.h"

static void test_drains_and_refuses(void **state)
{
	struct sonde_pool_options options = { .threads = 1, .name = "draining" };
	struct sonde_future futures[3];
	struct sonde_pool_left left;
	struct sonde_pool pool;
	atomic_int n_run = 0;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 3; i++)
		assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, &futures[i]));
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, &left), SONDE_OK);
	assert_int_equal(left.n_cancelled + left.n_running, 0);
	assert_int_equal(n_run, 3);
	assert_error(sonde_pool_submit(&pool, count, &n_run, NULL, NULL), &sonde_closed,
		     "pool draining is closed");
	assert_int_equal(sonde_pool_try_submit(&pool, count, &n_run, NULL, NULL), SONDE_E_CLOSED);
	assert_int_equal(sonde_pool_resize(&pool, 2), SONDE_E_CLOSED);
	assert_int_equal(sonde_pool_stop(&pool, 0, NULL), SONDE_OK);
	assert_null(sonde_pool_wait(&pool, 0, NULL));
	sonde_pool_deinit(&pool);
	sonde_pool_deinit(&pool);
	assert_int_equal(sonde_pool_stop(&pool, 0, NULL), SONDE_E_CLOSED);
	/* They outlive it. */
	for (int i = 0; i < 3; i++) {
		assert_null(sonde_future_wait(&futures[i], 0, NULL, NULL));
		sonde_future_deinit(&futures[i]);
	}
}

static void test_late_stop_says_who_is_left(void **state)
{
	struct sonde_pool_options options = { .threads = 2 };
	struct sonde_task_options named = { .name = "deaf" };
	struct sonde_future futures[3];
	struct sonde_pool_left left;
	struct sonde_pool pool;
	struct gate gates[2];
	atomic_int n_run = 0;

	(void)state;
	gate_init(&gates[0]);
	gate_init(&gates[1]);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	/* One that does not look at its token, one that does, one that is queued. */
	assert_null(sonde_pool_submit(&pool, pass_gate, &gates[0], &named, &futures[0]));
	assert_null(sonde_pool_submit(&pool, wait_for_token, &gates[1], NULL, &futures[1]));
	gate_wait_entered(&gates[0]);
	gate_wait_entered(&gates[1]);
	assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, &futures[2]));
	{
		/* The context's deadline counts, too. */
		SONDE_DEADLINE(2);
		assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, &left), SONDE_INCOMPLETE);
	}
	assert_int_equal(left.n_cancelled, 1);
	assert_in_range(left.n_running, 1, 2);
	assert_string_equal(left.running[0], "deaf");
	assert_error(sonde_future_wait(&futures[2], 0, NULL, NULL), &sonde_cancelled,
		     "cancelled: the pool was stopped");
	assert_error(sonde_future_wait(&futures[1], UINT64_MAX, NULL, NULL), &sonde_cancelled,
		     "cancelled: the pool was stopped");
	assert_false(sonde_future_is_done(&futures[0]));
	gate_open(&gates[0]);
	assert_int_equal(sonde_pool_stop(&pool, UINT64_MAX, &left), SONDE_INCOMPLETE);
	assert_int_equal(left.n_cancelled, 1);
	assert_int_equal(left.n_running, 0);
	assert_null(left.running[0]);
	for (int i = 0; i < 3; i++)
		sonde_future_deinit(&futures[i]);
	sonde_pool_deinit(&pool);
	assert_int_equal(n_run, 0);
	gate_deinit(&gates[0]);
	gate_deinit(&gates[1]);
}

static struct seen process_seen;

static void see_for_process(void *user, const struct sonde_observation *observation)
{
	(void)user;
	see_many(&process_seen, observation);
}

/* All that the options name is gone with the pool. */
struct owner {
	struct sonde_pool pool;
	struct sonde_observer observer;
	struct sonde_clock clock;
	struct seen seen;
	char name[8];
};

static uint64_t owners_now(void *user)
{
	struct timespec now;

	assert_int_equal(((struct owner *)user)->name[0], 'o');
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static struct sonde_error *fail_late(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct sonde_error *error = pass_gate(argument, cancel, ret);

	assert_null(error);
	return sonde_error_raise(&sonde_conflict, "late");
}

static void test_deinit_leaves_what_runs_behind(void **state)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	struct sonde_pool_options options = { .threads = 3 };
	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
	void *result = NULL;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	memset(&process_seen, 0, sizeof(process_seen));
	sonde__observer_install(see_for_process);
	memcpy(owner->name, "owner", sizeof("owner"));
	owner->observer = (struct sonde_observer){ see_many, &owner->seen };
	owner->clock = (struct sonde_clock){ owners_now, NULL, owner };
	options.name = owner->name;
	options.clock = &owner->clock;
	options.observer = &owner->observer;
	assert_int_equal(sonde_pool_init(&owner->pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&owner->pool, pass_gate, &gate, NULL, &future));
	assert_null(sonde_pool_submit(&owner->pool, fail_late, &gate, NULL, NULL));
	gate_wait_for(&gate, 2);
	sonde_pool_deinit(&owner->pool);
	memset(owner, 0xee, sizeof(*owner));
	free(owner);
	assert_false(sonde_future_is_done(&future));
	gate_open(&gate);
	assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, &result));
	while (!process_seen.n[SONDE_OBSERVED_ORPHAN])
		sched_yield();
	sonde__observer_install(NULL);
	gate_deinit(&gate);
}

struct own {
	struct sonde_pool pool;
	struct gate done;
};

static struct sonde_error *deinit_own_pool(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct own *own = argument;

	(void)ret;
	sonde_pool_deinit(&own->pool);
	assert_true(sonde_cancel_is_fired(cancel));
	gate_enter(&own->done);
	return NULL;
}

static void test_a_task_may_deinit_its_pool(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct sonde_pool_options options = { .threads = 2 };
		SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
		struct own own;

		gate_init(&own.done);
		assert_int_equal(sonde_pool_init(&own.pool, &options), SONDE_OK);
		assert_null(sonde_pool_submit(&own.pool, deinit_own_pool, &own, NULL, &future));
		gate_wait_entered(&own.done);
		assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, NULL));
		gate_deinit(&own.done);
	}
}

/* ---- Completion ------------------------------------------------------------------------------ */

static void *wait_for_completion(void *argument)
{
	return sonde_pool_wait(argument, UINT64_MAX, NULL);
}

static void test_completion(void **state)
{
	struct sonde_pool_options options = { .threads = 2 };
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	pthread_t threads[3];
	atomic_int n_run = 0;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	sonde_cancel_init(&cancel, NULL);
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	assert_null(sonde_pool_wait(&pool, 0, NULL));
	assert_null(sonde_pool_submit(&pool, pass_gate, &gate, NULL, NULL));
	gate_wait_entered(&gate);
	assert_error(sonde_pool_wait(&pool, 1, NULL), &sonde_timeout, NULL);
	sonde_cancel_fire(&cancel, "no patience");
	assert_error(sonde_pool_wait(&pool, UINT64_MAX, &cancel), &sonde_cancelled, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_completion, &pool), 0);
	for (int i = 0; i < 20; i++)
		assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, NULL));
	gate_open(&gate);
	for (int i = 0; i < 3; i++) {
		void *error;

		pthread_join(threads[i], &error);
		assert_null(error);
	}
	assert_null(sonde_pool_wait(&pool, UINT64_MAX, NULL));
	assert_int_equal(n_run, 20);
	gate_deinit(&gate);
}

struct slow {
	struct virtual_clock virtual;
	struct sonde_cancel cancel;
	int n_run;
	int cancel_at;
};

static struct sonde_error *take_10_s(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct slow *slow = argument;

	(void)cancel;
	(void)ret;
	slow->virtual.now_ns += 10 * SECOND;
	if (++slow->n_run == slow->cancel_at)
		sonde_cancel_fire(&slow->cancel, "enough");
	return NULL;
}

static void test_wait_without_threads_has_its_limit(void **state)
{
	struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS };
	struct slow slow = { .cancel_at = 3 };
	struct sonde_pool pool;

	(void)state;
	virtual_clock_init(&slow.virtual, 5 * SECOND);
	sonde_cancel_init(&slow.cancel, NULL);
	options.clock = &slow.virtual.clock;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 5; i++)
		assert_null(sonde_pool_submit(&pool, take_10_s, &slow, NULL, NULL));
	assert_error(sonde_pool_wait(&pool, 0, NULL), &sonde_timeout, NULL);
	assert_int_equal(slow.n_run, 0);
	assert_error(sonde_pool_wait(&pool, 15000, NULL), &sonde_timeout, NULL);
	assert_int_equal(slow.n_run, 2);
	assert_error(sonde_pool_wait(&pool, UINT64_MAX, &slow.cancel), &sonde_cancelled, NULL);
	assert_int_equal(slow.n_run, 3);
	assert_null(sonde_pool_wait(&pool, 20001, NULL));
	assert_int_equal(slow.n_run, 5);
	sonde_pool_deinit(&pool);
	sonde_cancel_deinit(&slow.cancel);
}

/* ---- Waiting for space ----------------------------------------------------------------------- */

struct waiting {
	struct sonde_pool *pool;
	struct sonde_cancel *cancel;
	atomic_int n_begun;
};

static void *wait_for_space(void *argument)
{
	struct waiting *waiting = argument;
	struct sonde_task_options options = { .cancel = waiting->cancel };

	waiting->n_begun++;
	return sonde_pool_submit(waiting->pool, count, &waiting->n_begun, &options, NULL);
}

static void test_who_waits_for_space_is_woken(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS,
						      .capacity = 1 };
		struct waiting waiting = { .n_begun = 0 };
		struct sonde_cancel cancel;
		struct sonde_pool pool;
		atomic_int n_run = 0;
		pthread_t thread;
		void *error;

		sonde_cancel_init(&cancel, NULL);
		assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
		assert_null(sonde_pool_submit(&pool, count, &n_run, NULL, NULL));
		waiting.pool = &pool;
		waiting.cancel = &cancel;
		assert_int_equal(pthread_create(&thread, NULL, wait_for_space, &waiting), 0);
		while (!waiting.n_begun)
			sched_yield();
		if (i % 3 == 0)
			sonde_cancel_fire(&cancel, "woken");
		else if (i % 3 == 1)
			sonde_pool_stop(&pool, 0, NULL);
		else
			assert_true(sonde_pool_turn(&pool));
		pthread_join(thread, &error);
		if (i % 3 == 2)
			assert_null(error);
		else
			assert_error(error, i % 3 ? &sonde_closed : &sonde_cancelled, NULL);
		sonde_pool_deinit(&pool);
		sonde_cancel_deinit(&cancel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drains_and_refuses),
		cmocka_unit_test(test_late_stop_says_who_is_left),
		cmocka_unit_test(test_deinit_leaves_what_runs_behind),
		cmocka_unit_test(test_a_task_may_deinit_its_pool),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_wait_without_threads_has_its_limit),
		cmocka_unit_test(test_who_waits_for_space_is_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
