/* SPDX-License-Identifier: Apache-2.0 */

/* Ids: none is zero, none comes twice, whatever interrupts, runs beside or forks. */

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "context/context.h"

#define THREADS 4
#define DRAWS 50000

static uint64_t ids[THREADS * DRAWS];

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void assert_unique(uint64_t *list, size_t n)
{
	qsort(list, n, sizeof(list[0]), compare);
	assert_int_not_equal(list[0], 0);
	for (size_t i = 1; i < n; i++)
		assert_int_not_equal(list[i - 1], list[i]);
}

static void *draw_many(void *list)
{
	for (size_t i = 0; i < DRAWS; i++)
		((uint64_t *)list)[i] = sonde__identity_draw();
	return NULL;
}

static void test_threads_draw_different_ids(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], /* attr= */ NULL, draw_many, &ids[i * DRAWS]),
			0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], /* ret= */ NULL);
	assert_unique(ids, THREADS * DRAWS);
}

/* Every bit of an id is one about half of the time. */
static void test_bits_are_balanced(void **state)
{
	size_t ones[64] = { 0 };

	(void)state;
	draw_many(ids);
	for (size_t i = 0; i < DRAWS; i++)
		for (size_t bit = 0; bit < 64; bit++)
			ones[bit] += ids[i] >> bit & 1;
	/* Ten standard deviations. */
	for (size_t bit = 0; bit < 64; bit++)
		assert_in_range(ones[bit], DRAWS / 2 - 1118, DRAWS / 2 + 1118);
}

static size_t n_interrupts;

static void draw_in_handler(int number)
{
	(void)number;
	if (n_interrupts < DRAWS)
		ids[DRAWS + n_interrupts++] = sonde__identity_draw();
}

static void test_signal_handler_repeats_no_id(void **state)
{
	const struct itimerval often = { { 0, 20 }, { 0, 20 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = draw_in_handler, .sa_flags = SA_RESTART };
	struct sigaction before;
	size_t n = 0;

	(void)state;
	n_interrupts = 0;
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, /* old= */ NULL);
	/* The thread begins unseeded in every round, so that the seeding is interrupted as well. */
	for (; n < DRAWS; n++) {
		if (n % 100 == 0)
			atomic_store_explicit(&sonde__thread.id_state, 0, memory_order_relaxed);
		ids[n] = sonde__identity_draw();
	}
	setitimer(ITIMER_REAL, &never, /* old= */ NULL);
	sigaction(SIGALRM, &before, /* old= */ NULL);
	assert_unique(ids, DRAWS + n_interrupts);
}

static void test_child_draws_other_ids(void **state)
{
	int pipes[2];
	pid_t child;

	(void)state;
	sonde__identity_draw();
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (!child) {
		sonde__identity_open();
		for (size_t i = 0; i < 1000; i++)
			ids[i] = sonde__identity_draw();
		_exit(write(pipes[1], ids, 1000 * sizeof(ids[0])) == 1000 * sizeof(ids[0]) ? 0 : 1);
	}
	for (size_t i = 0; i < 1000; i++)
		ids[i] = sonde__identity_draw();
	assert_int_equal(read(pipes[0], ids + 1000, 1000 * sizeof(ids[0])), 1000 * sizeof(ids[0]));
	waitpid(child, /* status= */ NULL, /* options= */ 0);
	close(pipes[0]);
	close(pipes[1]);
	assert_unique(ids, 2000);
}

/* Two processes must not draw alike: the test compares with what an earlier seed gave. */
static void test_a_new_seed_gives_new_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		sonde__identity_open();
		atomic_store_explicit(&sonde__thread.id_state, 0, memory_order_relaxed);
		ids[i] = sonde__identity_draw();
	}
	assert_unique(ids, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_draw_different_ids),
		cmocka_unit_test(test_bits_are_balanced),
		cmocka_unit_test(test_signal_handler_repeats_no_id),
		cmocka_unit_test(test_child_draws_other_ids),
		cmocka_unit_test(test_a_new_seed_gives_new_ids),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
