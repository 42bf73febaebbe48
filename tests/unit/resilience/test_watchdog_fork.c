/* SPDX-License-Identifier: Apache-2.0 */

/* A forked child has its parent's watchdogs in its memory, and nobody who watches. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_forked_child_watches_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
