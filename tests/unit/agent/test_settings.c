/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/privacy.h"
#include "agent/registry.h"
#include "agent/resource.h"
#include "base/compiler.h"
#include "base/diagnostic.h"

static char said[4096];

static void listen(void *user SONDE__UNUSED, enum sonde_level level SONDE__UNUSED, const char *text)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static int set_up(void **state SONDE__UNUSED)
{
	static const char *const variables[] = { "OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_SERVICE_NAME",
						 "OTEL_RESOURCE_ATTRIBUTES", "OTEL_ATTRIBUTE_COUNT_LIMIT",
						 "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SDK_DISABLED",
						 "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "OTEL_BSP_MAX_QUEUE_SIZE",
						 "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("OTEL_TRACES_EXPORTER", "null", 1);
	setenv("OTEL_LOGS_EXPORTER", "null", 1);
	said[0] = '\0';
	sonde__diagnostic_set(listen, /* user= */ NULL);
	return 0;
}

static void init(struct sonde__settings *settings, const struct sonde_options *options)
{
	assert_int_equal(sonde__settings_init(settings, options), SONDE_OK);
}

static void test_defaults(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	init(&settings, NULL);
	assert_int_equal(settings.memory_limit_bytes, 12 << 20);
	assert_int_equal(settings.delay_ms[SONDE_SIGNAL_SPAN], 5000);
	assert_int_equal(settings.delay_ms[SONDE_SIGNAL_LOG], 1000);
	assert_int_equal(settings.export_timeout_ms[SONDE_SIGNAL_LOG], 30000);
	assert_true(settings.max_batch_items[SONDE_SIGNAL_SPAN] >= 4096);
	assert_int_equal(settings.max_batch_bytes, 512 << 10);
	assert_int_equal(settings.slow_threshold_ms, 1000);
	assert_int_equal(settings.breaker_failures, 5);
	assert_int_equal(settings.breaker_reset_ms, 60000);
	assert_int_equal(settings.breaker_trials, 3);
	assert_int_equal(settings.retry_initial_ms, 1000);
	assert_int_equal(settings.retry_max_ms, 30000);
	assert_int_equal(settings.limits.span_attributes, 128);
	assert_int_equal(settings.limits.span_value_length, UINT32_MAX);
	assert_int_equal(settings.exception_signal, SONDE_EXCEPTION_BOTH);
	assert_false(settings.is_disabled);
	sonde__settings_deinit(&settings);
}

static void test_spans_and_logs_are_set_apart(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100", 1);
	setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "50", 1);
	setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "40", 1);
	setenv("OTEL_BLRP_EXPORT_TIMEOUT", "0", 1);
	init(&settings, NULL);
	unsetenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
	unsetenv("OTEL_BLRP_MAX_QUEUE_SIZE");
	unsetenv("OTEL_BLRP_EXPORT_TIMEOUT");
	assert_int_equal(settings.max_batch_items[SONDE_SIGNAL_SPAN], 100);
	assert_int_equal(settings.max_queue_items[SONDE_SIGNAL_SPAN], 0);
	assert_int_equal(settings.max_batch_items[SONDE_SIGNAL_LOG], 40);
	assert_int_equal(settings.max_queue_items[SONDE_SIGNAL_LOG], 40);
	assert_int_equal(settings.export_timeout_ms[SONDE_SIGNAL_LOG], 86400000);
	assert_non_null(strstr(said, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE 50 is over"));
	sonde__settings_deinit(&settings);
}

/* Nobody asked for a batch that large, so nobody is told that it is too large. */
static void test_queue_limits_the_batch_silently(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2048", 1);
	said[0] = '\0';
	init(&settings, NULL);
	unsetenv("OTEL_BSP_MAX_QUEUE_SIZE");
	assert_int_equal(settings.max_batch_items[SONDE_SIGNAL_SPAN], 2048);
	assert_null(strstr(said, "is over"));
	sonde__settings_deinit(&settings);
}

static void test_own_limit_beats_the_general_one(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "10", 1);
	setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0", 1);
	init(&settings, NULL);
	assert_int_equal(settings.limits.span_attributes, 0);
	assert_int_equal(settings.limits.log_attributes, 10);
	sonde__settings_deinit(&settings);
}

static void test_lists_of_exporters(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_TRACES_EXPORTER", " Console , memory", 1);
	setenv("OTEL_LOGS_EXPORTER", "memory,none", 1);
	init(&settings, NULL);
	assert_int_equal(settings.n_destinations, 2);
	assert_ptr_equal(settings.destinations[0].exporter, &sonde_console_exporter);
	assert_true(settings.destinations[0].takes_spans);
	assert_false(settings.destinations[0].takes_logs);
	assert_ptr_equal(settings.destinations[1].exporter, &sonde_memory_exporter);
	assert_true(settings.destinations[1].takes_logs);
	sonde__settings_deinit(&settings);
}

static void test_an_exporter_that_is_not_linked_is_said(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_TRACES_EXPORTER", "otlp", 1);
	setenv("OTEL_LOGS_EXPORTER", "none", 1);
	init(&settings, NULL);
	assert_int_equal(settings.n_destinations, 0);
	assert_non_null(strstr(said, "OTEL_TRACES_EXPORTER"));
	assert_non_null(strstr(said, "\"otlp\""));
	assert_non_null(strstr(said, "console"));
	sonde__settings_deinit(&settings);
}

static void test_destinations_in_code_beat_the_environment(void **state SONDE__UNUSED)
{
	const char *const own[] = { "SONDE_FILE_PATH=/dev/null", NULL };
	const struct sonde_destination destinations[] = {
		{ .name = "file", .settings = own },
		{ .exporter = &sonde_null_exporter },
		{ .name = "no such thing" },
	};
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__settings settings;

	setenv("OTEL_TRACES_EXPORTER", "console", 1);
	options.destinations = destinations;
	options.n_destinations = 3;
	init(&settings, &options);
	assert_int_equal(settings.n_destinations, 2);
	assert_string_equal(settings.destinations[0].settings[0], own[0]);
	assert_ptr_equal(settings.destinations[1].exporter, &sonde_null_exporter);
	assert_non_null(strstr(said, "no such thing"));
	sonde__settings_deinit(&settings);
}

static void test_exception_signal(void **state SONDE__UNUSED)
{
	struct sonde__settings settings;

	setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs", 1);
	init(&settings, NULL);
	assert_int_equal(settings.exception_signal, SONDE_EXCEPTION_LOG);
	sonde__settings_deinit(&settings);
}

static void test_options_of_other_versions(void **state SONDE__UNUSED)
{
	struct {
		struct sonde_options known;
		uint64_t unknown;
	} newer = { .known = SONDE_OPTIONS_INIT };
	struct sonde_options read;

	newer.known.size = sizeof(newer);
	newer.known.slow_threshold_ms = 5;
	assert_int_equal(sonde__options_read(&newer.known, &read), SONDE_OK);
	assert_int_equal(read.slow_threshold_ms, 5);
	newer.unknown = 1;
	assert_int_equal(sonde__options_read(&newer.known, &read), SONDE_E_INVALID);
	newer.known.size = offsetof(struct sonde_options, slow_threshold_ms);
	assert_int_equal(sonde__options_read(&newer.known, &read), SONDE_OK);
	assert_int_equal(read.slow_threshold_ms, 0);
	newer.known.size = 0;
	assert_int_equal(sonde__options_read(&newer.known, &read), SONDE_E_INVALID);
}

/* The value of a resource attribute as text, or NULL. */
static const char *resource_text(const struct sonde__resource *resource, const char *key)
{
	static char text[512];
	struct sonde_bytes rest = resource->view.attributes;
	struct sonde_item_view item;

	while (sonde_item_next(SONDE_FIELDS_RESOURCE, &rest, &item)) {
		if (item.name.size != strlen(key) || memcmp(item.name.data, key, item.name.size))
			continue;
		if (item.value.type == SONDE_VALUE_INT)
			snprintf(text, sizeof(text), "%lld", (long long)item.value.as.integer);
		else
			snprintf(text, sizeof(text), "%.*s", (int)item.value.as.string.size, item.value.as.string.data);
		return text;
	}
	return NULL;
}

static void make_resource(struct sonde__resource *resource, const struct sonde_options *options)
{
	struct sonde__settings settings;

	static struct sonde__redactor redactor;

	init(&settings, options);
	assert_int_equal(sonde__privacy_init(&redactor, &settings), SONDE_OK);
	sonde__resource_init(resource, &settings, &redactor);
	sonde__redactor_deinit(&redactor);
	sonde__settings_deinit(&settings);
}

static void test_resource_is_redacted(void **state SONDE__UNUSED)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__resource resource;

	options.resource_attributes = "db.password=hunter2,db.url=pg://u:hunter2@h/d,mail=a@b.de";
	make_resource(&resource, &options);
	assert_string_equal(resource_text(&resource, "db.password"), "[redacted]");
	assert_string_equal(resource_text(&resource, "db.url"), "pg://REDACTED:REDACTED@h/d");
	assert_string_equal(resource_text(&resource, "mail"), "a@b.de");
	options.redact = "email";
	setenv("SONDE_REDACT_KEYS", "none", 1);
	make_resource(&resource, &options);
	assert_string_equal(resource_text(&resource, "db.password"), "hunter2");
	assert_string_equal(resource_text(&resource, "mail"), "[redacted]");
	options.redact_keys = "x,MAIL";
	make_resource(&resource, &options);
	assert_string_equal(resource_text(&resource, "db.password"), "[redacted]");
	unsetenv("SONDE_REDACT_KEYS");
}

static void test_resource_of_a_nameless_service(void **state SONDE__UNUSED)
{
	struct sonde__resource resource;
	char pid[32];

	make_resource(&resource, NULL);
	assert_string_equal(resource_text(&resource, "service.name"), "unknown_service:unit-agent-settings");
	assert_string_equal(resource_text(&resource, "telemetry.sdk.name"), "sonde");
	assert_string_equal(resource_text(&resource, "telemetry.sdk.language"), "c");
	assert_int_equal(strlen(resource_text(&resource, "service.instance.id")), 36);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_string_equal(resource_text(&resource, "process.pid"), pid);
}

static void test_resource_sources_in_order(void **state SONDE__UNUSED)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__resource resource;

	setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=list,team=a%2Cb,host.name=h, region = eu ,empty=", 1);
	make_resource(&resource, NULL);
	assert_string_equal(resource_text(&resource, "service.name"), "list");
	assert_string_equal(resource_text(&resource, "team"), "a,b");
	assert_string_equal(resource_text(&resource, "host.name"), "h");
	assert_string_equal(resource_text(&resource, "region"), "eu");
	assert_string_equal(resource_text(&resource, "empty"), "");
	setenv("OTEL_SERVICE_NAME", "variable", 1);
	make_resource(&resource, NULL);
	assert_string_equal(resource_text(&resource, "service.name"), "variable");
	options.service_name = "code";
	options.resource_attributes = "team=c";
	make_resource(&resource, &options);
	assert_string_equal(resource_text(&resource, "service.name"), "code");
	assert_string_equal(resource_text(&resource, "team"), "c");
	assert_string_equal(said, "");
}

static void test_one_bad_pair_discards_the_list(void **state SONDE__UNUSED)
{
	static const char *const bad[] = { "a=1,b", "a=1,=2", "a=%zz", "a=1,b=%e" };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(bad); i++) {
		struct sonde__resource resource;

		said[0] = '\0';
		setenv("OTEL_RESOURCE_ATTRIBUTES", bad[i], 1);
		make_resource(&resource, NULL);
		assert_null(resource_text(&resource, "a"));
		assert_non_null(strstr(said, "OTEL_RESOURCE_ATTRIBUTES"));
		assert_non_null(strstr(said, bad[i]));
	}
}

static void test_registry(void **state SONDE__UNUSED)
{
	static struct sonde_exporter own;
	struct sonde_exporter incomplete = { .size = sizeof(incomplete), .name = "incomplete" };

	memcpy(&own, &sonde_null_exporter, sizeof(own));
	own.name = "own";
	assert_null(sonde__registry_find("own"));
	assert_int_equal(sonde_exporter_register(&own), SONDE_OK);
	assert_int_equal(sonde_exporter_register(&own), SONDE_OK);
	assert_ptr_equal(sonde__registry_find("own"), &own);
	assert_int_equal(sonde_exporter_register(&incomplete), SONDE_E_INVALID);
	assert_int_equal(sonde_exporter_register(NULL), SONDE_E_INVALID);
	assert_ptr_equal(sonde__registry_find("console"), &sonde_console_exporter);
}

static void expect_state_directory(const char *expected)
{
	struct sonde__settings settings;

	init(&settings, NULL);
	if (expected)
		assert_string_equal(settings.state_directory, expected);
	else
		assert_null(settings.state_directory);
	sonde__settings_deinit(&settings);
}

static void test_state_directory(void **state SONDE__UNUSED)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde__settings settings;
	char *home = strdup(getenv("HOME") ? getenv("HOME") : "");
	char *given = strdup(getenv("SONDE_STATE_DIRECTORY") ? getenv("SONDE_STATE_DIRECTORY") : "");

	assert_non_null(home);
	assert_non_null(given);
	unsetenv("HOME");
	unsetenv("XDG_STATE_HOME");
	unsetenv("STATE_DIRECTORY");
	unsetenv("SONDE_STATE_DIRECTORY");
	expect_state_directory("");
	setenv("HOME", "/home/ann", 1);
	expect_state_directory("/home/ann/.local/state/sonde");
	setenv("XDG_STATE_HOME", "relative", 1);
	expect_state_directory("/home/ann/.local/state/sonde");
	setenv("XDG_STATE_HOME", "/state", 1);
	expect_state_directory("/state/sonde");
	setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
	expect_state_directory("/var/lib/a/sonde");
	assert_string_equal(said, "");
	setenv("SONDE_STATE_DIRECTORY", "here", 1);
	expect_state_directory("/var/lib/a/sonde");
	assert_non_null(strstr(said, "the state directory here is not an absolute path"));
	setenv("SONDE_STATE_DIRECTORY", "/mine", 1);
	expect_state_directory("/mine");
	options.state_directory = "/ours";
	options.regression_days = 3;
	init(&settings, &options);
	assert_string_equal(settings.state_directory, "/ours");
	assert_int_equal(settings.regression_days, 3);
	sonde__settings_deinit(&settings);
	setenv("SONDE_STATE_DIRECTORY", "none", 1);
	expect_state_directory(NULL);
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", home, 1);
	setenv("SONDE_STATE_DIRECTORY", given, 1);
	free(home);
	free(given);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, set_up),
		cmocka_unit_test_setup(test_state_directory, set_up),
		cmocka_unit_test_setup(test_spans_and_logs_are_set_apart, set_up),
		cmocka_unit_test_setup(test_queue_limits_the_batch_silently, set_up),
		cmocka_unit_test_setup(test_own_limit_beats_the_general_one, set_up),
		cmocka_unit_test_setup(test_lists_of_exporters, set_up),
		cmocka_unit_test_setup(test_an_exporter_that_is_not_linked_is_said, set_up),
		cmocka_unit_test_setup(test_destinations_in_code_beat_the_environment, set_up),
		cmocka_unit_test_setup(test_exception_signal, set_up),
		cmocka_unit_test_setup(test_options_of_other_versions, set_up),
		cmocka_unit_test_setup(test_resource_is_redacted, set_up),
		cmocka_unit_test_setup(test_resource_of_a_nameless_service, set_up),
		cmocka_unit_test_setup(test_resource_sources_in_order, set_up),
		cmocka_unit_test_setup(test_one_bad_pair_discards_the_list, set_up),
		cmocka_unit_test_setup(test_registry, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
