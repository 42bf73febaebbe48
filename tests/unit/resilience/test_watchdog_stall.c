/* SPDX-License-Identifier: Apache-2.0 */

/* Threads that really stall: what is said of them, where they are, and what it does to the host. */

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/watchdog.h>

#include "base/compiler.h"
#include "base/testpoint.h"
#include "error/error.h"
#include "stack/stack.h"
#include "unit/resilience/stack_signal.h"

#define STALL_MS 40

struct rig {
	struct sonde_watchdog watchdog;
	struct sonde_watchdog_options options;
	struct sonde_observer observer;
	pthread_t thread;
	sem_t stalled;
	sem_t recovered;
	_Atomic uint32_t goes_on;
	int pipe[2];
	ssize_t n_read;
	bool blocks_signals;
	bool blocks_pipe;
	bool leaves;
	int n_stalls;
	uint64_t stalled_ns;
	uint64_t recovered_ns;
	size_t n_frames;
	char message[64];
	char detail[96];
	char stack[4096];
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct rig *rig = user;
	const uint64_t *frames;

	if (observation->what == SONDE_OBSERVED_RECOVERY) {
		rig->recovered_ns = observation->duration_ns;
		sem_post(&rig->recovered);
		return;
	}
	rig->n_stalls++;
	rig->stalled_ns = observation->duration_ns;
	rig->n_frames = sonde__error_frames(observation->error, &frames);
	sonde__stack_format(frames, rig->n_frames, rig->stack, sizeof(rig->stack));
	snprintf(rig->message, sizeof(rig->message), "%s", sonde_error_message(observation->error));
	snprintf(rig->detail, sizeof(rig->detail), "%s", sonde_error_detail(observation->error));
	sem_post(&rig->stalled);
}

/*
 * Fed in here, so that however late the thread comes, this is where it stalls. It calls nothing, so
 * that its frame is always the innermost; but under ThreadSanitizer, which runs signal handlers in
 * calls of the C library.
 */
__attribute__((noinline)) void spin_in_a_known_function(struct rig *rig);
__attribute__((noinline)) void spin_in_a_known_function(struct rig *rig)
{
	sonde_watchdog_feed(&rig->watchdog);
	while (!__atomic_load_n(&rig->goes_on, __ATOMIC_ACQUIRE)) {
#ifdef __SANITIZE_THREAD__
		char buffer[64];

		memset(buffer, 'x', sizeof(buffer));
		__asm__ volatile("" : : "r"(buffer) : "memory");
		(void)strnlen(buffer, sizeof(buffer));
#endif
	}
}

static void *loop(void *argument)
{
	struct rig *rig = argument;
	sigset_t all;
	char byte;

	sigfillset(&all);
	if (rig->blocks_signals)
		pthread_sigmask(SIG_BLOCK, &all, NULL);
	sonde_watchdog_adopt(&rig->watchdog);
	if (!rig->leaves && !rig->blocks_pipe) {
		spin_in_a_known_function(rig);
	} else {
		sonde_watchdog_feed(&rig->watchdog);
		if (rig->leaves)
			return NULL;
		rig->n_read = read(rig->pipe[0], &byte, 1);
	}
	sonde_watchdog_feed(&rig->watchdog);
	take(&rig->recovered);
	sonde_watchdog_rest(&rig->watchdog);
	return NULL;
}

static void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->observer = (struct sonde_observer){ hear, rig };
	rig->options.name = "http";
	rig->options.observer = &rig->observer;
	rig->options.stall_ms = STALL_MS;
	sem_init(&rig->stalled, 0, 0);
	sem_init(&rig->recovered, 0, 0);
}

static void rig_stall(struct rig *rig)
{
	assert_int_equal(sonde_watchdog_init(&rig->watchdog, &rig->options), SONDE_OK);
	assert_int_equal(pthread_create(&rig->thread, NULL, loop, rig), 0);
	take(&rig->stalled);
}

static void rig_go_on(struct rig *rig)
{
	__atomic_store_n(&rig->goes_on, 1, __ATOMIC_RELEASE);
	pthread_join(rig->thread, NULL);
}

static void rig_deinit(struct rig *rig)
{
	sonde_watchdog_deinit(&rig->watchdog);
	sem_destroy(&rig->stalled);
	sem_destroy(&rig->recovered);
}

/* ThreadSanitizer's functions, in which the loop is nearly always, have no frame pointers. */
static bool names_its_function(const struct rig *rig)
{
#ifdef __SANITIZE_THREAD__
	return rig->n_frames > 0;
#else
	return strstr(rig->stack, "spin_in_a_known_function") && strstr(rig->stack, "loop");
#endif
}

static void test_a_stall_is_told_once_with_its_stack_and_its_end(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_stall(&rig);
	rig_go_on(&rig);
	assert_int_equal(rig.n_stalls, 1);
	assert_true(rig.stalled_ns >= STALL_MS * UINT64_C(1000000));
	assert_true(rig.recovered_ns >= rig.stalled_ns);
	assert_int_equal(strncmp(rig.message, "loop http has not turned for ", 29), 0);
	if (can_take_stacks()) {
		assert_string_equal(rig.detail, "");
		assert_true(names_its_function(&rig));
		assert_false(is_default(signal_highest()));
	} else {
		assert_int_equal(rig.n_frames, 0);
		assert_int_equal(strncmp(rig.detail, "without a stack: ", 17), 0);
	}
	rig_deinit(&rig);
	/* As it was found. */
	assert_true(is_default(signal_highest()));
}

static void test_a_system_call_is_restarted(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.blocks_pipe = true;
	assert_int_equal(pipe(rig.pipe), 0);
	rig_stall(&rig);
#ifndef __SANITIZE_THREAD__
	/* Which keeps a signal until the call of the C library is over. */
	if (can_take_stacks())
		assert_true(rig.n_frames > 0);
#endif
	assert_int_equal(write(rig.pipe[1], "x", 1), 1);
	rig_go_on(&rig);
	assert_int_equal(rig.n_read, 1);
	close(rig.pipe[0]);
	close(rig.pipe[1]);
	rig_deinit(&rig);
}

static void test_a_thread_that_blocks_the_signal_has_none_pending(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.blocks_signals = true;
	rig_stall(&rig);
	assert_int_equal(rig.n_frames, 0);
	assert_string_equal(rig.detail, "without a stack: the thread blocks the signal");
	rig_go_on(&rig);
	rig_deinit(&rig);
}

static void hosts_handler(int signal)
{
	(void)signal;
	_exit(99);
}

static void test_a_signal_of_the_hosts_is_left_alone(void **state)
{
	struct sigaction action = { .sa_handler = hosts_handler };
	struct sigaction found;
	struct rig rig;

	(void)state;
	sigaction(signal_highest(), &action, NULL);
	rig_init(&rig);
	rig.options.signal = signal_highest();
	rig_stall(&rig);
	assert_int_equal(rig.n_frames, 0);
	assert_string_equal(rig.detail, "without a stack: no real-time signal is left to it");
	rig_go_on(&rig);
	rig_deinit(&rig);
	/* With the choice left to it, it takes the next one. */
	rig_init(&rig);
	rig_stall(&rig);
	if (can_take_stacks()) {
		assert_true(names_its_function(&rig));
		assert_false(is_default(signal_highest() - 1));
	}
	rig_go_on(&rig);
	rig_deinit(&rig);
	assert_true(is_default(signal_highest() - 1));
	sigaction(signal_highest(), NULL, &found);
	assert_ptr_equal(found.sa_handler, hosts_handler);
	action.sa_handler = SIG_DFL;
	sigaction(signal_highest(), &action, NULL);
}

static void test_a_thread_that_has_ended_is_told_as_such(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.leaves = true;
	rig_stall(&rig);
	pthread_join(rig.thread, NULL);
	assert_int_equal(rig.n_frames, 0);
	assert_non_null(strstr(rig.detail, "the thread has ended"));
	rig_deinit(&rig);
}

#ifdef SONDE_TESTPOINTS
static sem_t handler_may_go_on;
static sem_t handler_is_there;

static void hold_handler(const char *name)
{
	if (strcmp(name, "thread_stack.taking") != 0)
		return;
	sem_post(&handler_is_there);
	while (sem_wait(&handler_may_go_on) < 0)
		;
}

/* Its memory is its own until it is done, however late. */
static void test_a_handler_that_takes_its_time_is_not_waited_for(void **state)
{
	struct rig rig;
	struct rig other;

	(void)state;
	if (!can_take_stacks())
		skip();
	sem_init(&handler_may_go_on, 0, 0);
	sem_init(&handler_is_there, 0, 0);
	rig_init(&rig);
	__atomic_store_n(&sonde__testpoint_hook, hold_handler, __ATOMIC_RELEASE);
	rig_stall(&rig);
	take(&handler_is_there);
	assert_string_equal(rig.detail,
			    "without a stack: the thread did not take the signal in time");
	rig_init(&other);
	rig_stall(&other);
	assert_string_equal(other.detail,
			    "without a stack: the stack before it is still being taken");
	rig_go_on(&other);
	rig_deinit(&other);
	assert_false(is_default(signal_highest()));
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	sem_post(&handler_may_go_on);
	rig_go_on(&rig);
	rig_deinit(&rig);
	/* And once it is over it works again. */
	rig_init(&rig);
	rig_stall(&rig);
	assert_true(names_its_function(&rig));
	rig_go_on(&rig);
	rig_deinit(&rig);
	assert_true(is_default(signal_highest()));
	sem_destroy(&handler_may_go_on);
	sem_destroy(&handler_is_there);
}
#endif

static int n_watching(void)
{
	DIR *folder = opendir("/proc/self/task");
	int n = 0;

	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[300];
		char name[32];
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		n += fgets(name, sizeof(name), file) && strcmp(name, "sonde-watchdog\n") == 0;
		(void)fclose(file);
	}
	closedir(folder);
	return n;
}

/* A thread that was joined may be shown for another moment. */
static void assert_watching(int n)
{
	for (int i = 0; n_watching() != n && i < 100000; i++)
		;
	assert_int_equal(n_watching(), n);
}

static void test_one_thread_watches_for_all_and_ends_with_the_last(void **state)
{
	struct sonde_watchdog watchdogs[20];

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++) {
			assert_int_equal(sonde_watchdog_init(&watchdogs[i], NULL), SONDE_OK);
			sonde_watchdog_feed(&watchdogs[i]);
		}
		assert_watching(1);
		for (int i = 0; i < 20; i++)
			sonde_watchdog_deinit(&watchdogs[(i + round) % 20]);
	}
	assert_watching(0);
}

static void *come_and_go(void *argument)
{
	struct sonde_watchdog_options options = { .name = "many", .stall_ms = 1 };

	(void)argument;
	for (int i = 0; i < 100; i++) {
		struct sonde_watchdog watchdog;

		assert_int_equal(sonde_watchdog_init(&watchdog, &options), SONDE_OK);
		for (int k = 0; k < 50; k++)
			sonde_watchdog_feed(&watchdog);
		sonde_watchdog_check(&watchdog);
		sonde_watchdog_rest(&watchdog);
		sonde_watchdog_deinit(&watchdog);
	}
	return NULL;
}

static void test_watchdogs_come_and_go_on_many_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stall_is_told_once_with_its_stack_and_its_end),
		cmocka_unit_test(test_a_system_call_is_restarted),
		cmocka_unit_test(test_a_thread_that_blocks_the_signal_has_none_pending),
		cmocka_unit_test(test_a_signal_of_the_hosts_is_left_alone),
		cmocka_unit_test(test_a_thread_that_has_ended_is_told_as_such),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_a_handler_that_takes_its_time_is_not_waited_for),
#endif
		cmocka_unit_test(test_one_thread_watches_for_all_and_ends_with_the_last),
		cmocka_unit_test(test_watchdogs_come_and_go_on_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
