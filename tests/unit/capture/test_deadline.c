/* SPDX-License-Identifier: Apache-2.0 */

/* What spans do to the deadline: inherited, never later than the thread's, never left behind. */

#include "fixture.h"

#include <sonde/deadline.h>

#define SECOND UINT64_C(1000000000)

static const char *header(void *carrier, const char *name)
{
	(void)carrier;
	return strcmp(name, "traceparent") ?
		       NULL :
		       "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
}

static void test_spans_inherit_it(void **state)
{
	uint64_t moment_ns;

	(void)state;
	SONDE_DEADLINE(1000);
	moment_ns = sonde_deadline_moment_ns();
	{
		SONDE_SPAN(root, "root");
		assert_true(sonde_deadline_moment_ns() == moment_ns);
		{
			SONDE_SPAN(child, "child");
			assert_true(sonde_deadline_moment_ns() == moment_ns);
			SONDE_DEADLINE(10);
			assert_true(sonde_deadline_moment_ns() < moment_ns);
		}
		assert_true(sonde_deadline_moment_ns() == moment_ns);
	}
	assert_true(sonde_deadline_moment_ns() == moment_ns);
}

static void test_a_callers_request_has_the_threads(void **state)
{
	uint64_t moment_ns;

	(void)state;
	SONDE_DEADLINE(1000);
	moment_ns = sonde_deadline_moment_ns();
	{
		SONDE_SERVER_SPAN(request, "GET", "/", header, NULL);
		assert_true(sonde_deadline_moment_ns() == moment_ns);
	}
	assert_true(sonde_deadline_moment_ns() == moment_ns);
}

static void test_a_parents_counts_where_it_is_sooner(void **state)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	struct sonde_context parent = SONDE_CONTEXT_INIT;
	uint64_t moment_ns;

	(void)state;
	options.parent = &parent;
	memset(parent.trace_id, 1, sizeof(parent.trace_id));
	memset(parent.span_id, 2, sizeof(parent.span_id));
	sonde_context_limit(&parent, SECOND);
	{
		SONDE_SPAN_WITH(alone, "alone", &options);
		assert_true(sonde_deadline_moment_ns() == SECOND);
	}
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	SONDE_DEADLINE(1000);
	moment_ns = sonde_deadline_moment_ns();
	{
		SONDE_SPAN_WITH(sooner, "sooner", &options);
		assert_true(sonde_deadline_moment_ns() == SECOND);
	}
	assert_true(sonde_deadline_moment_ns() == moment_ns);
	parent.extension[0] = moment_ns + 1;
	{
		SONDE_SPAN_WITH(later, "later", &options);
		assert_true(sonde_deadline_moment_ns() == moment_ns);
	}
	parent.extension[0] = 0;
	options.detached = true;
	{
		SONDE_SPAN_WITH(detached, "detached", &options);
		assert_true(sonde_deadline_moment_ns() == moment_ns);
		struct sonde_context context = sonde_span_context(detached);
		assert_true(sonde_context_deadline_ns(&context) == moment_ns);
	}
	assert_true(sonde_deadline_moment_ns() == moment_ns);
}

static void test_a_spans_context_has_what_was_set_since(void **state)
{
	struct sonde_context context;

	(void)state;
	SONDE_SPAN(span, "span");
	SONDE_DEADLINE(1000);
	context = sonde_span_context(span);
	assert_true(sonde_context_deadline_ns(&context) == sonde_deadline_moment_ns());
}

/* Begun and ended in the same order: neither leaves the thread a deadline. */
static void overlap(bool is_child, bool is_span_first)
{
	static struct sonde_site site = SONDE_SITE_INIT("span");
	struct sonde_deadline deadline;
	struct sonde_span outer;
	struct sonde_span span;

	if (is_child)
		sonde_span_begin(&outer, "outer", NULL);
	if (!is_span_first)
		sonde_deadline_begin(&deadline, 1000, NULL);
	sonde_span_begin_at(&span, &site, NULL);
	if (is_span_first) {
		sonde_deadline_begin(&deadline, 1000, NULL);
		sonde_span_end(&span);
		sonde_deadline_end(&deadline);
	} else {
		sonde_deadline_end(&deadline);
		sonde_span_end(&span);
	}
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
	if (is_child)
		sonde_span_end(&outer);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

static void test_ends_out_of_turn_leave_nothing_behind(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		overlap(i & 1, i & 2);
}

static void test_a_scope_that_was_left_ends_with_its_span(void **state)
{
	struct sonde_deadline left;

	(void)state;
	{
		SONDE_SPAN(root, "root");
		{
			SONDE_SPAN(child, "child");
			sonde_deadline_begin(&left, 1000, NULL);
		}
		assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
		sonde_deadline_begin(&left, 1000, NULL);
	}
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_spans_inherit_it),
		TEST(test_a_callers_request_has_the_threads),
		TEST(test_a_parents_counts_where_it_is_sooner),
		TEST(test_a_spans_context_has_what_was_set_since),
		TEST(test_ends_out_of_turn_leave_nothing_behind),
		TEST(test_a_scope_that_was_left_ends_with_its_span),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
