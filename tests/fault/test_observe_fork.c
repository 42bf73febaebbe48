/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child tells what it does itself, and counts from zero. A program of its own, because the
 * child starts the agent's thread: see run.py, LEFT_OUT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/breaker.h>
#include <sonde/memory.h>
#include <sonde/retry.h>
#include <sonde/sonde.h>

static int n_heard;

static void hear(void *user, const struct sonde_observation *observation)
{
	(void)user;
	(void)observation;
	n_heard++;
}

static struct sonde_agent *start(void)
{
	static const char *const settings[] = { "OTEL_METRICS_EXPORTER=memory", NULL };
	static const struct sonde_destination destination = { .name = "memory",
							      .settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.observer = hear;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static void fail_once(const struct sonde_retry *retry)
{
	struct sonde_retry_call call;
	uint64_t delay_ns;

	sonde_retry_call_begin(&call, retry);
	if (!sonde_retry_call_report(&call, sonde_error_raise(&sonde_timeout, "late"),
				     SONDE_RETRY_NO_WISH, &delay_ns))
		_exit(5);
	sonde_retry_call_deinit(&call);
}

/* What the event counter of this process says about the retry. */
static long n_counted(const char *text)
{
	const char *at = strstr(text, "\"name\":\"sonde.resilience.events\"");

	at = at ? strstr(at, "\"asInt\":\"") : NULL;
	return at ? strtol(at + strlen("\"asInt\":\""), NULL, 10) : 0;
}

/* The child's exit status: 0, or what went wrong. */
static int check_child(struct sonde_agent *agent, const struct sonde_retry *retry)
{
	char *text;

	for (int i = 0; i < 3; i++)
		fail_once(retry);
	if (sonde_agent_flush(agent, 10000) != SONDE_OK)
		return 1;
	text = sonde_memory_take();
	sonde_agent_stop(agent, 5000);
	if (!text || !strstr(text, "attempt 1 failed: late"))
		return 2;
	if (n_counted(text) != 3)
		return 3;
	return n_heard == 5 ? 0 : 4;
}

static void test_a_child_counts_from_zero(void **state)
{
	struct sonde_agent *agent = start();
	struct sonde_retry retry;
	char *text;
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(sonde_retry_init(&retry, /* options= */ NULL), SONDE_OK);
	fail_once(&retry);
	fail_once(&retry);
	child = fork();
	if (child == 0)
		_exit(check_child(agent, &retry));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fail_once(&retry);
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_int_equal(n_counted(text), 3);
	assert_int_equal(n_heard, 3);
	free(text);
	sonde_retry_deinit(&retry);
}

/* ---- Breakers -------------------------------------------------------------------------------- */

/* Of that name that this process says are open; -1: it says nothing of them. */
static long n_open(struct sonde_agent *agent, const char *name)
{
	char label[256];
	const char *at;
	char *text;
	long n;

	(void)snprintf(label, sizeof(label),
		       "{\"key\":\"sonde.resilience.name\",\"value\":{\"stringValue\":\"%s\"}},"
		       "{\"key\":\"sonde.breaker.state\",\"value\":{\"stringValue\":\"open\"}}",
		       name);
	free(sonde_memory_take());
	if (sonde_agent_flush(agent, 10000) != SONDE_OK)
		return -2;
	text = sonde_memory_take();
	at = text ? strstr(text, "\"name\":\"sonde.breaker.state\"") : NULL;
	at = at ? strstr(at, label) : NULL;
	at = at ? strstr(at, "\"asInt\":\"") : NULL;
	n = at ? strtol(at + strlen("\"asInt\":\""), NULL, 10) : -1;
	free(text);
	return n;
}

/* It begins to tell when it first does something. */
static int check_childs_breakers(struct sonde_agent *agent, struct sonde_breaker *own,
				 const struct sonde_retry *retry, const int pipes[2][2])
{
	char byte;

	fail_once(retry);
	/* Its copy of what was not shared is its own; what is shared its parent counts, */
	if (n_open(agent, "own") != 1 || n_open(agent, "shared") != -1)
		return 1;
	sonde_breaker_deinit(own);
	if (n_open(agent, "own") != 0)
		return 2;
	/* for as long as it counts anything. */
	if (write(pipes[0][1], "x", 1) != 1 || read(pipes[1][0], &byte, 1) != 1)
		return 3;
	if (n_open(agent, "shared") != 1)
		return 4;
	return sonde_agent_stop(agent, 5000) == SONDE_OK ? 0 : 5;
}

static void open_one(struct sonde_breaker *breaker, const char *name, bool is_shared)
{
	const struct sonde_breaker_options options = { .name = name, .shared = is_shared };

	assert_int_equal(sonde_breaker_init(breaker, &options), SONDE_OK);
	assert_int_equal(sonde_breaker_force(breaker, SONDE_BREAKER_OPEN), SONDE_OK);
}

static void test_a_shared_breaker_is_counted_by_one_of_all(void **state)
{
	struct sonde_agent *agent = start();
	struct sonde_breaker shared;
	struct sonde_breaker own;
	struct sonde_retry retry;
	int pipes[2][2];
	int status;
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(sonde_retry_init(&retry, /* options= */ NULL), SONDE_OK);
	assert_int_equal(pipe(pipes[0]), 0);
	assert_int_equal(pipe(pipes[1]), 0);
	open_one(&shared, "shared", /* is_shared= */ true);
	open_one(&own, "own", /* is_shared= */ false);
	assert_int_equal(n_open(agent, "shared"), 1);
	child = fork();
	if (child == 0)
		_exit(check_childs_breakers(agent, &own, &retry, pipes));
	/* So that a child that fails is not waited for. */
	close(pipes[0][1]);
	assert_int_equal(read(pipes[0][0], &byte, 1), 1);
	assert_int_equal(n_open(agent, "own"), 1);
	assert_int_equal(n_open(agent, "shared"), 1);
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	assert_int_equal(write(pipes[1][1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* The child has ended: whoever is left takes it back. */
	agent = start();
	assert_int_equal(n_open(agent, "shared"), 1);
	sonde_breaker_deinit(&shared);
	assert_int_equal(n_open(agent, "shared"), 0);
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	free(sonde_memory_take());
	sonde_breaker_deinit(&own);
	sonde_retry_deinit(&retry);
	close(pipes[0][0]);
	close(pipes[1][0]);
	close(pipes[1][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_counts_from_zero),
		cmocka_unit_test(test_a_shared_breaker_is_counted_by_one_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
