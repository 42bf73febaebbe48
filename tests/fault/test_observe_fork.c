/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child tells what it does itself, and counts from zero. A program of its own, because the
 * child starts the agent's thread: see run.py, LEFT_OUT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_counts_from_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
