/* SPDX-License-Identifier: Apache-2.0 */
/* What each SONDE_WEBHOOK_* value leads to, what is said about bad ones, and what is never said. */

#include "webhook/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "otlp/classify.h"
#include "webhook/alert.h"
#include "webhook/answers.h"

#define URL "SONDE_WEBHOOK_URL=https://hooks.example:8443/T123/hunter2hunter2?k=s3cr3tt"

static const char *const *values;
static size_t n_reports;
static char reports[16][512];
static struct sonde__webhook_settings settings;

static const char *lookup(void *context, const char *name)
{
	size_t size = strlen(name);

	(void)context;
	for (const char *const *at = values; *at; at++)
		if (!strncmp(*at, name, size) && (*at)[size] == '=')
			return *at + size + 1;
	return NULL;
}

static void keep_report(void *context, enum sonde_level level, const char *text)
{
	(void)context;
	assert_int_equal(level, SONDE_WARN);
	assert_true(n_reports < 16);
	(void)snprintf(reports[n_reports++], sizeof(reports[0]), "%s", text);
	assert_null(strstr(text, "hunter2"));
	assert_null(strstr(text, "s3cr3tt"));
}

static int read_settings(const char *const *from)
{
	const struct sonde_exporter_host host = {
		.size = sizeof(host), .setting = lookup, .report = keep_report,
	};

	sonde__webhook_settings_deinit(&settings);
	values = from;
	n_reports = 0;
	return sonde__webhook_settings_init(&settings, &host);
}

#define READ(...) read_settings((const char *const[]){ __VA_ARGS__, NULL })

static int tear_down(void **state)
{
	(void)state;
	sonde__webhook_settings_deinit(&settings);
	return 0;
}

static bool has_header(const char *header)
{
	for (const struct curl_slist *at = settings.target.headers; at; at = at->next)
		if (!strcmp(at->data, header))
			return true;
	return false;
}

static void assert_said(const char *text)
{
	assert_int_equal(n_reports, 1);
	assert_string_equal(reports[0], text);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(READ(URL), SONDE_OK);
	assert_string_equal(settings.target.url, "https://hooks.example:8443/T123/hunter2hunter2?k=s3cr3tt");
	assert_string_equal(settings.target.shown, "https://hooks.example:8443");
	assert_true(settings.target.is_https);
	assert_int_equal(settings.target.port, 8443);
	assert_int_equal(settings.target.timeout_ms, 10000);
	assert_int_equal(settings.format, SONDE__WEBHOOK_GENERIC);
	assert_int_equal(settings.wanted, SONDE__WEBHOOK_FIRST_SEEN | SONDE__WEBHOOK_REGRESSED);
	assert_int_equal(settings.per_minute, 10);
	assert_string_equal(settings.trace_url, "");
	assert_true(has_header("Content-Type: application/json"));
	assert_true(has_header("Expect:"));
	assert_int_equal(n_reports, 0);
}

static void the_format(void **state)
{
	(void)state;
	assert_int_equal(READ("SONDE_WEBHOOK_URL=https://hooks.slack.com/services/x"), SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_SLACK);
	assert_int_equal(READ("SONDE_WEBHOOK_URL=https://HOOKS.slack.com/services/x"), SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_SLACK);
	assert_int_equal(READ("SONDE_WEBHOOK_URL=https://hooks.slack.com.evil.example/x"), SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_GENERIC);
	assert_int_equal(READ("SONDE_WEBHOOK_URL=https://hooks.slack.com/x", "SONDE_WEBHOOK_FORMAT=generic"),
			 SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_GENERIC);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_FORMAT=Slack"), SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_SLACK);
	assert_int_equal(n_reports, 0);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_FORMAT=teams"), SONDE_OK);
	assert_int_equal(settings.format, SONDE__WEBHOOK_GENERIC);
	assert_said("SONDE_WEBHOOK_FORMAT=\"teams\" is ignored: it is neither generic nor slack");
}

static void what_to_tell_of(void **state)
{
	(void)state;
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_ON= fatal , Regressed,"), SONDE_OK);
	assert_int_equal(settings.wanted, SONDE__WEBHOOK_FATAL | SONDE__WEBHOOK_REGRESSED);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_ON=first_seen"), SONDE_OK);
	assert_int_equal(settings.wanted, SONDE__WEBHOOK_FIRST_SEEN);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_ON= , "), SONDE_OK);
	assert_int_equal(settings.wanted, SONDE__WEBHOOK_FIRST_SEEN | SONDE__WEBHOOK_REGRESSED);
	assert_int_equal(n_reports, 0);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_ON=fatal,everything"), SONDE_OK);
	assert_int_equal(settings.wanted, SONDE__WEBHOOK_FIRST_SEEN | SONDE__WEBHOOK_REGRESSED);
	assert_said("SONDE_WEBHOOK_ON=\"fatal,everything\" is ignored: "
		    "it is not a list of first_seen, regressed, fatal");
}

static void numbers(void **state)
{
	static const char *const bad[] = { "-1", "60001", "1x", "x", " 5", "99999999999999999999999999" };

	(void)state;
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_PER_MINUTE=0", "SONDE_WEBHOOK_TIMEOUT=2500"), SONDE_OK);
	assert_int_equal(settings.per_minute, 0);
	assert_int_equal(settings.target.timeout_ms, 2500);
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_PER_MINUTE=60000"), SONDE_OK);
	assert_int_equal(settings.per_minute, 60000);
	assert_int_equal(n_reports, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char value[80];

		(void)snprintf(value, sizeof(value), "SONDE_WEBHOOK_PER_MINUTE=%s", bad[i]);
		assert_int_equal(READ(URL, value), SONDE_OK);
		assert_int_equal(settings.per_minute, 10);
		assert_int_equal(n_reports, 1);
		assert_non_null(strstr(reports[0], "is not a number of messages from 0 to 60000"));
	}
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_TIMEOUT=1s"), SONDE_OK);
	assert_int_equal(settings.target.timeout_ms, 10000);
	assert_int_equal(n_reports, 1);
}

static void trace_urls(void **state)
{
	static const char *const bad[] = {
		"jaeger/{trace_id}", "http://j/", "http://j/{trace_id}|x", "http://j/{trace_id}<b>",
		"http://j/{trace_id} ", "http://j/{trace_id}\"", "javascript:{trace_id}", "http://j/\xc3\xa9{trace_id}",
	};
	static char value[700] = "SONDE_TRACE_URL=http://j/{trace_id}";

	(void)state;
	assert_int_equal(READ(URL, "SONDE_TRACE_URL=http://j:16686/trace/{trace_id}"), SONDE_OK);
	assert_string_equal(settings.trace_url, "http://j:16686/trace/{trace_id}");
	assert_int_equal(n_reports, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char line[100];

		(void)snprintf(line, sizeof(line), "SONDE_TRACE_URL=%s", bad[i]);
		assert_int_equal(READ(URL, line), SONDE_OK);
		assert_string_equal(settings.trace_url, "");
		assert_int_equal(n_reports, 1);
		assert_non_null(strstr(reports[0], "SONDE_TRACE_URL="));
	}
	memset(value + strlen(value), 'x', 511 - 19);
	assert_int_equal(READ(URL, value), SONDE_OK);
	assert_int_equal(strlen(settings.trace_url), 511);
	memcpy(value + strlen(value), "y", 2);
	assert_int_equal(READ(URL, value), SONDE_OK);
	assert_string_equal(settings.trace_url, "");
}

static void headers_and_files(void **state)
{
	(void)state;
	assert_int_equal(READ(URL, "SONDE_WEBHOOK_HEADERS=Authorization=Bearer%20x,bad",
			      "SONDE_WEBHOOK_CERTIFICATE=/no/such.pem"),
			 SONDE_OK);
	assert_true(has_header("Authorization: Bearer x"));
	assert_string_equal(settings.target.certificate, "/no/such.pem");
	assert_int_equal(n_reports, 2);
	assert_string_equal(reports[0], "SONDE_WEBHOOK_HEADERS: entry 2 is skipped: it has no '='");
	assert_non_null(strstr(reports[1], "SONDE_WEBHOOK_CERTIFICATE=\"/no/such.pem\" cannot be read"));
}

/* By name and value, but never with what lets anybody post. */
static void urls_that_cannot_be_used(void **state)
{
	static const struct {
		const char *value;
		const char *said;
	} cases[] = {
		{ "hooks.example/hunter2",
		  "=\"hooks.example...\" is ignored: it has no scheme; write http:// or https:// before it" },
		{ "ftp://hooks.example/hunter2",
		  "=\"ftp://hooks.example...\" is ignored: only http:// and https:// are supported" },
		{ "hunter2", " is ignored: it has no scheme; write http:// or https:// before it" },
		{ "user:hunter2@hooks.example", " is ignored: it has no scheme; write http:// or https:// before it" },
		{ "https://hooks.example:99999/hunter2", "=\"https://hooks.example:99999...\" is ignored: it is not a URL" },
		{ "https://", " is ignored: it is not a URL" },
	};
	char value[100];
	char said[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(value, sizeof(value), "SONDE_WEBHOOK_URL=%s", cases[i].value);
		(void)snprintf(said, sizeof(said), "SONDE_WEBHOOK_URL%s", cases[i].said);
		assert_int_equal(READ(value), SONDE_E_INVALID);
		assert_said(said);
	}
	assert_int_equal(READ("SONDE_WEBHOOK_URL="), SONDE_E_INVALID);
	assert_said("SONDE_WEBHOOK_URL is not set: there is nowhere to send alerts");
}

/* ---- Answers --------------------------------------------------------------------------------- */

static struct sonde_result classify(long status, const char *body, const char *location)
{
	struct sonde__otlp_answer answer = {
		.target = &settings.target, .signal = SONDE_SIGNAL_LOG, .n_items = 3, .detail = "",
		.is_connected = true, .status = status, .content_type = "text/plain; charset=utf-8",
		.location = location, .retry_after_s = 5, .body = { body, strlen(body) },
	};
	struct sonde_result result;

	sonde__otlp_classify(&answer, &result);
	assert_null(strstr(result.reason, "hunter2"));
	assert_null(strstr(result.reason, "s3cr3tt"));
	return result;
}

static void every_status(void **state)
{
	(void)state;
	assert_int_equal(READ(URL), SONDE_OK);
	for (long status = 100; status < 700; status++) {
		struct sonde_result result = classify(status, "whatever", /* location= */ NULL);
		bool is_later = status == 408 || status == 429 ||
				(status / 100 == 5 && status != 501 && status != 505);

		if (status / 100 == 2) {
			assert_int_equal(result.outcome, SONDE_OUTCOME_ACCEPTED);
			assert_string_equal(result.reason, "");
			assert_int_equal(result.n_rejected, 0);
			continue;
		}
		assert_int_equal(result.outcome,
				 is_later ? SONDE_OUTCOME_RETRY : SONDE_OUTCOME_REFUSED);
		assert_int_equal(result.retry_after_ms, is_later ? 5000 : -1);
		assert_non_null(strstr(result.reason, "https://hooks.example:8443"));
		assert_null(strstr(result.reason, "collector"));
		assert_null(strstr(result.reason, "OTEL"));
	}
}

/* Servers repeat the path that they do not know, and redirects are full of it. */
static void answers_that_repeat_the_secret(void **state)
{
	(void)state;
	assert_int_equal(READ(URL), SONDE_OK);
	assert_non_null(strstr(classify(404, "no_service", NULL).reason,
			       "https://hooks.example:8443 answered 404, not found: "
			       "is SONDE_WEBHOOK_URL still valid?: no_service"));
	assert_null(strstr(classify(404, "Cannot POST /T123/hunter2hunter2", NULL).reason, "Cannot"));
	assert_null(strstr(classify(403, "bad key s3cr3tt", NULL).reason, "bad"));
	assert_non_null(strstr(classify(302, "", "https://hooks.example:8443/login?next=/T123/hunter2hunter2").reason,
			       "redirects to https://hooks.example:8443, which is not followed: correct SONDE_WEBHOOK_URL"));
	assert_non_null(strstr(classify(308, "", "/T123/hunter2hunter2").reason, "which is not followed"));
}

static void faults_name_the_webhooks_settings(void **state)
{
	struct sonde__otlp_answer answer = { .target = &settings.target, .detail = "", .is_connected = true };
	struct sonde_result result;

	(void)state;
	assert_int_equal(READ(URL), SONDE_OK);
	for (int code = 1; code < CURL_LAST; code++) {
		answer.code = (CURLcode)code;
		sonde__otlp_classify(&answer, &result);
		assert_null(strstr(result.reason, "OTEL"));
		assert_null(strstr(result.reason, "OTLP"));
		assert_null(strstr(result.reason, "gRPC"));
		assert_null(strchr(result.reason, '$'));
		assert_non_null(strstr(result.reason, "https://hooks.example:8443"));
	}
	answer.code = CURLE_PEER_FAILED_VERIFICATION;
	sonde__otlp_classify(&answer, &result);
	assert_string_equal(result.reason, "the TLS certificate of https://hooks.example:8443 is not trusted: "
					   "SONDE_WEBHOOK_CERTIFICATE names the authority to trust");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(the_format),
		TEST(what_to_tell_of),
		TEST(numbers),
		TEST(trace_urls),
		TEST(headers_and_files),
		TEST(urls_that_cannot_be_used),
		TEST(every_status),
		TEST(answers_that_repeat_the_secret),
		TEST(faults_name_the_webhooks_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
