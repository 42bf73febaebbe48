/* SPDX-License-Identifier: Apache-2.0 */

/* Begin and end: what a span's record says, and what is current meanwhile. */

#include "fixture.h"

#include <errno.h>

static struct sonde_span_options options_of(enum sonde_kind kind)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;

	options.kind = kind;
	return options;
}

static void test_parent_and_child(void **state)
{
	struct sonde_context parent_context;
	const struct sonde__span_record *parent;
	const struct sonde__span_record *child;

	(void)state;
	{
		SONDE_SPAN(outer, "outer", .kind = SONDE_KIND_SERVER);
		parent_context = sonde_context_current();
		assert_true(sonde_span_is_recording(outer));
		{
			SONDE_SPAN(inner, "inner");
			struct sonde_context current = sonde_context_current();
			struct sonde_context own = sonde_span_context(inner);

			assert_memory_equal(&current, &own, sizeof(own));
			assert_memory_equal(own.trace_id, parent_context.trace_id, 16);
			assert_false(own.is_remote);
		}
		struct sonde_context after = sonde_context_current();
		assert_memory_equal(&after, &parent_context, sizeof(after));
	}
	fixture_assert_current_is_empty();

	assert_int_equal(fixture_take(), 2);
	parent = fixture_span_named("outer");
	child = fixture_span_named("inner");
	assert_memory_equal(parent->trace_id, parent_context.trace_id, 16);
	assert_memory_equal(parent->parent_id, "\0\0\0\0\0\0\0", 8);
	assert_int_equal(parent->trace_flags, SONDE_TRACE_FLAG_SAMPLED | SONDE_TRACE_FLAG_RANDOM);
	assert_int_equal(parent->kind, SONDE_KIND_SERVER);
	assert_int_equal(child->kind, SONDE_KIND_INTERNAL);
	assert_memory_equal(child->trace_id, parent->trace_id, 16);
	assert_memory_equal(child->parent_id, parent->span_id, 8);
	assert_memory_not_equal(child->span_id, parent->span_id, 8);
	assert_int_equal(child->trace_flags, parent->trace_flags);
	assert_true(parent->start <= child->start && child->start <= child->head.time);
	assert_true(child->head.time <= parent->head.time);
	assert_int_equal(child->head.flags, 0);
	assert_int_equal(child->status, SONDE_SPAN_UNSET);
	assert_int_equal(child->fields_size, 0);
}

static void test_names(void **state)
{
	struct sonde_span span;
	struct sonde_site no_name = SONDE_SITE_INIT(NULL);

	(void)state;
	sonde_span_begin(&span, /* name= */ NULL, /* options= */ NULL);
	sonde_span_end(&span);
	sonde_span_begin(&span, "", /* options= */ NULL);
	sonde_span_end(&span);
	sonde_span_begin_at(&span, &no_name, /* options= */ NULL);
	sonde_span_end(&span);
	sonde_span_begin_at(&span, /* site= */ NULL, /* options= */ NULL);
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 4);
	for (size_t i = 0; i < 4; i++)
		fixture_assert_text(fixture_name((const void *)fixture_record(i)), "unnamed");

	sonde_span_begin(&span, "first", /* options= */ NULL);
	sonde_span_set_name(&span, "a longer second");
	sonde_span_set_name(&span, /* name= */ NULL);
	sonde_span_set_name(&span, "");
	sonde_span_set_str(&span, "k", "v");
	sonde_span_set_name(&span, "third");
	sonde_span_end(&span);
	fixture_take();
	fixture_assert_text(fixture_name(fixture_span()), "third");
	fixture_attribute(SONDE_FIELDS_SPAN, sonde__span_record_fields(fixture_span()), "k");
}

static void test_a_long_name_goes_as_part(void **state)
{
	char name[1000];
	struct sonde_span span;
	struct sonde_text kept;

	(void)state;
	memset(name, 'n', sizeof(name));
	/* A character across the edge of what the span keeps. */
	memcpy(name + 127, "\xc3\xa4", 2);
	name[sizeof(name) - 1] = '\0';
	sonde_span_begin(&span, name, /* options= */ NULL);
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 2);
	fixture_assert_text(sonde__part_record_name(fixture_part()), name);
	assert_memory_equal(fixture_part()->span_id, fixture_span()->span_id, 8);
	assert_int_equal(fixture_span()->head.flags, SONDE__RECORD_HAS_PARTS);
	kept = sonde__span_record_name(fixture_span());
	assert_int_equal(kept.size, 127);

	/* From then on every name does: the last part counts. */
	sonde_span_begin(&span, name, /* options= */ NULL);
	sonde_span_set_name(&span, "short");
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 3);
	fixture_assert_text(sonde__part_record_name((const void *)fixture_record(1)), "short");
}

static void test_a_name_beyond_a_record_is_cut(void **state)
{
	static char name[100000];
	struct sonde_span span;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	sonde_span_begin(&span, name, /* options= */ NULL);
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 2);
	assert_true(fixture_part()->head.flags & SONDE__RECORD_TEXT_CUT);
	assert_int_equal(fixture_part()->head.size, SONDE__RECORD_MAX_SIZE);
}

static void test_explicit_times(void **state)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	struct sonde_span span;

	(void)state;
	options.start_unix_ns = 1000;
	sonde_span_begin(&span, "x", &options);
	sonde_span_end_with_time(&span, 5000);
	fixture_take();
	assert_int_equal(fixture_span()->start, 1000);
	assert_int_equal(fixture_span()->head.time, 5000);
	assert_int_equal(fixture_span()->head.flags,
			 SONDE__RECORD_START_IS_UNIX | SONDE__RECORD_TIME_IS_UNIX);
	sonde_span_begin(&span, "x", /* options= */ NULL);
	sonde_span_end_with_time(&span, 0);
	fixture_take();
	assert_int_equal(fixture_span()->head.flags, 0);
}

static void test_explicit_parents(void **state)
{
	struct sonde_context remote;
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	const struct sonde_context none = SONDE_CONTEXT_INIT;
	struct sonde_span span;

	(void)state;
	sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL, &remote);
	SONDE_SPAN(current, "current");
	options.parent = &remote;
	sonde_span_begin(&span, "of remote", &options);
	assert_false(sonde_span_context(&span).is_remote);
	sonde_span_end(&span);
	options.root = true;
	sonde_span_begin(&span, "root", &options);
	sonde_span_end(&span);
	options.root = false;
	options.parent = &none;
	sonde_span_begin(&span, "of nobody", &options);
	sonde_span_end(&span);

	assert_int_equal(fixture_take(), 3);
	assert_memory_equal(fixture_span_named("of remote")->trace_id, remote.trace_id, 16);
	assert_memory_equal(fixture_span_named("of remote")->parent_id, remote.span_id, 8);
	assert_int_equal(fixture_span_named("of remote")->head.flags, SONDE__RECORD_PARENT_REMOTE);
	/* The random flag was not set, and is not. */
	assert_int_equal(fixture_span_named("of remote")->trace_flags, SONDE_TRACE_FLAG_SAMPLED);
	assert_memory_equal(fixture_span_named("root")->parent_id, none.span_id, 8);
	assert_int_equal(fixture_span_named("root")->head.flags, 0);
	assert_memory_equal(fixture_span_named("of nobody")->parent_id, none.span_id, 8);
	assert_memory_not_equal(fixture_span_named("root")->trace_id, remote.trace_id, 16);
	assert_memory_not_equal(fixture_span_named("root")->trace_id, sonde_span_context(current).trace_id, 16);
}

static void test_a_root_below_another_span(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		SONDE_SPAN(outer, "outer", .kind = SONDE_KIND_SERVER);
		{
			SONDE_SPAN(inner, "inner", .root = true, .kind = SONDE_KIND_CLIENT);
		}
		fixture_take();
		assert_int_equal(*(const uint64_t *)(const void *)fixture_span()->parent_id, 0);
		assert_int_equal(fixture_span()->kind, SONDE_KIND_CLIENT);
		sonde_span_end(outer);
		fixture_take();
	}
}

static void test_detached(void **state)
{
	struct sonde_context before;
	struct sonde_context after;

	(void)state;
	SONDE_SPAN(current, "current");
	before = sonde_context_current();
	{
		SONDE_SPAN(apart, "apart", .detached = true);
		after = sonde_context_current();
		assert_memory_equal(&before, &after, sizeof(before));
		assert_memory_equal(sonde_span_context(apart).trace_id, before.trace_id, 16);
	}
	after = sonde_context_current();
	assert_memory_equal(&before, &after, sizeof(before));
	fixture_take();
	assert_memory_equal(fixture_span()->parent_id, before.span_id, 8);
}

/* Not sampled by its caller: nothing is recorded, ids go on, and it is counted. */
static void test_unsampled(void **state)
{
	uint64_t lost = fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED);
	uint64_t lost_parts = fixture_lost(SONDE_SIGNAL_PART, SONDE_LOSS_UNSAMPLED);
	struct sonde_context remote;

	(void)state;
	sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02", NULL, &remote);
	{
		SONDE_SPAN(span, "unsampled", .parent = &remote);
		struct sonde_context own = sonde_span_context(span);
		struct sonde_context current = sonde_context_current();

		assert_false(sonde_span_is_recording(span));
		assert_memory_equal(own.trace_id, remote.trace_id, 16);
		assert_memory_not_equal(own.span_id, remote.span_id, 8);
		assert_int_equal(own.trace_flags, SONDE_TRACE_FLAG_RANDOM);
		assert_memory_equal(&own, &current, sizeof(own));
		sonde_span_set_int(span, "k", 1);
		sonde_current_set(sonde_int("k", 1));
		SONDE_SPAN(child, "child");
		assert_false(sonde_span_is_recording(child));
	}
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 0);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED), lost + 2);
	assert_int_equal(fixture_lost(SONDE_SIGNAL_PART, SONDE_LOSS_UNSAMPLED), lost_parts + 1);
}

static void test_options_of_other_sizes(void **state)
{
	struct {
		struct sonde_span_options known;
		uint64_t unknown;
	} larger = { options_of(SONDE_KIND_CLIENT), UINT64_MAX };
	struct sonde_span_options options = options_of(SONDE_KIND_PRODUCER);
	struct sonde_span span;
	static const struct {
		size_t size;
		int kind;
	} cases[] = { { 0, SONDE_KIND_INTERNAL },
		      { 4, SONDE_KIND_INTERNAL },
		      { 8, SONDE_KIND_INTERNAL },
		      { 16, SONDE_KIND_PRODUCER } };

	(void)state;
	larger.known.size = sizeof(larger);
	sonde_span_begin(&span, "x", &larger.known);
	sonde_span_end(&span);
	fixture_take();
	assert_int_equal(fixture_span()->kind, SONDE_KIND_CLIENT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		options.size = cases[i].size;
		options.root = options.detached = true;
		sonde_span_begin(&span, "x", &options);
		sonde_span_end(&span);
		fixture_take();
		assert_int_equal(fixture_span()->kind, cases[i].kind);
	}
	options = options_of((enum sonde_kind)77);
	sonde_span_begin(&span, "x", &options);
	sonde_span_end(&span);
	fixture_take();
	assert_int_equal(fixture_span()->kind, SONDE_KIND_INTERNAL);
}

static const char *header_get(void *carrier, const char *name)
{
	errno = EBADF;
	return !strcmp(name, "traceparent") ? carrier : "vendor=x";
}

static char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static void test_server_span(void **state)
{
	struct sonde_bytes fields;

	(void)state;
	{
		errno = 42;
		SONDE_SERVER_SPAN(span, "POST", "/orders/{id}", header_get, traceparent);
		assert_int_equal(errno, 42);
		SONDE_SPAN(child, "child");
	}
	fixture_take();
	assert_int_equal(fixture_span_named("POST /orders/{id}")->kind, SONDE_KIND_SERVER);
	assert_int_equal(fixture_span_named("POST /orders/{id}")->parent_id[0], 0xb7);
	assert_int_equal(fixture_span_named("POST /orders/{id}")->head.flags, SONDE__RECORD_PARENT_REMOTE);
	fields = sonde__span_record_fields(fixture_span_named("POST /orders/{id}"));
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "http.request.method").as.string, "POST");
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "http.route").as.string, "/orders/{id}");
	fixture_assert_text(sonde__span_record_trace_state(fixture_span_named("POST /orders/{id}")), "vendor=x");
	fixture_assert_text(sonde__span_record_trace_state(fixture_span_named("child")), "vendor=x");
}

static void test_server_span_without_route_or_caller(void **state)
{
	char broken[] = "00-nonsense";
	struct sonde_bytes fields;
	SONDE_SPAN(current, "left over");

	(void)state;
	{
		SONDE_SERVER_SPAN(span, "BREW", /* route= */ NULL, header_get, broken);
	}
	{
		SONDE_SERVER_SPAN(span, /* method= */ NULL, "", /* get= */ NULL, /* carrier= */ NULL);
	}
	assert_int_equal(fixture_take(), 2);
	/*
	 * An unknown caller begins a new trace; without headers the current context is the caller.
	 */
	assert_memory_not_equal(((const struct sonde__span_record *)fixture_record(0))->trace_id,
				sonde_span_context(current).trace_id, 16);
	assert_memory_equal(((const struct sonde__span_record *)fixture_record(1))->parent_id,
			    sonde_span_context(current).span_id, 8);
	fields = sonde__span_record_fields((const void *)fixture_record(0));
	fixture_assert_text(fixture_name((const void *)fixture_record(0)), "HTTP");
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "http.request.method").as.string, "_OTHER");
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "http.request.method_original").as.string,
			    "BREW");
	fixture_assert_text(fixture_name((const void *)fixture_record(1)), "HTTP");
}

/* The slot of a server span's tracestate is given back: far more requests than slots lose none. */
static void test_server_spans_give_tracestates_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		SONDE_SERVER_SPAN(span, "GET", "/", header_get, traceparent);
	}
	assert_int_equal(fixture_take(), 3000);
	for (size_t i = 0; i < 3000; i++)
		fixture_assert_text(sonde__span_record_trace_state((const void *)fixture_record(i)), "vendor=x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parent_and_child),
		TEST(test_names),
		TEST(test_a_long_name_goes_as_part),
		TEST(test_a_name_beyond_a_record_is_cut),
		TEST(test_explicit_times),
		TEST(test_explicit_parents),
		TEST(test_a_root_below_another_span),
		TEST(test_detached),
		TEST(test_unsampled),
		TEST(test_options_of_other_sizes),
		TEST(test_server_span),
		TEST(test_server_span_without_route_or_caller),
		TEST(test_server_spans_give_tracestates_back),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
