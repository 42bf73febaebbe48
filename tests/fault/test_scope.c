/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole service: a request says what it is about, hands its work to another thread, and what
 * fails there arrives with the request's values and the thread's own breadcrumbs.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/exporter.h>
#include <sonde/memory.h>
#include <sonde/sonde.h>

static bool hide_secrets(void *user, struct sonde_breadcrumb *breadcrumb)
{
	(void)user;
	if (!strcmp(breadcrumb->category, "secret"))
		return false;
	if (!strcmp(breadcrumb->category, "login"))
		breadcrumb->message = "somebody";
	return true;
}

static struct sonde_agent *start(void)
{
	static const struct sonde_destination destination = { .exporter = &sonde_memory_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.before_breadcrumb = hide_secrets;
	options.breadcrumb_level = SONDE_WARN;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
	return agent;
}

struct job {
	struct sonde_context context;
	const char *breadcrumb;
};

static void *worker_main(void *argument)
{
	const struct job *job = argument;
	struct sonde_error *error;
	SONDE_CONTEXT_SCOPE(&job->context);
	SONDE_SPAN(span, "charge");

	sonde_breadcrumb(SONDE_INFO, "payment", "%s", job->breadcrumb);
	sonde_breadcrumb(SONDE_INFO, "secret", "the number 4711");
	sonde_breadcrumb_text(SONDE_INFO, "login", "ada@example.org");
	sonde_message(SONDE_WARN, "the bank is slow");
	error = sonde_error_raise(&sonde_timeout, "the bank did not answer");
	sonde_error_capture(error);
	sonde_error_free(error);
	return NULL;
}

static void serve(const char *request_id)
{
	struct job job = { .breadcrumb = "calling the bank" };
	pthread_t thread;
	SONDE_SPAN(span, "POST /orders", .kind = SONDE_KIND_SERVER);

	sonde_context_set_str("request.id", request_id);
	sonde_context_set_user("u-17", "Ada", NULL);
	sonde_context_set_int("tenant.id", 3);
	sonde_context_set_bool("tenant.trial", true);
	sonde_context_set_str("deployment.environment.name", "canary");
	sonde_breadcrumb(SONDE_INFO, "http", "the request's own thread");
	job.context = sonde_context_current();
	assert_int_equal(pthread_create(&thread, NULL, worker_main, &job), 0);
	pthread_join(thread, NULL);
}

static char *take(struct sonde_agent *agent)
{
	char *text;

	assert_int_equal(sonde_agent_flush(agent, 10000), SONDE_OK);
	text = sonde_memory_take();
	assert_non_null(text);
	return text;
}

/* The line of the log records, which has the error's. */
static char *logs_of(char *text)
{
	char *logs = strstr(text, "\"logRecords\"");
	char *end = logs ? strchr(logs, '\n') : NULL;

	assert_non_null(logs);
	if (end)
		*end = '\0';
	assert_non_null(strstr(logs, "the bank did not answer"));
	return logs;
}

static void test_a_failure_in_a_worker_thread(void **state)
{
	struct sonde_agent *agent = start();
	char *text;
	char *log;

	(void)state;
	serve("r-42");
	text = take(agent);
	log = logs_of(text);
	assert_non_null(strstr(log, "{\"key\":\"request.id\",\"value\":{\"stringValue\":\"r-42\"}}"));
	assert_non_null(strstr(log, "{\"key\":\"user.id\",\"value\":{\"stringValue\":\"u-17\"}}"));
	assert_non_null(strstr(log, "{\"key\":\"user.name\",\"value\":{\"stringValue\":\"Ada\"}}"));
	assert_non_null(strstr(log, "{\"key\":\"tenant.id\",\"value\":{\"intValue\":\"3\"}}"));
	assert_non_null(strstr(log, "{\"key\":\"tenant.trial\",\"value\":{\"boolValue\":true}}"));
	assert_non_null(strstr(log, "\"canary\""));
	assert_non_null(strstr(log, "{\"key\":\"sonde.breadcrumbs\",\"value\":{\"arrayValue\""));
	assert_non_null(strstr(log, " INFO payment: calling the bank"));
	assert_non_null(strstr(log, " INFO login: somebody"));
	assert_non_null(strstr(log, " WARN log: the bank is slow"));
	assert_null(strstr(log, "the number 4711"));
	assert_null(strstr(log, "ada@example.org"));
	/* The trail is the thread's. */
	assert_null(strstr(log, "the request's own thread"));
	free(text);
	/* The request is over. */
	sonde_message(SONDE_INFO, "afterwards");
	text = take(agent);
	assert_null(strstr(text, "request.id"));
	free(text);
	sonde_agent_stop(agent, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failure_in_a_worker_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
