/* SPDX-License-Identifier: Apache-2.0 */

/* The queue between threads: every item comes out once, whatever else happens. */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/queue.h>

#include "base/testpoint.h"

#define FOR_EVER UINT64_MAX

static void *item_of(uintptr_t number)
{
	return (void *)number;
}

#define PRODUCERS 3
#define CONSUMERS 3
#define PER_PRODUCER 3000

/* Each item's times, and that each producer's come in order to each consumer. */
struct crowd {
	struct sonde_queue queue;
	unsigned char times[PRODUCERS * PER_PRODUCER];
	pthread_mutex_t lock;
};

struct member {
	struct crowd *crowd;
	uintptr_t number;
	size_t n_done;
	bool is_in_order;
};

static void *produce(void *argument)
{
	struct member *member = argument;

	for (uintptr_t i = 0; i < PER_PRODUCER; i++) {
		void *item = item_of(member->number * PER_PRODUCER + i);
		struct sonde_error *error = NULL;

		/* In both ways. */
		if (i % 3 || sonde_queue_try_push(&member->crowd->queue, item) != SONDE_OK)
			error = sonde_queue_push(&member->crowd->queue, item, FOR_EVER, NULL);
		member->n_done += !error;
		sonde_error_free(error);
	}
	return NULL;
}

static void *consume(void *argument)
{
	struct member *member = argument;
	uintptr_t last[PRODUCERS] = { 0 };

	member->is_in_order = true;
	for (;;) {
		void *item;
		uintptr_t number;
		struct sonde_error *error =
			sonde_queue_pop(&member->crowd->queue, FOR_EVER, NULL, &item);

		if (error) {
			member->is_in_order &= sonde_error_is(error, &sonde_closed);
			sonde_error_free(error);
			return NULL;
		}
		number = (uintptr_t)item;
		member->is_in_order &= last[number / PER_PRODUCER] <= number % PER_PRODUCER;
		last[number / PER_PRODUCER] = number % PER_PRODUCER + 1;
		pthread_mutex_lock(&member->crowd->lock);
		member->crowd->times[number]++;
		pthread_mutex_unlock(&member->crowd->lock);
		member->n_done++;
	}
}

static void test_every_item_comes_out_once(void **state)
{
	struct sonde_queue_options options = { .capacity = 8, .slow_ms = FOR_EVER };
	static struct crowd crowd;
	struct member members[PRODUCERS + CONSUMERS];
	pthread_t threads[PRODUCERS + CONSUMERS];
	size_t n_popped = 0;

	(void)state;
	memset(&crowd, 0, sizeof(crowd));
	pthread_mutex_init(&crowd.lock, NULL);
	assert_int_equal(sonde_queue_init(&crowd.queue, &options), SONDE_OK);
	for (uintptr_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
		members[i] = (struct member){ .crowd = &crowd, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL,
						i < PRODUCERS ? produce : consume, &members[i]),
				 0);
	}
	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(members[i].n_done, PER_PRODUCER);
	}
	sonde_queue_close(&crowd.queue);
	for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(members[i].is_in_order);
		n_popped += members[i].n_done;
	}
	assert_int_equal(n_popped, PRODUCERS * PER_PRODUCER);
	for (size_t i = 0; i < PRODUCERS * PER_PRODUCER; i++)
		assert_int_equal(crowd.times[i], 1);
	sonde_queue_deinit(&crowd.queue);
	pthread_mutex_destroy(&crowd.lock);
}

/* Tokens, limits and the close all come while others push and pop. */
struct storm {
	struct sonde_queue queue;
	struct sonde_cancel cancel;
	_Atomic size_t n_pushed;
	_Atomic size_t n_popped;
};

static void *push_until_closed(void *argument)
{
	struct storm *storm = argument;

	for (uint64_t i = 0;; i++) {
		struct sonde_error *error = sonde_queue_push(&storm->queue, storm, i % 2,
							     i % 3 ? &storm->cancel : NULL);
		bool is_end = error && sonde_error_is(error, &sonde_closed);

		storm->n_pushed += !error;
		sonde_error_free(error);
		if (is_end)
			return NULL;
	}
}

static void *pop_until_closed(void *argument)
{
	struct storm *storm = argument;

	for (uint64_t i = 0;; i++) {
		void *item = NULL;
		struct sonde_error *error = sonde_queue_pop(
			&storm->queue, i % 2, i % 3 ? &storm->cancel : NULL, &item);
		bool is_end = error && sonde_error_is(error, &sonde_closed);

		if (!error)
			assert_ptr_equal(item, storm);
		storm->n_popped += !error;
		sonde_error_free(error);
		if (is_end)
			return NULL;
	}
}

static void test_close_in_the_middle_of_everything(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct sonde_queue_options options = { .capacity = 2 };
		struct storm storm = { .n_pushed = 0 };
		pthread_t threads[4];

		assert_int_equal(sonde_queue_init(&storm.queue, &options), SONDE_OK);
		sonde_cancel_init(&storm.cancel, NULL);
		for (int j = 0; j < 4; j++)
			assert_int_equal(pthread_create(&threads[j], NULL,
							j % 2 ? push_until_closed :
								pop_until_closed,
							&storm),
					 0);
		while (storm.n_popped < 50)
			sched_yield();
		sonde_cancel_fire(&storm.cancel, "storm");
		sonde_queue_close(&storm.queue);
		for (int j = 0; j < 4; j++)
			pthread_join(threads[j], NULL);
		assert_int_equal(storm.n_pushed, storm.n_popped);
		assert_int_equal(sonde_queue_length(&storm.queue), 0);
		sonde_cancel_deinit(&storm.cancel);
		sonde_queue_deinit(&storm.queue);
	}
}

#ifdef SONDE_TESTPOINTS
static atomic_bool has_ended;
static atomic_bool has_ended_early;

/* Gives who was woken time to end the queue below the one who woke it: it must not. */
static void hold_the_waker(const char *name)
{
	if (strcmp(name, "waiter-granted") != 0)
		return;
	for (int i = 0; i < 30 && !has_ended; i++)
		(void)poll(NULL, 0, /* timeout= */ 1);
	has_ended_early = has_ended;
}

static uint64_t stand_still(void *user)
{
	(void)user;
	return 0;
}

/* Somebody is in the line. */
static void say_so(void *user, uint64_t until_ns)
{
	(void)until_ns;
	*(atomic_bool *)user = true;
	sched_yield();
}

struct closer {
	struct sonde_queue queue;
	atomic_bool is_waited_for;
};

static void *close_below_who_waits(void *argument)
{
	struct closer *closer = argument;

	while (!closer->is_waited_for)
		sched_yield();
	sonde_queue_close(&closer->queue);
	return NULL;
}

static void test_ends_once_it_is_seen_closed(void **state)
{
	struct closer closer = { .is_waited_for = false };
	const struct sonde_clock clock = { stand_still, say_so, &closer.is_waited_for };
	const struct sonde_queue_options options = { .clock = &clock };
	struct sonde_error *error;
	pthread_t thread;
	void *item;

	(void)state;
	assert_int_equal(sonde_queue_init(&closer.queue, &options), SONDE_OK);
	__atomic_store_n(&sonde__testpoint_hook, hold_the_waker, __ATOMIC_RELEASE);
	assert_int_equal(pthread_create(&thread, NULL, close_below_who_waits, &closer), 0);
	error = sonde_queue_pop(&closer.queue, FOR_EVER, NULL, &item);
	sonde_queue_deinit(&closer.queue);
	has_ended = true;
	pthread_join(thread, NULL);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_true(sonde_error_is(error, &sonde_closed));
	sonde_error_free(error);
	assert_false(has_ended_early);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_item_comes_out_once),
		cmocka_unit_test(test_close_in_the_middle_of_everything),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_ends_once_it_is_seen_closed),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
