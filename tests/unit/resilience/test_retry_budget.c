/* SPDX-License-Identifier: Apache-2.0 */

/* The budget: its defaults, its bounds at every moment against a model, and under threads. */

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

#include <sonde/retry.h>

static uint32_t take_all(struct sonde_retry_budget *budget)
{
	uint32_t n = 0;

	while (sonde_retry_budget_try_acquire(budget) && n < 1000000)
		n++;
	return n;
}

static void test_default_ratio_is_a_fifth(void **state)
{
	struct virtual_clock clock;
	struct sonde_retry_budget_options options = { .clock = &clock.clock };
	struct sonde_retry_budget budget;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	assert_int_equal(take_all(&budget), 100);
	for (int i = 0; i < 50; i++)
		sonde_retry_budget_add_call(&budget);
	assert_int_equal(sonde_retry_budget_left(&budget), 10);
	assert_int_equal(take_all(&budget), 10);
	for (int i = 0; i < 4; i++)
		sonde_retry_budget_add_call(&budget);
	assert_int_equal(take_all(&budget), 0);
	sonde_retry_budget_add_call(&budget);
	assert_int_equal(take_all(&budget), 1);
	sonde_retry_budget_deinit(&budget);
}

static void test_default_minimum_is_ten_a_second(void **state)
{
	struct virtual_clock clock;
	struct sonde_retry_budget_options options = { .clock = &clock.clock };
	struct sonde_retry_budget budget;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	assert_int_equal(take_all(&budget), 100);
	clock.now_ns += SECOND;
	assert_int_equal(sonde_retry_budget_left(&budget), 10);
	assert_int_equal(take_all(&budget), 10);
	clock.now_ns += 99 * MS;
	assert_int_equal(take_all(&budget), 0);
	clock.now_ns += MS;
	assert_int_equal(take_all(&budget), 1);
}

static void test_default_burst_is_a_hundred(void **state)
{
	struct virtual_clock clock;
	struct sonde_retry_budget_options options = { .clock = &clock.clock };
	struct sonde_retry_budget budget;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	for (int i = 0; i < 100000; i++)
		sonde_retry_budget_add_call(&budget);
	clock.now_ns += 3600 * SECOND;
	assert_int_equal(sonde_retry_budget_left(&budget), 200);
	assert_int_equal(take_all(&budget), 200);
}

static void test_either_kind_alone(void **state)
{
	struct virtual_clock clock;
	struct sonde_retry_budget_options options = { .ratio = -1, .clock = &clock.clock };
	struct sonde_retry_budget budget;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	assert_int_equal(take_all(&budget), 100);
	for (int i = 0; i < 1000; i++)
		sonde_retry_budget_add_call(&budget);
	assert_int_equal(take_all(&budget), 0);
	options.min_per_second = -1;
	options.ratio = 1;
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	assert_int_equal(take_all(&budget), 0);
	clock.now_ns += 3600 * SECOND;
	assert_int_equal(take_all(&budget), 0);
	sonde_retry_budget_add_call(&budget);
	assert_int_equal(take_all(&budget), 1);
}

static void test_nonsense_is_refused(void **state)
{
	static const struct sonde_retry_budget_options nonsense[] = {
		{ .ratio = 1001 },          { .ratio = NAN },      { .min_per_second = NAN },
		{ .min_per_second = 1e-4 }, { .burst = 1000001 }, { .min_per_second = 1000001 },
	};
	struct sonde_retry_budget budget;

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(sonde_retry_budget_init(&budget, &nonsense[i]), SONDE_E_INVALID);
	assert_int_equal(sonde_retry_budget_init(NULL, NULL), SONDE_E_INVALID);
	assert_true(sonde_retry_budget_try_acquire(NULL));
	sonde_retry_budget_add_call(NULL);
	sonde_retry_budget_deinit(NULL);
	/* The rarest minimum with the largest burst is no overflow. */
	assert_int_equal(sonde_retry_budget_init(&budget,
						 &(struct sonde_retry_budget_options){
							 .min_per_second = 0.001,
							 .burst = 1000000 }),
			 SONDE_OK);
	assert_int_equal(sonde_retry_budget_left(&budget), 1000000);
}

/* ---- Against a model ------------------------------------------------------------------------- */

/*
 * Two bucket that leak nothing: retries as reals, filled by calls and by time, each up to a limit.
 */
struct model {
	double paid;
	double timed;
	double ratio;
	double per_second;
	double burst;
};

static void model_pass(struct model *model, uint64_t duration_ns)
{
	model->timed = fmin(model->burst,
			    model->timed + (double)duration_ns * 1e-9 * model->per_second);
}

/* 1: granted, 0: not, -1: too close to say in reals. */
static int model_take(struct model *model)
{
	if (fabs(model->paid - 1) < 1e-6)
		return -1;
	if (model->paid >= 1) {
		model->paid -= 1;
		return 1;
	}
	if (fabs(model->timed - 1) < 1e-5)
		return -1;
	if (model->timed < 1)
		return 0;
	model->timed -= 1;
	return 1;
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	struct virtual_clock clock;
	struct sonde_retry_budget budget;
	struct sonde_retry_budget_options options = { .clock = &clock.clock };
	struct model model;

	virtual_clock_init(&clock, 7 * SECOND);
	options.ratio = 0.013 + (double)(steps[0].a % 100) / 97;
	options.min_per_second = 0.5 + (double)(steps[0].b % 100) / 7;
	options.burst = 1 + (uint32_t)(steps[0].b >> 32) % 20;
	assert_int_equal(sonde_retry_budget_init(&budget, &options), SONDE_OK);
	model = (struct model){ 0, options.burst, options.ratio, options.min_per_second,
				options.burst };
	for (size_t i = 0; i < n_steps; i++) {
		int expected;
		bool is_granted;

		if (steps[i].what % 3 == 0) {
			uint64_t duration_ns = steps[i].b % (SECOND / 2);

			clock.now_ns += duration_ns;
			model_pass(&model, duration_ns);
			continue;
		}
		if (steps[i].what % 3 == 1) {
			sonde_retry_budget_add_call(&budget);
			model.paid = fmin(model.burst, model.paid + model.ratio);
			continue;
		}
		expected = model_take(&model);
		if (expected < 0)
			return true;
		is_granted = sonde_retry_budget_try_acquire(&budget);
		if (is_granted != (expected == 1)) {
			(void)snprintf(why, size, "step %zu: granted %d, model %d (paid %f, timed %f)",
				       i, is_granted, expected, model.paid, model.timed);
			return false;
		}
	}
	return true;
}

static void test_against_a_model(void **state)
{
	(void)state;
	sequence_check(play, /* n_sequences= */ 1000, /* n_steps= */ 300);
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define THREADS 4
#define CALLS 20000

struct shared {
	struct sonde_retry_budget budget;
	pthread_barrier_t barrier;
};

/* Each call is paid in, and two are tried to be taken out: how many were. */
static void *spend(void *argument)
{
	struct shared *shared = argument;
	uintptr_t n = 0;

	pthread_barrier_wait(&shared->barrier);
	for (int i = 0; i < CALLS; i++) {
		sonde_retry_budget_add_call(&shared->budget);
		n += sonde_retry_budget_try_acquire(&shared->budget);
		n += sonde_retry_budget_try_acquire(&shared->budget);
	}
	return (void *)n;
}

/* Nothing is given twice, and nothing is lost. */
static void test_threads_share_it_exactly(void **state)
{
	struct sonde_retry_budget_options options = { .ratio = 0.25,
						      .min_per_second = -1,
						      .burst = 1000000 };
	struct shared shared;
	pthread_t threads[THREADS];
	uint64_t n = 0;

	(void)state;
	assert_int_equal(sonde_retry_budget_init(&shared.budget, &options), SONDE_OK);
	pthread_barrier_init(&shared.barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spend, &shared), 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		n += (uintptr_t)result;
	}
	n += take_all(&shared.budget);
	assert_int_equal(n, THREADS * CALLS / 4);
	pthread_barrier_destroy(&shared.barrier);
}

static void *spend_timed(void *argument)
{
	struct shared *shared = argument;
	uintptr_t n = 0;

	pthread_barrier_wait(&shared->barrier);
	for (int i = 0; i < CALLS; i++)
		n += sonde_retry_budget_try_acquire(&shared->budget);
	return (void *)n;
}

static void test_threads_share_the_minimum_exactly(void **state)
{
	struct virtual_clock clock; /* Stands still: reading it is safe. */
	struct sonde_retry_budget_options options = { .ratio = -1,
						      .burst = 3777,
						      .clock = &clock.clock };
	struct shared shared;
	pthread_t threads[THREADS];
	uint64_t n = 0;

	(void)state;
	virtual_clock_init(&clock, SECOND);
	assert_int_equal(sonde_retry_budget_init(&shared.budget, &options), SONDE_OK);
	pthread_barrier_init(&shared.barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spend_timed, &shared), 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		n += (uintptr_t)result;
	}
	assert_int_equal(n, 3777);
	pthread_barrier_destroy(&shared.barrier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_ratio_is_a_fifth),
		cmocka_unit_test(test_default_minimum_is_ten_a_second),
		cmocka_unit_test(test_default_burst_is_a_hundred),
		cmocka_unit_test(test_either_kind_alone),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_threads_share_it_exactly),
		cmocka_unit_test(test_threads_share_the_minimum_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
