/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the toolkit says, as it leaves the process: in the span, the log, the errors, the metrics.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

#include <sonde/memory.h>
#include <sonde/sonde.h>
#include <sonde/stream.h>

#include "agent/observe_limit.h"
#include "resilience/observe.h"

#define N_THREADS 4
#define N_EACH 20000

static struct sonde_agent *agent;

static void start_with(sonde_observer_fn *observer, void *user)
{
	static const char *const settings[] = { "OTEL_METRICS_EXPORTER=memory", NULL };
	static const struct sonde_destination destination = { .name = "memory",
							      .settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.destinations = &destination;
	options.n_destinations = 1;
	options.observer = observer;
	options.observer_user = user;
	assert_int_equal(sonde_agent_start(&options, &agent), SONDE_OK);
}

static int start(void **state)
{
	(void)state;
	start_with(/* observer= */ NULL, /* user= */ NULL);
	return 0;
}

static void assert_balanced(void)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;
		uint64_t lost = 0;

		assert_int_equal(sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account),
				 SONDE_OK);
		for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++)
			lost += account.lost[i];
		assert_int_equal(account.captured, account.exported + lost + account.queued);
	}
}

static int stop(void **state)
{
	(void)state;
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	assert_balanced();
	free(sonde_memory_take());
	return 0;
}

/* All that was said until now; the caller's to free. */
static char *take(void)
{
	assert_int_equal(sonde_agent_flush(agent, 10000), SONDE_OK);
	return sonde_memory_take();
}

static size_t count_in(const char *text, const char *what)
{
	size_t n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

static void tell(struct sonde_observation observation)
{
	sonde__observe(/* own= */ NULL, &observation);
}

static void tell_attempt(const char *name, uint32_t attempt, bool is_last, uint64_t delay_ns)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&sonde_external_service, "connection refused");

	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_RETRY,
					 .what = SONDE_OBSERVED_ATTEMPT,
					 .name = name,
					 .attempt = attempt,
					 .is_last = is_last,
					 .duration_ns = 30000000,
					 .delay_ns = delay_ns,
					 .error = error });
}

static void tell_state(const char *name, const char *from, const char *to)
{
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_BREAKER,
					 .what = SONDE_OBSERVED_STATE,
					 .name = name,
					 .from = from,
					 .to = to });
}

static void tell_rejection(const char *name)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&sonde_circuit_open, "not now");

	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_BREAKER,
					 .what = SONDE_OBSERVED_REJECTION,
					 .name = name,
					 .error = error });
}

/* ---- Records --------------------------------------------------------------------------------- */

static void attempts_are_warnings_and_events_of_the_span(void **state)
{
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "call");
		tell_attempt("payments", 1, false, 1310000000);
		tell_attempt("payments", 2, true, 0);
	}
	text = take();
	assert_int_equal(count_in(text, "\"attempt 1 failed: connection refused, retrying in 1.31 s\""),
			 1);
	assert_int_equal(count_in(text, "\"attempt 2 failed: connection refused, giving up\""), 1);
	assert_int_equal(count_in(text, "\"name\":\"sonde.retry.attempt\""), 2);
	assert_non_null(strstr(text, "\"severityNumber\":13"));
	assert_non_null(strstr(text, "sonde_external_service"));
	free(text);
}

static void attempts_that_went_well_are_no_warnings(void **state)
{
	char *text;

	(void)state;
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_RETRY,
					 .what = SONDE_OBSERVED_ATTEMPT,
					 .name = "quiet",
					 .attempt = 1,
					 .is_last = true });
	text = take();
	assert_null(strstr(text, "attempt 1"));
	assert_non_null(strstr(text, "\"quiet\""));
	free(text);
}

static void states_and_stalls_are_told(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&sonde_timeout, "no answer");
	char *text;

	(void)state;
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_BREAKER,
					 .what = SONDE_OBSERVED_STATE,
					 .name = "payments",
					 .from = "closed",
					 .to = "open",
					 .error = error });
	tell_state("payments", "open", "half-open");
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_LOCK,
					 .what = SONDE_OBSERVED_STALL,
					 .name = "",
					 .duration_ns = 12400 });
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_WATCHDOG,
					 .what = SONDE_OBSERVED_RECOVERY,
					 .name = "loop",
					 .duration_ns = 999999999 });
	tell((struct sonde_observation){ .pattern = SONDE_PATTERN_QUEUE,
					 .what = SONDE_OBSERVED_DROP,
					 .name = "jobs",
					 .count = 5 });
	text = take();
	assert_non_null(strstr(text, "\"breaker payments: closed -> open after: no answer\""));
	assert_non_null(strstr(text, "\"breaker payments: open -> half-open\""));
	assert_non_null(strstr(text, "\"lock: stalled for 12.40 us\""));
	assert_non_null(strstr(text, "\"watchdog loop: went on after 1.00 s\""));
	assert_non_null(strstr(text, "\"queue jobs: 5 dropped\""));
	/* States and recoveries are information where nothing is wrong. */
	assert_int_equal(count_in(text, "\"severityNumber\":9,"), 2);
	free(text);
}

static void long_texts_are_cut_between_characters(void **state)
{
	char name[600];
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(name) - 1; i += 2)
		memcpy(&name[i], "\xc3\xa4", 2);
	name[598] = '\0';
	tell_state(name, name, name);
	text = take();
	assert_null(strstr(text, "\xef\xbf\xbd"));
	assert_non_null(strstr(text, "breaker \xc3\xa4"));
	free(text);
	/* Where the name's own limit would fall into one of them. */
	name[0] = 'x';
	name[1] = 'x';
	name[2] = 'x';
	memmove(&name[3], &name[4], sizeof(name) - 4);
	tell_state(name, "closed", "open");
	text = take();
	assert_null(strstr(text, "\xef\xbf\xbd"));
	assert_non_null(strstr(text, "\xc3\xa4: closed -> open\""));
	free(text);
}

static void orphans_are_captured_once_and_fail_no_span(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_not_found, "nobody asked");
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "bystander");
		for (int i = 0; i < 2; i++)
			tell((struct sonde_observation){ .pattern = SONDE_PATTERN_POOL,
							 .what = SONDE_OBSERVED_ORPHAN,
							 .name = "workers",
							 .error = error });
	}
	sonde_error_free(error);
	text = take();
	assert_int_equal(count_in(text, "\"eventName\":\"exception\""), 1);
	assert_int_equal(count_in(text, "\"name\":\"exception\""), 0);
	assert_null(strstr(text, "\"status\":{\"code\":2"));
	assert_int_equal(count_in(text, "\"name\":\"sonde.pool.orphan\""), 2);
	free(text);
}

/* ---- Floods ---------------------------------------------------------------------------------- */

static void a_flood_of_failures_is_few_records(void **state)
{
	struct sonde_account account;
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "flooded");
		for (uint32_t i = 0; i < 5000; i++) {
			tell_attempt("flood", i + 1, false, 1);
			tell_rejection("flood");
		}
	}
	text = take();
	assert_in_range(count_in(text, "attempt "), SONDE__OBSERVE_LOG_BURST,
			SONDE__OBSERVE_LOG_BURST + 10);
	assert_int_equal(count_in(text, "\"name\":\"sonde.retry.attempt\"") +
				 count_in(text, "\"name\":\"sonde.breaker.rejection\""),
			 128);
	free(text);
	assert_int_equal(sonde_agent_account(agent, 0, SONDE_SIGNAL_PART, &account), SONDE_OK);
	assert_in_range(account.captured, 128, 1000);
}

static void what_was_held_back_is_said_with_the_next(void **state)
{
	const struct sonde_observation observation = { .pattern = SONDE_PATTERN_RETRY,
						       .what = SONDE_OBSERVED_ATTEMPT,
						       .name = "bucket" };
	const uint64_t begin_ns = UINT64_C(1) << 40;
	uint64_t n_held_back = 7;

	(void)state;
	for (unsigned i = 0; i < SONDE__OBSERVE_LOG_BURST; i++) {
		assert_true(sonde__observe_log_admits(&observation, begin_ns, &n_held_back));
		assert_int_equal(n_held_back, 0);
	}
	for (int i = 0; i < 3; i++)
		assert_false(sonde__observe_log_admits(&observation, begin_ns, &n_held_back));
	assert_true(sonde__observe_log_admits(&observation,
					      begin_ns + SONDE__OBSERVE_LOG_PERIOD_NS,
					      &n_held_back));
	assert_int_equal(n_held_back, 3);
	assert_false(sonde__observe_log_admits(&observation,
					       begin_ns + SONDE__OBSERVE_LOG_PERIOD_NS,
					       &n_held_back));
}

static void spans_have_their_limit_each(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(sonde__observe_span_admits(0x123456789abcdefu, 3));
	assert_false(sonde__observe_span_admits(0x123456789abcdefu, 3));
	assert_false(sonde__observe_span_admits(1u << 12, 0));
	for (int i = 0; i < 1023; i++)
		assert_true(sonde__observe_span_admits(1u << 12 | 5, UINT32_MAX));
	assert_false(sonde__observe_span_admits(1u << 12 | 5, UINT32_MAX));
}

/* ---- Metrics --------------------------------------------------------------------------------- */

/* The value after `key` in the metric's point that has all of `labels`; -1: none. */
static long point_of(const char *text, const char *metric, const char *label, const char *key)
{
	char name[128];
	const char *at;

	(void)snprintf(name, sizeof(name), "\"name\":\"%s\"", metric);
	at = strstr(text, name);
	at = at ? strstr(at, label) : NULL;
	at = at ? strstr(at, key) : NULL;
	return at ? strtol(at + strlen(key), /* end= */ NULL, 10) : -1;
}

static void *tell_many(void *argument)
{
	(void)argument;
	for (int i = 0; i < N_EACH; i++) {
		tell_rejection("exact");
		tell((struct sonde_observation){ .pattern = SONDE_PATTERN_POOL,
						 .what = SONDE_OBSERVED_RUN,
						 .name = "exact pool",
						 .duration_ns = 1000,
						 .count = 3 });
		tell((struct sonde_observation){ .pattern = SONDE_PATTERN_QUEUE,
						 .what = SONDE_OBSERVED_DROP,
						 .name = "exact queue",
						 .count = 2 });
	}
	return NULL;
}

static void counts_are_exact(void **state)
{
	pthread_t threads[N_THREADS];
	char *text;

	(void)state;
	for (int i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_many, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	text = take();
	assert_int_equal(point_of(text, "sonde.resilience.events", "\"exact\"", "\"asInt\":\""),
			 N_THREADS * N_EACH);
	assert_int_equal(point_of(text, "sonde.resilience.events", "\"exact pool\"", "\"asInt\":\""),
			 N_THREADS * N_EACH);
	assert_int_equal(point_of(text, "sonde.resilience.events", "\"exact queue\"", "\"asInt\":\""),
			 N_THREADS * N_EACH);
	assert_int_equal(point_of(text, "sonde.resilience.duration", "\"exact pool\"", "\"count\":\""),
			 N_THREADS * N_EACH);
	assert_int_equal(point_of(text, "sonde.resilience.items", "\"exact pool\"", "\"asInt\":\""),
			 3 * N_THREADS * N_EACH);
	assert_int_equal(point_of(text, "sonde.resilience.items", "\"exact queue\"", "\"asInt\":\""),
			 2 * N_THREADS * N_EACH);
	free(text);
}

static void tell_made_up_names(void)
{
	char name[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1000; i++) {
			(void)snprintf(name, sizeof(name), "made up %d", i);
			tell_rejection(name);
			tell((struct sonde_observation){ .pattern = SONDE_PATTERN_QUEUE,
							 .what = SONDE_OBSERVED_DROP,
							 .name = name,
							 .count = 10 });
		}
	}
}

/* What all points of the metric say together. */
static long sum_of(const char *text, const char *metric)
{
	char name[128];
	const char *at;
	const char *end;
	long sum = 0;

	(void)snprintf(name, sizeof(name), "\"name\":\"%s\"", metric);
	for (const char *next = strstr(text, name); next; next = strstr(end, name)) {
		end = strstr(next, "aggregationTemporality");
		for (at = strstr(next, "\"asInt\":\""); at && at < end;
		     at = strstr(at + 1, "\"asInt\":\""))
			sum += strtol(at + strlen("\"asInt\":\""), /* end= */ NULL, 10);
	}
	return sum;
}

/* Last but for those in processes of their own, because sites are for ever. */
static void made_up_names_overflow_and_nothing_is_lost(void **state)
{
	char *text;

	(void)state;
	tell_made_up_names();
	text = take();
	assert_int_equal(sum_of(text, "sonde.resilience.events"), 4000);
	assert_int_equal(sum_of(text, "sonde.resilience.items"), 20000);
	assert_non_null(strstr(text, "otel.metric.overflow"));
	free(text);
}

/* ---- Who hears ------------------------------------------------------------------------------- */

static void without_an_agent_nobody_hears(void **state)
{
	(void)state;
	assert_false(sonde__is_observed(/* own= */ NULL));
	tell_attempt("nobody", 1, false, 1);
	start_with(/* observer= */ NULL, /* user= */ NULL);
	assert_true(sonde__is_observed(/* own= */ NULL));
	stop(NULL);
	assert_false(sonde__is_observed(/* own= */ NULL));
	tell_attempt("nobody", 1, false, 1);
}

struct heard {
	int n;
	int depth;
	int max_depth;
	bool tells; /* Something itself, each time. */
};

static void hear(void *user, const struct sonde_observation *observation)
{
	struct heard *heard = user;

	assert_string_equal(observation->name, "heard");
	heard->n++;
	heard->depth++;
	if (heard->depth > heard->max_depth)
		heard->max_depth = heard->depth;
	if (heard->tells)
		tell_rejection("told by the hook");
	heard->depth--;
}

static void the_service_hears_and_is_not_called_from_inside(void **state)
{
	struct heard heard = { .tells = true };
	char *text;

	(void)state;
	start_with(hear, &heard);
	for (int i = 0; i < 5; i++)
		tell_rejection("heard");
	assert_int_equal(heard.n, 5);
	assert_int_equal(heard.max_depth, 1);
	text = take();
	assert_int_equal(point_of(text, "sonde.resilience.events", "\"told by the hook\"",
				  "\"asInt\":\""),
			 5);
	assert_int_equal(point_of(text, "sonde.resilience.duration", "\"told by the hook\"",
				  "\"count\":\""),
			 5);
	free(text);
	stop(NULL);
	tell_rejection("heard");
	assert_int_equal(heard.n, 5);
	/* The next run's hook is that run's. */
	start_with(/* observer= */ NULL, /* user= */ NULL);
	tell_rejection("heard");
	assert_int_equal(heard.n, 5);
	stop(NULL);
}

/* ---- Streams --------------------------------------------------------------------------------- */

static uint64_t ten_bytes(void *user, const void *item)
{
	(void)user;
	(void)item;
	return 10;
}

static void pull_all(struct sonde_stream *stream)
{
	void *item;

	while (sonde_stream_try_next(stream, &item) == SONDE_OK)
		;
	sonde_error_free(sonde_stream_error(stream));
}

static void a_stream_is_one_span(void **state)
{
	const struct sonde_stream_options options = { .name = "rows", .size_of = ten_bytes };
	struct sonde_stream stream;
	int item = 0;
	char *text;

	(void)state;
	{
		SONDE_SPAN(span, "request");
		assert_int_equal(sonde_stream_init(&stream, &options), SONDE_OK);
	}
	for (int i = 0; i < 7; i++)
		assert_int_equal(sonde_stream_try_push(&stream, &item), SONDE_OK);
	sonde_stream_end(&stream, sonde_error_raise(&sonde_external_service, "cut off"));
	pull_all(&stream);
	text = take();
	assert_int_equal(count_in(text, "\"name\":\"rows\""), 1);
	assert_non_null(strstr(text, "{\"key\":\"sonde.stream.items\",\"value\":{\"intValue\":\"7\"}}"));
	assert_non_null(strstr(text, "{\"key\":\"sonde.stream.bytes\",\"value\":{\"intValue\":\"70\"}}"));
	assert_non_null(strstr(text, "{\"key\":\"sonde.stream.outcome\",\"value\":{\"stringValue\":\"failed\"}}"));
	assert_non_null(strstr(text, "\"message\":\"cut off\""));
	free(text);
	sonde_stream_deinit(&stream);
}

static void a_stream_outlives_the_agent(void **state)
{
	struct sonde_stream stream;
	struct sonde_stream late;
	char *text;

	(void)state;
	assert_int_equal(sonde_stream_init(&stream, /* options= */ NULL), SONDE_OK);
	assert_int_equal(sonde_agent_stop(agent, 10000), SONDE_OK);
	assert_int_equal(sonde_stream_init(&late, /* options= */ NULL), SONDE_OK);
	start_with(/* observer= */ NULL, /* user= */ NULL);
	sonde_stream_deinit(&stream);
	sonde_stream_deinit(&late);
	text = take();
	assert_null(strstr(text, "sonde.stream.outcome"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attempts_are_warnings_and_events_of_the_span, start,
						stop),
		cmocka_unit_test_setup_teardown(attempts_that_went_well_are_no_warnings, start,
						stop),
		cmocka_unit_test_setup_teardown(states_and_stalls_are_told, start, stop),
		cmocka_unit_test_setup_teardown(long_texts_are_cut_between_characters, start, stop),
		cmocka_unit_test_setup_teardown(orphans_are_captured_once_and_fail_no_span, start,
						stop),
		cmocka_unit_test_setup_teardown(a_flood_of_failures_is_few_records, start, stop),
		cmocka_unit_test(what_was_held_back_is_said_with_the_next),
		cmocka_unit_test(spans_have_their_limit_each),
		cmocka_unit_test_setup_teardown(counts_are_exact, start, stop),
		cmocka_unit_test_setup_teardown(a_stream_is_one_span, start, stop),
		cmocka_unit_test_setup_teardown(a_stream_outlives_the_agent, start, stop),
		cmocka_unit_test(without_an_agent_nobody_hears),
		cmocka_unit_test(the_service_hears_and_is_not_called_from_inside),
		cmocka_unit_test_setup_teardown(made_up_names_overflow_and_nothing_is_lost, start,
						stop),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
