/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many breakers are in a state, as it leaves the process: whenever the agent began, whatever
 * became of the breakers.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/breaker.h>
#include <sonde/memory.h>
#include <sonde/sonde.h>

#define NOT_TOLD (-1)

static struct sonde_agent *agent;

static void agent_start(void)
{
	static const char *const settings[] = { "OTEL_METRICS_EXPORTER=memory", NULL };
	static const struct sonde_destination destination = { .name = "memory",
							      .settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.destinations = &destination;
	options.n_destinations = 1;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
}

static void agent_stop(void)
{
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	free(sonde_memory_take());
}

static int start(void **state)
{
	(void)state;
	agent_start();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	agent_stop();
	return 0;
}

/* All that is said now; the caller's to free. */
static char *take(void)
{
	free(sonde_memory_take());
	assert_int_equal(sonde_agent_flush(agent, 10000), SONDE_OK);
	return sonde_memory_take();
}

static const char *metric_in(const char *text)
{
	return text ? strstr(text, "\"name\":\"sonde.breaker.state\"") : NULL;
}

/* The breakers of that name that are in the state. */
static long n_in(const char *name, const char *state)
{
	char *text = take();
	const char *at = metric_in(text);
	long n = NOT_TOLD;
	char label[256];

	(void)snprintf(label, sizeof(label),
		       "{\"key\":\"sonde.resilience.name\",\"value\":{\"stringValue\":\"%s\"}},"
		       "{\"key\":\"sonde.breaker.state\",\"value\":{\"stringValue\":\"%s\"}}",
		       name, state);
	at = at ? strstr(at, label) : NULL;
	at = at ? strstr(at, "\"asInt\":\"") : NULL;
	if (at)
		n = strtol(at + strlen("\"asInt\":\""), /* end= */ NULL, 10);
	free(text);
	return n;
}

/* Of all names and states, with and without a place. */
static long n_in_all(void)
{
	char *text = take();
	const char *at = metric_in(text);
	const char *end = at ? strstr(at, "aggregationTemporality") : NULL;
	long sum = 0;

	assert_non_null(end);
	for (at = strstr(at, "\"asInt\":\""); at && at < end; at = strstr(at + 1, "\"asInt\":\""))
		sum += strtol(at + strlen("\"asInt\":\""), /* end= */ NULL, 10);
	free(text);
	return sum;
}

static void make(struct sonde_breaker *breaker, const char *name, enum sonde_breaker_state state)
{
	const struct sonde_breaker_options options = { .name = name };

	assert_int_equal(sonde_breaker_init(breaker, &options), SONDE_OK);
	assert_int_equal(sonde_breaker_force(breaker, state), SONDE_OK);
}

/* ---- By name and state ----------------------------------------------------------------------- */

static void they_are_counted_by_name_and_state(void **state)
{
	struct sonde_breaker twins[2];
	struct sonde_breaker other;

	(void)state;
	make(&twins[0], "twin", SONDE_BREAKER_OPEN);
	make(&twins[1], "twin", SONDE_BREAKER_OPEN);
	make(&other, "other", SONDE_BREAKER_FORCED_OPEN);
	assert_int_equal(n_in("twin", "open"), 2);
	assert_int_equal(n_in("twin", "half_open"), NOT_TOLD);
	assert_int_equal(n_in("other", "forced_open"), 1);
	assert_int_equal(sonde_breaker_force(&twins[0], SONDE_BREAKER_HALF_OPEN), SONDE_OK);
	assert_int_equal(n_in("twin", "open"), 1);
	assert_int_equal(n_in("twin", "half_open"), 1);
	assert_int_equal(sonde_breaker_force(&twins[0], SONDE_BREAKER_CLOSED), SONDE_OK);
	assert_int_equal(n_in("twin", "half_open"), 0);
	assert_int_equal(n_in("twin", "closed"), NOT_TOLD);
	assert_int_equal(n_in("other", "forced_open"), 1);
	sonde_breaker_deinit(&twins[0]);
	sonde_breaker_deinit(&twins[1]);
	sonde_breaker_deinit(&other);
}

static void a_state_that_was_left_between_two_looks_is_told_as_none(void **state)
{
	struct sonde_breaker breaker;

	(void)state;
	make(&breaker, "brief", SONDE_BREAKER_OPEN);
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	assert_int_equal(n_in("brief", "open"), 0);
	sonde_breaker_deinit(&breaker);
}

/* ---- Lives ----------------------------------------------------------------------------------- */

static void one_that_was_open_before_the_agent_is_counted(void **state)
{
	struct sonde_breaker breaker;

	(void)state;
	make(&breaker, "early", SONDE_BREAKER_OPEN);
	agent_start();
	assert_int_equal(n_in("early", "open"), 1);
	agent_stop();
	/* As it is when the agent comes back, whatever it was. */
	agent_start();
	assert_int_equal(n_in("early", "open"), 1);
	agent_stop();
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_FORCED_OPEN), SONDE_OK);
	agent_start();
	assert_int_equal(n_in("early", "open"), NOT_TOLD);
	assert_int_equal(n_in("early", "forced_open"), 1);
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_OPEN), SONDE_OK);
	assert_int_equal(n_in("early", "open"), 1);
	assert_int_equal(n_in("early", "forced_open"), 0);
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_CLOSED), SONDE_OK);
	assert_int_equal(n_in("early", "open"), 0);
	sonde_breaker_deinit(&breaker);
	agent_stop();
}

static void one_that_ends_is_in_no_state(void **state)
{
	struct sonde_breaker breakers[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		make(&breakers[i], "mortal", SONDE_BREAKER_OPEN);
	/* In the middle, the last, the first. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(n_in("mortal", "open"), 3 - i);
		sonde_breaker_deinit(&breakers[(i + 1) % 3]);
	}
	assert_int_equal(n_in("mortal", "open"), 0);
}

/* It leaks, and stays what it was; nothing of it that was the caller's is looked at. */
static void one_whose_memory_was_given_to_others_does_no_harm(void **state)
{
	struct sonde_breaker *breaker = malloc(sizeof(*breaker));
	char *name = strdup("forgotten");

	(void)state;
	assert_non_null(breaker);
	assert_non_null(name);
	make(breaker, name, SONDE_BREAKER_OPEN);
	memset(name, 'x', strlen(name));
	free(name);
	memset(breaker, 0xff, sizeof(*breaker));
	free(breaker);
	assert_int_equal(n_in("forgotten", "open"), 1);
}

static void one_that_is_shared_is_counted_once_and_after_it_not(void **state)
{
	const struct sonde_breaker_options options = { .name = "shared", .shared = true };
	struct sonde_breaker breaker;

	(void)state;
	assert_int_equal(sonde_breaker_init(&breaker, &options), SONDE_OK);
	assert_int_equal(sonde_breaker_force(&breaker, SONDE_BREAKER_OPEN), SONDE_OK);
	assert_int_equal(n_in("shared", "open"), 1);
	agent_stop();
	agent_start();
	assert_int_equal(n_in("shared", "open"), 1);
	sonde_breaker_deinit(&breaker);
	assert_int_equal(n_in("shared", "open"), 0);
}

/* ---- All at once ----------------------------------------------------------------------------- */

static void *come_and_go(void *argument)
{
	struct sonde_breaker breaker;

	(void)argument;
	for (int i = 0; i < 300; i++) {
		make(&breaker, "busy", SONDE_BREAKER_OPEN);
		if (i % 2)
			(void)sonde_breaker_force(&breaker, SONDE_BREAKER_FORCED_CLOSED);
		sonde_breaker_deinit(&breaker);
	}
	make(argument, "busy", SONDE_BREAKER_OPEN);
	return NULL;
}

static void the_agent_comes_and_goes_meanwhile(void **state)
{
	struct sonde_breaker breakers[3];
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &breakers[i]), 0);
	for (int i = 0; i < 5; i++) {
		agent_start();
		assert_true(n_in("busy", "open") <= 3);
		agent_stop();
	}
	agent_start();
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_in("busy", "open"), 3);
	for (int i = 0; i < 3; i++)
		sonde_breaker_deinit(&breakers[i]);
	assert_int_equal(n_in("busy", "open"), 0);
	agent_stop();
}

#define N_NAMES 600

/* The last, because sites are for ever. */
static void more_names_than_there_is_room_for_are_counted_together(void **state)
{
	static struct sonde_breaker breakers[N_NAMES];
	long n_before = n_in_all();
	char name[64];

	(void)state;
	for (int i = 0; i < N_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "one of many %d", i);
		make(&breakers[i], name, SONDE_BREAKER_OPEN);
	}
	assert_int_equal(n_in_all(), n_before + N_NAMES);
	for (int i = 0; i < N_NAMES; i++)
		sonde_breaker_deinit(&breakers[i]);
	assert_int_equal(n_in_all(), n_before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(they_are_counted_by_name_and_state, start, stop),
		cmocka_unit_test_setup_teardown(
			a_state_that_was_left_between_two_looks_is_told_as_none, start, stop),
		cmocka_unit_test(one_that_was_open_before_the_agent_is_counted),
		cmocka_unit_test_setup_teardown(one_that_ends_is_in_no_state, start, stop),
		cmocka_unit_test_setup_teardown(one_whose_memory_was_given_to_others_does_no_harm,
						start, stop),
		cmocka_unit_test_setup_teardown(
			one_that_is_shared_is_counted_once_and_after_it_not, start, stop),
		cmocka_unit_test(the_agent_comes_and_goes_meanwhile),
		cmocka_unit_test_setup_teardown(
			more_names_than_there_is_room_for_are_counted_together, start, stop),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
