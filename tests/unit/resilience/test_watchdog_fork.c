/* SPDX-License-Identifier: Apache-2.0 */

/* A forked child has its parent's watchdogs in its memory, and nobody who watches. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

#include "base/testpoint.h"

static uint32_t n_stalls;

static void hear(void *user, const struct sonde_observation *observation)
{
	(void)user;
	if (observation->what == SONDE_OBSERVED_STALL)
		__atomic_add_fetch(&n_stalls, 1, __ATOMIC_RELEASE);
}

static const struct sonde_observer observer = { hear, NULL };
static const struct sonde_watchdog_options quick = { .observer = &observer, .stall_ms = 20 };

static void wait_for_stall(void)
{
	while (!__atomic_load_n(&n_stalls, __ATOMIC_ACQUIRE))
		;
}

/* Returns what the child says. */
static int child_run(struct sonde_watchdog *parents)
{
	struct sonde_watchdog own;

	sonde_watchdog_feed(parents);
	if (sonde_watchdog_check(parents) != SONDE_WATCHDOG_RESTING)
		return 1;
	sonde_watchdog_adopt(parents);
	sonde_watchdog_deinit(parents);
	n_stalls = 0;
	if (sonde_watchdog_init(&own, &quick) != SONDE_OK)
		return 2;
	sonde_watchdog_feed(&own);
	wait_for_stall();
	sonde_watchdog_deinit(&own);
	return 0;
}

static void fork_by(long (*make)(void))
{
	struct sonde_watchdog watchdog;
	struct sonde_watchdog idle[8];
	int status;
	pid_t child;

	n_stalls = 0;
	assert_int_equal(sonde_watchdog_init(&watchdog, &quick), SONDE_OK);
	for (int i = 0; i < 8; i++)
		assert_int_equal(sonde_watchdog_init(&idle[i], &quick), SONDE_OK);
	sonde_watchdog_feed(&watchdog);
	wait_for_stall();
	for (int i = 0; i < 20; i++) {
		child = (pid_t)make();
		assert_true(child >= 0);
		if (child == 0)
			_exit(child_run(&watchdog));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 8; i++)
		sonde_watchdog_deinit(&idle[i]);
	sonde_watchdog_deinit(&watchdog);
}

static long make_fork(void)
{
	return fork();
}

static void test_a_forked_child_watches_itself(void **state)
{
	(void)state;
	fork_by(make_fork);
}

#ifdef SONDE_TESTPOINTS
static pid_t forked;

static void fork_there(const char *name)
{
	struct sonde_watchdog own;

	if (strcmp(name, "watchdog.between"))
		return;
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	forked = fork();
	if (forked)
		return;
	/* It is ended where it waits for one that is not there. */
	alarm(10);
	if (sonde_watchdog_init(&own, &quick) != SONDE_OK)
		_exit(1);
	sonde_watchdog_deinit(&own);
	_exit(0);
}

/* As another thread's fork would find it. */
static void test_a_fork_in_the_middle_of_the_first_call(void **state)
{
	struct sonde_watchdog watchdog;
	int status;

	(void)state;
	__atomic_store_n(&sonde__testpoint_hook, fork_there, __ATOMIC_RELEASE);
	assert_int_equal(sonde_watchdog_init(&watchdog, &quick), SONDE_OK);
	assert_true(forked > 0);
	assert_int_equal(waitpid(forked, &status, 0), forked);
	assert_int_equal(status, 0);
	sonde_watchdog_deinit(&watchdog);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef SONDE_TESTPOINTS
		/* The first: it is about the first call. */
		cmocka_unit_test(test_a_fork_in_the_middle_of_the_first_call),
#endif
		cmocka_unit_test(test_a_forked_child_watches_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
