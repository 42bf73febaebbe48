/* SPDX-License-Identifier: Apache-2.0 */
/* Errors captured again: joined with the first record, or a log record that counts as no error. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "box/box.h"
#include "pipeline/state.h"
#include "flood_rig.h"
#include "support/records.h"

static void start(void)
{
	rig_start(&rig);
	(void)rig_turn(&rig, 0);
	(void)rig_turn(&rig, 100 * RIG_MS);
}

static bool capture(uint64_t event_id, uint8_t forms)
{
	return record_error(&(struct error_spec){
		.record = { .trace = 5, .span = 7, .severity = 17, .flags = forms },
		.types = { "timeout" },
		.messages = { "late" },
		.event_id = event_id,
	});
}

static bool capture_again(uint64_t event_id, const char *type)
{
	return record_error(&(struct error_spec){
		.record = { .trace = 5, .span = 7, .severity = 17 },
		.types = { type },
		.messages = { "further up" },
		.event_id = event_id,
		.is_again = true,
	});
}

static void turn_all(uint64_t later_ns)
{
	(void)rig_turn(&rig, later_ns);
	while (rig_turn(&rig, 0) == 0)
		continue;
}

static struct sonde_account parts(void)
{
	return rig_account(&rig, 0, SONDE_SIGNAL_PART);
}

static void what_is_here_joins_the_first(void **state)
{
	(void)state;
	start();
	assert_true(capture(1, SONDE__RECORD_WITH_LOG));
	assert_true(capture_again(1, "unavailable"));
	assert_true(capture_again(1, "internal"));
	turn_all(0);
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "captured again: unavailable: further up ("), 1);
	assert_int_equal(rig_delivered(&rig, 0, "captured again: internal: further up ("), 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.again"), 0);
	assert_int_equal(parts().captured, 2);
	assert_int_equal(parts().exported, 2);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 1);
}

/* Also in the event of a span. */
static void it_joins_the_event_too(void **state)
{
	(void)state;
	start();
	assert_true(capture(1, SONDE__RECORD_WITH_EVENT));
	assert_true(capture_again(1, "unavailable"));
	assert_true(record_span(&(struct record_spec){ .trace = 5, .span = 7, .name = "s" }));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "captured again: unavailable: further up ("), 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.again"), 0);
}

static void what_comes_later_is_a_log_record(void **state)
{
	(void)state;
	start();
	assert_true(capture(0xabc, SONDE__RECORD_WITH_LOG));
	turn_all(0);
	assert_true(capture_again(0xabc, "unavailable"));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "log \"further up\" trace=5 id=7 severity=5 "
						"event=sonde.error.again"),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.id=\"0000000000000abc\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "error.type=\"unavailable\""), 1);
	assert_int_equal(parts().exported, 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 2);
}

static void each_finds_its_own(void **state)
{
	char type[32];

	(void)state;
	rig.options.flood.group.period_ns = rig.options.flood.total.period_ns = 0;
	start();
	for (uint64_t i = 1; i <= 400; i++)
		assert_true(capture(i, SONDE__RECORD_WITH_LOG));
	for (uint64_t i = 1; i <= 400; i++) {
		snprintf(type, sizeof(type), "again_%u", (unsigned)i);
		assert_true(capture_again(i, type));
	}
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 400);
	assert_int_equal(rig_delivered(&rig, 0, "captured again: again_"),
			 SONDE__AGAIN_INDEXED);
	assert_int_equal(rig_delivered(&rig, 0, "event=sonde.error.again"),
			 400 - SONDE__AGAIN_INDEXED);
	assert_int_equal(parts().exported, 400);
	for (const char *at = rig.fakes[0].text; (at = strstr(at, "captured again: again_"));) {
		const char *id = strstr(at, "sonde.error.id=\"");

		at += strlen("captured again: again_");
		assert_int_equal(strtoull(at, NULL, 10),
				 strtoull(id + strlen("sonde.error.id=\""), NULL, 16));
	}
}

/* In two rings, of which either may be read first: told once, joined or on its own. */
static void each_is_told_once_from_another_ring(void **state)
{
	size_t n_joined;
	size_t n_alone;

	(void)state;
	rig.options.flood.group.period_ns = rig.options.flood.total.period_ns = 0;
	start();
	for (uint64_t i = 1; i <= 10; i++) {
		assert_true(capture(i, SONDE__RECORD_WITH_LOG));
		if (!cpus_take_another(&rig.cpus))
			skip();
		assert_true(capture_again(i, "unavailable"));
	}
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	n_joined = rig_delivered(&rig, 0, "captured again: unavailable");
	n_alone = rig_delivered(&rig, 0, "event=sonde.error.again");
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 10);
	assert_int_equal(n_joined + n_alone, 10);
	assert_true(n_joined > 0);
	assert_int_equal(parts().exported, 10);
}

static void what_is_held_back_takes_it_along(void **state)
{
	(void)state;
	start();
	for (uint64_t i = 1; i <= 100; i++) {
		assert_true(capture(i, SONDE__RECORD_WITH_LOG));
		assert_true(capture_again(i, "unavailable"));
	}
	turn_all(0);
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 10);
	assert_int_equal(rig_delivered(&rig, 0, "captured again: "), 10);
	assert_int_equal(rig_delivered(&rig, 0, "sonde.error.again"), 0);
	assert_int_equal(parts().exported, 10);
	assert_int_equal(parts().lost[SONDE_LOSS_LIMITED], 90);
}

/* Their errors are gone, one way or the other. */
static void a_flood_of_them_is_held_back(void **state)
{
	(void)state;
	start();
	for (uint64_t i = 1; i <= 1000; i++)
		assert_true(capture_again(i, "unavailable"));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event=sonde.error.again"), 20);
	assert_int_equal(parts().lost[SONDE_LOSS_LIMITED], 980);
}

static void without_logs_it_is_counted(void **state)
{
	(void)state;
	rig.options.destinations[0].takes_logs = false;
	start();
	assert_true(capture_again(1, "unavailable"));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(parts().lost[SONDE_LOSS_NO_EXPORTER], 1);
}

static void garbage_joins_nothing(void **state)
{
	(void)state;
	start();
	assert_true(capture(1, SONDE__RECORD_WITH_LOG));
	assert_true(record_garbage(40, SONDE__RECORD_AGAIN, SONDE_SIGNAL_PART));
	assert_true(record_garbage(400, SONDE__RECORD_AGAIN, SONDE_SIGNAL_PART));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(parts().lost[SONDE_LOSS_INVALID], 2);
	assert_int_equal(rig_delivered(&rig, 0, "event=exception"), 1);
}

/* Small batches: scans stop and go on between the two. */
static void batches_may_end_in_between(void **state)
{
	(void)state;
	rig.options.max_batch_items[SONDE_SIGNAL_LOG] = 3;
	rig.options.flood.group.period_ns = rig.options.flood.total.period_ns = 0;
	start();
	for (uint64_t i = 1; i <= 50; i++)
		assert_true(capture(i, SONDE__RECORD_WITH_LOG));
	for (uint64_t i = 50; i >= 1; i--)
		assert_true(capture_again(i, "unavailable"));
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	assert_int_equal(rig_delivered(&rig, 0, "captured again: "), 50);
	assert_int_equal(parts().exported, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_here_joins_the_first),
		TEST(it_joins_the_event_too),
		TEST(what_comes_later_is_a_log_record),
		TEST(each_finds_its_own),
		TEST(each_is_told_once_from_another_ring),
		TEST(what_is_held_back_takes_it_along),
		TEST(a_flood_of_them_is_held_back),
		TEST(without_logs_it_is_counted),
		TEST(garbage_joins_nothing),
		TEST(batches_may_end_in_between),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
