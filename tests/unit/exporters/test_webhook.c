/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter by its public struct: what it takes, and how messages and the limit go together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/otlp.h>

#include "support/alert_batch.h"

static const struct sonde_exporter *const webhook = &sonde_webhook_exporter;
static const char *per_minute;
static struct alert_batch made;
static struct sonde_buffer out;
static void *instance;

static const char *lookup(void *context, const char *name)
{
	(void)context;
	if (!strcmp(name, "SONDE_WEBHOOK_URL"))
		return "http://127.0.0.1:9/x";
	return strcmp(name, "SONDE_WEBHOOK_PER_MINUTE") ? NULL : per_minute;
}

static void begin(const char *limit)
{
	const struct sonde_exporter_host host = { .size = sizeof(host), .setting = lookup };

	per_minute = limit;
	assert_int_equal(webhook->open(&host, &instance), SONDE_OK);
	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	alert_batch_resource(&made, "service.name", alert_text("shop"));
	alert_batch_add_log(&made, &(struct alert_spec){ .body = alert_text("chatter") });
	alert_batch_add_log(&made, &(struct alert_spec){ .event_name = "exception",
							 .first_seen = true });
	out = (struct sonde_buffer){ .limit = 1 << 20 };
}

static int end(void **state)
{
	(void)state;
	webhook->close(instance, /* forked= */ false);
	alert_batch_deinit(&made);
	free(out.data);
	return 0;
}

static int encode(void)
{
	int status;

	out.size = 0;
	status = webhook->encode(instance, &made.batch, &out);
	assert_int_equal(sonde_buffer_append(&out, "", 1), SONDE_OK);
	return status;
}

static void what_it_takes(void **state)
{
	(void)state;
	begin(/* limit= */ NULL);
	assert_true(webhook->accepts(instance, SONDE_SIGNAL_LOG));
	assert_true(webhook->accepts(instance, SONDE_SIGNAL_SPAN));
	assert_false(webhook->accepts(instance, SONDE_SIGNAL_METRIC));
	assert_int_equal(webhook->count(instance, &made.batch), 1);
	assert_int_equal(encode(), SONDE_OK);
	assert_non_null(strstr((const char *)out.data, "\"limit_reached\":false}"));
	made.batch.signal = SONDE_SIGNAL_METRIC;
	assert_int_equal(webhook->encode(instance, &made.batch, &out), SONDE_E_INVALID);
}

static void what_did_not_fit_costs_no_message(void **state)
{
	struct sonde_buffer small = { .limit = 100 };

	(void)state;
	begin("1");
	for (int i = 0; i < 5; i++)
		assert_int_equal(webhook->encode(instance, &made.batch, &small), SONDE_E_NOMEM);
	assert_int_equal(small.size, 0);
	free(small.data);
	assert_int_equal(encode(), SONDE_OK);
	assert_non_null(strstr((const char *)out.data, "\"held_back\":0,\"limit_reached\":true}"));
	assert_int_equal(encode(), SONDE_E_LIMITED);
}

/* Tries until there is a message, which says how many there were in vain since the last one. */
static unsigned int encode_at_last(void)
{
	char said[32];
	unsigned int n_held = 0;
	int status;

	while ((status = encode()) == SONDE_E_LIMITED)
		n_held++;
	assert_int_equal(status, SONDE_OK);
	(void)snprintf(said, sizeof(said), "\"held_back\":%u,", n_held);
	assert_non_null(strstr((const char *)out.data, said));
	return n_held;
}

static void what_was_held_back_is_told_once(void **state)
{
	(void)state;
	/* A message every 20 ms. */
	begin("3000");
	while (!encode_at_last())
		continue;
	for (int i = 0; i < 3; i++)
		(void)encode_at_last();
}

static void no_url(void **state)
{
	const struct sonde_exporter_host host = { .size = sizeof(host) };
	void *none = NULL;

	(void)state;
	assert_int_equal(webhook->open(/* host= */ NULL, &none), SONDE_E_INVALID);
	assert_int_equal(webhook->open(&host, &none), SONDE_E_INVALID);
	assert_null(none);
	webhook->close(/* instance= */ NULL, /* forked= */ false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_it_takes, end),
		cmocka_unit_test_teardown(what_did_not_fit_costs_no_message, end),
		cmocka_unit_test_teardown(what_was_held_back_is_told_once, end),
		cmocka_unit_test(no_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
