/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads at one breaker: never more trials at once, or in one half-open state, than are wanted;
 * each change told once; nothing stuck when they are gone.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/breaker.h>

#include "base/compiler.h"
#include "base/random.h"

#define SECOND UINT64_C(1000000000)
#define THREADS 4
#define ROUNDS 4000
#define GENERATIONS 65536

static struct sonde_breaker breaker;
static _Atomic uint64_t clock_ns;
static _Atomic uint32_t n_told;
static _Atomic uint32_t n_wrong;
/* Of each generation: trials under way, and admitted and not released again. */
static _Atomic int32_t running[GENERATIONS];
static _Atomic int32_t admitted[GENERATIONS];
static int32_t calls;
static int32_t at_once;
static bool releases;

static uint64_t now_ns(void *user)
{
	(void)user;
	return atomic_load(&clock_ns);
}

static const struct sonde_clock still = { .now_ns = now_ns };

static void tell(void *user, const struct sonde_observation *observation)
{
	static const char *const legal[] = { "closed>open", "open>half_open", "half_open>open",
					     "half_open>closed" };
	char change[64];
	bool is_legal = false;

	(void)user;
	if (observation->what != SONDE_OBSERVED_STATE)
		return;
	atomic_fetch_add(&n_told, 1);
	(void)snprintf(change, sizeof(change), "%s>%s", observation->from, observation->to);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(legal); i++)
		is_legal |= strcmp(change, legal[i]) == 0;
	if (!is_legal)
		atomic_fetch_add(&n_wrong, 1);
}

static const struct sonde_observer observer = { .observe = tell };

static void end_trial(struct sonde_breaker_ticket ticket, const struct sonde_error *error,
		      bool is_released)
{
	uint32_t i = ticket.generation % GENERATIONS;

	if (ticket.permit) {
		atomic_fetch_sub(&running[i], 1);
		if (is_released)
			atomic_fetch_sub(&admitted[i], 1);
	}
	if (is_released)
		sonde_breaker_release(&breaker, ticket);
	else
		sonde_breaker_report(&breaker, ticket, error);
}

static void begin_trial(struct sonde_breaker_ticket ticket)
{
	uint32_t i = ticket.generation % GENERATIONS;

	if (!ticket.permit)
		return;
	if (atomic_fetch_add(&running[i], 1) >= at_once ||
	    atomic_fetch_add(&admitted[i], 1) >= calls)
		atomic_fetch_add(&n_wrong, 1);
}

static void *work(void *argument)
{
	uint64_t seed = (uintptr_t)argument;
	struct sonde_error *failure = sonde_error_raise(&sonde_timeout, "late");

	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t random = sonde__mix64(seed << 32 | round);
		struct sonde_breaker_ticket ticket;
		struct sonde_error *error = sonde_breaker_try_acquire(&breaker, &ticket);

		if (random % 16 == 0)
			atomic_fetch_add(&clock_ns, SECOND / 4);
		if (error) {
			sonde_error_free(error);
			continue;
		}
		begin_trial(ticket);
		end_trial(ticket, random >> 8 & 1 ? failure : NULL,
			  releases && (random >> 16) % 4 == 0);
		/* And once more, for nothing; of trials, which are known by their permit. */
		if (ticket.permit && random >> 24 & 1)
			sonde_breaker_report(&breaker, ticket, failure);
	}
	sonde_error_free(failure);
	return NULL;
}

static void run(const struct sonde_breaker_options *options)
{
	struct sonde_breaker_counts counts;
	pthread_t threads[THREADS];

	atomic_store(&clock_ns, SECOND);
	atomic_store(&n_told, 0);
	for (int i = 0; i < GENERATIONS; i++) {
		atomic_store(&running[i], 0);
		atomic_store(&admitted[i], 0);
	}
	calls = (int32_t)options->half_open_calls;
	at_once = (int32_t)options->half_open_at_once;
	assert_int_equal(sonde_breaker_init(&breaker, options), SONDE_OK);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	sonde_breaker_counts(&breaker, &counts);
	assert_int_equal(atomic_load(&n_wrong), 0);
	assert_true(counts.generation > 10);
	assert_true(counts.generation < GENERATIONS);
	assert_int_equal(atomic_load(&n_told), counts.generation - 1);
	assert_int_equal(counts.n_trials, 0);
	sonde_breaker_deinit(&breaker);
}

static struct sonde_breaker_options options_of(enum sonde_breaker_mode mode)
{
	return (struct sonde_breaker_options){
		.mode = mode,
		.reset_ms = 1000,
		.half_open_calls = 5,
		.half_open_at_once = 3,
		.trial_timeout_ms = UINT64_MAX,
		.clock = &still,
		.observer = &observer,
	};
}

static void test_consecutive(void **state)
{
	struct sonde_breaker_options options = options_of(SONDE_BREAKER_CONSECUTIVE);

	(void)state;
	options.failures = 2;
	releases = false;
	run(&options);
	releases = true;
	run(&options);
	options.half_open_calls = options.half_open_at_once = 1;
	run(&options);
}

static void test_count_window(void **state)
{
	struct sonde_breaker_options options = options_of(SONDE_BREAKER_COUNT_WINDOW);

	(void)state;
	options.window_calls = 40;
	options.minimum_calls = 10;
	releases = true;
	run(&options);
}

static void test_time_window(void **state)
{
	struct sonde_breaker_options options = options_of(SONDE_BREAKER_TIME_WINDOW);

	(void)state;
	options.window_ms = 10000;
	options.minimum_calls = 10;
	releases = true;
	run(&options);
}

/* ---- The limit is reached by all together ---------------------------------------------------- */

#define EACH 250

static void *fail_often(void *argument)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *failure = sonde_error_raise(&sonde_timeout, "late");

	(void)argument;
	for (int i = 0; i < EACH; i++)
		if (!sonde_error_free(sonde_breaker_try_acquire(&breaker, &ticket)))
			sonde_breaker_report(&breaker, ticket, failure);
	sonde_error_free(failure);
	return NULL;
}

/* No failure is lost: as many as are made open it, exactly. */
static void count_exactly(struct sonde_breaker_options options)
{
	for (int round = 0; round < 20; round++) {
		pthread_t threads[THREADS];

		atomic_store(&n_told, 0);
		assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, fail_often, NULL), 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_OPEN);
		assert_int_equal(atomic_load(&n_told), 1);
		sonde_breaker_deinit(&breaker);
	}
}

static void test_the_last_failure_opens(void **state)
{
	struct sonde_breaker_options options = { .failures = EACH * THREADS,
						 .clock = &still,
						 .observer = &observer };

	(void)state;
	count_exactly(options);
	options.failures = 0;
	options.mode = SONDE_BREAKER_COUNT_WINDOW;
	options.window_calls = options.minimum_calls = EACH * THREADS;
	options.failure_rate = 1;
	count_exactly(options);
	options.window_calls = 0;
	options.mode = SONDE_BREAKER_TIME_WINDOW;
	count_exactly(options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_consecutive),
		cmocka_unit_test(test_count_window),
		cmocka_unit_test(test_time_window),
		cmocka_unit_test(test_the_last_failure_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
