/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans and their parts, in every order in which they can be seen. The box's collect is wrapped, so
 * that the test can be the writer that commits between two passes, or the pass that has been
 * through a ring before the part came.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "box/box.h"
#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;

/* ---- The wrapped collect --------------------------------------------------------------------- */

static bool hides_parts; /* This pass misses them, as one that has been through their ring. */
static struct sonde__record_ref hidden[64];
static size_t n_hidden;
static void (*after_pass)(int number);
static int n_passes;

size_t __real_sonde__box_collect(struct sonde__record_ref *refs, size_t capacity,
				 bool *ret_complete);
size_t __wrap_sonde__box_collect(struct sonde__record_ref *refs, size_t capacity,
				 bool *ret_complete);

size_t __wrap_sonde__box_collect(struct sonde__record_ref *refs, size_t capacity,
				 bool *ret_complete)
{
	size_t n = 0;
	size_t n_real;

	while (!hides_parts && n_hidden && n < capacity)
		refs[n++] = hidden[--n_hidden];
	n_real = __real_sonde__box_collect(refs + n, capacity - n, ret_complete);
	if (hides_parts) {
		size_t kept = 0;

		for (size_t i = 0; i < n_real; i++) {
			if (refs[i].record->type == SONDE__RECORD_PART)
				hidden[n_hidden++] = refs[i];
			else
				refs[kept++] = refs[i];
		}
		n_real = kept;
		hides_parts = false;
	}
	n_passes++;
	if (after_pass && *ret_complete)
		after_pass(n_passes);
	return n + n_real;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static int begin(void **state)
{
	(void)state;
	n_hidden = 0;
	n_passes = 0;
	hides_parts = false;
	after_pass = NULL;
	rig_init(&rig, /* n_destinations= */ 1);
	rig_start(&rig);
	return 0;
}

static int end(void **state)
{
	(void)state;
	after_pass = NULL;
	rig_end(&rig);
	return 0;
}

static void put_span(uint64_t id)
{
	assert_true(record_span(&(struct record_spec){ .trace = 5, .span = id, .name = "s" }));
}

static void put_part(uint64_t id, const char *event)
{
	assert_true(record_part(&(struct record_spec){ .trace = 5, .span = id, .event = event }));
}

static void part_before_its_span(void **state)
{
	(void)state;
	(void)rig_turn(&rig, 0);
	put_part(7, "early");
	for (int i = 0; i < 30; i++)
		(void)rig_turn(&rig, RIG_S);
	assert_int_equal(rig.fakes[0].n_sends, 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).queued, 1);
	put_span(7);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, " event:early@"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 1);
}

static void part_that_a_pass_missed(void **state)
{
	(void)state;
	(void)rig_turn(&rig, 0);
	put_part(7, "missed");
	put_span(7);
	hides_parts = true;
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, " event:missed@"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "log "), 0);
}

/* What comes between the drain's two passes is seen in the second and may not leave yet. */
static void write_between(int number)
{
	if (number == 3) {
		put_part(8, "between");
		put_span(8);
		hides_parts = true;
	}
}

static void span_first_seen_in_the_second_pass_waits(void **state)
{
	(void)state;
	(void)rig_turn(&rig, 0);
	put_span(7);
	after_pass = write_between;
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, " id=7 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, " id=8 "), 0);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, " id=8 "), 1);
	assert_int_equal(rig_delivered(&rig, 0, " event:between@"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "log "), 0);
}

static void parts_join_by_both_ids(void **state)
{
	(void)state;
	assert_true(record_part(
		&(struct record_spec){ .trace = 6, .span = 7, .event = "other trace" }));
	put_part(8, "other span");
	put_part(7, "mine");
	put_span(7);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, " event:mine@"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "other"), 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).queued, 2);
}

/* The last one by time counts, whatever the order in which they were seen. */
static void parts_apply_in_order_of_time(void **state)
{
	static const uint64_t times[] = { 300, 100, 400, 200 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char name[16];
		const struct sonde_attr attrs[] = { sonde_int("k", (int64_t)times[i]) };

		(void)snprintf(name, sizeof(name), "name %d", (int)times[i]);
		assert_true(
			record_part(&(struct record_spec){ .trace = 5,
							   .span = 7,
							   .name = name,
							   .status = 2,
							   .description = name,
							   .time = times[i],
							   .attrs = attrs,
							   .n_attrs = 1,
							   .flags = SONDE__RECORD_TIME_IS_UNIX }));
	}
	put_span(7);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(
		rig_delivered(&rig, 0,
			      "span name 400 trace=5 id=7 parent=0 kind=1 status=2/name 400 "),
		1);
	assert_int_equal(rig_delivered(&rig, 0, " k=400\n"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 4);
}

static void part_after_its_span_becomes_a_log(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("order", "o1") };

	(void)state;
	put_span(7);
	assert_true(rig_flush(&rig, NULL));
	assert_true(record_part(&(struct record_spec){ .trace = 5,
						       .span = 7,
						       .event = "late",
						       .event_attrs = attrs,
						       .n_event_attrs = 1 }));
	assert_true(record_part(&(struct record_spec){ .trace = 5,
						       .span = 7,
						       .attrs = attrs,
						       .n_attrs = 1,
						       .status = 2,
						       .description = "broke" }));
	assert_true(record_part(&(struct record_spec){ .trace = 5, .span = 7, .link = 3 }));
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(
		rig_delivered(&rig, 0,
			      "log \"an event was added to the span\" trace=5 id=7 severity=9"
			      " event=late "),
		1);
	assert_int_equal(rig_delivered(&rig, 0, "log \"broke\" trace=5 id=7 severity=17 event= "),
			 1);
	assert_int_equal(rig_delivered(&rig, 0, " sonde.span.status=\"error\" order=\"o1\"\n"), 1);
	assert_int_equal(rig_delivered(&rig, 0,
				       " sonde.link.trace_id=\"01010101010101010000000000000063\""
				       " sonde.link.span_id=\"0000000000000003\""),
			 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).exported, 3);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, 3);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 3);
}

static void part_of_a_span_that_never_ends_leaves_after_ten_minutes(void **state)
{
	(void)state;
	(void)rig_turn(&rig, 0);
	put_part(7, "forgotten");
	for (int i = 0; i < 600; i++) {
		(void)rig_turn(&rig, RIG_S);
		put_span(1000 + (uint64_t)i);
	}
	assert_int_equal(rig_delivered(&rig, 0, "event=forgotten"), 0);
	(void)rig_turn(&rig, 10 * RIG_S);
	assert_int_equal(rig_delivered(&rig, 0, "event=forgotten"), 1);
}

static void stop_leaves_no_part_behind(void **state)
{
	(void)state;
	put_part(7, "open");
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event=open"), 0);
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	(void)rig_turn(&rig, 0);
	assert_true(sonde__pipeline_flush_is_done(rig.pipeline, NULL));
	assert_int_equal(rig_delivered(&rig, 0, "event=open"), 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).queued, 0);
}

/* More parts than the table holds: the oldest leave as logs, each counted, none lost. */
static void full_table_evicts_the_oldest(void **state)
{
	struct sonde_account part;
	uint64_t n = 5000;

	(void)state;
	for (uint64_t i = 1; i <= n; i++) {
		char event[16];

		(void)snprintf(event, sizeof(event), "e%llu.", (unsigned long long)i);
		put_part(i, event);
		if (i % 500 == 0)
			assert_true(rig_flush(&rig, NULL));
	}
	part = rig_account(&rig, 0, SONDE_SIGNAL_PART);
	assert_int_equal(part.captured, n);
	assert_true(part.lost[SONDE_LOSS_EVICTED] > 0);
	assert_int_equal(part.lost[SONDE_LOSS_EVICTED] + part.queued, n);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported,
			 part.lost[SONDE_LOSS_EVICTED]);
	assert_int_equal(rig_delivered(&rig, 0, "event=e1. "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "event=e5000. "), 0);
	(void)rig_turn(&rig, 5 * RIG_S);
	assert_int_equal(rig_said(&rig, "(the table of waiting parts was full)"), 1);
	/* The youngest still find their span. */
	put_span(n);
	assert_true(rig_flush(&rig, NULL));
	assert_int_equal(rig_delivered(&rig, 0, " event:e5000.@"), 1);
}

/* The span's part of an error that is a log already is no loss when it finds no span. */
static void evicted_event_of_a_logged_error_says_nothing_twice(void **state)
{
	(void)state;
	assert_true(record_error(&(struct error_spec){
		.record = { .trace = 5,
			    .span = 7,
			    .flags = SONDE__RECORD_WITH_LOG | SONDE__RECORD_WITH_EVENT },
		.types = { "t" },
		.messages = { "m" } }));
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	(void)rig_turn(&rig, 0);
	assert_int_equal(rig_delivered(&rig, 0, "log \"m\""), 1);
	assert_int_equal(rig.fakes[0].n_items[SONDE_SIGNAL_LOG], 1);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_PART).captured, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(part_before_its_span, begin, end),
		cmocka_unit_test_setup_teardown(part_that_a_pass_missed, begin, end),
		cmocka_unit_test_setup_teardown(span_first_seen_in_the_second_pass_waits, begin,
						end),
		cmocka_unit_test_setup_teardown(parts_join_by_both_ids, begin, end),
		cmocka_unit_test_setup_teardown(parts_apply_in_order_of_time, begin, end),
		cmocka_unit_test_setup_teardown(part_after_its_span_becomes_a_log, begin, end),
		cmocka_unit_test_setup_teardown(
			part_of_a_span_that_never_ends_leaves_after_ten_minutes, begin, end),
		cmocka_unit_test_setup_teardown(stop_leaves_no_part_behind, begin, end),
		cmocka_unit_test_setup_teardown(full_table_evicts_the_oldest, begin, end),
		cmocka_unit_test_setup_teardown(evicted_event_of_a_logged_error_says_nothing_twice,
						begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
