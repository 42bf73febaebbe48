/* SPDX-License-Identifier: Apache-2.0 */

/* What C allows to be done to spans: all of it harmless, at worst a span is not exported. */

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <ucontext.h>

static void test_ended_twice(void **state)
{
	struct sonde_span span;

	(void)state;
	SONDE_SPAN(outer, "outer");
	sonde_span_begin(&span, "x", /* options= */ NULL);
	sonde_span_end(&span);
	sonde_span_end(&span);
	sonde_span_end_with_time(&span, 5);
	assert_false(sonde_span_is_recording(&span));
	sonde_span_set_int(&span, "late", 1);
	sonde_span_set_name(&span, "late");
	sonde_span_set_status(&span, SONDE_SPAN_ERROR, "late");
	sonde_span_add_event(&span, "late", SONDE_NO_ATTRS);
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 1);
	assert_int_equal(fixture_span()->fields_size, 0);
	/* The context is the outer span's, and the ended one still says its own. */
	assert_memory_equal(sonde_context_current().span_id, sonde_span_context(outer).span_id, 8);
	assert_memory_equal(sonde_span_context(&span).span_id, fixture_span()->span_id, 8);
}

static void *end_main(void *span)
{
	struct sonde_context before = sonde_context_current();
	struct sonde_context after;

	sonde_span_set_int(span, "there", 1);
	sonde_span_end(span);
	after = sonde_context_current();
	return memcmp(&before, &after, sizeof(before)) ? span : NULL;
}

static void test_ended_by_another_thread(void **state)
{
	struct sonde_span span;
	pthread_t thread;
	void *changed;

	(void)state;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	pthread_create(&thread, /* attr= */ NULL, end_main, &span);
	pthread_join(thread, &changed);
	assert_null(changed);
	assert_int_equal(fixture_take(), 1);
	fixture_attribute(SONDE_FIELDS_SPAN, sonde__span_record_fields(fixture_span()), "there");
}

static void *exit_main(void *argument)
{
	SONDE_SPAN(span, "left by pthread_exit");
	sonde_span_set_int(span, "k", 1);
	pthread_exit(argument);
}

static void test_left_by_pthread_exit(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_create(&thread, /* attr= */ NULL, exit_main, /* argument= */ NULL);
	pthread_join(thread, /* ret= */ NULL);
	/*
	 * With the cleanup run by the unwinder the span may have ended; nothing else may be there.
	 */
	assert_true(fixture_take() <= 1);
	fixture_assert_current_is_empty();
}

static jmp_buf back;

__attribute__((noinline)) static void leave_two(void)
{
	SONDE_SPAN(span, "also left");
	sonde_span_set_int(span, "k", 2);
	longjmp(back, 1);
}

__attribute__((noinline)) static void leave_by_longjmp(void)
{
	SONDE_SPAN(span, "left by longjmp");
	sonde_span_set_int(span, "k", 1);
	leave_two();
}

__attribute__((noinline)) static void call_and_come_back(void)
{
	SONDE_SPAN(outer, "outer");
	if (!setjmp(back))
		leave_by_longjmp();
}

static void test_left_by_longjmp(void **state)
{
	(void)state;
	call_and_come_back();
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 1);
	fixture_assert_text(fixture_name(fixture_span()), "outer");
	/* And the next one is no child of what was left. */
	{
		SONDE_SPAN(next, "next");
	}
	fixture_take();
	assert_memory_equal(fixture_span()->parent_id, "\0\0\0\0\0\0\0", 8);
}

static void test_never_ended(void **state)
{
	struct sonde_span *span = malloc(sizeof(*span));

	(void)state;
	sonde_span_begin(span, "x", /* options= */ NULL);
	sonde_span_set_int(span, "k", 1);
	free(span);
	assert_int_equal(fixture_take(), 0);
	/* What is current is a value: a child has the ids of the lost span. */
	struct sonde_context current = sonde_context_current();
	{
		SONDE_SPAN(child, "child");
	}
	assert_int_equal(fixture_take(), 1);
	assert_memory_equal(fixture_span()->parent_id, current.span_id, 8);
}

static void test_memory_that_was_never_a_span(void **state)
{
	static const uint8_t patterns[] = { 0x00, 0x01, 0x50, 0x5a, 0xa5, 0xff };
	struct sonde_span span;

	(void)state;
	SONDE_SPAN(outer, "outer");
	struct sonde_context before = sonde_context_current();
	for (size_t i = 0; i < sizeof(patterns); i++) {
		struct sonde_context after;

		memset(&span, patterns[i], sizeof(span));
		sonde_span_set_int(&span, "k", 1);
		sonde_span_set_str(&span, "k", "v");
		sonde_span_add_event(&span, "e", SONDE_NO_ATTRS);
		sonde_span_add_link(&span, &before, SONDE_NO_ATTRS);
		sonde_span_set_status(&span, SONDE_SPAN_ERROR, "d");
		sonde_span_set_name(&span, "n");
		sonde_span_end(&span);
		assert_false(sonde_span_is_recording(&span));
		sonde_span_context(&span);
		after = sonde_context_current();
		assert_memory_equal(&before, &after, sizeof(before));
	}
	assert_int_equal(fixture_take(), 0);
}

static void test_before_the_agent_and_after_it(void **state)
{
	struct sonde_span early;
	struct sonde_span late;
	struct sonde_span old;

	(void)state;
	sonde__capture_close();
	memset(&early, 0x50, sizeof(early));
	sonde_span_begin(&early, "early", /* options= */ NULL);
	assert_false(sonde_span_is_recording(&early));
	fixture_assert_current_is_empty();
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	sonde_span_set_int(&early, "k", 1);
	sonde_span_end(&early);
	assert_int_equal(fixture_take(), 0);

	/* Begun with, ended without: the context goes back all the same. */
	sonde_span_begin(&late, "late", /* options= */ NULL);
	sonde__capture_close();
	assert_false(sonde_span_is_recording(&late));
	sonde_span_set_int(&late, "k", 1);
	sonde_span_end(&late);
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 0);

	/* Begun with one agent, ended with the next. */
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	sonde_span_begin(&old, "old", /* options= */ NULL);
	sonde__capture_close();
	fixture_reopen(128, SONDE_EXCEPTION_BOTH);
	assert_false(sonde_span_is_recording(&old));
	sonde_span_set_int(&old, "k", 1);
	sonde_span_end(&old);
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 0);
}

static ucontext_t main_stack;
static ucontext_t coroutine_stack;

static void coroutine_main(void)
{
	SONDE_SPAN(span, "coroutine");
	for (int i = 0; i < 3; i++) {
		sonde_span_set_int(span, "round", i);
		swapcontext(&coroutine_stack, &main_stack);
	}
}

/*
 * A coroutine that leaves its context behind with every switch: the spans are right all the same.
 */
static void test_coroutine_switches(void **state)
{
	static char stack[65536];

	(void)state;
	getcontext(&coroutine_stack);
	coroutine_stack.uc_stack.ss_sp = stack;
	coroutine_stack.uc_stack.ss_size = sizeof(stack);
	coroutine_stack.uc_link = &main_stack;
	makecontext(&coroutine_stack, coroutine_main, 0);
	for (int i = 0; i < 4; i++) {
		SONDE_SPAN(span, "main");
		swapcontext(&main_stack, &coroutine_stack);
		assert_true(sonde_span_is_recording(span));
	}
	assert_int_equal(fixture_take(), 5);
	assert_int_equal(fixture_attribute(SONDE_FIELDS_SPAN,
					   sonde__span_record_fields(fixture_span_named("coroutine")), "round")
				 .as.integer,
			 2);
}

/* Ended in the order of their begin: each one's end leaves the other one current. */
static void test_ended_out_of_order(void **state)
{
	struct sonde_span a;
	struct sonde_span b;

	(void)state;
	sonde_span_begin(&a, "a", /* options= */ NULL);
	sonde_span_begin(&b, "b", /* options= */ NULL);
	sonde_span_end(&a);
	assert_memory_equal(sonde_context_current().span_id, sonde_span_context(&b).span_id, 8);
	sonde_span_end(&b);
	assert_int_equal(fixture_take(), 2);
}

static void test_null(void **state)
{
	(void)state;
	sonde_span_begin(/* span= */ NULL, "x", /* options= */ NULL);
	sonde_span_begin_at(/* span= */ NULL, /* site= */ NULL, /* options= */ NULL);
	sonde_span_begin_server(/* span= */ NULL, "GET", "/", /* get= */ NULL, /* carrier= */ NULL);
	sonde_span_end(/* span= */ NULL);
	sonde_span_end_with_time(/* span= */ NULL, 1);
	sonde_span_set_int(/* span= */ NULL, "k", 1);
	sonde_span_set_str(/* span= */ NULL, "k", "v");
	sonde_span_set_double(/* span= */ NULL, "k", 1);
	sonde_span_set_bool(/* span= */ NULL, "k", true);
	sonde_span_set(/* span= */ NULL, sonde_int("k", 1));
	sonde_span_add_event(/* span= */ NULL, "e", SONDE_NO_ATTRS);
	sonde_span_add_link(/* span= */ NULL, /* to= */ NULL, SONDE_NO_ATTRS);
	sonde_span_set_status(/* span= */ NULL, SONDE_SPAN_ERROR, /* description= */ NULL);
	sonde_span_set_name(/* span= */ NULL, /* name= */ NULL);
	assert_false(sonde_span_is_recording(/* span= */ NULL));
	sonde_span_context(/* span= */ NULL);
	sonde_current_set(sonde_int(/* key= */ NULL, 1));
	sonde_current_add_event(/* name= */ NULL, SONDE_NO_ATTRS);
	sonde_current_set_status(SONDE_SPAN_ERROR, /* description= */ NULL);
	sonde_error_capture(/* error= */ NULL);
	sonde_timed_begin(/* timed= */ NULL, /* site= */ NULL, /* options= */ NULL);
	sonde_timed_end(/* timed= */ NULL);
	fixture_assert_current_is_empty();
	assert_int_equal(fixture_take(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ended_twice),
		TEST(test_ended_by_another_thread),
		TEST(test_left_by_pthread_exit),
		TEST(test_left_by_longjmp),
		TEST(test_never_ended),
		TEST(test_memory_that_was_never_a_span),
		TEST(test_before_the_agent_and_after_it),
		TEST(test_coroutine_switches),
		TEST(test_ended_out_of_order),
		TEST(test_null),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
