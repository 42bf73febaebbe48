/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pools in forked children: nothing hangs, everything says that it is closed, whatever the parent's
 * threads held when the child was made; and the child has pools of its own.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/pool.h>

#include "unit/resilience/pool_rig.h"

#define FORKS 40
#define HANGS_AFTER_S 20

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			_exit(__LINE__ % 200 + 1); \
	} while (0)

static void check_child(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void check_is_closed(struct sonde_error *error)
{
	CHECK(error && sonde_error_is(error, &sonde_closed));
	sonde_error_free(error);
}

struct family {
	struct sonde_pool pool;
	struct sonde_future pending;
	struct sonde_future done;
	atomic_int n_run;
	atomic_bool is_over;
};

static void be_the_child(struct family *family)
{
	struct sonde_pool_options options = { .threads = 2 };
	struct sonde_pool_figures figures;
	struct sonde_future future;
	struct sonde_pool pool;
	atomic_int n_run = 0;

	alarm(HANGS_AFTER_S);
	check_is_closed(sonde_pool_submit(&family->pool, count, &n_run, NULL, &future));
	CHECK(!sonde_future_is_done(&future));
	CHECK(sonde_pool_try_submit(&family->pool, count, &n_run, NULL, NULL) == SONDE_E_CLOSED);
	check_is_closed(sonde_pool_run(&family->pool, count, &n_run, NULL, NULL));
	check_is_closed(sonde_pool_wait(&family->pool, UINT64_MAX, NULL));
	CHECK(sonde_pool_stop(&family->pool, UINT64_MAX, NULL) == SONDE_E_CLOSED);
	CHECK(sonde_pool_resize(&family->pool, 3) == SONDE_E_CLOSED);
	CHECK(!sonde_pool_turn(&family->pool));
	sonde_pool_figures(&family->pool, &figures);
	CHECK(!figures.submitted);
	check_is_closed(sonde_future_wait(&family->pending, UINT64_MAX, NULL, NULL));
	sonde_future_cancel(&family->pending, NULL);
	sonde_future_deinit(&family->pending);
	CHECK(sonde_future_is_done(&family->done));
	sonde_future_deinit(&family->done);
	sonde_pool_deinit(&family->pool);
	/* Its own, and a grandchild of that. */
	CHECK(sonde_pool_init(&pool, &options) == SONDE_OK);
	CHECK(!sonde_pool_run(&pool, count, &n_run, NULL, NULL));
	CHECK(n_run == 1);
	sonde_pool_deinit(&pool);
	_exit(0);
}

static void *keep_busy(void *argument)
{
	struct family *family = argument;

	while (!family->is_over)
		sonde_error_free(
			sonde_pool_submit(&family->pool, count, &family->n_run, NULL, NULL));
	return NULL;
}

static void test_children_of_a_busy_process(void **state)
{
	struct sonde_pool_options options = { .threads = 2, .capacity = 4 };
	static struct family family;
	pthread_t thread;
	struct gate gate;

	(void)state;
	gate_init(&gate);
	assert_int_equal(sonde_pool_init(&family.pool, &options), SONDE_OK);
	assert_null(sonde_pool_submit(&family.pool, count, &family.n_run, NULL, &family.done));
	while (!sonde_future_is_done(&family.done))
		sched_yield();
	assert_null(sonde_pool_submit(&family.pool, pass_gate, &gate, NULL, &family.pending));
	gate_wait_entered(&gate);
	assert_int_equal(pthread_create(&thread, NULL, keep_busy, &family), 0);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			be_the_child(&family);
		check_child(pid);
	}
	family.is_over = true;
	pthread_join(thread, NULL);
	gate_open(&gate);
	/* The parent's goes on. */
	assert_null(sonde_future_wait(&family.pending, UINT64_MAX, NULL, NULL));
	assert_null(sonde_pool_run(&family.pool, count, &family.n_run, NULL, NULL));
	assert_int_equal(sonde_pool_stop(&family.pool, UINT64_MAX, NULL), SONDE_OK);
	sonde_future_deinit(&family.pending);
	sonde_future_deinit(&family.done);
	sonde_pool_deinit(&family.pool);
	gate_deinit(&gate);
}

/* Before what a sanitizer would look for there, where the main thread's stack is nobody's. */
static void leave(void)
{
	_exit(0);
}

static struct sonde_error *fork_and_return(void *argument, struct sonde_cancel *cancel, void **ret)
{
	pid_t *pid = argument;

	(void)cancel;
	(void)ret;
	*pid = fork();
	if (*pid == 0) {
		alarm(HANGS_AFTER_S);
		atexit(leave);
	}
	return NULL;
}

/* The only thread that the child has ends, and so does the child. */
static void test_a_task_that_forks_returns_in_both(void **state)
{
	struct sonde_pool_options options = { .threads = 2 };
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;

	(void)state;
	assert_int_equal(sonde_pool_init(&pool, &options), SONDE_OK);
	for (int i = 0; i < 10; i++) {
		pid_t pid = 0;

		assert_null(sonde_pool_run(&pool, fork_and_return, &pid, NULL, NULL));
		check_child(pid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_children_of_a_busy_process),
		cmocka_unit_test(test_a_task_that_forks_returns_in_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
