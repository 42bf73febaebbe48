/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent whose symbol provider does not answer: flushes and stops are done in the time that they
 * have, what was captured leaves without names, the next agent starts, and the process can end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <sonde/exporter.h>
#include <sonde/memory.h>
#include <sonde/sonde.h>
#include <sonde/stack.h>

#include "support/held_provider.h"

#define DEADLINE_MS 10000

static struct sonde_agent *start(void)
{
	static const struct sonde_destination destination = { .exporter = &sonde_memory_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.state_directory = "none";
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static void break_down(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_internal, "broken");

	sonde_error_capture(error);
	sonde_error_free(error);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether the errors that left meanwhile had names. */
static bool take_named(void)
{
	char *text = sonde_memory_take();
	bool is_named;

	assert_non_null(text);
	assert_non_null(strstr(text, "exception.stacktrace"));
	is_named = strstr(text, "f at f.c:8") != NULL;
	free(text);
	return is_named;
}

static void assert_delivered(struct sonde_agent *agent, uint64_t n)
{
	struct sonde_account account;

	assert_int_equal(sonde_agent_account(agent, 0, SONDE_SIGNAL_LOG, &account), SONDE_OK);
	assert_int_equal(account.captured, n);
	assert_int_equal(account.exported, n);
	assert_int_equal(account.queued, 0);
}

/* Each in its time, though the provider never answers. */
static void test_a_blocked_provider(void **state)
{
	struct sonde_agent *agent = start();
	uint64_t since_ms;

	(void)state;
	break_down();
	gate_wait(&gate.n_begun, 1);
	since_ms = now_ms();
	assert_int_equal(sonde_agent_flush(agent, DEADLINE_MS), SONDE_OK);
	assert_in_range(now_ms() - since_ms, 0, DEADLINE_MS);
	assert_false(take_named());
	assert_delivered(agent, 1);
	break_down();
	since_ms = now_ms();
	assert_int_equal(sonde_agent_stop(agent, DEADLINE_MS), SONDE_OK);
	assert_in_range(now_ms() - since_ms, 0, DEADLINE_MS);
	assert_false(take_named());
	assert_delivered(agent, 2);
}

/* The thread of the agent before is in the provider still, and goes on for this one. */
static void test_the_next_agent(void **state)
{
	struct sonde_agent *agent = start();
	uint64_t n = 1;

	(void)state;
	break_down();
	assert_int_equal(sonde_agent_stop(agent, DEADLINE_MS), SONDE_OK);
	assert_false(take_named());
	assert_delivered(agent, 1);
	agent = start();
	gate_set_open(true);
	for (bool is_named = false; !is_named; n++) {
		break_down();
		assert_int_equal(sonde_agent_flush(agent, DEADLINE_MS), SONDE_OK);
		is_named = take_named();
	}
	assert_int_equal(sonde_agent_stop(agent, DEADLINE_MS), SONDE_OK);
	assert_delivered(agent, n - 1);
}

/* ---- The end of the process ------------------------------------------------------------------ */

static size_t count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	size_t n = 0;

	while (folder && (entry = readdir(folder)) != NULL)
		n += entry->d_name[0] != '.';
	if (folder)
		closedir(folder);
	return n;
}

static void *do_nothing_more(void *unused)
{
	return unused;
}

/* Counted when there was another one: sanitizers have one of their own from then on. */
static size_t n_threads_before;

/* Registered before the agent's handler, so it runs when that is done with the blocked provider. */
static void answer_at_last(void)
{
	gate_set_open(true);
	while (count_threads() > n_threads_before)
		(void)sched_yield();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_blocked_provider),
		cmocka_unit_test(test_the_next_agent),
	};
	size_t n_questions;
	pthread_t thread;
	int failed;

	if (atexit(answer_at_last) != 0 ||
	    sonde_symbol_provider_register(&held_provider) != SONDE_OK ||
	    pthread_create(&thread, NULL, do_nothing_more, NULL) != 0 ||
	    pthread_join(thread, NULL) != 0)
		return 1;
	n_threads_before = count_threads();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	gate_set_open(false);
	n_questions = gate_count(&gate.n_begun);
	(void)start();
	break_down();
	gate_wait(&gate.n_begun, n_questions + 1);
	return failed;
}
