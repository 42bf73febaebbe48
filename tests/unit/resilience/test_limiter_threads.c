/* SPDX-License-Identifier: Apache-2.0 */

/* The limiter between threads, on a clock that one of them advances: never more than it allows. */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <sonde/limiter.h>

#include "support/virtual_clock.h"

#define THREADS 3
#define TURNS 20000
#define BURST 5
#define KEYS 40
#define BUCKETS 7

struct crowd {
	struct sonde_limiter limiter;
	_Atomic uint64_t now_ns;
	_Atomic uint64_t n_let;
	_Atomic uint32_t n_begun;
	uint32_t n_keys; /* 0: without a key. */
};

static uint64_t crowd_now_ns(void *user)
{
	return atomic_load(&((struct crowd *)user)->now_ns);
}

static void *come(void *argument)
{
	struct crowd *crowd = argument;
	uint32_t random = atomic_fetch_add(&crowd->n_begun, 1) * 7919 + 1;

	for (int i = 0; i < TURNS; i++) {
		char key[8];

		random = random * 1664525 + 1013904223;
		snprintf(key, sizeof(key), "%u", crowd->n_keys ? (random >> 16) % crowd->n_keys : 0);
		if (sonde_limiter_try_acquire(&crowd->limiter, crowd->n_keys ? key : NULL, 1, NULL))
			atomic_fetch_add(&crowd->n_let, 1);
		/* A token takes a millisecond. */
		atomic_fetch_add(&crowd->now_ns, random % 4 ? 0 : MS / 100);
	}
	return NULL;
}

/* Returns how many were let through; *ret_most: how many a bucket may have let. */
static uint64_t crowd_run(struct crowd *crowd, uint32_t n_keys,
			  enum sonde_limiter_overflow overflow, uint64_t *ret_most)
{
	const struct sonde_clock clock = { crowd_now_ns, NULL, crowd };
	const struct sonde_limiter_options options = {
		.permits = 1000,
		.burst = BURST,
		.max_keys = BUCKETS,
		.overflow = overflow,
		.clock = &clock,
	};
	pthread_t threads[THREADS];

	*crowd = (struct crowd){ .now_ns = SECOND, .n_keys = n_keys };
	assert_int_equal(sonde_limiter_init(&crowd->limiter, &options), SONDE_OK);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come, crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	*ret_most = BURST + (crowd->now_ns - SECOND) / MS;
	return crowd->n_let;
}

static void test_one_bucket(void **state)
{
	struct crowd crowd;
	uint64_t most;
	uint64_t n_let;

	(void)state;
	for (uint32_t n_keys = 0; n_keys < 2; n_keys++) {
		n_let = crowd_run(&crowd, n_keys, SONDE_LIMITER_EVICT, &most);
		/* Somebody always came in time: all that was there was taken. */
		assert_in_range(n_let, most - BURST, most + (n_keys ? BURST : 0));
		sonde_limiter_deinit(&crowd.limiter);
	}
}

/* More keys than buckets: what is full changes hands all the time, what is not never. */
static void test_buckets_that_change_hands(void **state)
{
	struct sonde_limiter_figures figures;
	struct crowd crowd;
	uint64_t most;
	uint64_t n_let;

	(void)state;
	n_let = crowd_run(&crowd, KEYS, SONDE_LIMITER_SHARE, &most);
	sonde_limiter_read(&crowd.limiter, &figures);
	assert_true(n_let <= (BUCKETS + 1) * most);
	assert_int_equal(figures.n_evicted, 0);
	assert_true(figures.n_shared > 0);
	assert_int_equal(n_let + figures.n_limited, THREADS * TURNS);
	sonde_limiter_deinit(&crowd.limiter);
	n_let = crowd_run(&crowd, KEYS, SONDE_LIMITER_EVICT, &most);
	sonde_limiter_read(&crowd.limiter, &figures);
	assert_true(figures.n_evicted > 0);
	assert_int_equal(n_let + figures.n_limited, THREADS * TURNS);
	sonde_limiter_deinit(&crowd.limiter);
}

struct waiting {
	struct sonde_limiter limiter;
	struct sonde_cancel cancel;
	struct sonde_error *error;
};

static void *wait_long(void *argument)
{
	struct waiting *waiting = argument;

	waiting->error = sonde_limiter_acquire(&waiting->limiter, "key", 1, &waiting->cancel);
	return NULL;
}

static void test_cancelled_by_another_thread(void **state)
{
	const struct sonde_limiter_options options = { .permits = 1, .period_ms = 3600000,
						       .max_wait_ms = UINT64_MAX };
	struct waiting waiting;
	uint64_t before_ns;
	pthread_t thread;

	(void)state;
	assert_int_equal(sonde_cancel_init(&waiting.cancel, NULL), SONDE_OK);
	assert_int_equal(sonde_limiter_init(&waiting.limiter, &options), SONDE_OK);
	assert_true(sonde_limiter_try_acquire(&waiting.limiter, "key", 1, NULL));
	before_ns = sonde_limiter_wait_ns(&waiting.limiter, "key", 1);
	assert_int_equal(pthread_create(&thread, NULL, wait_long, &waiting), 0);
	while (sonde_limiter_wait_ns(&waiting.limiter, "key", 1) <= before_ns)
		sched_yield();
	sonde_cancel_fire(&waiting.cancel, "enough");
	pthread_join(thread, NULL);
	assert_ptr_equal(sonde_error_type_of(waiting.error), &sonde_cancelled);
	assert_true(sonde_limiter_wait_ns(&waiting.limiter, "key", 1) <= before_ns);
	sonde_error_free(waiting.error);
	sonde_limiter_deinit(&waiting.limiter);
	sonde_cancel_deinit(&waiting.cancel);
}

/* In real time: as many as the elapsed time brings, and those who wait come one after another. */
static void test_real_time(void **state)
{
	const struct sonde_limiter_options options = { .permits = 1000, .burst = 1 };
	struct sonde_limiter limiter;
	struct timespec begin;
	struct timespec end;
	double elapsed_s;

	(void)state;
	assert_int_equal(sonde_limiter_init(&limiter, &options), SONDE_OK);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 30; i++)
		assert_null(sonde_limiter_acquire(&limiter, NULL, 1, NULL));
	clock_gettime(CLOCK_MONOTONIC, &end);
	elapsed_s = (double)(end.tv_sec - begin.tv_sec) +
		    (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	/* The first was let through at once, after the begin. */
	assert_true(elapsed_s >= 0.029);
	sonde_limiter_deinit(&limiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_bucket),
		cmocka_unit_test(test_buckets_that_change_hands),
		cmocka_unit_test(test_cancelled_by_another_thread),
		cmocka_unit_test(test_real_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
