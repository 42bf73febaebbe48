/* SPDX-License-Identifier: Apache-2.0 */
/* Which destinations there are, what each takes, metrics how often, and as what. */

#include "agent/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/opened.h"
#include "base/compiler.h"
#include "base/diagnostic.h"

#define TEMPORALITY "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"

static char said[1024];

static void listen(void *user SONDE__UNUSED, enum sonde_level level SONDE__UNUSED, const char *text)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

/* NULL: not set. */
static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static int set_up(void **state SONDE__UNUSED)
{
	static const char *const variables[] = {
		"OTEL_METRICS_EXPORTER", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT", TEMPORALITY,
		"SONDE_WEBHOOK_URL", "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN",
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	set("OTEL_TRACES_EXPORTER", "null");
	set("OTEL_LOGS_EXPORTER", "null");
	said[0] = '\0';
	sonde__diagnostic_set(listen, /* user= */ NULL);
	return 0;
}

static int tear_down(void **state SONDE__UNUSED)
{
	sonde__diagnostic_set(/* callback= */ NULL, /* user= */ NULL);
	return 0;
}

/* "null:slm file:m": who takes spans, logs and metrics. */
static const char *choose(const struct sonde_options *options)
{
	static char text[256];
	struct sonde__settings settings;

	text[0] = '\0';
	assert_int_equal(sonde__settings_init(&settings, options), SONDE_OK);
	for (size_t i = 0; i < settings.n_destinations; i++) {
		const struct sonde__destination *to = &settings.destinations[i];
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%s:%s%s%s", i ? " " : "", to->exporter->name,
			 to->takes_spans ? "s" : "", to->takes_logs ? "l" : "", to->takes_metrics ? "m" : "");
	}
	sonde__settings_deinit(&settings);
	return text;
}

static void by_the_environment(void **state SONDE__UNUSED)
{
	static const struct {
		const char *traces, *logs, *metrics;
		const char *chosen;
	} cases[] = {
		/* Along with the rest, */
		{ "null", "null", NULL, "null:slm" },
		{ "null", "none", NULL, "null:sm" },
		{ "none", "file", NULL, "file:lm" },
		{ "null", "file", NULL, "null:sm file:lm" },
		/* but not to where people read and tests look. */
		{ "console", "console", NULL, "console:sl" },
		{ "console,null", "memory", NULL, "console:s null:sm memory:l" },
		/* Or as it is said. */
		{ "null", "null", "none", "null:sl" },
		{ "null", "null", "NONE", "null:sl" },
		{ "null", "null", "null", "null:slm" },
		{ "console", "console", "console", "console:slm" },
		{ "null", "null", "console,file", "null:sl console:m file:m" },
		{ "none", "none", "memory", "memory:m" },
		{ "none", "none", NULL, "" },
		/* Empty is not set. */
		{ "null", "null", "", "null:slm" },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(cases); i++) {
		set("OTEL_TRACES_EXPORTER", cases[i].traces);
		set("OTEL_LOGS_EXPORTER", cases[i].logs);
		set("OTEL_METRICS_EXPORTER", cases[i].metrics);
		assert_string_equal(choose(/* options= */ NULL), cases[i].chosen);
	}
	assert_string_equal(said, "");
	set("OTEL_METRICS_EXPORTER", "prometheus");
	choose(/* options= */ NULL);
	assert_non_null(strstr(said, "OTEL_METRICS_EXPORTER names the exporter \"prometheus\""));
}

static void destinations_in_code(void **state SONDE__UNUSED)
{
	static const char *const none[] = { "OTEL_METRICS_EXPORTER=none", NULL };
	static const char *const itself[] = { "OTEL_METRICS_EXPORTER=console", NULL };
	const struct sonde_destination destinations[] = {
		{ .name = "null" }, { .name = "null", .settings = none },
		{ .name = "console" }, { .name = "console", .settings = itself },
	};
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.destinations = destinations;
	options.n_destinations = SONDE__ARRAY_SIZE(destinations);
	assert_string_equal(choose(&options), "null:slm null:sl console:sl console:slm");
	/* The environment chooses among them, and a destination's own setting beats it. */
	set("OTEL_METRICS_EXPORTER", "file,console");
	assert_string_equal(choose(&options), "null:sl null:sl console:slm console:slm");
	set("OTEL_METRICS_EXPORTER", "none");
	assert_string_equal(choose(&options), "null:sl null:sl console:sl console:slm");
}

/* What libsonde-otlp registers; it is never opened here. */
static int webhook_open(const struct sonde_exporter_host *host SONDE__UNUSED,
			void **ret SONDE__UNUSED)
{
	return SONDE_E_UNSUPPORTED;
}

static int webhook_encode(void *instance SONDE__UNUSED,
			  const struct sonde_batch *batch SONDE__UNUSED,
			  struct sonde_buffer *out SONDE__UNUSED)
{
	return SONDE_E_UNSUPPORTED;
}

static enum sonde_outcome webhook_send(void *instance SONDE__UNUSED,
				       const struct sonde_request *request SONDE__UNUSED,
				       struct sonde_result *ret SONDE__UNUSED)
{
	return SONDE_OUTCOME_REFUSED;
}

static void webhook_close(void *instance SONDE__UNUSED, bool forked SONDE__UNUSED)
{
}

/* As one that was built before there was `count`. */
static const struct sonde_exporter webhook = {
	.size = offsetof(struct sonde_exporter, count), .name = "webhook", .open = webhook_open,
	.encode = webhook_encode, .send = webhook_send, .close = webhook_close,
};

/* Runs before the others register it. */
static void a_webhook_that_is_not_linked(void **state SONDE__UNUSED)
{
	set("SONDE_WEBHOOK_URL", "https://hooks.example/hunter2");
	assert_string_equal(choose(/* options= */ NULL), "null:slm");
	assert_non_null(strstr(said, "SONDE_WEBHOOK_URL names the exporter \"webhook\", which is not linked"));
	assert_non_null(strstr(said, "; link with `pkg-config --libs sonde`"));
	assert_null(strstr(said, "hunter2"));
}

static void the_webhook_joins(void **state SONDE__UNUSED)
{
	static const char *const none[] = { "OTEL_METRICS_EXPORTER=none", NULL };
	const struct sonde_destination destinations[] = { { .name = "console", .settings = none } };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	assert_int_equal(sonde_exporter_register(&webhook), SONDE_OK);
	assert_string_equal(choose(/* options= */ NULL), "null:slm");
	set("SONDE_WEBHOOK_URL", "");
	assert_string_equal(choose(/* options= */ NULL), "null:slm");
	set("SONDE_WEBHOOK_URL", "https://hooks.example/x");
	assert_string_equal(choose(/* options= */ NULL), "null:slm webhook:l");
	set("OTEL_METRICS_EXPORTER", "console");
	assert_string_equal(choose(/* options= */ NULL), "null:sl console:m webhook:l");
	set("OTEL_METRICS_EXPORTER", NULL);
	set("OTEL_TRACES_EXPORTER", "none");
	set("OTEL_LOGS_EXPORTER", "none");
	assert_string_equal(choose(/* options= */ NULL), "webhook:l");
	options.destinations = destinations;
	options.n_destinations = 1;
	assert_string_equal(choose(&options), "console:sl webhook:l");
	/* Spans only where errors are nowhere else. */
	options.exception_signal = SONDE_EXCEPTION_SPAN_EVENT;
	assert_string_equal(choose(&options), "console:sl webhook:sl");
	options.exception_signal = SONDE_EXCEPTION_LOG;
	assert_string_equal(choose(&options), "console:sl webhook:l");
	assert_string_equal(said, "");
}

/* Named in a list as well, it is the same one, and looks where errors are. */
static void the_webhook_is_one(void **state SONDE__UNUSED)
{
	set("OTEL_TRACES_EXPORTER", "null,webhook");
	assert_string_equal(choose(/* options= */ NULL), "null:slm webhook:l");
	set("SONDE_WEBHOOK_URL", "https://hooks.example/x");
	assert_string_equal(choose(/* options= */ NULL), "null:slm webhook:l");
	set("OTEL_METRICS_EXPORTER", "webhook");
	assert_string_equal(choose(/* options= */ NULL), "null:sl webhook:l");
}

/* The destination's own, then the option, then the environment. */
static void whose_url_it_is(void **state SONDE__UNUSED)
{
	static const char *const own[] = { "SONDE_WEBHOOK_URL=https://own.example", NULL };
	const struct sonde_destination destinations[] = {
		{ .name = "webhook", .settings = own }, { .name = "webhook" },
	};
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__settings settings;

	set("SONDE_WEBHOOK_URL", "https://environment.example");
	options.webhook_url = "https://option.example";
	options.destinations = destinations;
	options.n_destinations = SONDE__ARRAY_SIZE(destinations);
	assert_int_equal(sonde__settings_init(&settings, &options), SONDE_OK);
	assert_int_equal(settings.n_destinations, 2);
	assert_string_equal(settings.destinations[0].settings[0], own[0]);
	assert_string_equal(settings.destinations[0].settings[1], "SONDE_WEBHOOK_URL=https://option.example");
	assert_null(settings.destinations[0].settings[2]);
	assert_string_equal(settings.destinations[1].settings[0], "SONDE_WEBHOOK_URL=https://option.example");
	assert_null(settings.destinations[1].settings[1]);
	sonde__settings_deinit(&settings);
}

static void how_often(void **state SONDE__UNUSED)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__settings settings;

	assert_int_equal(sonde__settings_init(&settings, &options), SONDE_OK);
	assert_int_equal(settings.metric_interval_ms, 60000);
	assert_int_equal(settings.export_timeout_ms[SONDE_SIGNAL_METRIC], 30000);
	sonde__settings_deinit(&settings);
	set("OTEL_METRIC_EXPORT_INTERVAL", "2500");
	set("OTEL_METRIC_EXPORT_TIMEOUT", "0");
	assert_int_equal(sonde__settings_init(&settings, &options), SONDE_OK);
	assert_int_equal(settings.metric_interval_ms, 2500);
	assert_int_equal(settings.export_timeout_ms[SONDE_SIGNAL_METRIC], 86400000);
	sonde__settings_deinit(&settings);
	set("OTEL_METRIC_EXPORT_INTERVAL", "-1");
	options.metric_interval_ms = 7;
	assert_int_equal(sonde__settings_init(&settings, &options), SONDE_OK);
	assert_int_equal(settings.metric_interval_ms, 7);
	sonde__settings_deinit(&settings);
	options.metric_interval_ms = 0;
	assert_int_equal(sonde__settings_init(&settings, &options), SONDE_OK);
	assert_int_equal(settings.metric_interval_ms, 60000);
	assert_non_null(strstr(said, "OTEL_METRIC_EXPORT_INTERVAL"));
	sonde__settings_deinit(&settings);
}

static enum sonde__temporality temporality_of(const struct sonde_options *options,
					      size_t destination)
{
	struct sonde__opened opened[SONDE__DESTINATIONS_MAX];
	struct sonde__settings settings;
	size_t n;

	assert_int_equal(sonde__settings_init(&settings, options), SONDE_OK);
	n = sonde__destinations_open(&settings, opened);
	assert_true(destination < n);
	sonde__destinations_close(opened, n, /* forked= */ false);
	sonde__settings_deinit(&settings);
	return opened[destination].temporality;
}

static void temporality_is_each_destinations_own(void **state SONDE__UNUSED)
{
	static const char *const own[] = { TEMPORALITY "=LowMemory", NULL };
	const struct sonde_destination destinations[] = {
		{ .name = "null" }, { .name = "null", .settings = own },
	};
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.destinations = destinations;
	options.n_destinations = 2;
	assert_int_equal(temporality_of(&options, 0), SONDE__CUMULATIVE);
	assert_int_equal(temporality_of(&options, 1), SONDE__LOW_MEMORY);
	set(TEMPORALITY, "Delta");
	assert_int_equal(temporality_of(&options, 0), SONDE__DELTA);
	assert_int_equal(temporality_of(&options, 1), SONDE__LOW_MEMORY);
	assert_string_equal(said, "");
	set(TEMPORALITY, "sometimes");
	assert_int_equal(temporality_of(&options, 0), SONDE__CUMULATIVE);
	assert_non_null(strstr(said, TEMPORALITY "=sometimes is none of"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(by_the_environment),
		TEST(destinations_in_code),
		TEST(a_webhook_that_is_not_linked),
		TEST(the_webhook_joins),
		TEST(the_webhook_is_one),
		TEST(whose_url_it_is),
		TEST(how_often),
		TEST(temporality_is_each_destinations_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
