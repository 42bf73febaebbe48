/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every public macro, with and without options, in C99, C11 and C++17 (this file is compiled as
 * each), without a warning. What it records is compared with what came out.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>
#include <sonde/memory.h>
#include <sonde/otlp.h>
#include <sonde/sonde.h>
#include <sonde/toolkit.h>

SONDE_ERROR_TYPE(plain_error, sonde_conflict, "PLAIN");
#ifndef __cplusplus
SONDE_ERROR_TYPE(rich_error, sonde_conflict, "RICH", .http_status = 418, .public_message = true);
#else
SONDE_ERROR_TYPE(rich_error, sonde_conflict, "RICH", 418, SONDE_FATAL, true, true, SONDE_NO);
#endif

#define COUNT_ONE(...) +1
static const int n_losses = 0 SONDE_LOSS_MAP(COUNT_ONE);
static const int n_statuses = 0 SONDE_STATUS_MAP(COUNT_ONE);
static const int n_types = 0 SONDE_ERROR_TYPE_MAP(COUNT_ONE);
static const int n_patterns = 0 SONDE_PATTERN_MAP(COUNT_ONE);
static const int n_observed = 0 SONDE_OBSERVED_MAP(COUNT_ONE);
static const int n_breaker_states = 0 SONDE_BREAKER_STATE_MAP(COUNT_ONE);

static const char *no_header(void *carrier, const char *name)
{
	(void)carrier;
	(void)name;
	return NULL;
}

static void set_no_header(void *carrier, const char *name, const char *value)
{
	(void)carrier;
	(void)name;
	(void)value;
}

SONDE_PRINTF(1, 2) static void say(const char *format, ...)
{
	(void)format;
}

static void free_text(char **text)
{
	free(*text);
}

static void spans(void)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;

	options.kind = SONDE_KIND_CLIENT;
	SONDE_SPAN(plain, "plain span");
	SONDE_SPAN_WITH(with, "span with options", &options);
	SONDE_SERVER_SPAN(server, "GET", "/orders/{id}", no_header, NULL);
#ifndef __cplusplus
	SONDE_SPAN(rich, "rich span", .kind = SONDE_KIND_PRODUCER, .detached = true);
	sonde_span_add_event(rich, "event", SONDE_ATTRS(sonde_int("n", 1), sonde_str("s", "x")));
#endif
	sonde_span_add_event(plain, "bare event", SONDE_NO_ATTRS);
	sonde_span_set_bool(with, "with", true);
	sonde_span_set_status(server, SONDE_SPAN_OK, NULL);
}

static void timed(void)
{
	struct sonde_timed_options options = SONDE_TIMED_OPTIONS_INIT;

	options.slow_ms = 60000;
	SONDE_SCOPE();
	sonde_breadcrumb(SONDE_INFO, "macros", "no arguments");
	sonde_breadcrumb(SONDE_INFO, "macros", "%d", 1);
	sonde_context_set_str("request.id", "r-1");
	SONDE_TIMED("plain scope");
	SONDE_TIMED_WITH("scope with options", &options);
#ifndef __cplusplus
	SONDE_TIMED("rich scope", .slow_ms = 60000);
#endif
}

static void errors(void)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&plain_error, "no arguments");

	error = sonde_error_wrap(error, &sonde_internal, "%d argument", 1);
	error = sonde_error_join(sonde_error_steal(&error), sonde_error_raise(&rich_error, "rich"));
	sonde_error_capture(error);
	sonde_message(SONDE_WARN, "no arguments");
	sonde_message(SONDE_WARN, "%s", "one argument");
	sonde_log(SONDE_INFO, "a log", SONDE_NO_ATTRS);
#ifndef __cplusplus
	sonde_log(SONDE_INFO, "a log with attributes", SONDE_ATTRS(sonde_double("d", 0.5)));
#endif
}

static void problems(void)
{
	struct sonde_problem_options options = SONDE_PROBLEM_OPTIONS_INIT;
	char body[SONDE_PROBLEM_SIZE];
	SONDE_REQUEST_ERROR(error);

	options.type_base = "https://errors.example/";
	error = sonde_error_raise(&plain_error, "a problem");
	say("%s%d", SONDE_PROBLEM_CONTENT_TYPE,
	    sonde_problem_answer(error, body, sizeof(body), &options));
}

/* As declared in one line, with options and without. */
static int types_are_right(void)
{
	return sonde_error_type_http_status(&plain_error) == 409 &&
	       sonde_error_type_http_status(&rich_error) == 418 &&
	       sonde_error_type_has_public_message(&rich_error) &&
	       sonde_error_type_is(&rich_error, &sonde_conflict) &&
	       strcmp(rich_error.name, "rich_error") == 0;
}

static void contexts(void)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	char traceparent[SONDE_TRACEPARENT_LENGTH + 1];
	char trace_id[SONDE_TRACE_ID_LENGTH + 1], span_id[SONDE_SPAN_ID_LENGTH + 1];

	context.trace_flags = SONDE_TRACE_FLAG_SAMPLED | SONDE_TRACE_FLAG_RANDOM;
	SONDE_CONTEXT_SCOPE(&context);
	SONDE_CONTEXT_SCOPE(NULL);
	(void)sonde_context_to_traceparent(&context, traceparent);
	sonde_trace_id_format(&context, trace_id);
	sonde_span_id_format(&context, span_id);
	say("%s%s%s", traceparent, trace_id, span_id);
}

/* Says what is missing. */
static int is_recorded(const char *lines, const char *text)
{
	if (strstr(lines, text))
		return 1;
	fprintf(stderr, "not recorded: %s\n", text);
	return 0;
}

static void retries(void)
{
	SONDE_RETRY_BUDGET_AUTODEINIT struct sonde_retry_budget budget;
	SONDE_RETRY_AUTODEINIT struct sonde_retry retry;
	SONDE_RETRY_CALL_AUTODEINIT struct sonde_retry_call call;

	sonde_retry_budget_init(&budget, NULL);
	sonde_retry_init(&retry, NULL);
	sonde_retry_call_begin(&call, &retry);
	sonde_retry_call_attempt(&call);
	if (sonde_retry_call_report(&call, NULL, SONDE_RETRY_NO_WISH, NULL))
		say("again");
}

static void locks(void)
{
	SONDE_MUTEX_AUTODEINIT struct sonde_mutex mutex = SONDE_MUTEX_INIT;
	SONDE_RWLOCK_AUTODEINIT struct sonde_rwlock rwlock = SONDE_RWLOCK_INIT;
	SONDE_CONDITION_AUTODEINIT struct sonde_condition condition = SONDE_CONDITION_INIT;

	sonde_mutex_lock(&mutex);
	sonde_error_free(sonde_condition_wait(&condition, &mutex, 0, NULL));
	sonde_error_free(sonde_condition_wait_for(&condition, &mutex, NULL, NULL, 0, NULL));
	sonde_mutex_unlock(&mutex);
	if (sonde_mutex_try_lock(&mutex))
		sonde_mutex_unlock(&mutex);
	if (!sonde_mutex_lock_within(&mutex, 1, NULL))
		sonde_mutex_unlock(&mutex);
	if (sonde_rwlock_read_try_lock(&rwlock))
		sonde_rwlock_read_unlock(&rwlock);
	if (!sonde_rwlock_write_lock_within(&rwlock, 1, NULL))
		sonde_rwlock_write_unlock(&rwlock);
	{
		SONDE_LOCK_SCOPE(&mutex);
		SONDE_WRITE_SCOPE(&rwlock);
	}
	SONDE_READ_SCOPE(&rwlock);
}

static struct sonde_error *nothing(void *argument)
{
	(void)argument;
	return NULL;
}

static void groups(void)
{
	SONDE_GROUP_AUTODEINIT struct sonde_group group;

	sonde_group_init(&group, NULL);
	sonde_group_spawn(&group, "nothing", nothing, NULL, NULL);
	sonde_error_free(sonde_group_wait(&group));
}

static struct sonde_error *no_task(void *argument, struct sonde_cancel *cancel, void **ret_result)
{
	(void)argument;
	(void)cancel;
	(void)ret_result;
	return NULL;
}

static void pools(void)
{
	static struct sonde_pool_options options;
	SONDE_POOL_AUTODEINIT struct sonde_pool pool;
	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };

	options.threads = SONDE_POOL_NO_THREADS;
	sonde_pool_init(&pool, &options);
	(void)sonde_pool_try_submit(&pool, no_task, NULL, NULL, &future);
	say("%d", SONDE_POOL_PASSED_MAX + SONDE_POOL_LEFT_MAX);
}

static void limits(void)
{
	static struct sonde_bulkhead_options options;
	SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead bulkhead;
	SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter;
	SONDE_CANCEL_AUTODEINIT struct sonde_cancel cancel;
	char reason[SONDE_CANCEL_REASON_SIZE] = "no reason";

	options.limit = SONDE_BULKHEAD_LIMIT_MAX;
	sonde_bulkhead_init(&bulkhead, &options);
	(void)sonde_bulkhead_set_limit(&bulkhead, SONDE_BULKHEAD_SHARED_MAX);
	sonde_limiter_init(&limiter, NULL);
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, reason);
}

static void flows(void)
{
	static struct sonde_batcher_options batches;
	static struct sonde_emitter_options events;
	static struct sonde_watchdog_options loop;
	static struct sonde_batcher_item item;
	SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher;
	SONDE_BATCHER_TICKET_AUTODEINIT struct sonde_batcher_ticket ticket = { { 0 } };
	SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter;
	SONDE_QUEUE_AUTODEINIT struct sonde_queue queue;
	SONDE_STREAM_AUTODEINIT struct sonde_stream stream;
	SONDE_WATCHDOG_AUTODEINIT struct sonde_watchdog watchdog;

	batches.max_items = SONDE_BATCHER_ITEMS_DEFAULT;
	batches.delay_ms = SONDE_BATCHER_DELAY_MS_DEFAULT;
	batches.max_keys = SONDE_BATCHER_KEYS_DEFAULT;
	batches.max_waiting = SONDE_BATCHER_ITEMS_DEFAULT * SONDE_BATCHER_WAITING_BATCHES_DEFAULT;
	batches.concurrency = SONDE_BATCHER_CONCURRENCY_DEFAULT;
	sonde_batcher_init(&batcher, &batches);
	sonde_error_free(sonde_batcher_try_add(&batcher, &item, &ticket));
	events.max_subscriptions = SONDE_EMITTER_SUBSCRIPTIONS_DEFAULT;
	events.max_depth = SONDE_EMITTER_DEPTH_DEFAULT;
	sonde_emitter_init(&emitter, &events);
	sonde_queue_init(&queue, NULL);
	sonde_stream_init(&stream, NULL);
	loop.stall_ms = SONDE_WATCHDOG_STALL_MS_DEFAULT;
	loop.is_without_thread = true;
	sonde_watchdog_init(&watchdog, &loop);
	say("%d", SONDE_BATCHER_CONCURRENCY_MAX + SONDE_BATCHER_ITEMS_MAX);
	say("%d", SONDE_EMITTER_SUBSCRIPTIONS_MAX);
	say("%d", SONDE_LIMITER_KEYS_MAX);
}

static void policies(void)
{
	SONDE_POLICY_AUTODEINIT struct sonde_policy policy;
	SONDE_POLICY_CALL_AUTODEINIT struct sonde_policy_call call;

	sonde_policy_init(&policy, NULL);
	sonde_policy_call_begin(&call, &policy, NULL);
	say("%s", sonde_policy_order(&policy));
}

static void deadlines(void)
{
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;
	SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct sonde_error *error = sonde_deadline_error(NULL);
	static struct sonde_breaker_options options;
	char grpc[SONDE_DEADLINE_GRPC_SIZE];

	(void)sonde_exit_stack_init(&stack, NULL);
	options.failures = SONDE_BREAKER_FAILURES_MAX;
	options.half_open_calls = SONDE_BREAKER_HALF_OPEN_CALLS_MAX;
	(void)sonde_breaker_init(&breaker, &options);
	say("%d%d", SONDE_BREAKER_TRIALS_AT_ONCE_MAX, SONDE_BREAKER_WINDOW_CALLS_MAX);
	sonde_deadline_format_grpc(SONDE_EXIT_STACK_SLOTS, grpc);
	sonde_deadline_begin(&deadline, 1000, NULL);
	SONDE_DEADLINE(100);
	SONDE_DEADLINE_SHIELD();
	SONDE_REQUEST_DEADLINE(1000, no_header, NULL);
	SONDE_DEADLINE(10);
	sonde_deadline_inject(SONDE_DEADLINE_HEADER_GRPC | SONDE_DEADLINE_HEADER_SECONDS |
				      SONDE_DEADLINE_HEADER_ENVOY,
			      NULL, set_no_header, NULL);
	if (sonde_deadline_is_over(NULL))
		say("%d", sonde_deadline_poll_ms(NULL));
	sonde_error_free(error);
}

int main(void)
{
	static struct sonde_site site = SONDE_SITE_INIT("by hand");
	SONDE_CLEANUP(free_text) char *lines = NULL;
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;
	int n = 0;

	if (!types_are_right())
		return 1;
	if (n_losses != SONDE_LOSS_COUNT || !n_statuses || !n_types || SONDE_SIGNAL_COUNT != 3)
		return 1;
	if (n_patterns != SONDE_PATTERN_COUNT || n_observed != SONDE_OBSERVED_COUNT ||
	    n_breaker_states != 6)
		return 1;
	/* The gate is closed: all of it is one test. */
	spans();
	timed();
	errors();
	problems();
	contexts();
	deadlines();
	retries();
	policies();
	locks();
	groups();
	pools();
	limits();
	flows();
	if (sonde_agent_start(&options, &agent) < 0)
		return 2;
	spans();
	timed();
	errors();
	problems();
	contexts();
	(void)site;
	if (sonde_agent_stop(agent, 5000) != SONDE_OK)
		return 3;
	lines = sonde_memory_take();
	n += lines && is_recorded(lines, "\"plain span\"") && is_recorded(lines, "\"span with options\"");
	n += lines && is_recorded(lines, "\"GET /orders/{id}\"") && is_recorded(lines, "\"bare event\"");
	n += lines && is_recorded(lines, "\"a problem\"") && is_recorded(lines, "\"one argument\"") && is_recorded(lines, "plain_error");
#ifndef __cplusplus
	n += lines && is_recorded(lines, "\"rich span\"") && is_recorded(lines, "\"a log with attributes\"");
#else
	n++;
#endif
	return n == 4 ? 0 : 4;
}
