/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A symbol provider that does not answer until it is told to. No turn waits for it; the error does,
 * for as long as is said, and then goes without.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#include <sonde/stack.h>

#include "box/box.h"
#include "record/layout.h"
#include "rig.h"
#include "stack/frame.h"
#include "stack/namer.h"
#include "stack/options.h"
#include "support/held_provider.h"
#include "support/records.h"

#define AT_ONCE (50 * RIG_MS)

static void on_done(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.n_done++;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* ---- The rig --------------------------------------------------------------------------------- */

static struct rig rig;
static size_t n_errors;

static int begin(void **state)
{
	(void)state;
	rig_init(&rig, /* n_destinations= */ 1);
	rig.options.names_apart = true;
	rig_start(&rig);
	pthread_mutex_lock(&gate.lock);
	gate.is_open = false;
	gate.n_begun = 0;
	gate.n_done = 0;
	pthread_mutex_unlock(&gate.lock);
	n_errors = 0;
	sonde__namer_start(on_done);
	return 0;
}

static size_t count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n;
}

/* Counted when there was another one: sanitizers have one of their own from then on. */
static size_t n_threads_before;

static void *do_nothing(void *unused)
{
	return unused;
}

static int end(void **state)
{
	(void)state;
	gate_set_open(true);
	sonde__namer_stop();
	rig_end(&rig);
	while (count_threads() > n_threads_before)
		(void)sched_yield();
	return 0;
}

static size_t n_places;

/* Of the place where the last one was. */
static void record_again(void)
{
	static const char code[4096];
	const struct error_spec spec = {
		.record = { .severity = 17, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "boom" },
		.messages = { "m" },
		.frames = { (uint64_t)(uintptr_t)code + n_places },
		.n_frames = 1,
	};

	assert_true(n_places < sizeof(code));
	assert_true(record_error(&spec));
	n_errors++;
}

/* Of a place where none was before. */
static void record_new(void)
{
	n_places++;
	record_again();
}

static void expect(size_t n_delivered, size_t n_named)
{
	assert_int_equal(rig_delivered(&rig, 0, "exception.stacktrace="), n_delivered);
	assert_int_equal(rig_delivered(&rig, 0, "f at f.c:8"), n_named);
	rig_check_accounts(&rig);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_LOG).captured, n_errors);
}

/* ---- The tests ------------------------------------------------------------------------------- */

/* Each turn returns while the provider is inside: waiting for it, it would never. */
static void test_no_turn_waits(void **state)
{
	(void)state;
	record_new();
	for (int i = 0; i < 10; i++) {
		assert_in_range(rig_turn(&rig, AT_ONCE), 0, 50 * RIG_MS);
		expect(0, 0);
	}
	gate_wait(&gate.n_begun, 1);
	gate_set_open(true);
	gate_wait(&gate.n_done, 1);
	rig_turn(&rig, 0);
	rig_turn(&rig, AT_ONCE);
	expect(1, 1);
}

/* What was encoded before goes out meanwhile, and what is behind it comes with it. */
static void test_deliveries_go_on(void **state)
{
	(void)state;
	rig.fakes[0].otherwise.pending = true;
	assert_true(record_log(&(struct record_spec){ .name = "before", .severity = 9 }));
	n_errors++;
	rig_turn(&rig, 5 * RIG_S);
	rig_turn(&rig, 0);
	record_new();
	assert_true(record_log(&(struct record_spec){ .name = "behind", .severity = 9 }));
	n_errors++;
	for (int i = 0; i < 5; i++)
		rig_turn(&rig, AT_ONCE);
	assert_int_equal(rig_delivered(&rig, 0, "\"before\""), 1);
	expect(0, 0);
	gate_set_open(true);
	gate_wait(&gate.n_done, 1);
	for (int i = 0; i < 5; i++)
		rig_turn(&rig, AT_ONCE);
	assert_int_equal(rig_delivered(&rig, 0, "\"behind\""), 1);
	expect(1, 1);
}

/* One that hangs costs a second once, not each error a second; then all is as it was. */
static void test_a_question_without_an_answer(void **state)
{
	(void)state;
	record_new();
	rig_turn(&rig, AT_ONCE);
	gate_wait(&gate.n_begun, 1);
	rig_turn(&rig, RIG_S - RIG_MS);
	expect(0, 0);
	rig_turn(&rig, RIG_MS);
	rig_turn(&rig, 0);
	expect(1, 0);
	for (size_t i = 2; i < 10; i++) {
		record_new();
		rig_turn(&rig, AT_ONCE);
		rig_turn(&rig, 0);
		expect(i, 0);
	}
	assert_int_equal(gate_count(&gate.n_begun), 1);
	gate_set_open(true);
	gate_wait(&gate.n_done, 1);
	record_new();
	rig_turn(&rig, AT_ONCE);
	gate_wait(&gate.n_done, 2);
	rig_turn(&rig, AT_ONCE);
	rig_turn(&rig, 0);
	expect(10, 1);
}

static void test_a_flush_has_less_time(void **state)
{
	(void)state;
	record_new();
	sonde__pipeline_name_until(rig.pipeline, rig.now_ns + 10 * RIG_MS);
	sonde__pipeline_finish_begin(rig.pipeline, rig.now_ns);
	assert_in_range(rig_turn(&rig, 0), 0, 10 * RIG_MS);
	assert_in_range(rig_turn(&rig, 9 * RIG_MS), 0, RIG_MS);
	expect(0, 0);
	assert_false(sonde__pipeline_flush_is_done(rig.pipeline, NULL));
	rig_turn(&rig, RIG_MS);
	rig_turn(&rig, 0);
	expect(1, 0);
	assert_true(sonde__pipeline_flush_is_done(rig.pipeline, NULL));
}

/* Rather an error without lines than others lost. */
static void test_the_box_fills(void **state)
{
	(void)state;
	record_new();
	rig_turn(&rig, AT_ONCE);
	expect(0, 0);
	for (uint64_t i = 1; sonde__box_fill_percent() < 75; i++)
		assert_true(record_span(&(struct record_spec){ .trace = 1, .span = i, .name = "s" }));
	rig_turn(&rig, 0);
	rig_turn(&rig, 0);
	expect(1, 0);
	assert_in_range(sonde__box_fill_percent(), 0, 74);
}

/* A record may say 255 addresses, in no module: asked once, and then it is known to be nothing. */
static void test_places_that_are_nowhere(void **state)
{
	struct error_spec spec = {
		.record = { .severity = 17, .flags = SONDE__RECORD_WITH_LOG },
		.types = { "boom" },
		.messages = { "m" },
		.frames = { 1, UINT64_MAX, 0, 0xdeadbeef },
		.n_frames = 4,
	};

	(void)state;
	assert_true(record_error(&spec));
	n_errors++;
	rig_turn(&rig, AT_ONCE);
	gate_wait(&gate.n_done, 1);
	rig_turn(&rig, AT_ONCE);
	rig_turn(&rig, 0);
	expect(1, 0);
	assert_int_equal(gate_count(&gate.n_begun), 0);
}

/* All is forgotten when a module is gone, or an agent starts: what was answered before, too. */
static void test_what_was_forgotten_is_asked_again(void **state)
{
	static const struct sonde__stack_options usual = { .in_app = NULL };

	(void)state;
	record_new();
	rig_turn(&rig, AT_ONCE);
	gate_wait(&gate.n_begun, 1);
	assert_true(sonde__stack_configure(&usual)); /* The answer is not kept. */
	gate_set_open(true);
	gate_wait(&gate.n_done, 1);
	rig_turn(&rig, AT_ONCE);
	for (size_t i = 1; i <= 3; i++) {
		gate_wait(&gate.n_done, i + 1);
		rig_turn(&rig, AT_ONCE);
		rig_turn(&rig, 0);
		expect(i, i);
		assert_true(sonde__stack_configure(&usual));
		record_again();
		rig_turn(&rig, AT_ONCE);
	}
}

/* The stop waits for nobody; what was left behind serves the next agent, or ends by itself. */
static void test_stop_while_it_asks(void **state)
{
	size_t n_clears;

	(void)state;
	for (int round = 0; round < 2; round++) {
		record_new();
		rig_turn(&rig, AT_ONCE);
		gate_wait(&gate.n_begun, (size_t)round + 1);
		sonde__namer_stop();
		if (round == 0)
			sonde__namer_start(on_done);
		gate_set_open(round == 0);
		if (round == 0)
			gate_wait(&gate.n_done, 1);
		gate_set_open(false);
		rig_turn(&rig, AT_ONCE);
		rig_turn(&rig, 0);
		expect((size_t)round + 1, 1);
	}
	n_clears = gate_count(&gate.n_clears);
	gate_set_open(true);
	while (count_threads() > n_threads_before)
		(void)sched_yield();
	assert_int_equal(gate_count(&gate.n_clears), n_clears + 1);
}

int main(void)
{
	pthread_t thread;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_turn_waits, begin, end),
		cmocka_unit_test_setup_teardown(test_deliveries_go_on, begin, end),
		cmocka_unit_test_setup_teardown(test_a_question_without_an_answer, begin, end),
		cmocka_unit_test_setup_teardown(test_a_flush_has_less_time, begin, end),
		cmocka_unit_test_setup_teardown(test_the_box_fills, begin, end),
		cmocka_unit_test_setup_teardown(test_places_that_are_nowhere, begin, end),
		cmocka_unit_test_setup_teardown(test_what_was_forgotten_is_asked_again, begin, end),
		cmocka_unit_test_setup_teardown(test_stop_while_it_asks, begin, end),
	};

	if (sonde_symbol_provider_register(&held_provider) != SONDE_OK)
		return 1;
	if (pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	n_threads_before = count_threads();
	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
