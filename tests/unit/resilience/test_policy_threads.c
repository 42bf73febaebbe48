/* SPDX-License-Identifier: Apache-2.0 */

/* One policy and all its guards under many threads: limits hold, and nothing is held in the end. */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/policy.h>

#define THREADS 4
#define RUNS 400
#define PERMITS 2

struct shared {
	struct sonde_retry_budget budget;
	struct sonde_retry retry;
	struct sonde_breaker breaker;
	struct sonde_bulkhead bulkhead;
	struct sonde_limiter limiter;
	struct sonde_policy policy;
	_Atomic int n_inside;
	_Atomic int n_most;
	_Atomic uint64_t n_attempts;
	_Atomic uint64_t n_fallbacks;
};

static struct sonde_error *operation(void *argument)
{
	struct shared *shared = argument;
	int n = atomic_fetch_add(&shared->n_inside, 1) + 1;
	int most = atomic_load(&shared->n_most);
	uint64_t number = atomic_fetch_add(&shared->n_attempts, 1);

	while (n > most && !atomic_compare_exchange_weak(&shared->n_most, &most, n))
		;
	sched_yield();
	atomic_fetch_sub(&shared->n_inside, 1);
	return number % 3 ? NULL : sonde_error_raise(&sonde_unavailable, "every third fails");
}

static struct sonde_error *fallback(void *user, void *argument, struct sonde_error *error)
{
	struct shared *shared = user;

	assert_ptr_equal(argument, shared);
	atomic_fetch_add(&shared->n_fallbacks, 1);
	return error;
}

static void *work(void *argument)
{
	struct shared *shared = argument;
	uintptr_t n_failed = 0;

	for (int i = 0; i < RUNS; i++) {
		struct sonde_error *error =
			sonde_policy_run(&shared->policy, operation, shared, /* cancel= */ NULL);

		n_failed += error != NULL;
		sonde_error_free(error);
	}
	return (void *)n_failed;
}

static void init(struct shared *shared)
{
	const struct sonde_retry_options retry = { .is_immediate = true,
						   .budget = &shared->budget };
	const struct sonde_breaker_options breaker = { .failures = 1000 };
	const struct sonde_bulkhead_options bulkhead = { .limit = PERMITS,
							 .max_queue = UINT32_MAX };
	const struct sonde_limiter_options limiter = { .permits = 1000000 };
	const struct sonde_policy_options policy = { .name = "all",
						     .timeout_ms = 60000,
						     .retry = &shared->retry,
						     .breaker = &shared->breaker,
						     .bulkhead = &shared->bulkhead,
						     .limiter = &shared->limiter,
						     .fallback = fallback,
						     .fallback_user = shared };

	assert_int_equal(sonde_retry_budget_init(&shared->budget, NULL), SONDE_OK);
	assert_int_equal(sonde_retry_init(&shared->retry, &retry), SONDE_OK);
	assert_int_equal(sonde_breaker_init(&shared->breaker, &breaker), SONDE_OK);
	assert_int_equal(sonde_bulkhead_init(&shared->bulkhead, &bulkhead), SONDE_OK);
	assert_int_equal(sonde_limiter_init(&shared->limiter, &limiter), SONDE_OK);
	assert_int_equal(sonde_policy_init(&shared->policy, &policy), SONDE_OK);
}

static void test_threads_share_a_policy(void **state)
{
	static struct shared shared;
	struct sonde_bulkhead_figures figures;
	pthread_t threads[THREADS];
	uint64_t n_failed = 0;

	(void)state;
	init(&shared);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &shared), 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		n_failed += (uintptr_t)result;
	}
	assert_true(atomic_load(&shared.n_most) <= PERMITS);
	assert_int_equal(atomic_load(&shared.n_fallbacks), n_failed);
	/* Each failed attempt was tried again, or ended its call. */
	assert_true(atomic_load(&shared.n_attempts) >= THREADS * RUNS);
	sonde_bulkhead_read(&shared.bulkhead, &figures);
	assert_int_equal(figures.n_taken, 0);
	sonde_policy_deinit(&shared.policy);
	sonde_limiter_deinit(&shared.limiter);
	sonde_bulkhead_deinit(&shared.bulkhead);
	sonde_breaker_deinit(&shared.breaker);
	sonde_retry_deinit(&shared.retry);
	sonde_retry_budget_deinit(&shared.budget);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_share_a_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
