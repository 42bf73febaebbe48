/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte budget while a collector is away, and memory that runs out. malloc, calloc, realloc and
 * free are wrapped: what the pipeline holds is measured here and not asked of it.
 */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/budget.h"
#include "record/layout.h"
#include "rig.h"
#include "support/records.h"

/* ---- The wrapped allocator ------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *memory);

static bool is_measuring; /* Only the pipeline runs meanwhile. */
static size_t held;
static size_t held_most;
static long fail_at = -1; /* The so-many-th allocation fails; -1: none. */
static bool fails_on; /* And all after it. */

static bool must_fail(void)
{
	if (!is_measuring || fail_at < 0)
		return false;
	if (fail_at > 0) {
		fail_at--;
		return false;
	}
	if (!fails_on)
		fail_at = -1;
	return true;
}

static void *note(void *memory)
{
	if (memory && is_measuring) {
		held += malloc_usable_size(memory);
		held_most = held > held_most ? held : held_most;
	}
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return must_fail() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : note(__real_calloc(n, size));
}

void __wrap_free(void *memory)
{
	if (memory && is_measuring)
		held -= malloc_usable_size(memory);
	__real_free(memory);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static struct rig rig;
static uint64_t next_id;

static int begin(void **state)
{
	(void)state;
	next_id = 0;
	held = 0;
	held_most = 0;
	fail_at = -1;
	fails_on = false;
	rig_init(&rig, /* n_destinations= */ 2);
	return 0;
}

static int end(void **state)
{
	(void)state;
	is_measuring = false;
	fail_at = -1;
	rig_end(&rig);
	return 0;
}

static void start(void)
{
	is_measuring = true;
	rig_start(&rig);
	is_measuring = false;
}

static void turn(uint64_t later_ns)
{
	is_measuring = true;
	while (rig_turn(&rig, later_ns) == 0)
		later_ns = 0;
	is_measuring = false;
}

static void put_spans(size_t n)
{
	while (n--) {
		char name[32];

		(void)snprintf(name, sizeof(name), "s%llu.", (unsigned long long)++next_id);
		assert_true(record_span(
			&(struct record_spec){ .trace = 1, .span = next_id, .name = name }));
	}
}

static uint64_t oldest_delivered(size_t destination)
{
	static const char mark[] = "span s";
	uint64_t oldest = UINT64_MAX;

	for (const char *at = rig.fakes[destination].text; (at = strstr(at, mark)) != NULL;) {
		uint64_t id = strtoull(at + strlen(mark), NULL, 10);

		oldest = id < oldest ? id : oldest;
		at += strlen(mark);
	}
	return oldest;
}

#define SPANS_A_ROUND 1000

static void memory_stays_within(uint64_t limit)
{
	struct sonde_account account;
	uint64_t n_rounds;

	rig.options.memory_limit_bytes = limit;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	rig.fakes[1].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	start();
	turn(0);
	for (int i = 0; i < 60; i++) {
		put_spans(SPANS_A_ROUND);
		for (uint64_t n = 0; n < 200; n++)
			assert_true(record_part(&(struct record_spec){
				.trace = 1, .span = 1000000 + next_id + n, .event = "waits" }));
		turn(5 * RIG_S);
		rig_check_accounts(&rig);
	}
	/* malloc's own rounding aside. */
	assert_in_range(held_most, limit / 2, limit + limit / 50);
	account = rig_account(&rig, 0, SONDE_SIGNAL_SPAN);
	assert_true(account.lost[SONDE_LOSS_QUEUE_FULL] > 0);
	assert_int_equal(account.lost[SONDE_LOSS_QUEUE_FULL] + account.queued, 60000);
	assert_true(rig_said(&rig, "(the byte budget was full while the collector was away)") > 0);
	/*
	 * The collector is back: what is delivered is the newest, by rounds. Within one it is that
	 * of the ring that was read last, where the kernel moved the test to another CPU.
	 */
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_ACCEPT };
	for (int i = 0; i < 100; i++)
		turn(5 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, account.queued);
	assert_in_range(account.queued, 1, 60 * SPANS_A_ROUND - 1);
	n_rounds = (account.queued + SPANS_A_ROUND - 1) / SPANS_A_ROUND;
	assert_in_range(oldest_delivered(0), next_id - n_rounds * SPANS_A_ROUND + 1, next_id);
}

static void four_mib_are_kept(void **state)
{
	(void)state;
	memory_stays_within(4 << 20);
}

static void smallest_budget_is_kept(void **state)
{
	(void)state;
	memory_stays_within(SONDE__BUDGET_MIN);
}

static void smaller_budget_is_refused(void **state)
{
	struct sonde__pipeline *pipeline = NULL;

	(void)state;
	rig.options.memory_limit_bytes = SONDE__BUDGET_MIN - 1;
	assert_int_equal(sonde__pipeline_new(&rig.options, &pipeline), SONDE_E_NOMEM);
	assert_null(pipeline);
	assert_int_equal(rig.fakes[0].n_closes, 0);
	rig.options.memory_limit_bytes = SONDE__BUDGET_MIN;
	start();
}

static void any_larger_limit_works(void **state)
{
	(void)state;
	rig.options.memory_limit_bytes = UINT64_MAX;
	rig.options.max_batch_items[SONDE_SIGNAL_SPAN] = UINT32_MAX;
	rig.options.max_batch_items[SONDE_SIGNAL_LOG] = UINT32_MAX;
	rig.options.max_batch_bytes = UINT32_MAX / 64;
	start();
	put_spans(1000);
	turn(0);
	turn(5 * RIG_S);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 1000);
}

/* The lane that holds most gives way: a lane that is served keeps what it has. */
static void healthy_destination_loses_nothing(void **state)
{
	(void)state;
	rig.options.memory_limit_bytes = 768 << 10;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	rig.fakes[1].otherwise = (struct fake_step){ .pending = true };
	start();
	turn(0);
	for (int i = 0; i < 40; i++) {
		put_spans(1000);
		turn(5 * RIG_S);
		for (int n = 0; n < 10; n++)
			turn(RIG_MS);
	}
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_QUEUE_FULL] > 0);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 40000);
}

static void item_limit_drops_the_oldest(void **state)
{
	(void)state;
	rig.options.max_queue_items[SONDE_SIGNAL_SPAN] = 700;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_RETRY };
	start();
	turn(0);
	for (int i = 0; i < 10; i++) {
		put_spans(200);
		turn(5 * RIG_S);
		assert_true(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).queued <= 700);
	}
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_QUEUE_FULL], 1400);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 2000);
}

/* A burst beyond the queue's limit, and a collector that works: it waits in the ring. */
static void item_limit_does_not_hurt_a_lane_that_moves(void **state)
{
	(void)state;
	rig.options.max_queue_items[SONDE_SIGNAL_SPAN] = 700;
	rig.fakes[0].otherwise = (struct fake_step){ .pending = true };
	rig.fakes[1].otherwise = (struct fake_step){ .pending = true };
	start();
	turn(0);
	put_spans(6000);
	turn(5 * RIG_S);
	for (int i = 0; i < 100; i++)
		turn(RIG_MS);
	assert_int_equal(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported, 6000);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 6000);
}

/* But one that stopped moving is not waited for. */
static void item_limit_does_not_wait_for_a_lane_that_hangs(void **state)
{
	(void)state;
	rig.options.max_queue_items[SONDE_SIGNAL_SPAN] = 700;
	rig.fakes[0].otherwise = (struct fake_step){ .what = FAKE_HANG };
	start();
	turn(0);
	put_spans(6000);
	for (int i = 0; i < 20; i++)
		turn(RIG_S);
	assert_int_equal(rig_account(&rig, 1, SONDE_SIGNAL_SPAN).exported, 6000);
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_QUEUE_FULL] >= 5000);
}

/* Each allocation of the constructor fails in turn: no leak, no instance closed. */
static void constructor_survives_each_failure(void **state)
{
	struct sonde__pipeline *pipeline = NULL;
	int n_failed = 0;

	(void)state;
	for (long n = 0; !pipeline; n++) {
		int status;

		held = 0;
		fail_at = n;
		is_measuring = true;
		status = sonde__pipeline_new(&rig.options, &pipeline);
		is_measuring = false;
		if (!pipeline) {
			assert_int_equal(status, SONDE_E_NOMEM);
			assert_int_equal(held, 0);
			n_failed++;
		}
	}
	assert_true(n_failed >= 8);
	assert_int_equal(rig.fakes[0].n_closes, 0);
	rig.pipeline = pipeline;
}

static void put_one_of_each(uint64_t id)
{
	const uint8_t flags = SONDE__RECORD_WITH_EVENT;

	assert_true(record_part(&(struct record_spec){ .trace = 1, .span = id, .event = "e" }));
	assert_true(record_error(
		&(struct error_spec){ .record = { .trace = 1, .span = id, .flags = flags },
				      .types = { "t" },
				      .messages = { "m" } }));
	assert_true(record_error(&(struct error_spec){
		.record = { .trace = 1, .span = id, .flags = flags | SONDE__RECORD_WITH_LOG },
		.types = { "t" },
		.messages = { "m" } }));
	assert_true(record_log(&(struct record_spec){ .name = "m" }));
	assert_true(record_span(&(struct record_spec){ .trace = 1, .span = id, .name = "s" }));
}

/* Each allocation on the way of one of each kind fails in turn: the accounts add up every time. */
static void turns_survive_each_failure(void **state)
{
	(void)state;
	rig_start(&rig);
	for (long n = 0; n < 12; n++) {
		for (int on = 0; on < 2; on++) {
			put_one_of_each(++next_id);
			fails_on = on;
			fail_at = n;
			is_measuring = true;
			(void)rig_flush(&rig, NULL);
			is_measuring = false;
			fail_at = -1;
			rig_check_accounts(&rig);
		}
	}
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).lost[SONDE_LOSS_NO_MEMORY] > 0);
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_LOG).lost[SONDE_LOSS_NO_MEMORY] > 0);
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_PART).lost[SONDE_LOSS_NO_MEMORY] > 0);
	assert_true(rig_account(&rig, 0, SONDE_SIGNAL_SPAN).exported > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(four_mib_are_kept, begin, end),
		cmocka_unit_test_setup_teardown(smallest_budget_is_kept, begin, end),
		cmocka_unit_test_setup_teardown(smaller_budget_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(any_larger_limit_works, begin, end),
		cmocka_unit_test_setup_teardown(healthy_destination_loses_nothing, begin, end),
		cmocka_unit_test_setup_teardown(item_limit_drops_the_oldest, begin, end),
		cmocka_unit_test_setup_teardown(item_limit_does_not_hurt_a_lane_that_moves, begin,
						end),
		cmocka_unit_test_setup_teardown(item_limit_does_not_wait_for_a_lane_that_hangs,
						begin, end),
		cmocka_unit_test_setup_teardown(constructor_survives_each_failure, begin, end),
		cmocka_unit_test_setup_teardown(turns_survive_each_failure, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
