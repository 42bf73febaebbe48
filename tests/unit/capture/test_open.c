/* SPDX-License-Identifier: Apache-2.0 */

/* Which spans are in the table of open spans, and from when to when. */

#include "fixture.h"

#include <setjmp.h>
#include <string.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "box/open.h"
#include "context/context.h"

static uint64_t n_open(void)
{
	struct sonde__open_count count;

	sonde__open_count(&count);
	return count.open;
}

static bool find(const struct sonde_span *span, struct sonde__open_span *ret)
{
	static struct sonde__open_span found[4096];
	struct sonde_context context = sonde_span_context(span);
	size_t n = sonde__open_list(found, 4096);

	for (size_t i = 0; i < n; i++) {
		if (memcmp(&found[i].span_id, context.span_id, sizeof(context.span_id)) != 0)
			continue;
		assert_memory_equal(found[i].trace_id, context.trace_id, sizeof(context.trace_id));
		assert_int_equal(found[i].thread, getpid());
		*ret = found[i];
		return true;
	}
	return false;
}

static void test_every_way_to_begin(void **state)
{
	struct sonde__open_span root, child, detached, server, named;
	struct sonde_span detached_span, server_span, named_span;
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;

	(void)state;
	{
		SONDE_SPAN(span, "root");
		SONDE_SPAN(inner, "child");

		assert_true(find(span, &root) && find(inner, &child));
		assert_int_equal(n_open(), 2);
		assert_true(root.site && child.site && root.site != child.site);
		assert_true(!root.parent_id && child.parent_id == root.span_id);
		assert_true(root.start && root.start <= child.start);
		options.detached = true;
		sonde_span_begin(&detached_span, "detached", &options);
		sonde_span_begin_server(&server_span, "GET", "/", /* get= */ NULL,
					/* carrier= */ NULL);
		sonde_span_begin(&named_span, "named", /* options= */ NULL);
		assert_true(find(&detached_span, &detached) && find(&server_span, &server) &&
			    find(&named_span, &named));
		assert_int_equal(n_open(), 5);
		sonde_span_end(&named_span);
		assert_false(find(&named_span, &named));
		sonde_span_end(&server_span);
	}
	assert_int_equal(n_open(), 1);
	sonde_span_end(&detached_span);
	sonde_span_end(&detached_span);
	assert_int_equal(n_open(), 0);
	assert_int_equal(fixture_take(), 5);
}

static void test_not_sampled_is_not_open(void **state)
{
	struct sonde_context caller = { .trace_id = { 1 }, .span_id = { 1 } };
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;
	struct sonde_span span;

	(void)state;
	options.parent = &caller;
	sonde_span_begin(&span, "x", &options);
	assert_int_equal(n_open(), 0);
	sonde_span_end(&span);
	assert_int_equal(n_open(), 0);
}

static void test_an_end_after_the_gate_closed(void **state)
{
	struct sonde_span span;

	(void)state;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	assert_int_equal(n_open(), 1);
	sonde__capture_close();
	sonde_span_end(&span);
	assert_int_equal(n_open(), 0);
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
}

static void test_a_childs_end_leaves_the_parents(void **state)
{
	struct sonde_span span;
	int status = -1;
	pid_t child;

	(void)state;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	child = fork();
	if (!child) {
		sonde_span_end(&span);
		_exit(n_open() == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, /* options= */ 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(n_open(), 1);
	sonde_span_end(&span);
	assert_int_equal(n_open(), 0);
}

static jmp_buf out;

static __attribute__((noinline)) void leave(void)
{
	SONDE_SPAN(span, "left");

	longjmp(out, 1);
}

/* Over and over from one place: each begins where the one before stood. */
static void test_left_by_longjmp(void **state)
{
	struct sonde__open_count count;

	(void)state;
	for (volatile int i = 0; i < 100; i = i + 1) {
		if (!setjmp(out))
			leave();
	}
	sonde__open_count(&count);
	assert_int_equal(count.open, 1);
	assert_int_equal(count.untracked, 0);
	sonde_context_attach(&(struct sonde_context){ .trace_flags = 0 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_way_to_begin, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_not_sampled_is_not_open, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_an_end_after_the_gate_closed, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_a_childs_end_leaves_the_parents, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_left_by_longjmp, fixture_open, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
