/* SPDX-License-Identifier: Apache-2.0 */

/* The pool gives each object to one owner, in any number of threads and signal handlers. */

#include "support.h"

#include <pthread.h>
#include <signal.h>

static void give(struct sonde_error *error)
{
	atomic_store_explicit(&error->state, SONDE__ERROR_FREED, memory_order_relaxed);
	sonde__error_give(error);
}

static void test_gives_all_and_then_the_heap(void **state)
{
	struct sonde_error *errors[SONDE__ERROR_POOL_SIZE + 3];

	(void)state;
	for (int round = 0; round < 5; round++) {
		allocator_calls = 0;
		for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE; i++) {
			errors[i] = sonde__error_take();
			assert_true(errors[i]->flags & ERROR_IS_POOLED);
			for (size_t k = 0; k < i; k++)
				assert_ptr_not_equal(errors[i], errors[k]);
		}
		assert_int_equal(allocator_calls, 0);
		for (size_t i = SONDE__ERROR_POOL_SIZE; i < SONDE__ERROR_POOL_SIZE + 3; i++) {
			errors[i] = sonde__error_take();
			assert_false(errors[i]->flags & ERROR_IS_POOLED);
		}
		assert_int_equal(allocator_calls, 3);
		allocator_fails = true;
		assert_null(sonde__error_take());
		allocator_fails = false;
		for (size_t i = 0; i < SONDE__ERROR_POOL_SIZE + 3; i++)
			give(errors[i]);
	}
}

/* A freed object is the last to be given again, so that a second free meets it freed. */
static void test_comes_back_late(void **state)
{
	struct sonde_error *first = sonde__error_take();

	(void)state;
	give(first);
	for (size_t i = 1; i < SONDE__ERROR_POOL_SIZE; i++) {
		struct sonde_error *error = sonde__error_take();

		assert_ptr_not_equal(error, first);
		give(error);
	}
}

#define ROUNDS 20000
#define HELD 20

static void *take_and_give(void *number)
{
	struct sonde_error *held[HELD] = { 0 };
	uintptr_t self = (uintptr_t)number;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct sonde_error **slot = &held[(i * 7 + self) % HELD];

		if (*slot) {
			/* Nobody else wrote to it since. */
			if ((*slot)->event_id != (self << 32 | (*slot)->n_omitted))
				return *slot;
			give(*slot);
			*slot = NULL;
			continue;
		}
		*slot = sonde__error_take();
		(*slot)->n_omitted = i;
		(*slot)->event_id = self << 32 | i;
	}
	for (size_t i = 0; i < HELD; i++)
		if (held[i])
			give(held[i]);
	return NULL;
}

static void test_many_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)),
				 0);
	for (size_t i = 0; i < 4; i++) {
		void *result;

		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	test_gives_all_and_then_the_heap(state);
}

static void on_signal(int number)
{
	struct sonde_error *error = sonde__error_take();

	(void)number;
	error->event_id = 1;
	give(error);
}

static void test_taking_in_a_signal_handler(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;
	pthread_t thread;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	/* Few enough are held that the handler never needs the heap. */
	assert_int_equal(pthread_create(&thread, NULL, take_and_give, (void *)(uintptr_t)9), 0);
	for (int i = 0; i < 500; i++)
		pthread_kill(thread, SIGUSR1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	test_gives_all_and_then_the_heap(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gives_all_and_then_the_heap),
		cmocka_unit_test(test_comes_back_late),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_taking_in_a_signal_handler),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
