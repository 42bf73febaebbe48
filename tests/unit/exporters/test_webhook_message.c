/* SPDX-License-Identifier: Apache-2.0 */
/* The messages: what is said of one alert and of many, links, times, and buffers that run full. */

#include "webhook/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/alert_batch.h"

static struct alert_batch made;
static struct sonde__webhook_settings settings;
static struct sonde_buffer out;

static int set_up(void **state)
{
	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	alert_batch_resource(&made, "service.name", alert_text("shop"));
	alert_batch_resource(&made, "service.version", alert_text("1.4.2"));
	alert_batch_resource(&made, "host.name", alert_text("web-3"));
	settings = (struct sonde__webhook_settings){
		.wanted = SONDE__WEBHOOK_FIRST_SEEN | SONDE__WEBHOOK_REGRESSED |
			  SONDE__WEBHOOK_FATAL,
	};
	out = (struct sonde_buffer){ .limit = 1 << 20 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	alert_batch_deinit(&made);
	free(out.data);
	return 0;
}

#define ADD(...) \
	alert_batch_add_log(&made, \
			    &(struct alert_spec){ .event_name = "exception", .first_seen = true, __VA_ARGS__ })

static void write_with(uint64_t n_held, bool is_limit_reached)
{
	struct sonde__webhook_message message;

	sonde__webhook_message_init(&message, &settings, &made.batch);
	message.n_held = n_held;
	message.is_limit_reached = is_limit_reached;
	out.size = 0;
	assert_int_equal(sonde__webhook_message_write(&message, &out), SONDE_OK);
	assert_int_equal(sonde_buffer_append(&out, "", 1), SONDE_OK);
}

static void assert_says(const char *words)
{
	if (!strstr((const char *)out.data, words))
		fail_msg("\"%s\" is not in %s", words, (const char *)out.data);
}

static void assert_never_says(const char *words)
{
	if (strstr((const char *)out.data, words))
		fail_msg("\"%s\" is in %s", words, (const char *)out.data);
}

static size_t count_of(const char *words)
{
	size_t n = 0;

	for (const char *at = (const char *)out.data; (at = strstr(at, words)); at++)
		n++;
	return n;
}

/* The whole of it, once: receivers parse this. */
static void the_generic_form(void **state)
{
	(void)state;
	memcpy(settings.trace_url, "http://j/{trace_id}", 20);
	ADD(.type = "declined", .message = alert_text("no \"money\""), .function = "charge", .file = "src/pay.c",
	    .line = 41, .fingerprint = "00ff", .trace = 0xab);
	write_with(3, true);
	assert_string_equal(
		(const char *)out.data,
		"{\"text\":\"shop 1.4.2: new error: declined: no \\\"money\\\"\",\"service\":\"shop\","
		"\"namespace\":\"\",\"version\":\"1.4.2\",\"environment\":\"\",\"host\":\"web-3\",\"instance\":\"\","
		"\"errors\":[{\"first_seen\":true,\"regressed\":false,\"fatal\":false,"
		"\"time\":\"2025-11-21T12:26:40.123456Z\",\"severity\":\"ERROR\",\"type\":\"declined\","
		"\"message\":\"no \\\"money\\\"\",\"fingerprint\":\"00ff\",\"id\":\"00000000000000aa\","
		"\"version\":\"1.4.2\",\"environment\":\"\",\"function\":\"charge\",\"file\":\"src/pay.c\",\"line\":41,"
		"\"trace_id\":\"abababababababababababababababab\",\"span_id\":\"abababababababab\","
		"\"trace_url\":\"http://j/abababababababababababababababab\"}],"
		"\"more\":0,\"held_back\":3,\"limit_reached\":true}");
}

static void nothing_known(void **state)
{
	(void)state;
	made.resource.attributes = (struct sonde_bytes){ NULL, 0 };
	memcpy(settings.trace_url, "http://j/{trace_id}", 20);
	ADD(.line = -1);
	write_with(0, false);
	assert_says("{\"text\":\": new error: \",\"service\":\"\"");
	assert_says("\"function\":\"\",\"file\":\"\",\"line\":0,\"trace_id\":\"\",\"span_id\":\"\",\"trace_url\":\"\"}");
	settings.format = SONDE__WEBHOOK_SLACK;
	write_with(0, false);
	assert_never_says("title_link");
	assert_never_says("place");
}

static void headlines(void **state)
{
	(void)state;
	alert_batch_resource(&made, "deployment.environment.name", alert_text("prod"));
	ADD(.type = "a");
	alert_batch_add_log(&made, &(struct alert_spec){ .event_name = "exception", .regressed = true });
	write_with(0, false);
	assert_says("\"text\":\"shop 1.4.2 (prod): 1 new error, 1 error is back\"");
	ADD(.type = "c", .severity = SONDE_FATAL);
	ADD(.type = "d");
	ADD(.type = "e", .regressed = true);
	write_with(0, false);
	assert_says("\"text\":\"shop 1.4.2 (prod): 1 fatal, 2 new errors, 2 errors are back\"");
}

static void versions_of_requests(void **state)
{
	(void)state;
	ADD(.type = "a", .version = "2.0-canary");
	write_with(0, false);
	assert_says("\"id\":\"00000000000000aa\",\"version\":\"2.0-canary\"");
	assert_says("\"service\":\"shop\",\"namespace\":\"\",\"version\":\"1.4.2\"");
}

static void many_are_told_in_number(void **state)
{
	(void)state;
	for (int i = 0; i < 25; i++)
		ADD(.type = "bug", .message = alert_text("m"));
	write_with(0, false);
	assert_int_equal(count_of("\"type\":\"bug\""), SONDE__WEBHOOK_LISTED_MAX);
	assert_says("\"more\":15,\"held_back\":0,\"limit_reached\":false}");
	assert_says("\"text\":\"shop 1.4.2: 25 new errors\"");
	settings.format = SONDE__WEBHOOK_SLACK;
	write_with(7, true);
	assert_int_equal(count_of("\"title\":\"new error: bug\""), SONDE__WEBHOOK_LISTED_MAX);
	assert_says("shop 1.4.2: 25 new errors; here are 10 and 15 more; 7 were held back before; "
		    "more will be held back now\"");
}

static void the_slack_form(void **state)
{
	(void)state;
	settings.format = SONDE__WEBHOOK_SLACK;
	memcpy(settings.trace_url, "http://j/?t={trace_id}&s={span_id}", 35);
	ADD(.type = "a<b>", .message = alert_text("<!channel> R&D <http://evil|click> \n*bold*"),
	    .function = "std::map<int, int>::at", .file = "m.cc", .line = 3, .fingerprint = "ff", .trace = 1);
	write_with(0, false);
	assert_string_equal(
		(const char *)out.data,
		"{\"text\":\"shop 1.4.2: new error: a&lt;b&gt;: "
		"&lt;!channel&gt; R&amp;D &lt;http://evil|click&gt; *bold*\","
		"\"attachments\":[{\"color\":\"danger\",\"title\":\"new error: a&lt;b&gt;\","
		"\"title_link\":\"http://j/?t=01010101010101010101010101010101&s=0101010101010101\","
		"\"text\":\"&lt;!channel&gt; R&amp;D &lt;http://evil|click&gt; *bold*\","
		"\"fields\":[{\"title\":\"place\",\"short\":true,"
		"\"value\":\"std::map&lt;int, int&gt;::at (m.cc:3)\"},"
		"{\"title\":\"host\",\"short\":true,\"value\":\"web-3\"},"
		"{\"title\":\"fingerprint\",\"short\":true,\"value\":\"ff\"},"
		"{\"title\":\"time\",\"short\":true,\"value\":\"2025-11-21T12:26:40.123456Z\"}]}]}");
}

/* Nothing is half a message: all of it, or the buffer as it was. */
static void every_size_of_buffer(void **state)
{
	struct sonde__webhook_message message;
	size_t full;

	(void)state;
	ADD(.type = "a", .message = alert_text("m"), .trace = 1);
	for (int format = 0; format < 2; format++) {
		settings.format = (enum sonde__webhook_format)format;
		write_with(0, false);
		full = out.size - 1;
		sonde__webhook_message_init(&message, &settings, &made.batch);
		for (size_t limit = 0; limit <= full + 10; limit++) {
			struct sonde_buffer small = { .limit = limit };
			int status;

			status = sonde_buffer_append(&small, "before", limit < 6 ? limit : 6);
			assert_int_equal(status, SONDE_OK);
			status = sonde__webhook_message_write(&message, &small);
			assert_int_equal(status, limit < full + 6 ? SONDE_E_NOMEM : SONDE_OK);
			assert_int_equal(small.size, limit < 6		? limit
						     : limit < full + 6 ? 6
									: full + 6);
			free(small.data);
		}
	}
}

/* However long all of it is, an alert fits into the smallest batch that can be set. */
static void everything_too_long(void **state)
{
	static char dirt[100000];

	for (int i = 0; i < 4; i++) {
		struct sonde_text text = { dirt, sizeof(dirt) - 1 };

		tear_down(state);
		set_up(state);
		memset(dirt, i % 2 ? '"' : '&', sizeof(dirt) - 1);
		settings.format = (enum sonde__webhook_format)(i / 2);
		alert_batch_resource(&made, "service.name", text);
		alert_batch_resource(&made, "host.name", text);
		ADD(.type = dirt, .message = text, .function = dirt, .file = dirt,
		    .fingerprint = dirt, .version = dirt, .trace = 1);
		write_with(UINT64_MAX, true);
		assert_in_range(out.size, 1000, 12000);
	}
}

static void links(void **state)
{
	struct sonde__webhook_alert alert = { .trace_id = { 1 }, .span_id = { 2 } };
	char buffer[SONDE__WEBHOOK_LINK_SIZE];
	struct sonde_text link;
	size_t n = 0;

	(void)state;
	assert_int_equal(sonde__webhook_link(&settings, &alert, buffer).size, 0);
	/* Names alone, as many as fit: too long, and then there is none rather than half of one. */
	while (n + 10 < sizeof(settings.trace_url)) {
		memcpy(settings.trace_url + n, "{trace_id}", 11);
		n += 10;
		link = sonde__webhook_link(&settings, &alert, buffer);
		if (link.size)
			assert_int_equal(link.size, n / 10 * 32);
		else
			assert_true(n / 10 * 32 + 33 > SONDE__WEBHOOK_LINK_SIZE);
	}
	memcpy(settings.trace_url, "x{trace_id}{span_id}{trace}", 28);
	link = sonde__webhook_link(&settings, &alert, buffer);
	assert_int_equal(link.size, 1 + 32 + 16 + 7);
	assert_memory_equal(link.data, "x010000", 7);
	assert_memory_equal(link.data + 33, "0200000000000000{trace}", 23);
	alert.trace_id[0] = 0;
	assert_int_equal(sonde__webhook_link(&settings, &alert, buffer).size, 0);
}

static void times(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000001Z" },
		{ 951782399, "2000-02-28T23:59:59.000001Z" },
		{ 951782400, "2000-02-29T00:00:00.000001Z" },
		{ 951868800, "2000-03-01T00:00:00.000001Z" },
		{ 1709164800, "2024-02-29T00:00:00.000001Z" },
		{ 1767225599, "2025-12-31T23:59:59.000001Z" },
		{ 1767225600, "2026-01-01T00:00:00.000001Z" },
		{ 4107542400, "2100-03-01T00:00:00.000001Z" },
		{ 18446744073, "2554-07-21T23:34:33.000001Z" },
	};
	char buffer[SONDE__WEBHOOK_TIME_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_text text =
			sonde__webhook_time(cases[i].seconds * UINT64_C(1000000000) + 1999, buffer);

		assert_int_equal(text.size, strlen(cases[i].text));
		assert_memory_equal(text.data, cases[i].text, text.size);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_generic_form),	  TEST(nothing_known),	  TEST(headlines),
		TEST(versions_of_requests), TEST(many_are_told_in_number), TEST(the_slack_form),
		TEST(every_size_of_buffer), TEST(everything_too_long),	  TEST(links),
		TEST(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
