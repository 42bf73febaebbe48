/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures one of everything that the public headers offer, and prints the trace ids by scene. What
 * was set is written down a second time in test_trace.py, by hand.
 */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sonde/sonde.h>

#define EXPLICIT_START UINT64_C(1700000000000000000)

SONDE_ERROR_TYPE(disk_full, sonde_exhausted, "DISK_FULL");
SONDE_ERROR_TYPE(order_lost, sonde_internal, "ORDER_LOST", .http_status = 507);

static void print_scene(const char *scene, const struct sonde_span *span)
{
	struct sonde_context context = sonde_span_context(span);
	char trace_id[SONDE_TRACE_ID_LENGTH + 1], span_id[SONDE_SPAN_ID_LENGTH + 1];

	sonde_trace_id_format(&context, trace_id);
	sonde_span_id_format(&context, span_id);
	printf("%s %s %s\n", scene, trace_id, span_id);
}

static void record_types(void)
{
	static const int64_t integers[] = { INT64_MIN, 0, INT64_MAX };
	static const double reals[] = { 0.5, -1e300 };
	static const bool booleans[] = { true, false };
	static const char *const strings[] = { "a", "", NULL, "\xc3\xa9" };

	SONDE_SPAN(span, "types", .root = true);
	print_scene("types", span);
	sonde_span_set_str(span, "str", "text");
	sonde_span_set_str(span, "str.empty", "");
	sonde_span_set_str(span, "str.null", NULL);
	sonde_span_set_str(span, "str.utf8", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
	sonde_span_set_str(span, "str.invalid", "a\xff" "b\xc3");
	sonde_span_set_strn(span, "str.counted", "counted text", 7);
	sonde_span_set_int(span, "int", -42);
	sonde_span_set_int(span, "int.min", INT64_MIN);
	sonde_span_set_double(span, "double", 0.1);
	sonde_span_set_bool(span, "bool", true);
	sonde_span_set(span, sonde_bytes("bytes", "\x00\x01\xff", 3));
	sonde_span_set(span, sonde_int_array("ints", integers, 3));
	sonde_span_set(span, sonde_double_array("doubles", reals, 2));
	sonde_span_set(span, sonde_bool_array("bools", booleans, 2));
	sonde_span_set(span, sonde_str_array("strs", strings, 4));
	sonde_span_set_int(span, "twice", 1);
	sonde_span_set_int(span, "twice", 2);
}

/* A trace of its own: Jaeger's query API cannot show a trace that has one. */
static void record_not_a_number(void)
{
	SONDE_SPAN(span, "nan", .root = true);
	print_scene("nan", span);
	sonde_span_set_double(span, "double.nan", NAN);
	sonde_span_set_double(span, "double.infinity", -INFINITY);
}

static void record_events(void)
{
	struct sonde_context other = SONDE_CONTEXT_INIT;

	SONDE_SPAN(span, "events", .root = true, .kind = SONDE_KIND_CONSUMER,
		   .start_unix_ns = EXPLICIT_START);
	print_scene("events", span);
	sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "k=v", &other);
	sonde_span_add_event(span, "plain", SONDE_NO_ATTRS);
	sonde_span_add_event(span, "full", SONDE_ATTRS(sonde_int("i", 1), sonde_str("s", "x")));
	sonde_span_add_event_with_time(span, "timed", EXPLICIT_START + 5, SONDE_NO_ATTRS);
	sonde_span_add_link(span, &other, SONDE_ATTRS(sonde_str("why", "retry")));
	sonde_span_set_status(span, SONDE_SPAN_ERROR, "first");
	sonde_span_set_status(span, SONDE_SPAN_OK, "ignored");
	sonde_span_set_status(span, SONDE_SPAN_ERROR, "too late");
	sonde_span_set_name(span, "renamed");
	sonde_span_end_with_time(span, EXPLICIT_START + 1000);
}

static void record_limits(void)
{
	char key[32];

	SONDE_SPAN(span, "limits", .root = true);
	print_scene("limits", span);
	for (int i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "key.%03d", i);
		sonde_span_set_int(span, key, i);
		sonde_span_add_event(span, key, SONDE_NO_ATTRS);
		sonde_span_add_link(span,
				    &(const struct sonde_context){
					    { 1 }, { (uint8_t)(i + 1) }, 1, false, { 0 }, { 0 } },
				    SONDE_NO_ATTRS);
	}
}

static void *record_on_thread(void *argument)
{
	const struct sonde_context *context = argument;

	SONDE_CONTEXT_SCOPE(context);
	SONDE_SPAN(span, "on another thread", .kind = SONDE_KIND_PRODUCER);
	sonde_current_set(sonde_str("by", "current"));
	sonde_current_add_event("current event", SONDE_ATTRS(sonde_bool("b", false)));
	sonde_current_set_status(SONDE_SPAN_ERROR, "from outside");
	return NULL;
}

static const char *get_header(void *carrier, const char *name)
{
	(void)carrier;
	if (!strcmp(name, "traceparent"))
		return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	return !strcmp(name, "tracestate") ? "vendor=opaque,other=1" : NULL;
}

static void record_server(void)
{
	struct sonde_context context;
	pthread_t thread;

	SONDE_SERVER_SPAN(span, "GET", "/orders/{id}", get_header, NULL);
	print_scene("server", span);
	{
		SONDE_SPAN(detached, "detached", .detached = true);
		SONDE_SPAN(sibling, "not below the detached one");
		sonde_span_set_bool(sibling, "ok", true);
		sonde_span_set_bool(detached, "ok", true);
	}
	context = sonde_context_current();
	pthread_create(&thread, NULL, record_on_thread, &context);
	pthread_join(thread, NULL);
}

static void record_error(void)
{
	SONDE_SPAN(span, "failing", .root = true);
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&disk_full, "no space for %d bytes", 512);

	print_scene("error", span);
	sonde_error_set(error, sonde_str("device", "sda1"));
	error = sonde_error_wrap(error, &sonde_external_service, "the store failed");
	sonde_error_capture(error);
	error = sonde_error_wrap(error, &order_lost, "order %d is lost", 7);
	sonde_error_capture(error);
}

static void wait_ms(long ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static void record_logs(void)
{
	SONDE_SPAN(span, "logs", .root = true);
	print_scene("logs", span);
	sonde_message(SONDE_TRACE, "trace %d", 1);
	sonde_message(SONDE_DEBUG, "debug");
	sonde_message(SONDE_INFO, "info");
	sonde_message(SONDE_WARN, "warn");
	sonde_message(SONDE_ERROR, "error %s", "text");
	sonde_message(SONDE_FATAL, "fatal");
	sonde_log(SONDE_INFO, "with attributes", SONDE_ATTRS(sonde_int("n", 3), sonde_double("d", 1.5)));
	{
		SONDE_TIMED("nap", .slow_ms = 20);
		wait_ms(30);
	}
	{
		SONDE_TIMED("quick", .slow_ms = 60000);
	}
}

static void print_account(struct sonde_agent *agent)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;
		uint64_t lost = 0;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) < 0)
			continue;
		for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++)
			lost += account.lost[i];
		printf("account%d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", signal, account.captured,
		       account.exported, account.queued, lost);
	}
}

int main(void)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;
	int status;

	options.service_name = "recorder";
	options.service_version = "9.8.7";
	options.deployment_environment = "test";
	if (sonde_agent_start(&options, &agent) < 0)
		return 2;
	record_types();
	record_not_a_number();
	record_events();
	record_limits();
	record_server();
	record_error();
	record_logs();
	status = sonde_agent_stop(agent, 10000);
	print_account(agent);
	return status;
}
