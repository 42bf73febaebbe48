/* SPDX-License-Identifier: Apache-2.0 */

/* A forked child: asks for its box once, says nothing of its parent's, and draws ids of its own. */

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "context/context.h"

/* What the child of a test does; it must not return from cmocka's asserts, so it says yes or no. */
typedef bool child_fn(void *argument);

static void assert_child(child_fn *function, void *argument)
{
	int status = -1;
	pid_t child = fork();

	assert_int_not_equal(child, -1);
	if (!child)
		_exit(function(argument) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, /* options= */ 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool child_ends_what_the_parent_began(void *span)
{
	sonde_span_set_int(span, "k", 1);
	if (sonde_span_is_recording(span))
		return false;
	sonde_span_end(span);
	/* The context went back, and no box was needed for it. */
	return !sonde_context_is_valid(&sonde__thread.current) && fixture_n_children == 0;
}

static void test_a_span_of_the_parent_is_the_parents(void **state)
{
	struct sonde_span span;

	(void)state;
	fixture_n_children = 0;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	assert_child(child_ends_what_the_parent_began, &span);
	assert_true(sonde_span_is_recording(&span));
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 1);
	assert_int_equal(fixture_span()->fields_size, 0);
}

static bool child_records(void *argument)
{
	const struct sonde_context *parent = argument;
	bool good;

	errno = 42;
	sonde_message(SONDE_INFO, "in the child");
	good = errno == 42 && fixture_n_children == 1;
	{
		SONDE_SPAN(span, "child's");
		struct sonde_context own = sonde_span_context(span);

		good = good && sonde_span_is_recording(span) &&
		       !memcmp(own.trace_id, parent->trace_id, 16);
	}
	good = good && fixture_n_children == 1 && fixture_take() == 2;
	return good && !memcmp(fixture_span()->parent_id, parent->span_id, 8);
}

static void test_the_child_goes_on_in_a_box_of_its_own(void **state)
{
	struct sonde_context context;

	(void)state;
	fixture_n_children = 0;
	SONDE_SPAN(span, "parent's");
	context = sonde_span_context(span);
	assert_child(child_records, &context);
	/* Nothing of it in the parent's. */
	assert_int_equal(fixture_take(), 0);
}

static bool child_begins_parents_span_anew(void *argument)
{
	struct sonde_span *span = argument;

	/* The memory is used again after the child is known: the memento still names the parent. */
	sonde_message(SONDE_INFO, "first");
	sonde_span_set_int(span, "k", 1);
	sonde_span_end(span);
	if (fixture_take() != 1)
		return false;
	sonde_span_begin(span, "again", /* options= */ NULL);
	sonde_span_end(span);
	return fixture_take() == 1;
}

static void test_after_the_first_capture_too(void **state)
{
	struct sonde_span span;

	(void)state;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	assert_child(child_begins_parents_span_anew, &span);
	sonde_span_end(&span);
	assert_int_equal(fixture_take(), 1);
}

static bool refuse(bool signal_safe)
{
	(void)signal_safe;
	return false;
}

static bool child_without_a_box(void *argument)
{
	struct sonde_span span;

	(void)argument;
	sonde_span_begin(&span, "x", /* options= */ NULL);
	sonde_span_set_int(&span, "k", 1);
	sonde_message(SONDE_INFO, "x");
	sonde_current_set(sonde_int("k", 1));
	sonde_span_end(&span);
	return !sonde_span_is_recording(&span) && !sonde_context_is_valid(&sonde__thread.current);
}

static void test_a_child_that_gets_no_box_records_nothing(void **state)
{
	const struct sonde__capture_options options = { .slow_threshold_ms = 1000,
							.exception_signal = SONDE_EXCEPTION_BOTH,
							.span_attributes = 128,
							.enter_child = refuse };

	(void)state;
	sonde__capture_open(&options);
	assert_child(child_without_a_box, /* argument= */ NULL);
	assert_int_equal(fixture_take(), 0);
}

struct ids {
	int fd;
	uint8_t span_ids[64][8];
};

static void draw_spans(struct ids *ids)
{
	for (size_t i = 0; i < 64; i++) {
		SONDE_SPAN(span, "x");
		memcpy(ids->span_ids[i], sonde_span_context(span).span_id, 8);
	}
}

static bool child_draws(void *argument)
{
	struct ids *ids = argument;

	draw_spans(ids);
	return write(ids->fd, ids->span_ids, sizeof(ids->span_ids)) == sizeof(ids->span_ids);
}

static void test_no_id_of_the_parent(void **state)
{
	struct ids mine;
	struct ids theirs;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	theirs.fd = pipes[1];
	assert_child(child_draws, &theirs);
	draw_spans(&mine);
	assert_int_equal(read(pipes[0], theirs.span_ids, sizeof(theirs.span_ids)),
			 sizeof(theirs.span_ids));
	for (size_t i = 0; i < 64; i++)
		for (size_t k = 0; k < 64; k++)
			assert_memory_not_equal(mine.span_ids[i], theirs.span_ids[k], 8);
	close(pipes[0]);
	close(pipes[1]);
	fixture_take();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_span_of_the_parent_is_the_parents),
		TEST(test_the_child_goes_on_in_a_box_of_its_own),
		TEST(test_after_the_first_capture_too),
		TEST(test_a_child_that_gets_no_box_records_nothing),
		TEST(test_no_id_of_the_parent),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
