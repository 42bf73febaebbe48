/* SPDX-License-Identifier: Apache-2.0 */
/* What of a batch is an alert, and that each is found once. */

#include "webhook/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/alert_batch.h"

#define NEW SONDE__WEBHOOK_FIRST_SEEN
#define BACK SONDE__WEBHOOK_REGRESSED
#define FATAL SONDE__WEBHOOK_FATAL

static struct alert_batch made;

static int tear_down(void **state)
{
	(void)state;
	alert_batch_deinit(&made);
	return 0;
}

static void assert_text(struct sonde_text text, const char *plain)
{
	assert_int_equal(text.size, strlen(plain));
	assert_memory_equal(text.data, plain, text.size);
}

/* The reasons of each alert, one after the other; then 0. */
static void assert_reasons(unsigned int wanted, const unsigned int *reasons)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	sonde__webhook_walk_init(&walk, &made.batch, wanted);
	for (; *reasons; reasons++) {
		assert_true(sonde__webhook_walk_next(&walk, &alert));
		assert_int_equal(alert.reasons, *reasons);
	}
	assert_false(sonde__webhook_walk_next(&walk, &alert));
	assert_false(sonde__webhook_walk_next(&walk, &alert));
}

#define ASSERT_REASONS(wanted, ...) \
	assert_reasons(wanted, (const unsigned int[]){ __VA_ARGS__, 0 })
#define ASSERT_NONE(wanted) assert_reasons(wanted, (const unsigned int[]){ 0 })

#define ADD(...) alert_batch_add_log(&made, &(struct alert_spec){ __VA_ARGS__ })

static void logs(void **state)
{
	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	ADD(.body = alert_text("chatter"));
	ADD(.event_name = "exception", .type = "known");
	ADD(.event_name = "exception", .first_seen = true);
	ADD(.event_name = "exception", .regressed = true);
	ADD(.event_name = "exception", .first_seen = true, .regressed = true);
	/* Marks on what is no error are somebody's own, and a text is no mark. */
	ADD(.event_name = "order", .first_seen = true);
	ADD(.first_seen = true);
	ADD(.event_name = "exception", .marked_by_text = true);
	ADD(.event_name = "exceptions", .first_seen = true);
	ASSERT_REASONS(NEW | BACK | FATAL, NEW, BACK, NEW | BACK);
	ASSERT_REASONS(NEW, NEW, NEW);
	ASSERT_REASONS(BACK, BACK, BACK);
	ASSERT_NONE(FATAL);
	assert_int_equal(sonde__webhook_count_items(&made.batch, NEW | BACK), 3);
	assert_int_equal(sonde__webhook_count_items(&made.batch, FATAL), 0);
}

static void fatal_logs(void **state)
{
	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	ADD(.body = alert_text("the disk is gone"), .severity = SONDE_FATAL);
	ADD(.body = alert_text("highest"), .severity = SONDE_FATAL + 3, .first_seen = true);
	ADD(.event_name = "exception", .severity = SONDE_FATAL, .first_seen = true);
	ADD(.body = alert_text("an error"), .severity = SONDE_FATAL - 1);
	ASSERT_REASONS(NEW | FATAL, FATAL, FATAL, NEW | FATAL);
	ASSERT_REASONS(NEW, NEW);
	assert_int_equal(sonde__webhook_count_items(&made.batch, FATAL), 3);
}

static void what_is_read(void **state)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_LOG);
	ADD(.event_name = "exception", .first_seen = true, .type = "declined", .message = alert_text("no money"),
	    .body = alert_text("body"), .function = "charge", .file = "pay.c", .line = 41, .fingerprint = "abc",
	    .version = "2.0", .trace = 9);
	ADD(.event_name = "exception", .first_seen = true, .body = alert_text("body"));
	sonde__webhook_walk_init(&walk, &made.batch, NEW);
	assert_true(sonde__webhook_walk_next(&walk, &alert));
	assert_text(alert.type, "declined");
	assert_text(alert.message, "no money");
	assert_text(alert.function, "charge");
	assert_text(alert.file, "pay.c");
	assert_text(alert.fingerprint, "abc");
	assert_text(alert.version, "2.0");
	assert_text(alert.id, "00000000000000aa");
	assert_int_equal(alert.line, 41);
	assert_int_equal(alert.trace_id[15], 9);
	assert_int_equal(alert.span_id[7], 9);
	assert_int_equal(alert.severity, SONDE_ERROR);
	/* Nothing of one alert is left in the next. */
	assert_true(sonde__webhook_walk_next(&walk, &alert));
	assert_text(alert.type, "");
	assert_text(alert.message, "body");
	assert_text(alert.version, "");
	assert_int_equal(alert.line, 0);
	assert_int_equal(alert.trace_id[15], 0);
}

#define EVENT(...) alert_batch_add_event(&made, &(struct alert_spec){ __VA_ARGS__ })

static void events_on_spans(void **state)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_SPAN);
	alert_batch_add_span(&made);
	alert_batch_add_span(&made);
	EVENT(.event_name = "exception", .type = "known");
	EVENT(.event_name = "exception", .type = "first", .message = alert_text("m"), .first_seen = true);
	EVENT(.event_name = "cache miss", .first_seen = true);
	EVENT(.event_name = "exception", .type = "second", .regressed = true);
	alert_batch_add_span(&made);
	EVENT(.event_name = "exception", .type = "third", .first_seen = true);
	alert_batch_add_span(&made);
	ASSERT_REASONS(NEW | BACK, NEW, BACK, NEW);
	ASSERT_REASONS(NEW, NEW, NEW);
	ASSERT_NONE(FATAL);
	/* Spans are counted, not their events. */
	assert_int_equal(sonde__webhook_count_items(&made.batch, NEW | BACK), 2);
	sonde__webhook_walk_init(&walk, &made.batch, NEW);
	assert_true(sonde__webhook_walk_next(&walk, &alert));
	assert_text(alert.type, "first");
	assert_text(alert.message, "m");
	assert_int_equal(alert.trace_id[0], 7);
	assert_int_equal(alert.unix_ns, 1);
}

/* Fields that are cut anywhere: whatever is found, the walk ends. */
static void broken_fields(void **state)
{
	struct sonde__webhook_walk walk;
	struct sonde__webhook_alert alert;

	(void)state;
	alert_batch_init(&made, SONDE_SIGNAL_SPAN);
	alert_batch_add_span(&made);
	EVENT(.event_name = "exception", .type = "first", .first_seen = true);
	for (size_t size = made.pieces[0].size; size-- > 0;) {
		size_t n = 0;

		made.pieces[0].size = size;
		sonde__webhook_walk_init(&walk, &made.batch, NEW);
		while (sonde__webhook_walk_next(&walk, &alert))
			assert_true(n++ < 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(logs, tear_down),
		cmocka_unit_test_teardown(fatal_logs, tear_down),
		cmocka_unit_test_teardown(what_is_read, tear_down),
		cmocka_unit_test_teardown(events_on_spans, tear_down),
		cmocka_unit_test_teardown(broken_fields, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
