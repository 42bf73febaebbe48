/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A captured error: one record with chain, place, frames and attributes; once, however often asked.
 */

#include "fixture.h"

#include <errno.h>
#include <stdio.h>

#include "base/bell.h"
#include "capture/error_plan.h"
#include "error/error.h"

static void test_chain(void **state)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	struct sonde_context context;
	struct sonde_error *error;
	struct sonde_bytes fields;
	int line;

	(void)state;
	error = sonde_error_raise(&sonde_not_found, "row %d", 7);
	line = __LINE__ - 1;
	sonde_error_set_errno(error, ENOENT);
	sonde_error_set(error, sonde_int("row", 7));
	sonde_error_set(error, sonde_str("who", "inner"));
	error = sonde_error_wrap(error, &sonde_external_service, "no prices");
	sonde_error_set(error, sonde_str("who", "outer"));
	{
		SONDE_SPAN(span, "x");
		context = sonde_span_context(span);
		errno = 42;
		sonde_error_capture(error);
		assert_int_equal(errno, 42);
	}
	assert_int_equal(fixture_take(), 2);
	const struct sonde__error_record *record = fixture_error();
	assert_int_equal(record->head.flags, SONDE__RECORD_WITH_EVENT | SONDE__RECORD_WITH_LOG);
	assert_memory_equal(record->trace_id, context.trace_id, 16);
	assert_memory_equal(record->span_id, context.span_id, 8);
	assert_int_equal(record->trace_flags, context.trace_flags);
	assert_int_not_equal(record->event_id, 0);
	assert_int_equal(record->severity, SONDE_ERROR);
	assert_int_equal(record->http_status, 502);
	assert_int_equal(record->n_links, 2);
	assert_true(sonde__error_record_next(record, &walk, &link));
	fixture_assert_text(link.type, "sonde_external_service");
	fixture_assert_text(link.message, "no prices");
	assert_true(sonde__error_record_next(record, &walk, &link));
	fixture_assert_text(link.type, "sonde_not_found");
	fixture_assert_text(link.message, "row 7");
	fixture_assert_text(link.function, __func__);
	fixture_assert_text(link.file, __FILE__);
	assert_int_equal(link.line, line);
	assert_int_equal(link.errno_value, ENOENT);
	assert_false(sonde__error_record_next(record, &walk, &link));
	assert_true(record->n_frames > 0);
	assert_int_not_equal(sonde__error_record_frames(record)[0], 0);
	fields = sonde__error_record_fields(record);
	assert_int_equal(fixture_attribute(SONDE_FIELDS_LOG, fields, "row").as.integer, 7);
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_LOG, fields, "who").as.string, "outer");
	sonde_error_free(error);
}

static const struct sonde__error_record *again(size_t n)
{
	for (size_t i = 0; i < 8; i++) {
		if (fixture_record(i)->type == SONDE__RECORD_AGAIN && n-- == 0)
			return (const void *)fixture_record(i);
	}
	return NULL;
}

static void test_once(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	struct sonde__box_account account;
	uint64_t n_parts;
	int lines[2];

	(void)state;
	sonde__box_account(SONDE_SIGNAL_PART, &account);
	n_parts = account.captured;
	sonde_error_capture(error);
	sonde_error_capture(error);
	lines[0] = __LINE__ - 1;
	error = sonde_error_wrap(error, &sonde_internal, "on its way up");
	error = sonde_error_wrap(error, &sonde_unavailable, "further");
	lines[1] = __LINE__ - 1;
	sonde_error_capture(error);
	/* Nothing new: where, and nobody says so. */
	(sonde_error_capture)(error);
	assert_int_equal(fixture_take(), 3);
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 1);
	assert_int_equal(fixture_count(SONDE__RECORD_AGAIN), 2);
	sonde__box_account(SONDE_SIGNAL_PART, &account);
	assert_int_equal(account.captured, n_parts + 2);
	/* The same event, from another place; */
	assert_int_equal(again(0)->event_id, fixture_error()->event_id);
	assert_true(sonde__error_record_next(again(0), &walk, &link));
	fixture_assert_text(link.type, "sonde_timeout");
	fixture_assert_text(link.function, __func__);
	fixture_assert_text(link.file, __FILE__);
	assert_int_equal(link.line, lines[0]);
	assert_false(sonde__error_record_next(again(0), &walk, &link));
	/* and what it was wrapped in, where that was. */
	assert_int_equal(again(1)->event_id, fixture_error()->event_id);
	assert_int_equal(again(1)->n_links, 2);
	walk = NULL;
	assert_true(sonde__error_record_next(again(1), &walk, &link));
	fixture_assert_text(link.type, "sonde_unavailable");
	fixture_assert_text(link.message, "further");
	assert_int_equal(link.line, lines[1]);
	assert_true(sonde__error_record_next(again(1), &walk, &link));
	fixture_assert_text(link.type, "sonde_internal");
	sonde_error_free(error);
}

/*
 * The event is the inner span's; the outer one, where the error is captured again, fails all the
 * same, and is told so once.
 */
static void test_again_on_an_outer_span(void **state)
{
	const struct sonde__part_record *part;
	struct sonde_error *error;

	(void)state;
	{
		SONDE_SPAN(outer, "outer");
		{
			SONDE_SPAN(inner, "inner");

			error = sonde_error_raise(&sonde_timeout, "late");
			sonde_error_capture(error);
			sonde_error_capture(error);
		}
		error = sonde_error_wrap(error, &sonde_unavailable, "no answer");
		sonde_error_capture(error);
		sonde_error_capture(error);
	}
	sonde_error_free(error);
	fixture_take();
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 1);
	assert_memory_equal(fixture_error()->span_id, fixture_span_named("inner")->span_id, 8);
	assert_int_equal(fixture_count(SONDE__RECORD_PART), 1);
	part = fixture_part();
	assert_memory_equal(part->span_id, fixture_span_named("outer")->span_id, 8);
	assert_int_equal(part->status, SONDE_SPAN_ERROR);
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, sonde__part_record_fields(part),
					      "error.type").as.string,
			    "sonde_unavailable");
	assert_int_equal(fixture_count(SONDE__RECORD_AGAIN), 3);
}

/* A caller's span in another process does not fail by what is captured again here. */
static void test_again_below_a_remote_span(void **state)
{
	struct sonde_context before;
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	before = fixture_attach_remote();
	for (int i = 0; i < 3; i++)
		sonde_error_capture(error);
	(void)sonde_context_attach(&before);
	sonde_error_free(error);
	fixture_take();
	assert_int_equal(fixture_count(SONDE__RECORD_ERROR), 1);
	assert_int_equal(fixture_count(SONDE__RECORD_AGAIN), 2);
	assert_int_equal(fixture_count(SONDE__RECORD_PART), 0);
}

/* A record of a capture again has no attributes, and no byte goes past its room. */
static void test_again_has_no_attributes(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	struct sonde__error_plan plan;
	uint8_t bytes[2048];
	size_t size;

	(void)state;
	sonde_error_set(error, sonde_str("who", "somebody"));
	memset(&plan, 1, sizeof(plan));
	memset(bytes, 0xaa, sizeof(bytes));
	size = sonde__error_plan_again(&plan, error, /* n_new= */ 0,
				       &(struct sonde__place){ __FILE__, __func__, __LINE__ });
	assert_in_range(size, 1, sizeof(bytes) / 2);
	sonde__error_plan_write(&plan, bytes);
	for (size_t i = size; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0xaa);
	sonde_error_free(error);
}

/* Counted once, whatever becomes of the record, by what the log record will say. */
static void test_counts(void **state)
{
	struct sonde__site_view place = { .name = { "sonde_internal", 14 },
					  .file = { __FILE__, strlen(__FILE__) },
					  .function = { __func__, strlen(__func__) },
					  .kind = SONDE__SITE_ERROR };
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
	uint64_t n_lost = fixture_lost(SONDE_SIGNAL_LOG, SONDE_LOSS_RING_FULL);
	uint64_t n = 0;

	(void)state;
	error = sonde_error_wrap(error, &sonde_internal, "wrapped");
	place.line = __LINE__ - 1;
	sonde_error_capture(error);
	sonde_error_capture(error);
	sonde_error_free(error);
	assert_int_equal(sonde__errors_read(sonde__site_find(&place)), 1);
	/* The ring is full for most of these. */
	while (n < 100000) {
		error = sonde_error_raise(&sonde_internal, "again");
		place.line = __LINE__ - 1;
		sonde_error_capture(error);
		sonde_error_free(error);
		n++;
	}
	assert_true(fixture_lost(SONDE_SIGNAL_LOG, SONDE_LOSS_RING_FULL) > n_lost);
	assert_int_equal(sonde__errors_read(sonde__site_find(&place)), n);
	assert_int_equal(sonde__errors_misplaced(), 0);
}

static void test_forms(void **state)
{
	static const struct {
		enum sonde_exception_signal signal;
		const char *traceparent; /* NULL: no span; "": a span of our own. */
		uint8_t flags;
	} cases[] = {
		{ SONDE_EXCEPTION_BOTH, NULL, SONDE__RECORD_WITH_LOG },
		{ SONDE_EXCEPTION_LOG, NULL, SONDE__RECORD_WITH_LOG },
		{ SONDE_EXCEPTION_SPAN_EVENT, NULL, SONDE__RECORD_WITH_LOG },
		{ SONDE_EXCEPTION_BOTH, "", SONDE__RECORD_WITH_LOG | SONDE__RECORD_WITH_EVENT },
		{ SONDE_EXCEPTION_LOG, "", SONDE__RECORD_WITH_LOG | SONDE__RECORD_FAILED },
		{ SONDE_EXCEPTION_SPAN_EVENT, "", SONDE__RECORD_WITH_EVENT },
		/* A context from elsewhere with no span of ours in it, and an unsampled one. */
		{ SONDE_EXCEPTION_SPAN_EVENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		  SONDE__RECORD_WITH_LOG },
		{ SONDE_EXCEPTION_BOTH, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
		  SONDE__RECORD_WITH_LOG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");
		struct sonde_context context = SONDE_CONTEXT_INIT;
		struct sonde__box_account before;
		struct sonde__box_account after;
		struct sonde_span span;

		fixture_reopen(128, cases[i].signal);
		if (cases[i].traceparent && !*cases[i].traceparent)
			sonde_span_begin(&span, "x", /* options= */ NULL);
		else if (sonde_context_from_traceparent(cases[i].traceparent, NULL, &context) ==
			 SONDE_OK)
			sonde_context_attach(&context);
		sonde__box_account(SONDE_SIGNAL_LOG, &before);
		sonde_error_capture(error);
		sonde__box_account(SONDE_SIGNAL_LOG, &after);
		sonde_context_attach(/* context= */ NULL);
		fixture_take();
		assert_int_equal(fixture_error()->head.flags, cases[i].flags);
		/* Whatever the form: the pipeline knows what becomes of it. */
		assert_int_equal(after.captured - before.captured, 1);
		sonde_error_free(error);
	}
}

static void test_a_chain_beyond_a_record_keeps_both_ends(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "the root cause");
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	char text[256];
	size_t n = 1;

	(void)state;
	memset(text, 'm', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 70; i++) {
		error = sonde_error_wrap(error, &sonde_internal, "%s", text);
		for (int k = 0; k < 10; k++) {
			char key[32];

			snprintf(key, sizeof(key), "a.rather.long.key.%d", k);
			sonde_error_set(error, sonde_int(key, k));
		}
	}
	sonde_error_capture(error);
	fixture_take();
	assert_true(fixture_error()->head.flags & SONDE__RECORD_TEXT_CUT);
	assert_true(sonde__error_record_next(fixture_error(), &walk, &link));
	assert_int_equal(link.message.size, 255);
	while (sonde__error_record_next(fixture_error(), &walk, &link))
		n++;
	fixture_assert_text(link.message, "the root cause");
	assert_int_equal(n, fixture_error()->n_links);
	assert_true(n > 10);
	assert_true(fixture_error()->head.n_dropped_attributes > 0);
	sonde_error_free(error);
}

/* Joined errors: one record, each where it stands, the stack that of the worst one's root. */
static void test_joined(void **state)
{
	static const struct {
		const char *message;
		uint8_t level;
		uint8_t flags;
	} expected[] = {
		{ "outer", 0, 0 },
		{ "2 errors: a; b", 0, 0 },
		{ "a", 1, SONDE__LINK_JOINED },
		{ "b", 1, SONDE__LINK_JOINED },
		{ "root", 1, SONDE__LINK_HAS_FRAMES },
	};
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	const uint64_t *frames;
	size_t n_frames = sonde__error_frames(error, &frames);
	uint64_t first = frames[0];

	(void)state;
	error = sonde_error_wrap(error, &sonde_external_service, "b");
	sonde_error_set_detail(error, "said 503");
	error = sonde_error_join(sonde_error_raise(&sonde_not_found, "a"), error);
	error = sonde_error_wrap(error, &sonde_internal, "outer");
	sonde_error_capture(error);
	assert_int_equal(fixture_take(), 1);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_true(sonde__error_record_next(fixture_error(), &walk, &link));
		fixture_assert_text(link.message, expected[i].message);
		assert_int_equal(link.level, expected[i].level);
		assert_int_equal(link.flags, expected[i].flags);
		fixture_assert_text(link.detail, i == 3 ? "said 503" : "");
	}
	assert_false(sonde__error_record_next(fixture_error(), &walk, &link));
	assert_int_equal(fixture_error()->n_frames, n_frames);
	assert_int_equal(sonde__error_record_frames(fixture_error())[0], first);
	sonde_error_free(error);
}

/* More than a record has links for: the outermost, and the root with its stack. */
static void test_a_tree_beyond_a_record(void **state)
{
	struct sonde_error *all = NULL;
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	unsigned n_roots = 0;

	(void)state;
	for (int i = 0; i < 16; i++) {
		struct sonde_error *one =
			sonde_error_raise(i == 15 ? &sonde_internal : &sonde_conflict, "%d", i);

		for (int k = 0; k < 10; k++)
			one = sonde_error_wrap(one, i == 15 ? &sonde_internal : &sonde_conflict, "w");
		all = sonde_error_join(all, one);
	}
	for (int i = 0; i < 60; i++)
		all = sonde_error_wrap(all, &sonde_internal, "outer %d", i);
	sonde_error_capture(all);
	assert_int_equal(fixture_take(), 1);
	assert_true(fixture_error()->head.flags & SONDE__RECORD_TEXT_CUT);
	assert_int_equal(fixture_error()->n_links, 64);
	while (sonde__error_record_next(fixture_error(), &walk, &link))
		n_roots += !!(link.flags & SONDE__LINK_HAS_FRAMES);
	assert_int_equal(n_roots, 1);
	fixture_assert_text(link.message, "15");
	sonde_error_free(all);
}

/* The worker is roused by an error, and by nothing less. */
static void test_errors_ring_the_bell(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	sonde__bell_wait(&sonde__box_bell, /* timeout_ns= */ 0);
	{
		SONDE_SPAN(span, "x");
		sonde_message(SONDE_WARN, "x");
	}
	assert_false(sonde__bell_wait(&sonde__box_bell, /* timeout_ns= */ 0));
	sonde_error_capture(error);
	assert_true(sonde__bell_wait(&sonde__box_bell, /* timeout_ns= */ 0));
	sonde_error_free(error);
}

static void test_nothing_without_an_agent(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "late");

	(void)state;
	sonde__capture_close();
	sonde_error_capture(error);
	assert_int_equal(fixture_take(), 0);
	/* And so it is not marked: the agent that starts now captures it. */
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	sonde_error_capture(error);
	assert_int_equal(fixture_take(), 1);
	sonde_error_free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chain),
		TEST(test_once),
		TEST(test_again_on_an_outer_span),
		TEST(test_again_below_a_remote_span),
		TEST(test_again_has_no_attributes),
		TEST(test_counts),
		TEST(test_forms),
		TEST(test_a_chain_beyond_a_record_keeps_both_ends),
		TEST(test_joined),
		TEST(test_a_tree_beyond_a_record),
		TEST(test_errors_ring_the_bell),
		TEST(test_nothing_without_an_agent),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
