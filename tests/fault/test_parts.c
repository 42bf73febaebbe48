/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was added to a span that never ends still leaves the process, at the latest when it stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/memory.h>
#include <sonde/sonde.h>

static struct sonde_agent *start(void)
{
	static const struct sonde_destination destination = { .name = "memory" };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static void assert_balanced(struct sonde_agent *agent)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;
		uint64_t lost = 0;

		assert_int_equal(sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account),
				 SONDE_OK);
		for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++)
			lost += account.lost[i];
		assert_int_equal(account.captured, account.exported + lost);
		assert_int_equal(account.queued, 0);
	}
}

static void test_event_of_a_span_that_never_ends(void **state)
{
	struct sonde_agent *agent = start();
	struct sonde_span span;
	char *text;

	(void)state;
	sonde_span_begin(&span, "never ends", /* options= */ NULL);
	sonde_current_add_event("last seen here", SONDE_ATTRS(sonde_int("n", 7)));
	assert_int_equal(sonde_agent_stop(agent, 5000), SONDE_OK);
	text = sonde_memory_take();
	assert_non_null(strstr(text, "last seen here"));
	assert_null(strstr(text, "\"never ends\""));
	free(text);
	assert_balanced(agent);
	sonde_span_end(&span);
	text = sonde_memory_take();
	assert_string_equal(text, "");
	free(text);
}

static void test_agent_starts_again(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		struct sonde_agent *agent = start();
		struct sonde_agent *again = NULL;
		char *text;

		assert_int_equal(sonde_agent_start(NULL, &again), SONDE_E_EXISTS);
		{
			SONDE_SPAN(span, "round");
			sonde_span_set_int(span, "round", round);
		}
		assert_int_equal(sonde_agent_flush(agent, 5000), SONDE_OK);
		text = sonde_memory_take();
		assert_non_null(strstr(text, "\"name\":\"round\""));
		free(text);
		assert_int_equal(sonde_agent_stop(agent, 5000), SONDE_OK);
		assert_int_equal(sonde_agent_stop(agent, 5000), SONDE_OK);
		assert_balanced(agent);
	}
}

static void test_error_reaches_both_forms_once(void **state)
{
	struct sonde_agent *agent = start();
	char *text, *first;

	(void)state;
	{
		SONDE_SPAN(span, "failing");
		SONDE_ERROR_AUTOFREE struct sonde_error *error =
			sonde_error_raise(&sonde_timeout, "no answer in %d ms", 30);

		sonde_error_capture(error);
		sonde_error_capture(error);
		error = sonde_error_wrap(error, &sonde_external_service, "the gateway failed");
		sonde_error_capture(error);
		sonde_span_set_status(span, SONDE_SPAN_UNSET, NULL);
	}
	assert_int_equal(sonde_agent_stop(agent, 5000), SONDE_OK);
	text = sonde_memory_take();
	first = strstr(text, "\"eventName\":\"exception\"");
	assert_non_null(first);
	assert_null(strstr(first + 1, "\"eventName\":\"exception\""));
	first = strstr(text, "\"name\":\"exception\"");
	assert_non_null(first);
	assert_null(strstr(first + 1, "\"name\":\"exception\""));
	assert_non_null(strstr(text, "\"status\":{\"code\":2"));
	assert_non_null(strstr(text, "sonde_timeout"));
	free(text);
	assert_balanced(agent);
}

/* The span itself must come through a storm of errors below it. */
static void test_a_storm_of_errors_does_not_drown_their_span(void **state)
{
	struct sonde_agent *agent = start();
	struct sonde_account account;

	(void)state;
	{
		SONDE_SPAN(span, "stormy");
		for (int i = 0; i < 5000; i++) {
			SONDE_ERROR_AUTOFREE struct sonde_error *error =
				sonde_error_raise(&sonde_timeout, "number %d", i);

			sonde_error_capture(error);
		}
	}
	assert_int_equal(sonde_agent_stop(agent, 20000), SONDE_OK);
	assert_int_equal(sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account), SONDE_OK);
	assert_int_equal(account.captured, 1);
	assert_int_equal(account.exported, 1);
	free(sonde_memory_take());
	assert_balanced(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_of_a_span_that_never_ends),
		cmocka_unit_test(test_agent_starts_again),
		cmocka_unit_test(test_error_reaches_both_forms_once),
		cmocka_unit_test(test_a_storm_of_errors_does_not_drown_their_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
