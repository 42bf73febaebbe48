/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request is about goes with it into a forked child, as do the thread's breadcrumbs. A
 * program of its own, because the child starts the agent's thread: see run.py, LEFT_OUT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sonde/exporter.h>
#include <sonde/memory.h>
#include <sonde/sonde.h>

static struct sonde_agent *start_agent(void)
{
	static const struct sonde_destination destination = { .exporter = &sonde_memory_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static void test_in_a_forked_child(void **state)
{
	struct sonde_agent *agent = start_agent();
	int status;
	pid_t child;
	SONDE_SCOPE();

	(void)state;
	sonde_context_set_str("request.id", "of the parent");
	sonde_breadcrumb(SONDE_INFO, "parent", "before the fork");
	child = fork();
	if (child == 0) {
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_error_raise(&sonde_timeout, "in the child");
		char *text;

		sonde_breadcrumb(SONDE_INFO, "child", "after the fork");
		sonde_error_capture(error);
		if (sonde_agent_flush(agent, 10000) != SONDE_OK)
			_exit(1);
		text = sonde_memory_take();
		/* Or its box would wait for somebody who reads what is left in it. */
		sonde_agent_stop(agent, 5000);
		_exit(!text || !strstr(text, "of the parent") ||
		      !strstr(text, " INFO parent: before the fork") ||
		      !strstr(text, " INFO child: after the fork"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	sonde_agent_stop(agent, 5000);
	free(sonde_memory_take());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_a_forked_child),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
