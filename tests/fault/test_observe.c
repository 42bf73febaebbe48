/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service that retries can see of it, without a line of its own: the span with its events,
 * the log record, the metric; and what it is told itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/breaker.h>
#include <sonde/memory.h>
#include <sonde/retry.h>
#include <sonde/sonde.h>

static int n_heard;

static void hear(void *user, const struct sonde_observation *observation)
{
	assert_ptr_equal(user, &n_heard);
	assert_non_null(observation->name);
	n_heard++;
}

static struct sonde_agent *start(sonde_before_send_fn *before_send)
{
	static const char *const settings[] = { "OTEL_METRICS_EXPORTER=memory", NULL };
	static const struct sonde_destination destination = { .name = "memory",
							      .settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.observer = hear;
	options.observer_user = &n_heard;
	options.before_send = before_send;
	n_heard = 0;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

static void assert_balanced(struct sonde_agent *agent)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;

		assert_int_equal(sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account),
				 SONDE_OK);
		for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++)
			assert_int_equal(account.lost[i], 0);
		assert_int_equal(account.captured, account.exported);
		assert_int_equal(account.queued, 0);
	}
}

static size_t count_in(const char *text, const char *what)
{
	size_t n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

/* The metric's point that says `label`, as text up to the next point. */
static bool has_point(const char *text, const char *metric, const char *labels, const char *value)
{
	char name[128];
	const char *at;
	const char *end;

	/* A span's event may have the same name. */
	(void)snprintf(name, sizeof(name), "\"name\":\"%s\",\"description\"", metric);
	at = strstr(text, name);
	at = at ? strstr(at, labels) : NULL;
	end = at ? strstr(at, "}]") : NULL;
	at = end ? strstr(end, value) : NULL;
	return at && at - end < 40;
}

/* Fails as often as it is told. */
static struct sonde_error *fetch(void *argument)
{
	int *n_failures = argument;

	if (!*n_failures)
		return NULL;
	--*n_failures;
	return sonde_error_raise(&sonde_external_service, "connection refused");
}

static struct sonde_error *fetch_with_retries(int n_failures)
{
	const struct sonde_retry_options options = { .name = "price list", .is_immediate = true };
	struct sonde_retry retry;
	struct sonde_error *error;

	assert_int_equal(sonde_retry_init(&retry, &options), SONDE_OK);
	error = sonde_retry_run(&retry, fetch, &n_failures, /* cancel= */ NULL);
	sonde_retry_deinit(&retry);
	return error;
}

static void test_retries_are_seen_everywhere(void **state)
{
	struct sonde_agent *agent = start(/* before_send= */ NULL);
	struct sonde_error *error;
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "request");
		error = fetch_with_retries(/* n_failures= */ 1);
		assert_null(error);
		error = fetch_with_retries(/* n_failures= */ 3);
		assert_non_null(error);
		sonde_error_free(error);
	}
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_int_equal(count_in(text, "\"name\":\"request\""), 1);
	/* One that failed, and the one that went well; then three. */
	assert_int_equal(count_in(text, "\"name\":\"sonde.retry.attempt\""), 5);
	assert_int_equal(count_in(text, "\"attempt 1 failed: connection refused, retrying"), 2);
	assert_int_equal(count_in(text, "\"attempt 3 failed: connection refused, giving up\""), 1);
	assert_true(has_point(text, "sonde.resilience.events",
			      "\"stringValue\":\"price list\"}},"
			      "{\"key\":\"sonde.resilience.event\","
			      "\"value\":{\"stringValue\":\"attempt\"}},"
			      "{\"key\":\"error.type\","
			      "\"value\":{\"stringValue\":\"sonde_external_service\"",
			      "\"asInt\":\"4\""));
	assert_int_equal(n_heard, 5);
	free(text);
	assert_balanced(agent);
}

static void test_a_breaker_that_opens_is_seen(void **state)
{
	const struct sonde_breaker_options options = { .name = "payments", .failures = 2 };
	struct sonde_agent *agent = start(/* before_send= */ NULL);
	struct sonde_breaker breaker;
	int n_failures = 2;
	char *text;

	(void)state;
	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
	{
		SONDE_SPAN(span, "request");
		for (int i = 0; i < 5; i++)
			sonde_error_free(sonde_breaker_run(&breaker, fetch, &n_failures));
	}
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_int_equal(count_in(text, "\"breaker payments: closed -> open after: connection refused\""),
			 1);
	assert_int_equal(count_in(text, "\"name\":\"sonde.breaker.rejection\""), 3);
	assert_true(has_point(text, "sonde.resilience.events", "\"stringValue\":\"rejection\"",
			      "\"asInt\":\"3\""));
	assert_true(has_point(text, "sonde.resilience.events", "\"stringValue\":\"state\"",
			      "\"asInt\":\"1\""));
	assert_true(has_point(text, "sonde.breaker.state", "\"stringValue\":\"open\"",
			      "\"asInt\":\"1\""));
	free(text);
	assert_balanced(agent);
	sonde_breaker_deinit(&breaker);
}

/* The agent's own thread is left out: it would tell of itself without end. */
static void retry_before_send(void *user, struct sonde_outgoing *item)
{
	struct sonde_error *error = fetch_with_retries(/* n_failures= */ 3);

	(void)user;
	(void)item;
	sonde_error_free(error);
}

static void test_what_hooks_do_on_the_agents_thread_is_left_out(void **state)
{
	struct sonde_agent *agent = start(retry_before_send);
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "sent");
	}
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_non_null(strstr(text, "\"name\":\"sent\""));
	assert_null(strstr(text, "price list"));
	assert_null(strstr(text, "attempt 1 failed"));
	assert_int_equal(n_heard, 0);
	free(text);
}

static void test_without_an_agent_it_works_in_silence(void **state)
{
	struct sonde_error *error;

	(void)state;
	n_heard = 0;
	error = fetch_with_retries(/* n_failures= */ 3);
	assert_true(sonde_error_is(error, &sonde_external_service));
	sonde_error_free(error);
	assert_int_equal(n_heard, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retries_are_seen_everywhere),
		cmocka_unit_test(test_a_breaker_that_opens_is_seen),
		cmocka_unit_test(test_what_hooks_do_on_the_agents_thread_is_left_out),
		cmocka_unit_test(test_without_an_agent_it_works_in_silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
