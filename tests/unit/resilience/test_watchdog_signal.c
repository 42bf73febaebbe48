/* SPDX-License-Identifier: Apache-2.0 */

/* The signal that asks a thread for its stack goes back to the host, however late it is taken. */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

#include "base/testpoint.h"
#include "support/virtual_clock.h"
#include "unit/resilience/stack_signal.h"

#define STALL_MS 20
#define LATE "without a stack: the thread did not take the signal in time"
#define LATER "without a stack: the thread has yet to take the signal before it"

/* ---- A loop that stalls ---------------------------------------------------------------------- */

struct loop {
	struct sonde_watchdog watchdog;
	struct sonde_observer observer;
	pthread_t thread;
	pid_t tid;
	sem_t is_told;
	_Atomic uint32_t goes_on;
	_Atomic uint32_t shall_block; /* Every signal, */
	sem_t has_blocked; /* as it does. */
	struct sonde_watchdog second; /* Of the same loop; nobody watches. */
	int pipe[2]; /* Where it waits for a child; 0: it does not. */
	char detail[96];
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct loop *loop = user;

	if (observation->what != SONDE_OBSERVED_STALL)
		return;
	snprintf(loop->detail, sizeof(loop->detail), "%s",
		 sonde_error_detail(observation->error));
	sem_post(&loop->is_told);
}

/*
 * A thread in vfork takes no signals until its child has ended. The child feeds, in the memory that
 * is its parent's: so the loop cannot stall before it is there.
 */
static void wait_for_a_child(struct loop *loop)
{
	char byte;
	pid_t child;

	sonde_watchdog_adopt(&loop->second);
	child = vfork();
	if (child == 0) {
		sonde_watchdog_feed(&loop->second);
		sonde_watchdog_feed(&loop->watchdog);
		while (read(loop->pipe[0], &byte, 1) < 0)
			;
		_exit(0);
	}
	while (waitpid(child, NULL, 0) < 0)
		;
}

/* Whether somebody wants it; once. */
static bool is_asked(_Atomic uint32_t *wish)
{
	return __atomic_exchange_n(wish, 0, __ATOMIC_ACQ_REL) != 0;
}

/* Makes calls, between which ThreadSanitizer runs handlers. */
static void *loop_main(void *argument)
{
	struct loop *loop = argument;
	sigset_t all;

	sigfillset(&all);
	loop->tid = (pid_t)syscall(SYS_gettid);
	sonde_watchdog_adopt(&loop->watchdog);
	if (loop->pipe[0])
		wait_for_a_child(loop);
	else
		sonde_watchdog_feed(&loop->watchdog);
	while (!__atomic_load_n(&loop->goes_on, __ATOMIC_ACQUIRE)) {
		if (is_asked(&loop->shall_block)) {
			pthread_sigmask(SIG_BLOCK, &all, NULL);
			sem_post(&loop->has_blocked);
		}
		sched_yield();
	}
	return NULL;
}

static void loop_watch(struct loop *loop, int signal)
{
	const struct sonde_watchdog_options options = {
		.observer = &loop->observer,
		.stall_ms = STALL_MS,
		.signal = signal,
	};

	loop->observer = (struct sonde_observer){ hear, loop };
	sem_init(&loop->is_told, 0, 0);
	sem_init(&loop->has_blocked, 0, 0);
	assert_int_equal(sonde_watchdog_init(&loop->watchdog, &options), SONDE_OK);
	assert_int_equal(pthread_create(&loop->thread, NULL, loop_main, loop), 0);
}

static void loop_init(struct loop *loop, int signal)
{
	memset(loop, 0, sizeof(*loop));
	loop_watch(loop, signal);
}

static void loop_end(struct loop *loop)
{
	__atomic_store_n(&loop->goes_on, 1, __ATOMIC_RELEASE);
	pthread_join(loop->thread, NULL);
	sem_destroy(&loop->is_told);
	sem_destroy(&loop->has_blocked);
}

static void test_each_signal_that_was_asked_for_goes_back(void **state)
{
	struct loop loops[2];

	(void)state;
	if (!can_take_stacks())
		skip();
	loop_init(&loops[0], SIGRTMIN + 3);
	loop_init(&loops[1], SIGRTMIN + 4);
	take(&loops[0].is_told);
	take(&loops[1].is_told);
	assert_false(is_default(SIGRTMIN + 3));
	assert_false(is_default(SIGRTMIN + 4));
	for (int i = 0; i < 2; i++) {
		sonde_watchdog_deinit(&loops[i].watchdog);
		loop_end(&loops[i]);
	}
	assert_true(is_default(SIGRTMIN + 3));
	assert_true(is_default(SIGRTMIN + 4));
}

#ifndef __SANITIZE_THREAD__
static void test_a_thread_that_cannot_take_it_is_not_sent_another(void **state)
{
	struct sonde_watchdog_options options = { .is_without_thread = true, .stall_ms = 1 };
	struct virtual_clock clock;
	struct loop loop;

	(void)state;
	if (!can_take_stacks())
		skip();
	memset(&loop, 0, sizeof(loop));
	virtual_clock_init(&clock, SECOND);
	options.clock = &clock.clock;
	options.observer = &loop.observer;
	assert_int_equal(sonde_watchdog_init(&loop.second, &options), SONDE_OK);
	assert_int_equal(pipe(loop.pipe), 0);
	loop_watch(&loop, /* signal= */ 0);
	take(&loop.is_told);
	assert_string_equal(loop.detail, LATE);
	assert_int_equal(sonde_watchdog_check(&loop.second), SONDE_WATCHDOG_TURNING);
	clock.now_ns += SECOND;
	assert_int_equal(sonde_watchdog_check(&loop.second), SONDE_WATCHDOG_STALLED);
	assert_string_equal(loop.detail, LATER);
	sonde_watchdog_deinit(&loop.second);
	sonde_watchdog_deinit(&loop.watchdog);
	assert_false(is_default(signal_highest()));
	assert_int_equal(write(loop.pipe[1], "x", 1), 1);
	loop_end(&loop);
	assert_true(is_default(signal_highest()));
	close(loop.pipe[0]);
	close(loop.pipe[1]);
}
#endif

#ifdef SONDE_TESTPOINTS
/* ---- Held where a test wants it -------------------------------------------------------------- */

static sem_t is_there;
static sem_t may_go_on;
static const char *hold_at;

static void hold(const char *name)
{
	if (strcmp(name, hold_at) != 0)
		return;
	sem_post(&is_there);
	while (sem_wait(&may_go_on) < 0)
		;
}

static void hold_next(const char *name)
{
	hold_at = name;
	__atomic_store_n(&sonde__testpoint_hook, hold, __ATOMIC_RELEASE);
}

static void wait_until_held(void)
{
	take(&is_there);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
}

static int open_gates(void **state)
{
	(void)state;
	sem_init(&is_there, 0, 0);
	sem_init(&may_go_on, 0, 0);
	return 0;
}

static int close_gates(void **state)
{
	(void)state;
	sem_destroy(&is_there);
	sem_destroy(&may_go_on);
	return 0;
}

/* ---- Late ------------------------------------------------------------------------------------ */

/* Nobody watches it any more, and its thread has just come into the handler. */
static void loop_init_late(struct loop *loop)
{
	hold_next("thread_signal.came");
	loop_init(loop, /* signal= */ 0);
	wait_until_held();
	take(&loop->is_told);
	assert_string_equal(loop->detail, LATE);
	sonde_watchdog_deinit(&loop->watchdog);
	/* It would have ended the process. */
	assert_false(is_default(signal_highest()));
}

static void test_a_late_handler_gives_the_signal_back(void **state)
{
	struct loop loop;

	(void)state;
	if (!can_take_stacks())
		skip();
	loop_init_late(&loop);
	sem_post(&may_go_on);
	loop_end(&loop);
	assert_true(is_default(signal_highest()));
}

static void test_a_late_handler_leaves_it_to_those_who_need_it(void **state)
{
	struct loop late;
	struct loop next;

	(void)state;
	if (!can_take_stacks())
		skip();
	loop_init_late(&late);
	loop_init(&next, /* signal= */ 0);
	take(&next.is_told);
	assert_string_equal(next.detail, "");
	sem_post(&may_go_on);
	loop_end(&late);
	assert_false(is_default(signal_highest()));
	sonde_watchdog_deinit(&next.watchdog);
	assert_true(is_default(signal_highest()));
	loop_end(&next);
}

static void test_what_is_just_being_given_back_is_not_taken(void **state)
{
	struct loop late;
	struct loop next;

	(void)state;
	if (!can_take_stacks())
		skip();
	loop_init_late(&late);
	hold_next("thread_signal.returning");
	sem_post(&may_go_on);
	wait_until_held();
	loop_init(&next, /* signal= */ 0);
	take(&next.is_told);
	assert_string_equal(next.detail, "");
	assert_false(is_default(signal_highest() - 1));
	sem_post(&may_go_on);
	loop_end(&late);
	assert_true(is_default(signal_highest()));
	assert_false(is_default(signal_highest() - 1));
	sonde_watchdog_deinit(&next.watchdog);
	assert_true(is_default(signal_highest() - 1));
	loop_end(&next);
}

/* ---- Never ----------------------------------------------------------------------------------- */

static struct loop *blocking;

/* After the look at what the thread blocks. */
static void block_signals(const char *name)
{
	if (strcmp(name, "thread_signal.sending") != 0)
		return;
	__atomic_store_n(&blocking->shall_block, 1, __ATOMIC_RELEASE);
	take(&blocking->has_blocked);
}

static void wait_until_gone(const struct loop *loop)
{
	char path[64];

	/* A thread that was joined may be there for another moment. */
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)loop->tid);
	while (access(path, F_OK) == 0)
		sched_yield();
}

static void test_a_thread_that_ends_without_taking_it_owes_nothing(void **state)
{
	struct loop loop;
	struct sonde_watchdog next;

	(void)state;
	if (!can_take_stacks())
		skip();
	blocking = &loop;
	__atomic_store_n(&sonde__testpoint_hook, block_signals, __ATOMIC_RELEASE);
	loop_init(&loop, /* signal= */ 0);
	take(&loop.is_told);
	assert_string_equal(loop.detail, LATE);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	sonde_watchdog_deinit(&loop.watchdog);
	assert_false(is_default(signal_highest()));
	loop_end(&loop);
	wait_until_gone(&loop);
	assert_int_equal(sonde_watchdog_init(&next, NULL), SONDE_OK);
	sonde_watchdog_deinit(&next);
	assert_true(is_default(signal_highest()));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_signal_that_was_asked_for_goes_back),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(test_a_thread_that_cannot_take_it_is_not_sent_another),
#endif
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test_setup_teardown(test_a_late_handler_gives_the_signal_back,
						open_gates, close_gates),
		cmocka_unit_test_setup_teardown(test_a_late_handler_leaves_it_to_those_who_need_it,
						open_gates, close_gates),
		cmocka_unit_test_setup_teardown(test_what_is_just_being_given_back_is_not_taken,
						open_gates, close_gates),
		cmocka_unit_test(test_a_thread_that_ends_without_taking_it_owes_nothing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
