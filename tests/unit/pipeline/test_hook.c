/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook is shown, what it changes, and that the accounts add up whatever it does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/hooks.h>
#include <sonde/span.h>

#include "base/clock.h"
#include "pipeline/hook.h"
#include "record/layout.h"
#include "redact/redact.h"
#include "rig.h"
#include "support/records.h"

static struct rig rig;
static struct sonde__redactor redactor;

static struct {
	size_t n_calls;
	void (*act)(struct sonde_outgoing *item);
	struct sonde_context context; /* The thread's during the call. */
} hook;

static void before_send(void *user, struct sonde_outgoing *item)
{
	assert_ptr_equal(user, &hook);
	hook.n_calls++;
	hook.context = sonde_context_current();
	if (hook.act)
		hook.act(item);
}

static void start(void (*act)(struct sonde_outgoing *item))
{
	memset(&hook, 0, sizeof(hook));
	hook.act = act;
	rig.options.redactor = &redactor;
	rig.options.before_send = before_send;
	rig.options.before_send_user = &hook;
	rig_start(&rig);
}

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 1);
	return sonde__redactor_init(&redactor, /* keys= */ NULL, /* detectors= */ NULL,
				    /* report= */ NULL, /* user= */ NULL);
}

static int end(void **state)
{
	(void)state;
	rig_end(&rig);
	sonde__redactor_deinit(&redactor);
	return 0;
}

static void flush(void)
{
	assert_true(rig_flush(&rig, /* ret_incomplete= */ NULL));
	rig_check_accounts(&rig);
}

static bool text_is(struct sonde_text text, const char *expected)
{
	return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static void look(struct sonde_outgoing *item)
{
	struct sonde_outgoing_cursor cursor = { 0 };
	struct sonde_value_view value;
	struct sonde_item_view field;
	size_t n = 0;

	while (sonde_outgoing_next(item, &cursor, &field))
		n++;
	if (sonde_outgoing_signal(item) == SONDE_SIGNAL_LOG) {
		assert_true(text_is(sonde_outgoing_body(item), "the body"));
		assert_int_equal(sonde_outgoing_severity(item), 13);
		assert_int_equal(sonde_outgoing_status(item), 0);
		assert_false(sonde_outgoing_is_error(item));
		assert_int_equal(n, 1);
	} else {
		assert_true(text_is(sonde_outgoing_name(item), "s"));
		assert_true(text_is(sonde_outgoing_body(item), "why"));
		assert_int_equal(sonde_outgoing_status(item), SONDE_SPAN_ERROR);
		assert_int_equal(sonde_outgoing_duration_ns(item), 5);
		assert_int_equal(sonde_outgoing_unix_ns(item), 20);
		assert_int_equal(n, 2);
	}
	assert_int_equal(sonde_outgoing_context(item).span_id[7], 7);
	assert_true(sonde_outgoing_get(item, "k", &value));
	assert_true(text_is(value.as.string, "v"));
	assert_false(sonde_outgoing_get(item, "K", &value));
	assert_false(sonde_outgoing_get(item, "", &value));
	assert_false(sonde_outgoing_get(item, NULL, &value));
}

static void hook_sees_items(void **state)
{
	const struct sonde_attr attr = sonde_str("k", "v");

	(void)state;
	start(look);
	assert_true(record_log(&(struct record_spec){ .trace = 9,
						      .span = 7,
						      .name = "the body",
						      .severity = 13,
						      .attrs = &attr,
						      .n_attrs = 1 }));
	assert_true(record_span(&(struct record_spec){
		.trace = 9,
		.span = 7,
		.name = "s",
		.status = SONDE_SPAN_ERROR,
		.description = "why",
		.start = 20,
		.time = 25,
		.flags = SONDE__RECORD_START_IS_UNIX | SONDE__RECORD_TIME_IS_UNIX,
		.attrs = &attr,
		.n_attrs = 1,
		.event = "e" }));
	flush();
	assert_int_equal(hook.n_calls, 2);
	assert_int_equal(rig_delivered(&rig, 0, "k=\"v\""), 2);
}

static void change(struct sonde_outgoing *item)
{
	bool is_span = sonde_outgoing_signal(item) == SONDE_SIGNAL_SPAN;

	assert_int_equal(sonde_outgoing_set(item, sonde_str("a", "longer than it was")), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_int("new", 5)), SONDE_OK);
	assert_int_equal(sonde_outgoing_remove(item, "b"), SONDE_OK);
	assert_int_equal(sonde_outgoing_remove(item, "b"), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_outgoing_set(item, sonde_str("", "v")), SONDE_E_INVALID);
	assert_int_equal(sonde_outgoing_set(item, sonde_str(NULL, "v")), SONDE_E_INVALID);
	assert_int_equal(sonde_outgoing_set_body(item, "new body"), SONDE_OK);
	assert_int_equal(sonde_outgoing_set_name(item, "new name"),
			 is_span ? SONDE_OK : SONDE_E_UNSUPPORTED);
	assert_int_equal(sonde_outgoing_select(item, 0), is_span ? SONDE_OK : SONDE_E_NOT_FOUND);
}

static void hook_changes_items(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("a", "1"), sonde_str("b", "2"),
					    sonde_str("c", "3") };

	(void)state;
	start(change);
	assert_true(record_log(&(struct record_spec){ .name = "m", .attrs = attrs, .n_attrs = 3 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = "s",
						       .status = SONDE_SPAN_ERROR,
						       .description = "d",
						       .attrs = attrs,
						       .n_attrs = 3,
						       .event = "e",
						       .event_attrs = attrs,
						       .n_event_attrs = 1,
						       .link = 4 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "a=\"longer than it was\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "new=5"), 2);
	assert_int_equal(rig_delivered(&rig, 0, "b="), 0);
	assert_int_equal(rig_delivered(&rig, 0, "c=\"3\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "a=\"1\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "log \"new body\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "span new name "), 1);
	assert_int_equal(rig_delivered(&rig, 0, "status=2/new body"), 1);
}

static void change_events(struct sonde_outgoing *item)
{
	struct sonde_outgoing_cursor cursor = { 0 };
	struct sonde_value_view value;
	struct sonde_item_view field;

	assert_int_equal(sonde_outgoing_select(item, 1), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_outgoing_select(item, 0), SONDE_OK);
	assert_true(text_is(sonde_outgoing_name(item), "e"));
	assert_true(sonde_outgoing_get(item, "in", &value));
	assert_false(sonde_outgoing_get(item, "out", &value));
	assert_true(sonde_outgoing_next(item, &cursor, &field));
	assert_int_equal(sonde_outgoing_set(item, sonde_str("in", "changed")), SONDE_OK);
	/* What was begun before a change is over. */
	assert_false(sonde_outgoing_next(item, &cursor, &field));
	assert_int_equal(sonde_outgoing_set(item, sonde_bool("more", true)), SONDE_OK);
	assert_int_equal(sonde_outgoing_remove(item, "gone"), SONDE_OK);
	assert_int_equal(sonde_outgoing_remove(item, "out"), SONDE_E_NOT_FOUND);
	assert_int_equal(sonde_outgoing_set_name(item, "another name"), SONDE_OK);
	assert_true(text_is(sonde_outgoing_name(item), "another name"));
	assert_int_equal(sonde_outgoing_select(item, SONDE_OUTGOING_SELF), SONDE_OK);
	assert_true(text_is(sonde_outgoing_name(item), "s"));
	assert_int_equal(sonde_outgoing_remove(item, "out"), SONDE_OK);
}

static void hook_changes_events(void **state)
{
	const struct sonde_attr out = sonde_str("out", "1");
	const struct sonde_attr in[] = { sonde_str("in", "2"), sonde_str("gone", "3") };

	(void)state;
	start(change_events);
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = "s",
						       .attrs = &out,
						       .n_attrs = 1,
						       .event = "e",
						       .event_attrs = in,
						       .n_event_attrs = 2 }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "event:another name"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "in=\"changed\" more=true"), 1);
	assert_int_equal(rig_delivered(&rig, 0, "gone"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "out"), 0);
}

static void add_secrets(struct sonde_outgoing *item)
{
	assert_int_equal(sonde_outgoing_set(item, sonde_str("password", "hunter2")), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_str("t", "token=hunter2")), SONDE_OK);
	assert_int_equal(sonde_outgoing_set_body(item, "Bearer hunter2hunter2 \xff"), SONDE_OK);
}

static void what_a_hook_adds_is_redacted(void **state)
{
	struct sonde_redactions redactions;

	(void)state;
	start(add_secrets);
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	flush();
	assert_int_equal(rig_delivered(&rig, 0, "hunter2"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "log \"Bearer [redacted] \xef\xbf\xbd\""), 1);
	sonde__pipeline_redactions(rig.pipeline, &redactions);
	assert_int_equal(redactions.counts[SONDE_REDACTION_KEY], 1);
	assert_int_equal(redactions.counts[SONDE_REDACTION_PAIR], 1);
	assert_int_equal(redactions.counts[SONDE_REDACTION_TOKEN], 1);
}

#define SECRET_TEXT "at postgres://u:hunter2@db"

/* Secrets in the place of everything that it may change. */
static void change_to_secrets(struct sonde_outgoing *item)
{
	const bool is_span = sonde_outgoing_signal(item) == SONDE_SIGNAL_SPAN;
	static const char *const texts[] = { "a", SECRET_TEXT };

	assert_int_equal(sonde_outgoing_set(item, sonde_str("k", SECRET_TEXT)), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_int("pan", 4111111111111111)), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_str_array("list", texts, 2)), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_str("card 4111 1111 1111 1111", "v")),
			 SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_int("secret", 1)), SONDE_OK);
	/* It sees what it wrote, and not what becomes of it. */
	assert_int_equal(sonde_outgoing_set_body(item, SECRET_TEXT), SONDE_OK);
	assert_true(text_is(sonde_outgoing_body(item), SECRET_TEXT));
	if (!is_span)
		return;
	assert_int_equal(sonde_outgoing_set_name(item, SECRET_TEXT), SONDE_OK);
	assert_int_equal(sonde_outgoing_select(item, 0), SONDE_OK);
	assert_int_equal(sonde_outgoing_set_name(item, SECRET_TEXT), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_str("in", SECRET_TEXT)), SONDE_OK);
	assert_int_equal(sonde_outgoing_set(item, sonde_str("my_token", "hunter2")), SONDE_OK);
}

static void what_a_hook_changes_is_redacted(void **state)
{
	const struct sonde_attr attr = sonde_str("k", "harmless");

	(void)state;
	start(change_to_secrets);
	assert_true(record_log(&(struct record_spec){ .name = "m", .attrs = &attr, .n_attrs = 1 }));
	assert_true(record_span(&(struct record_spec){ .trace = 1,
						       .span = 1,
						       .name = "s",
						       .trace_state = "token=hunter2",
						       .link = 3,
						       .status = SONDE_SPAN_ERROR,
						       .description = "d",
						       .attrs = &attr,
						       .n_attrs = 1,
						       .event = "e" }));
	flush();
	assert_int_equal(hook.n_calls, 2);
	assert_int_equal(rig_delivered(&rig, 0, "hunter2"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "41111111"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "card [redacted]=\"v\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "secret=\"[redacted]\""), 2);
	assert_int_equal(rig_delivered(&rig, 0, "my_token=\"[redacted]\""), 1);
	assert_int_equal(rig_delivered(&rig, 0, "at postgres://REDACTED:REDACTED@db"), 9);
}

/* What capture cut is shown as it is, and its end is redacted afterwards. */
static void see_cut(struct sonde_outgoing *item)
{
	assert_true(text_is(sonde_outgoing_body(item), "at postgres://u:hunt"));
	assert_int_equal(sonde_outgoing_set(item, sonde_str("copy", "at postgres://u:hunt")),
			 SONDE_OK);
}

static void what_was_cut_is_redacted_behind_the_hook(void **state)
{
	(void)state;
	start(see_cut);
	assert_true(record_log(&(struct record_spec){ .name = "at postgres://u:hunt",
						      .flags = SONDE__RECORD_TEXT_CUT }));
	flush();
	assert_int_equal(hook.n_calls, 1);
	assert_int_equal(rig_delivered(&rig, 0, "hunt"), 0);
	assert_int_equal(rig_delivered(&rig, 0, "at postgres://REDACTED:REDACTED\""), 2);
}

static void drop_odd(struct sonde_outgoing *item)
{
	if (hook.n_calls % 2)
		sonde_outgoing_drop(item);
}

static void dropped_items_are_accounted_for(void **state)
{
	const enum sonde_signal signals[] = { SONDE_SIGNAL_SPAN, SONDE_SIGNAL_LOG,
					      SONDE_SIGNAL_PART };

	(void)state;
	start(drop_odd);
	for (uint64_t i = 1; i <= 50; i++) {
		assert_true(record_span(
			&(struct record_spec){ .trace = 1, .span = i, .name = "s", .event = "e" }));
		assert_true(record_log(&(struct record_spec){ .name = "m" }));
		/* Half of the parts find their span. */
		assert_true(record_part(
			&(struct record_spec){ .trace = 1, .span = 2 * i, .name = "p" }));
	}
	flush();
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	flush();
	for (size_t i = 0; i < 3; i++) {
		struct sonde_account account = rig_account(&rig, 0, signals[i]);

		assert_true(account.lost[SONDE_LOSS_HOOK] > 0);
		assert_int_equal(account.captured, account.exported +
							   account.lost[SONDE_LOSS_HOOK]);
		assert_int_equal(account.queued, 0);
	}
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 25);
}

/* Goes on until there is no room, and all of it counts for nothing. */
static void fill(struct sonde_outgoing *item)
{
	char key[32];
	int status = SONDE_OK;

	for (int i = 0; status == SONDE_OK && i < 100000; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		status = sonde_outgoing_set(item, sonde_str(key, "0123456789abcdef"));
	}
	assert_int_equal(status, SONDE_E_NOMEM);
	assert_int_equal(sonde_outgoing_set_body(item, "b"), SONDE_OK);
}

static void greedy_hooks_are_bounded(void **state)
{
	(void)state;
	rig.options.limits.log_attributes = 4;
	start(fill);
	for (int i = 0; i < 20; i++)
		assert_true(record_log(&(struct record_spec){ .name = "m" }));
	flush();
	assert_int_equal(hook.n_calls, 20);
	/* Limits count after the hook. */
	assert_int_equal(rig_delivered(&rig, 0, "key.3="), 20);
	assert_int_equal(rig_delivered(&rig, 0, "key.4="), 0);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).exported, 20);
}

static void dawdle(struct sonde_outgoing *item)
{
	uint64_t until_ns = sonde__monotonic_ns() + 12 * RIG_MS;

	(void)item;
	while (sonde__monotonic_ns() < until_ns)
		continue;
}

static void slow_hooks_are_told_of(void **state)
{
	(void)state;
	start(dawdle);
	for (int i = 0; i < 3; i++)
		assert_true(record_log(&(struct record_spec){ .name = "m" }));
	flush();
	assert_int_equal(rig_said(&rig, "before_send is slow"), 1);
}

static void what_a_hook_records_is_not_shown_to_it(void **state)
{
	struct sonde_context outside = sonde_context_current();

	(void)state;
	start(NULL);
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	flush();
	assert_int_equal(hook.n_calls, 1);
	assert_true(sonde_context_is_valid(&hook.context));
	assert_false(hook.context.trace_flags & SONDE_TRACE_FLAG_SAMPLED);
	assert_true(sonde__hook_is_own(rig.pipeline, hook.context.trace_id));
	assert_false(sonde__hook_is_own(rig.pipeline, outside.trace_id));
	assert_memory_equal(&outside, &(struct sonde_context){ 0 }, sizeof(outside));
	outside = sonde_context_current();
	assert_false(sonde_context_is_valid(&outside));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hook_sees_items, begin, end),
		cmocka_unit_test_setup_teardown(hook_changes_items, begin, end),
		cmocka_unit_test_setup_teardown(hook_changes_events, begin, end),
		cmocka_unit_test_setup_teardown(what_a_hook_adds_is_redacted, begin, end),
		cmocka_unit_test_setup_teardown(what_a_hook_changes_is_redacted, begin, end),
		cmocka_unit_test_setup_teardown(what_was_cut_is_redacted_behind_the_hook, begin,
						end),
		cmocka_unit_test_setup_teardown(dropped_items_are_accounted_for, begin, end),
		cmocka_unit_test_setup_teardown(greedy_hooks_are_bounded, begin, end),
		cmocka_unit_test_setup_teardown(slow_hooks_are_told_of, begin, end),
		cmocka_unit_test_setup_teardown(what_a_hook_records_is_not_shown_to_it, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
