/* SPDX-License-Identifier: Apache-2.0 */
/* What each OTEL_EXPORTER_OTLP_* value leads to, and what is said about the bad ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "settings.h"

#define TRACES SONDE_SIGNAL_SPAN
#define LOGS SONDE_SIGNAL_LOG
#define METRICS SONDE_SIGNAL_METRIC

/* A host with settings of "NAME=value", which keeps what was reported. */
struct fixture {
	const char *const *values;
	size_t n_reports;
	char reports[16][512];
	struct sonde__otlp_settings settings;
};

static const char *lookup(void *context, const char *name)
{
	const struct fixture *f = context;
	size_t size = strlen(name);

	for (const char *const *at = f->values; *at; at++)
		if (!strncmp(*at, name, size) && (*at)[size] == '=')
			return *at + size + 1;
	return NULL;
}

static void keep_report(void *context, enum sonde_level level, const char *text)
{
	struct fixture *f = context;

	assert_int_equal(level, SONDE_WARN);
	assert_true(f->n_reports < 16);
	strncpy(f->reports[f->n_reports++], text, 511);
}

static void read_settings(struct fixture *f, const char *const *values)
{
	const struct sonde_exporter_host host = {
		.size = sizeof(host), .context = f, .setting = lookup, .report = keep_report,
	};

	sonde__otlp_settings_deinit(&f->settings);
	f->values = values;
	f->n_reports = 0;
	assert_int_equal(sonde__otlp_settings_init(&f->settings, &host), SONDE_OK);
}

#define READ(f, ...) read_settings(f, (const char *const[]){ __VA_ARGS__, NULL })

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sonde__otlp_settings_deinit(&f->settings);
	free(f);
	return 0;
}

static bool has_header(const struct fixture *f, enum sonde_signal signal, const char *header)
{
	for (const struct curl_slist *at = f->settings.targets[signal].headers; at; at = at->next)
		if (!strcmp(at->data, header))
			return true;
	return false;
}

static void assert_reported(const struct fixture *f, size_t i, const char *words)
{
	assert_true(i < f->n_reports);
	if (!strstr(f->reports[i], words))
		fail_msg("\"%s\" is not in \"%s\"", words, f->reports[i]);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	/* Empty is as not set. */
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=", "OTEL_EXPORTER_OTLP_TIMEOUT=", "OTEL_EXPORTER_OTLP_PROTOCOL=");
	assert_string_equal(f->settings.targets[TRACES].url, "http://localhost:4318/v1/traces");
	assert_string_equal(f->settings.targets[LOGS].url, "http://localhost:4318/v1/logs");
	assert_int_equal(f->settings.targets[TRACES].timeout_ms, 10000);
	assert_int_equal(f->settings.targets[TRACES].port, 4318);
	assert_false(f->settings.targets[TRACES].gzip);
	assert_false(f->settings.targets[TRACES].is_https);
	assert_true(has_header(f, TRACES, "Content-Type: application/x-protobuf"));
	assert_true(has_header(f, TRACES, "Expect:"));
	assert_string_equal(f->settings.targets[TRACES].proxy, "");
	assert_int_equal(f->n_reports, 0);
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *value;
		const char *traces;
		uint16_t port;
	} cases[] = {
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "http://c:4318/v1/traces", 4318 },
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/", "http://c:4318/v1/traces", 4318 },
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=http://c/my/base", "http://c/my/base/v1/traces", 80 },
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=https://c/my/base/", "https://c/my/base/v1/traces", 443 },
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=http://c?key=1", "http://c/v1/traces?key=1", 80 },
		{ "OTEL_EXPORTER_OTLP_ENDPOINT=http://[::1]:9", "http://[::1]:9/v1/traces", 9 },
		{ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318", "http://c:4318/", 4318 },
		{ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c/a/../b", "http://c/a/../b", 80 },
		{ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTPS://c/x/", "https://c/x/", 443 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		READ(f, cases[i].value);
		assert_string_equal(f->settings.targets[TRACES].url, cases[i].traces);
		assert_int_equal(f->settings.targets[TRACES].port, cases[i].port);
		assert_int_equal(f->n_reports, 0);
	}
	assert_true(f->settings.targets[TRACES].is_https);
	assert_string_equal(f->settings.targets[LOGS].url, "http://localhost:4318/v1/logs");
}

static void test_the_signals_own_name_wins(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=http://general:1", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://own:2/l",
	     "OTEL_EXPORTER_OTLP_TIMEOUT=1", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=0",
	     "OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION=None");
	assert_string_equal(f->settings.targets[TRACES].url, "http://general:1/v1/traces");
	assert_string_equal(f->settings.targets[LOGS].url, "http://own:2/l");
	assert_string_equal(f->settings.targets[LOGS].setting, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT");
	assert_int_equal(f->settings.targets[TRACES].timeout_ms, 1);
	assert_int_equal(f->settings.targets[LOGS].timeout_ms, 0);
	assert_true(f->settings.targets[TRACES].gzip);
	assert_true(has_header(f, TRACES, "Content-Encoding: gzip"));
	assert_false(f->settings.targets[LOGS].gzip);
	assert_false(has_header(f, LOGS, "Content-Encoding: gzip"));
	assert_string_equal(f->settings.targets[METRICS].url, "http://general:1/v1/metrics");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=http://general:1",
	     "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://own:3/m", "OTEL_EXPORTER_OTLP_METRICS_HEADERS=a=b",
	     "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=9", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION=gzip");
	assert_string_equal(f->settings.targets[METRICS].url, "http://own:3/m");
	assert_int_equal(f->settings.targets[METRICS].timeout_ms, 9);
	assert_true(f->settings.targets[METRICS].gzip);
	assert_true(has_header(f, METRICS, "a: b"));
	assert_false(has_header(f, TRACES, "a: b"));
	assert_string_equal(f->settings.targets[TRACES].url, "http://general:1/v1/traces");
	assert_int_equal(f->n_reports, 0);
}

static void test_bad_values_are_named_and_passed_over(void **state)
{
	static const char *const timeouts[] = { "abc", "-1", "1s", "2147483648", "99999999999999999999", "1.5", " 1" };
	struct fixture *f = *state;
	char value[64];

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		snprintf(value, sizeof(value), "OTEL_EXPORTER_OTLP_TIMEOUT=%s", timeouts[i]);
		READ(f, value);
		assert_int_equal(f->settings.targets[LOGS].timeout_ms, 10000);
		assert_int_equal(f->n_reports, 1);
		snprintf(value, sizeof(value), "OTEL_EXPORTER_OTLP_TIMEOUT=\"%s\" is ignored", timeouts[i]);
		if (timeouts[i][0] != ' ')
			assert_reported(f, 0, value);
	}
	READ(f, "OTEL_EXPORTER_OTLP_TIMEOUT=2147483647");
	assert_int_equal(f->settings.targets[LOGS].timeout_ms, 2147483647);
	/* A bad own value falls back to the general one. */
	READ(f, "OTEL_EXPORTER_OTLP_TIMEOUT=7", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=x");
	assert_int_equal(f->settings.targets[LOGS].timeout_ms, 7);
	assert_int_equal(f->n_reports, 1);
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=\"x\"");
	READ(f, "OTEL_EXPORTER_OTLP_COMPRESSION=zstd");
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_COMPRESSION=\"zstd\" is ignored");
	assert_false(f->settings.targets[TRACES].gzip);
}

/* Even where only the second signal looks at the general name. */
static void test_a_general_value_is_judged_once(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_TIMEOUT=x", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=5");
	assert_int_equal(f->n_reports, 1);
	READ(f, "OTEL_EXPORTER_OTLP_HEADERS=broken");
	assert_int_equal(f->n_reports, 1);
}

static void test_protocols_that_are_not_built(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\" is not supported by this build");
	READ(f, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json");
	assert_reported(f, 0, "http/protobuf is used");
	READ(f, "OTEL_EXPORTER_OTLP_PROTOCOL=smtp");
	assert_reported(f, 0, "\"smtp\" is not a protocol of OTLP");
	READ(f, "OTEL_EXPORTER_OTLP_PROTOCOL=HTTP/Protobuf");
	assert_int_equal(f->n_reports, 0);
}

static void test_bad_endpoints(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318");
	assert_string_equal(f->settings.targets[TRACES].url, "http://localhost:4318/v1/traces");
	assert_int_equal(f->n_reports, 1);
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_ENDPOINT=\"collector:4318\" is ignored: it has no scheme");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=ftp://collector");
	assert_reported(f, 0, "only http:// and https://");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=http://");
	assert_reported(f, 0, "it is not a URL");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=http://host:99999");
	assert_reported(f, 0, "it is not a URL");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=http://h\r\nX-Evil: 1");
	assert_reported(f, 0, "it is not a URL");
	assert_null(strchr(f->reports[0], '\n'));
}

static void test_secrets_are_never_shown(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=https://me:hush@c:1/p?token=hush#hush",
	     "OTEL_EXPORTER_OTLP_HEADERS=hush,a=hush%zz,b c=hush,d=hush%0d%0aX-Evil: 1,e=h%00ush,content-type=hush");
	assert_string_equal(f->settings.targets[TRACES].url, "https://me:hush@c:1/p/v1/traces?token=hush");
	assert_string_equal(f->settings.targets[TRACES].shown, "https://c:1/p/v1/traces");
	assert_int_equal(f->n_reports, 6);
	for (size_t i = 0; i < f->n_reports; i++)
		assert_null(strstr(f->reports[i], "hush"));
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_HEADERS: entry 1 is skipped: it has no '='");
	assert_reported(f, 1, "entry 2 is skipped: it has a broken % escape");
	assert_reported(f, 2, "entry 3 is skipped: it has no valid header name");
	assert_reported(f, 3, "entry 4 is skipped: it has a line end");
	assert_reported(f, 4, "entry 5 is skipped: it has a line end");
	assert_reported(f, 5, "entry 6 is skipped: it names a header that the exporter sets itself");
	READ(f, "OTEL_EXPORTER_OTLP_ENDPOINT=ftp://me:hush@c");
	assert_null(strstr(f->reports[0], "hush"));
}

static void test_headers(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_HEADERS= a = 1 ,, b=x%20y%2Cz,c=,d=k=v, \t ,e=a+b");
	assert_int_equal(f->n_reports, 0);
	assert_true(has_header(f, TRACES, "a: 1"));
	assert_true(has_header(f, TRACES, "b: x y,z"));
	assert_true(has_header(f, TRACES, "c;"));
	assert_true(has_header(f, LOGS, "d: k=v"));
	assert_true(has_header(f, LOGS, "e: a+b"));
}

static void test_proxies_come_from_the_settings(void **state)
{
	struct fixture *f = *state;

	READ(f, "https_proxy=http://p:1", "OTEL_EXPORTER_OTLP_ENDPOINT=https://c", "NO_PROXY=localhost",
	     "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://c");
	assert_string_equal(f->settings.targets[TRACES].proxy, "http://p:1");
	assert_string_equal(f->settings.targets[TRACES].no_proxy, "localhost");
	assert_string_equal(f->settings.targets[LOGS].proxy, "");
}

static void test_files(void **state)
{
	struct fixture *f = *state;

	READ(f, "OTEL_EXPORTER_OTLP_CERTIFICATE=/dev/null", "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY=/no/such/key");
	assert_string_equal(f->settings.targets[TRACES].certificate, "/dev/null");
	assert_null(f->settings.targets[TRACES].client_key);
	assert_string_equal(f->settings.targets[LOGS].client_key, "/no/such/key");
	assert_int_equal(f->n_reports, 1);
	assert_reported(f, 0, "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY=\"/no/such/key\" cannot be read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_endpoints, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_signals_own_name_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_values_are_named_and_passed_over, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_general_value_is_judged_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_protocols_that_are_not_built, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_bad_endpoints, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_secrets_are_never_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_proxies_come_from_the_settings, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
