/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is observed on a thread that works for many is part of the work of the one it is about: its
 * errors are captured in that one's trace, and in nobody else's.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/batcher.h>
#include <sonde/bulkhead.h>
#include <sonde/context.h>
#include <sonde/group.h>
#include <sonde/pool.h>

#include "support/virtual_clock.h"

/* By the first byte of the span's id; 0: in no context. */
struct heard {
	atomic_int n[SONDE_OBSERVED_COUNT][4];
	_Atomic uint64_t duration_ns; /* Of the last one. */
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct heard *heard = user;
	struct sonde_context context = sonde_context_current();

	assert_true(context.span_id[0] < 4);
	atomic_fetch_add(&heard->n[observation->what][context.span_id[0]], 1);
	heard->duration_ns = observation->duration_ns;
}

static const struct sonde_context *const requests[] = {
	NULL,
	&(const struct sonde_context){ .trace_id = { 1 }, .span_id = { 1 } },
	&(const struct sonde_context){ .trace_id = { 2 }, .span_id = { 2 } },
};

/* ---- Pools ----------------------------------------------------------------------------------- */

static struct sonde_error *task_fail(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)argument;
	(void)cancel;
	(void)ret;
	return sonde_error_raise(&sonde_external_service, "no answer");
}

static struct sonde_error *task_succeed(void *argument, struct sonde_cancel *cancel, void **ret)
{
	(void)argument;
	(void)cancel;
	(void)ret;
	return NULL;
}

struct yard {
	struct heard heard;
	struct sonde_observer observer;
	struct sonde_pool pool;
};

static void yard_init(struct yard *yard, uint32_t capacity, enum sonde_queue_policy policy)
{
	struct sonde_pool_options options = {
		.threads = SONDE_POOL_NO_THREADS,
		.capacity = capacity,
		.policy = policy,
		.observer = &yard->observer,
	};

	memset(yard, 0, sizeof(*yard));
	yard->observer = (struct sonde_observer){ hear, &yard->heard };
	assert_int_equal(sonde_pool_init(&yard->pool, &options), SONDE_OK);
}

static void submit_for(struct yard *yard, int number, sonde_task_fn *task,
		       struct sonde_future *future)
{
	SONDE_CONTEXT_SCOPE(requests[number]);

	assert_int_equal(sonde_pool_try_submit(&yard->pool, task, NULL, NULL, future), SONDE_OK);
}

static void turn_for(struct yard *yard, int number)
{
	SONDE_CONTEXT_SCOPE(requests[number]);

	assert_true(sonde_pool_turn(&yard->pool));
}

static void test_a_tasks_orphan_is_of_its_submitters_work(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, 8, SONDE_QUEUE_REJECT);
	submit_for(&yard, 1, task_fail, NULL);
	submit_for(&yard, 2, task_fail, NULL);
	turn_for(&yard, 0);
	turn_for(&yard, 1);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_ORPHAN][0], 0);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_ORPHAN][1], 1);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_ORPHAN][2], 1);
	sonde_pool_deinit(&yard.pool);
}

static void test_a_task_that_made_room_is_not_of_the_newers_work(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, 1, SONDE_QUEUE_DROP_OLDEST);
	submit_for(&yard, 1, task_succeed, NULL);
	{
		SONDE_CONTEXT_SCOPE(requests[2]);

		assert_null(sonde_pool_submit(&yard.pool, task_succeed, NULL, NULL, NULL));
	}
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_ORPHAN][1], 1);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_ORPHAN][2], 0);
	sonde_pool_deinit(&yard.pool);
}

/* Its span may have ended, where nobody waits: that would be a log record for each task. */
static void test_a_run_is_of_the_work_that_waits_for_it(void **state)
{
	struct sonde_future kept = { { 0 } };
	struct sonde_future left = { { 0 } };
	struct yard yard;

	(void)state;
	yard_init(&yard, 8, SONDE_QUEUE_REJECT);
	submit_for(&yard, 1, task_succeed, &kept);
	submit_for(&yard, 2, task_succeed, NULL);
	submit_for(&yard, 2, task_succeed, &left);
	sonde_future_deinit(&left);
	for (int i = 0; i < 3; i++)
		turn_for(&yard, 0);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_RUN][1], 1);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_WAIT][1], 1);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_RUN][2], 0);
	assert_int_equal(yard.heard.n[SONDE_OBSERVED_RUN][0], 2);
	assert_null(sonde_future_wait(&kept, 0, NULL, NULL));
	sonde_future_deinit(&kept);
	sonde_pool_deinit(&yard.pool);
}

/* ---- Bulkheads ------------------------------------------------------------------------------- */

static void count_grant(void *user)
{
	++*(int *)user;
}

/* A loop's wait is one as a thread's is, whoever gives the permit back. */
static void test_a_loops_wait_is_of_its_own_work(void **state)
{
	struct heard heard = { 0 };
	struct sonde_observer observer = { hear, &heard };
	struct virtual_clock clock;
	const struct sonde_bulkhead_options options = { .limit = 1,
							.max_queue = 4,
							.clock = &clock.clock,
							.observer = &observer };
	struct sonde_bulkhead_waiter waiters[4];
	struct sonde_bulkhead_figures figures;
	struct sonde_bulkhead bulkhead;
	int n_grants = 0;

	(void)state;
	virtual_clock_init(&clock, 7);
	assert_int_equal(sonde_bulkhead_init(&bulkhead, &options), SONDE_OK);
	assert_true(sonde_bulkhead_try_acquire(&bulkhead));
	for (int i = 0; i < 4; i++) {
		SONDE_CONTEXT_SCOPE(requests[1 + i % 2]);

		assert_int_equal(sonde_bulkhead_ask(&bulkhead, &waiters[i], count_grant, &n_grants),
				 SONDE_BULKHEAD_QUEUED);
	}
	clock.now_ns += 30;
	sonde_bulkhead_release(&bulkhead);
	assert_int_equal(heard.n[SONDE_OBSERVED_WAIT][1], 1);
	assert_int_equal(heard.duration_ns, 30);
	/* And each of many that are let in at once. */
	clock.now_ns += 12;
	assert_int_equal(sonde_bulkhead_set_limit(&bulkhead, 9), SONDE_OK);
	assert_int_equal(heard.n[SONDE_OBSERVED_WAIT][1], 2);
	assert_int_equal(heard.n[SONDE_OBSERVED_WAIT][2], 2);
	assert_int_equal(heard.n[SONDE_OBSERVED_WAIT][0], 0);
	assert_int_equal(heard.duration_ns, 42);
	assert_int_equal(n_grants, 4);
	sonde_bulkhead_read(&bulkhead, &figures);
	assert_int_equal(figures.n_waited, 4);
	assert_int_equal(figures.n_taken, 4);
	assert_int_equal(figures.limit, 9);
	sonde_bulkhead_deinit(&bulkhead);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static struct sonde_error *operation_fail(void *argument)
{
	(void)argument;
	return sonde_error_raise(&sonde_external_service, "no answer");
}

static void test_a_groups_failing_is_of_its_own_work(void **state)
{
	struct heard heard = { 0 };
	struct sonde_observer observer = { hear, &heard };
	struct sonde_group_options options = { .max_running = 1, .observer = &observer };
	struct sonde_error *error;
	struct sonde_group group;

	(void)state;
	assert_int_equal(sonde_group_init(&group, &options), SONDE_OK);
	{
		SONDE_CONTEXT_SCOPE(requests[1]);

		for (int i = 0; i < 3; i++)
			assert_int_equal(
				sonde_group_spawn(&group, NULL, operation_fail, NULL, NULL),
				SONDE_OK);
		error = sonde_group_wait(&group);
	}
	assert_non_null(error);
	sonde_error_free(error);
	assert_int_equal(heard.n[SONDE_OBSERVED_STATE][1], 1);
	for (int what = 0; what < SONDE_OBSERVED_COUNT; what++)
		assert_int_equal(heard.n[what][0], 0);
	sonde_group_deinit(&group);
}

/* ---- Batchers -------------------------------------------------------------------------------- */

static void add_for(struct sonde_batcher *batcher, int number, struct sonde_batcher_ticket *ticket)
{
	struct sonde_batcher_item item = { .value = NULL };
	SONDE_CONTEXT_SCOPE(requests[number]);

	assert_null(sonde_batcher_try_add(batcher, &item, ticket));
}

static void test_an_items_orphan_is_of_its_adders_work(void **state)
{
	struct heard heard = { 0 };
	struct sonde_observer observer = { hear, &heard };
	struct sonde_batcher_options options = { .max_items = 2, .observer = &observer };
	SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher;
	struct sonde_batcher_batch *batch;

	(void)state;
	assert_int_equal(sonde_batcher_init(&batcher, &options), SONDE_OK);
	add_for(&batcher, 1, NULL);
	add_for(&batcher, 2, NULL);
	batch = sonde_batcher_take(&batcher);
	assert_non_null(batch);
	batch->items[1].error = sonde_error_raise(&sonde_validation, "not this one");
	sonde_batcher_report(&batcher, batch, NULL);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][0], 0);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][1], 0);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][2], 1);
}

static void test_a_batchs_orphan_is_of_the_first_that_did_not_ask(void **state)
{
	struct heard heard = { 0 };
	struct sonde_observer observer = { hear, &heard };
	struct sonde_batcher_options options = { .max_items = 2, .observer = &observer };
	SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher;
	struct sonde_batcher_ticket ticket = { { 0 } };
	struct sonde_error *error;

	(void)state;
	assert_int_equal(sonde_batcher_init(&batcher, &options), SONDE_OK);
	add_for(&batcher, 1, &ticket);
	add_for(&batcher, 2, NULL);
	sonde_batcher_report(&batcher, sonde_batcher_take(&batcher),
			     sonde_error_raise(&sonde_external_service, "no answer"));
	error = sonde_batcher_ticket_wait(&ticket, NULL, NULL);
	assert_true(sonde_error_is(error, &sonde_external_service));
	sonde_error_free(error);
	sonde_batcher_ticket_deinit(&ticket);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][0], 0);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][1], 0);
	assert_int_equal(heard.n[SONDE_OBSERVED_ORPHAN][2], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tasks_orphan_is_of_its_submitters_work),
		cmocka_unit_test(test_a_task_that_made_room_is_not_of_the_newers_work),
		cmocka_unit_test(test_a_run_is_of_the_work_that_waits_for_it),
		cmocka_unit_test(test_a_loops_wait_is_of_its_own_work),
		cmocka_unit_test(test_a_groups_failing_is_of_its_own_work),
		cmocka_unit_test(test_an_items_orphan_is_of_its_adders_work),
		cmocka_unit_test(test_a_batchs_orphan_is_of_the_first_that_did_not_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
