/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whether a task is accepted is decided by the queue's capacity alone, however many threads run
 * tasks, and however deep tasks wait for others.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sonde/pool.h>

#include "unit/resilience/pool_rig.h"

#define CAPACITY 3
/* Slots without anybody asking for more: of the queue, and to spare. */
#define SLOTS (CAPACITY + 20)
#define GUESTS 100

/* The link has the library's calloc come here. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static atomic_bool is_memory_gone;

void *__wrap_calloc(size_t n, size_t size)
{
	return is_memory_gone ? NULL : __real_calloc(n, size);
}

static void *turn(void *argument)
{
	while (!sonde_pool_turn(argument))
		sched_yield();
	return NULL;
}

struct house {
	struct sonde_pool pool;
	struct gate gate;
	pthread_t guests[GUESTS];
	int n_guests;
};

static void house_open(struct house *house)
{
	const struct sonde_pool_options options = { .threads = SONDE_POOL_NO_THREADS,
						    .capacity = CAPACITY };

	gate_init(&house->gate);
	house->n_guests = 0;
	assert_int_equal(sonde_pool_init(&house->pool, &options), SONDE_OK);
}

/* One more thread that is in a task of the pool's; what submitting that said. */
static int house_invite(struct house *house)
{
	int status = sonde_pool_try_submit(&house->pool, pass_gate, &house->gate, NULL, NULL);

	if (status < 0)
		return status;
	assert_int_equal(pthread_create(&house->guests[house->n_guests++], NULL, turn,
					&house->pool),
			 0);
	gate_wait_for(&house->gate, house->n_guests);
	return SONDE_OK;
}

static void house_close(struct house *house)
{
	gate_open(&house->gate);
	for (int i = 0; i < house->n_guests; i++)
		pthread_join(house->guests[i], NULL);
	sonde_pool_deinit(&house->pool);
	gate_deinit(&house->gate);
}

/* As many as the capacity are accepted, and none more. */
static void expect_room(struct sonde_pool *pool, int capacity)
{
	atomic_int n_run = 0;

	for (int i = 0; i < capacity; i++)
		assert_int_equal(sonde_pool_try_submit(pool, count, &n_run, NULL, NULL), SONDE_OK);
	assert_int_equal(sonde_pool_try_submit(pool, count, &n_run, NULL, NULL), SONDE_E_LIMITED);
	for (int i = 0; i < capacity; i++)
		assert_true(sonde_pool_turn(pool));
	assert_int_equal(n_run, capacity);
}

static void test_threads_that_run_tasks_take_no_room(void **state)
{
	struct sonde_pool_figures figures;
	struct house house;

	(void)state;
	house_open(&house);
	for (int i = 0; i < GUESTS; i++)
		assert_int_equal(house_invite(&house), SONDE_OK);
	expect_room(&house.pool, CAPACITY);
	sonde_pool_figures(&house.pool, &figures);
	assert_int_equal(figures.running, GUESTS);
	house_close(&house);
}

struct chain {
	struct sonde_pool *pool;
	int n_left;
};

/* Each waits for the next, on one thread. */
static struct sonde_error *wait_for_next(void *argument, struct sonde_cancel *cancel, void **ret)
{
	struct chain *chain = argument;
	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
	int status;

	(void)cancel;
	(void)ret;
	if (!chain->n_left--) {
		expect_room(chain->pool, CAPACITY);
		return NULL;
	}
	status = sonde_pool_try_submit(chain->pool, wait_for_next, chain, NULL, &future);
	if (status < 0)
		return sonde_error_raise(&sonde_internal, "%d before the end: %d", chain->n_left,
					 status);
	return sonde_future_wait(&future, UINT64_MAX, NULL, NULL);
}

static void test_tasks_that_wait_for_tasks_take_no_room(void **state)
{
	static const uint32_t threads[] = { SONDE_POOL_NO_THREADS, 1 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct sonde_pool_options options = { .threads = threads[i],
							    .capacity = CAPACITY };
		SONDE_POOL_AUTODEINIT struct sonde_pool pool;
		struct chain chain = { &pool, GUESTS };
		struct sonde_future future;

		assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
		assert_null(sonde_pool_submit(&pool, wait_for_next, &chain, NULL, &future));
		assert_null(sonde_future_wait(&future, UINT64_MAX, NULL, NULL));
		sonde_future_deinit(&future);
	}
}

static void block_discard(void *argument)
{
	(void)pass_gate(argument, /* cancel= */ NULL, /* ret= */ NULL);
}

static void *cancel_it(void *argument)
{
	sonde_future_cancel(argument, "not wanted");
	return NULL;
}

/* Its memory is held by who takes it out, for as long as its discard takes. */
static void test_tasks_that_are_being_cancelled_take_no_room(void **state)
{
	const struct sonde_task_options blocking = { .discard = block_discard };
	struct sonde_future futures[GUESTS];
	struct house house;

	(void)state;
	house_open(&house);
	for (int i = 0; i < GUESTS; i++) {
		assert_int_equal(sonde_pool_try_submit(&house.pool, count, &house.gate, &blocking,
						       &futures[i]),
				 SONDE_OK);
		assert_int_equal(pthread_create(&house.guests[house.n_guests++], NULL, cancel_it,
						&futures[i]),
				 0);
		gate_wait_for(&house.gate, house.n_guests);
	}
	expect_room(&house.pool, CAPACITY);
	gate_open(&house.gate);
	for (int i = 0; i < GUESTS; i++) {
		assert_error(sonde_future_wait(&futures[i], UINT64_MAX, NULL, NULL),
			     &sonde_cancelled, "cancelled: not wanted");
		sonde_future_deinit(&futures[i]);
	}
	house_close(&house);
}

/* Out of memory it says that it is full, loses nothing, and goes on when there is memory again. */
static void test_without_memory_it_is_full(void **state)
{
	struct sonde_pool_figures figures;
	struct house house;

	(void)state;
	house_open(&house);
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(house_invite(&house), SONDE_OK);
	is_memory_gone = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(house_invite(&house), SONDE_E_LIMITED);
	sonde_pool_figures(&house.pool, &figures);
	assert_int_equal(figures.rejected, 10);
	assert_int_equal(figures.queued, 0);
	is_memory_gone = false;
	for (int i = 0; i < 10; i++)
		assert_int_equal(house_invite(&house), SONDE_OK);
	expect_room(&house.pool, CAPACITY);
	house_close(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_that_run_tasks_take_no_room),
		cmocka_unit_test(test_tasks_that_wait_for_tasks_take_no_room),
		cmocka_unit_test(test_tasks_that_are_being_cancelled_take_no_room),
		cmocka_unit_test(test_without_memory_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
