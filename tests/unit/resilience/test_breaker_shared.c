/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One breaker in several processes: what one finds out all know, and a process that is killed, at
 * each of the points between two steps or anywhere, leaves a breaker that works, with all its
 * permits. Time is in shared memory, too, and stands still unless the test moves it.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/breaker.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/random.h"
#include "base/testpoint.h"
#include "support/child.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define WORKERS 4
#define CALLS 3

/* Of all processes. */
struct common {
	_Atomic uint64_t now_ns;
	_Atomic uint32_t n_told;
	_Atomic uint64_t n_admitted[WORKERS];
	_Atomic uint64_t n_rejected[WORKERS];
};

static struct common *common;
static struct sonde_breaker breaker;

static uint64_t now_ns(void *user)
{
	(void)user;
	return atomic_load(&common->now_ns);
}

static const struct sonde_clock still = { .now_ns = now_ns };

static void tell(void *user, const struct sonde_observation *observation)
{
	(void)user;
	if (observation->what == SONDE_OBSERVED_STATE)
		atomic_fetch_add(&common->n_told, 1);
}

static const struct sonde_observer observer = { .observe = tell };

static int begin(void **state)
{
	(void)state;
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(common, MAP_FAILED);
	atomic_store(&common->now_ns, 1000 * SECOND);
	return 0;
}

static int end(void **state)
{
	(void)state;
	sonde_breaker_deinit(&breaker);
	munmap(common, sizeof(*common));
	return 0;
}

static void start(enum sonde_breaker_mode mode)
{
	struct sonde_breaker_options options = {
		.name = "shared",
		.shared = true,
		.mode = mode,
		.half_open_calls = CALLS,
		.clock = &still,
		.observer = &observer,
	};

	if (mode == SONDE_BREAKER_CONSECUTIVE)
		options.failures = 3;
	else
		options.minimum_calls = 3;
	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
}

static void pass(uint64_t ns)
{
	atomic_fetch_add(&common->now_ns, ns);
}

/* Whether it was admitted. */
static bool call(const struct sonde_error_type *type)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *error = sonde_breaker_try_acquire(&breaker, &ticket);
	bool is_admitted = !error;

	if (is_admitted) {
		error = type ? sonde_error_raise(type, "no answer in %d", (int)getpid()) : NULL;
		sonde_breaker_report(&breaker, ticket, error);
	}
	sonde_error_free(error);
	return is_admitted;
}

static bool acquire(struct sonde_breaker_ticket *ret)
{
	return !sonde_error_free(sonde_breaker_try_acquire(&breaker, ret)) &&
	       sonde_breaker_state_of(&breaker) != SONDE_BREAKER_OPEN;
}

static uint32_t n_trials(void)
{
	struct sonde_breaker_counts counts;

	sonde_breaker_counts(&breaker, &counts);
	return counts.n_trials;
}

/* ---- What one finds out, all know ------------------------------------------------------------ */

static void fail_3_times(void)
{
	for (int i = 0; i < 3; i++)
		CHECK(call(&sonde_timeout));
	CHECK(!call(NULL));
}

static void recover(void)
{
	for (int i = 0; i < CALLS; i++)
		CHECK(call(NULL));
	CHECK(sonde_breaker_state_of(&breaker) == SONDE_BREAKER_CLOSED);
}

static void test_all_know(void **state)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *error;

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	assert_int_equal(child_run(fail_3_times), CHILD_OK);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_OPEN);
	error = sonde_breaker_try_acquire(&breaker, &ticket);
	assert_true(sonde_error_is(error, &sonde_circuit_open));
	assert_true(sonde_error_is(sonde_error_cause(error), &sonde_timeout));
	assert_ptr_equal(sonde_error_type_of(sonde_error_cause(error)), &sonde_timeout);
	assert_int_equal(
		strncmp(sonde_error_message(sonde_error_cause(error)), "no answer in ", 13), 0);
	sonde_error_free(error);
	pass(60 * SECOND);
	assert_int_equal(child_run(recover), CHILD_OK);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
	assert_true(call(NULL));
	assert_int_equal(atomic_load(&common->n_told), 3);
}

static void fail_once(void)
{
	CHECK(call(&sonde_unavailable));
}

/* Failures of several are in a row together. */
static void test_counted_together(void **state)
{
	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
		assert_int_equal(child_run(fail_once), CHILD_OK);
	}
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_OPEN);
}

static void test_private_without_shared(void **state)
{
	(void)state;
	assert_int_equal(sonde_breaker_init(&breaker, &(struct sonde_breaker_options){
							      .failures = 3, .clock = &still }),
			 SONDE_OK);
	assert_int_equal(child_run(fail_3_times), CHILD_OK);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
}

/* ---- Killed in the middle of a trial --------------------------------------------------------- */

static void die_in_a_trial(void)
{
	struct sonde_breaker_ticket ticket;

	CHECK(acquire(&ticket));
	CHECK(n_trials() > 0);
	raise(SIGKILL);
}

static void test_dead_owners_give_back(void **state)
{
	struct sonde_breaker_ticket tickets[CALLS];

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	assert_int_equal(child_run(fail_3_times), CHILD_OK);
	pass(60 * SECOND);
	for (int i = 0; i < CALLS; i++)
		assert_int_equal(child_run(die_in_a_trial), 1000 + SIGKILL);
	assert_int_equal(n_trials(), CALLS);
	/* No time passes: that they are dead is found by looking. */
	for (int i = 0; i < CALLS; i++)
		assert_true(acquire(&tickets[i]));
	assert_false(call(NULL));
	for (int i = 0; i < CALLS; i++)
		sonde_breaker_report(&breaker, tickets[i], NULL);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
}

/* A zombie is dead, before anybody waits for it. */
static void test_unreaped_owner_gives_back(void **state)
{
	struct sonde_breaker_ticket ticket;
	siginfo_t info;
	pid_t pid;

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	assert_int_equal(child_run(fail_3_times), CHILD_OK);
	pass(60 * SECOND);
	assert_true(acquire(&ticket));
	assert_true(acquire(&ticket));
	pid = fork();
	if (pid == 0)
		die_in_a_trial();
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(acquire(&ticket));
	assert_int_equal(child_wait(pid), 1000 + SIGKILL);
}

/* One that lives keeps its permit until the time is over, whoever else dies. */
static void test_living_owner_keeps(void **state)
{
	struct sonde_breaker_ticket ticket;
	int ready[2];
	char byte;
	pid_t pid;

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	assert_int_equal(child_run(fail_3_times), CHILD_OK);
	pass(60 * SECOND);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < CALLS; i++)
			CHECK(acquire(&ticket));
		CHECK(write(ready[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	for (int i = 0; i < 5; i++) {
		assert_false(call(NULL));
		pass(SECOND);
	}
	pass(54 * SECOND);
	assert_false(call(NULL));
	pass(SECOND);
	assert_true(call(NULL));
	kill(pid, SIGKILL);
	assert_int_equal(child_wait(pid), 1000 + SIGKILL);
	close(ready[0]);
	close(ready[1]);
	assert_true(call(NULL));
	assert_true(call(NULL));
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
}

/* ---- Killed between two steps ---------------------------------------------------------------- */

#ifdef SONDE_TESTPOINTS
static const char *kill_point;
static int kill_at;

static void kill_here(const char *name)
{
	if (strcmp(name, kill_point) == 0 && kill_at-- == 0)
		raise(SIGKILL);
}

/* Through all the states, and back. */
static void go_round(void)
{
	__atomic_store_n(&sonde__testpoint_hook, kill_here, __ATOMIC_RELEASE);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			CHECK(call(&sonde_timeout));
		CHECK(!call(NULL));
		pass(60 * SECOND);
		for (int i = 0; i < CALLS; i++)
			if (sonde_breaker_state_of(&breaker) != SONDE_BREAKER_OPEN)
				(void)call(round ? NULL : &sonde_unavailable);
		pass(60 * SECOND);
		for (int i = 0; i < CALLS; i++)
			(void)call(NULL);
	}
}

/*
 * Whatever was left: after the reset time and the time of a trial, so many good calls close it and
 * it goes round as it should.
 */
static void assert_works(void)
{
	struct sonde_breaker_counts counts;
	int n = 0;

	while (sonde_breaker_state_of(&breaker) != SONDE_BREAKER_CLOSED && n < 10) {
		pass(60 * SECOND);
		for (int i = 0; i < CALLS; i++)
			(void)call(NULL);
		n++;
	}
	/* Killed before it said until when, its reset time begins with the first who asks. */
	assert_in_range(n, 0, 2);
	sonde_breaker_counts(&breaker, &counts);
	assert_int_equal(counts.state, SONDE_BREAKER_CLOSED);
	assert_int_equal(counts.n_trials, 0);
	for (int i = 0; i < 3; i++) {
		/* What the dead one had counted may open it sooner. */
		for (n = 0; sonde_breaker_state_of(&breaker) == SONDE_BREAKER_CLOSED; n++)
			assert_true(call(&sonde_timeout));
		assert_in_range(n, i ? 3 : 1, 3);
		assert_false(call(NULL));
		pass(60 * SECOND);
		for (int k = 0; k < CALLS; k++)
			assert_true(call(NULL));
	}
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
}

static void kill_everywhere(enum sonde_breaker_mode mode, const char *const *points, size_t n)
{
	for (size_t p = 0; p < n; p++) {
		int status = 1000 + SIGKILL;

		for (kill_at = 0; status == 1000 + SIGKILL; kill_at++) {
			kill_point = points[p];
			start(mode);
			status = child_run(go_round);
			assert_works();
			sonde_breaker_deinit(&breaker);
		}
		assert_int_equal(status, CHILD_OK);
		assert_true(kill_at > 1); /* There was such a point. */
	}
}

static void test_killed_at_each_point(void **state)
{
	const char *const points[] = { "circuit:changed", "circuit:until", "circuit:stamped",
				       "circuit:taken",	  "circuit:reported", "circuit:cause" };

	(void)state;
	kill_everywhere(SONDE_BREAKER_CONSECUTIVE, points, SONDE__ARRAY_SIZE(points));
}

static void test_killed_at_each_point_of_windows(void **state)
{
	const char *const points[] = { "circuit:changed", "circuit:until", "circuit:counted",
				       "circuit:taken",	  "circuit:reported", "outcomes:placed",
				       "circuit:cause" };
	const char *const times[] = { "circuit:counted", "outcomes:counted", "circuit:changed" };

	(void)state;
	kill_everywhere(SONDE_BREAKER_COUNT_WINDOW, points, SONDE__ARRAY_SIZE(points));
	kill_everywhere(SONDE_BREAKER_TIME_WINDOW, times, SONDE__ARRAY_SIZE(times));
}

static void die_as_it_opens(void)
{
	kill_point = "circuit:changed";
	kill_at = 0;
	__atomic_store_n(&sonde__testpoint_hook, kill_here, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		(void)call(&sonde_timeout);
}

/* Nobody said until when, nor why: it is open for a reset time from the first question on. */
static void test_opened_by_the_dead(void **state)
{
	struct sonde_breaker_ticket ticket;
	struct sonde_error *error;

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	assert_int_equal(child_run(die_as_it_opens), 1000 + SIGKILL);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_OPEN);
	pass(5 * SECOND);
	error = sonde_breaker_try_acquire(&breaker, &ticket);
	assert_true(sonde_error_is(error, &sonde_circuit_open));
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
	assert_int_equal(sonde_breaker_wait_ns(&breaker), 60 * SECOND);
	pass(60 * SECOND);
	assert_true(call(NULL));
}
#endif

/* ---- Killed anywhere ------------------------------------------------------------------------- */

/* Calls as fast as it can; a third of them fails, in phases. */
static void work(uint32_t worker)
{
	for (uint64_t i = 0;; i++) {
		bool fails = sonde__mix64(i / 16) % 3 == 0;

		if (call(fails ? &sonde_unavailable : NULL))
			atomic_fetch_add(&common->n_admitted[worker], 1);
		else
			atomic_fetch_add(&common->n_rejected[worker], 1);
		if (worker == 0)
			pass(100000);
	}
}

static void test_killed_anywhere(void **state)
{
	const struct sonde_breaker_options options = {
		.shared = true,
		.failures = 3,
		.reset_ms = 1,
		.trial_timeout_ms = 5,
		.half_open_calls = CALLS,
		.clock = &still,
	};
	pid_t pids[WORKERS];
	uint64_t n_admitted;

	(void)state;
	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
	for (uint32_t i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work(i);
		assert_true(pids[i] > 0);
	}
	for (int kills = 0; kills < 60; kills++) {
		uint32_t i = (uint32_t)kills % WORKERS;
		struct timespec ts = { .tv_nsec = (long)(sonde__mix64((uint64_t)kills) % 3000000) };

		nanosleep(&ts, NULL);
		kill(pids[i], SIGKILL);
		assert_int_equal(child_wait(pids[i]), 1000 + SIGKILL);
		pids[i] = fork();
		if (pids[i] == 0)
			work(i);
		assert_true(pids[i] > 0);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		assert_int_equal(child_wait(pids[i]), 1000 + SIGKILL);
	}
	n_admitted = atomic_load(&common->n_admitted[0]);
	assert_true(n_admitted > 0);
	/* And it works. */
	for (int i = 0; sonde_breaker_state_of(&breaker) != SONDE_BREAKER_CLOSED; i++) {
		assert_true(i < 100);
		pass(5 * MS);
		(void)call(NULL);
	}
	for (int i = 0; i < 3; i++)
		(void)call(&sonde_timeout);
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_OPEN);
	pass(MS);
	for (int i = 0; i < CALLS; i++)
		assert_true(call(NULL));
	assert_int_equal(sonde_breaker_state_of(&breaker), SONDE_BREAKER_CLOSED);
}

/* ---- Told once ------------------------------------------------------------------------------- */

/* Who changes it tells it, nobody else: all that is told is as many changes as there were. */
static void work_and_tell(void)
{
	for (uint32_t i = 0; i < 3000; i++) {
		(void)call(i / 4 % 2 ? &sonde_unavailable : NULL);
		if (i % 64 == 0)
			pass(60 * SECOND);
	}
}

static void test_told_once(void **state)
{
	struct sonde_breaker_counts counts;
	pid_t pids[WORKERS];

	(void)state;
	start(SONDE_BREAKER_CONSECUTIVE);
	for (int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			work_and_tell();
			_exit(CHILD_OK);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(child_wait(pids[i]), CHILD_OK);
	sonde_breaker_counts(&breaker, &counts);
	assert_true(counts.generation > 10);
	assert_int_equal(atomic_load(&common->n_told), counts.generation - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_know),
		TEST(test_counted_together),
		TEST(test_private_without_shared),
		TEST(test_dead_owners_give_back),
		TEST(test_unreaped_owner_gives_back),
		TEST(test_living_owner_keeps),
#ifdef SONDE_TESTPOINTS
		TEST(test_killed_at_each_point),
		TEST(test_killed_at_each_point_of_windows),
		TEST(test_opened_by_the_dead),
#endif
		TEST(test_killed_anywhere),
		TEST(test_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
