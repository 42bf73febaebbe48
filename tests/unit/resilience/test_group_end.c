/* SPDX-License-Identifier: Apache-2.0 */

/* What has the tasks of a group told to end, what comes of that, and that none outlives it. */

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/context.h>
#include <sonde/deadline.h>
#include <sonde/group.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "context/context.h"
#include "support/yard.h"

/* ---- Told to end ----------------------------------------------------------------------------- */

static void test_limit_ends_it_with_the_errors_as_cause(void **state)
{
	struct patient_clock clock;
	struct yard yard;
	struct sonde_error *error;

	(void)state;
	patient_clock_init(&clock, 5 * SECOND);
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL,
						       .limit_ms = 250,
						       .clock = &clock.clock });
	yard_spawn(&yard, 3);
	yard_await(&yard, 3);
	gate_open(&yard.gates[1], true);
	while (!figures_of(&yard).failed)
		sched_yield();
	patient_clock_let(&clock, 5 * SECOND + 250 * MS);
	error = sonde_group_wait(&yard.group);
	assert_int_equal(patient_clock_now_ns(&clock), 5 * SECOND + 250 * MS);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_timeout);
	assert_string_equal(sonde_error_message(error), "the group \"yard\" was not done in time");
	assert_string_equal(sonde_error_message(sonde_error_cause(error)), "gate 1");
	sonde_error_free(error);
	assert_string_equal(yard.told.to, "late");
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

static void test_deadline_of_the_context_ends_it(void **state)
{
	struct patient_clock clock;
	struct yard yard;

	(void)state;
	patient_clock_init(&clock, 5 * SECOND);
	yard_init(&yard, (struct sonde_group_options){ .clock = &clock.clock });
	yard_spawn(&yard, 1);
	yard_await(&yard, 1);
	patient_clock_let(&clock, 6 * SECOND);
	{
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

		sonde_deadline_begin_at(&deadline, 6 * SECOND);
		error_expect(sonde_group_wait(&yard.group), &sonde_timeout);
	}
	sonde_group_deinit(&yard.group);
}

static struct sonde_error *look_at_the_context(void *argument)
{
	*(struct sonde_context *)argument = sonde_context_current();
	return NULL;
}

static void test_tasks_have_the_spawners_context_and_the_sooner_deadline(void **state)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	struct sonde_context seen[2];
	struct sonde_group group;
	uint64_t now_ns = sonde__monotonic_ns();

	(void)state;
	memset(context.trace_id, 7, sizeof(context.trace_id));
	memset(context.span_id, 9, sizeof(context.span_id));
	SONDE_CONTEXT_SCOPE(&context);
	assert_int_equal(sonde_group_init(&group,
					  &(struct sonde_group_options){ .limit_ms = 60000 }),
			 SONDE_OK);
	sonde_group_spawn(&group, NULL, look_at_the_context, &seen[0], NULL);
	{
		SONDE_DEADLINE(30000);
		sonde_group_spawn(&group, NULL, look_at_the_context, &seen[1], NULL);
	}
	assert_null(sonde_group_wait(&group));
	for (size_t i = 0; i < 2; i++) {
		uint64_t limit_ns = (i ? 30 : 60) * SECOND;

		assert_memory_equal(seen[i].trace_id, context.trace_id, 16);
		assert_memory_equal(seen[i].span_id, context.span_id, 8);
		assert_in_range(sonde_context_deadline_ns(&seen[i]), now_ns + limit_ns,
				now_ns + limit_ns + 20 * SECOND);
	}
	sonde_group_deinit(&group);
}

static void test_task_whose_deadline_is_over_never_begins(void **state)
{
	struct patient_clock clock;
	struct yard yard;
	struct sonde_group_result result;

	(void)state;
	patient_clock_init(&clock, 5 * SECOND);
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL,
						       .max_running = 1,
						       .clock = &clock.clock });
	yard_spawn(&yard, 1);
	{
		SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

		sonde_deadline_begin_at(&deadline, 6 * SECOND);
		assert_int_equal(sonde_group_spawn(&yard.group, NULL, gate_pass, &yard.gates[1],
						   NULL),
				 SONDE_OK);
	}
	yard_await(&yard, 1);
	atomic_store(&clock.now_ns, 6 * SECOND);
	gate_open(&yard.gates[0], false);
	assert_int_equal(sonde_group_gather(&yard.group), 1);
	assert_int_equal(sonde_group_result(&yard.group, 1, &result), SONDE_OK);
	assert_false(result.has_run);
	error_expect(sonde_group_take(&yard.group, 1), &sonde_timeout);
	assert_false(gate_has_begun(&yard.gates[1]));
	assert_int_equal(yard.told.n[SONDE_OBSERVED_REJECTION], 1);
	sonde_group_deinit(&yard.group);
}

static void test_cancel_is_the_outcome_where_it_was_heeded(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	yard_spawn(&yard, 1);
	sonde_group_cancel(&yard.group, "enough");
	error_expect(sonde_group_wait(&yard.group), &sonde_cancelled);
	sonde_group_deinit(&yard.group);

	yard_init(&yard, (struct sonde_group_options){ 0 });
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, gate_pass, &yard.gates[1], NULL),
			 SONDE_OK);
	gate_await(&yard.gates[1]);
	sonde_group_cancel(&yard.group, "enough");
	gate_open(&yard.gates[1], false);
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
}

static atomic_int n_begun;

/* As a retry does, which is told while it waits for its next attempt. */
static struct sonde_error *answer_with_what_was_found(void *argument)
{
	struct sonde_cancel *token = sonde_group_token(argument);
	struct pollfd poll_fd = { .fd = sonde_cancel_fd(token), .events = POLLIN };
	struct sonde_error *error = sonde_error_raise(&sonde_unavailable, "no answer");

	atomic_fetch_add(&n_begun, 1);
	while (poll(&poll_fd, 1, -1) != 1)
		;
	return sonde_error_wrap(error, &sonde_cancelled, "between two attempts");
}

static struct sonde_error *end_badly(void *argument)
{
	(void)argument;
	return sonde_error_raise(&sonde_conflict, "taken");
}

static void test_what_an_answer_had_found_is_the_cause(void **state)
{
	struct sonde_error *error;
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	for (int i = 0; i < 2; i++)
		assert_int_equal(sonde_group_spawn(&yard.group, NULL, answer_with_what_was_found,
						   &yard.group, NULL),
				 SONDE_OK);
	while (n_begun < 2)
		sched_yield();
	sonde_group_cancel(&yard.group, "enough");
	error = sonde_group_wait(&yard.group);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_cancelled);
	assert_string_equal(sonde_error_message(error),
			    "the group \"yard\" was cancelled: enough");
	assert_int_equal(figures_of(&yard).cancelled, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(sonde_error_message(sonde_error_cause(sonde_error_joined(
					    sonde_error_cause(error), i))),
				    "no answer");
	sonde_error_free(error);
	sonde_group_deinit(&yard.group);

	/* An error that decided says more. */
	yard_init(&yard, (struct sonde_group_options){ 0 });
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, answer_with_what_was_found,
					   &yard.group, NULL),
			 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, end_badly, NULL, NULL), SONDE_OK);
	error = sonde_group_wait(&yard.group);
	assert_string_equal(sonde_error_message(error), "taken");
	assert_null(sonde_error_cause(error));
	sonde_error_free(error);
	sonde_group_deinit(&yard.group);
}

static void test_spawn_into_a_cancelled_group_never_begins(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	sonde_group_cancel(&yard.group, NULL);
	yard_spawn(&yard, 3);
	assert_int_equal(figures_of(&yard).cancelled, 3);
	error_expect(sonde_group_take(&yard.group, 1), &sonde_cancelled);
	error_expect(sonde_group_wait(&yard.group), &sonde_cancelled);
	assert_false(gate_has_begun(&yard.gates[0]));
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

#ifdef SONDE_TESTPOINTS
/* A thread of a group that has looked whether it was told to end, and has not taken a task yet. */
static struct {
	struct sonde_group group;
	struct gate gates[2];
	struct sonde__parker looked;
	struct sonde__parker goes_on;
	_Atomic bool is_armed;
} late;

static void meet_late(const char *name)
{
	struct sonde_group_figures figures;

	if (!strcmp(name, "group-looked") &&
	    atomic_exchange_explicit(&late.is_armed, false, memory_order_acq_rel)) {
		sonde__unpark(&late.looked);
		(void)sonde__park(&late.goes_on, NULL, SONDE__NEVER, NULL);
	} else if (!strcmp(name, "group-spawned") && late.gates[1].number) {
		sonde__unpark(&late.goes_on);
		do
			sonde_group_figures(&late.group, &figures);
		while (!figures.cancelled && !gate_has_begun(&late.gates[1]));
	}
}

static void test_what_is_spawned_after_the_end_never_begins(void **state)
{
	struct sonde_group_figures figures;

	(void)state;
	memset(&late, 0, sizeof(late));
	sonde__parker_init(&late.looked);
	sonde__parker_init(&late.goes_on);
	gate_init(&late.gates[0], 0, NULL);
	sonde_group_init(&late.group, &(struct sonde_group_options){ .max_running = 1 });
	assert_int_equal(sonde_group_spawn(&late.group, NULL, gate_pass, &late.gates[0], NULL),
			 SONDE_OK);
	gate_await(&late.gates[0]);
	atomic_store_explicit(&late.is_armed, true, memory_order_release);
	__atomic_store_n(&sonde__testpoint_hook, meet_late, __ATOMIC_RELEASE);
	gate_open(&late.gates[0], /* fails= */ false);
	assert_int_equal(sonde__park(&late.looked, NULL, SONDE__NEVER, NULL), SONDE__WOKEN);
	sonde_group_cancel(&late.group, NULL);
	gate_init(&late.gates[1], 1, NULL);
	assert_int_equal(sonde_group_spawn(&late.group, NULL, gate_pass, &late.gates[1], NULL),
			 SONDE_OK);
	__atomic_store_n(&sonde__testpoint_hook, NULL, __ATOMIC_RELEASE);
	assert_false(gate_has_begun(&late.gates[1]));
	sonde_group_figures(&late.group, &figures);
	assert_int_equal(figures.cancelled, 1);
	sonde_group_deinit(&late.group);
}
#endif

static void test_parents_token_fires_the_childs(void **state)
{
	struct yard outer;
	struct yard inner;

	(void)state;
	yard_init(&outer, (struct sonde_group_options){ 0 });
	yard_init(&inner, (struct sonde_group_options){ .parent = &outer.group });
	yard_spawn(&inner, 1);
	gate_await(&inner.gates[0]);
	sonde_group_cancel(&outer.group, NULL);
	error_expect(sonde_group_wait(&inner.group), &sonde_cancelled);
	assert_string_equal(inner.told.to, "cancelled");
	sonde_group_deinit(&inner.group);
	/* And the child's only the child. */
	yard_init(&outer, (struct sonde_group_options){ 0 });
	yard_init(&inner, (struct sonde_group_options){
				  .cancel = sonde_group_token(&outer.group) });
	sonde_group_cancel(&inner.group, NULL);
	assert_false(sonde_cancel_is_fired(sonde_group_token(&outer.group)));
	sonde_group_deinit(&inner.group);
	sonde_group_deinit(&outer.group);
}

struct nest {
	struct sonde_group *parent;
	struct gate gate;
};

static struct sonde_error *make_a_group(void *argument)
{
	SONDE_GROUP_AUTODEINIT struct sonde_group group;
	struct nest *nest = argument;

	sonde_group_init(&group, &(struct sonde_group_options){ .parent = nest->parent });
	gate_init(&nest->gate, 0, sonde_group_token(&group));
	sonde_group_spawn(&group, "inner", gate_pass, &nest->gate, NULL);
	return sonde_group_wait(&group);
}

static void test_failure_reaches_groups_inside_tasks(void **state)
{
	struct yard yard;
	struct nest nest = { .parent = &yard.group };
	struct sonde_error *error;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	assert_int_equal(sonde_group_spawn(&yard.group, "nest", make_a_group, &nest, NULL),
			 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&yard.group, "gate", gate_pass, &yard.gates[1], NULL),
			 SONDE_OK);
	gate_open(&yard.gates[1], true);
	error = sonde_group_wait(&yard.group);
	assert_string_equal(sonde_error_message(error), "gate 1");
	sonde_error_free(error);
	assert_int_equal(figures_of(&yard).cancelled, 1);
	sonde_group_deinit(&yard.group);
}

static struct sonde_error *end_the_thread(void *argument)
{
	(void)argument;
	pthread_exit(NULL);
}

static void test_task_that_ends_its_thread_has_failed(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL, .max_running = 1 });
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, end_the_thread, NULL, NULL),
			 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, gate_pass, &yard.gates[1], NULL),
			 SONDE_OK);
	gate_open(&yard.gates[1], false);
	error_expect(sonde_group_wait(&yard.group), &sonde_internal);
	assert_int_equal(figures_of(&yard).succeeded, 1);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_RUN], 2);
	sonde_group_deinit(&yard.group);
}

/* ---- Nothing outlives it --------------------------------------------------------------------- */

static void leave_early(struct gate *gates, struct told *told)
{
	struct sonde_observer observer = { told_hear, told };
	SONDE_GROUP_AUTODEINIT struct sonde_group group;

	sonde_group_init(&group, &(struct sonde_group_options){ .observer = &observer });
	for (unsigned i = 0; i < 2; i++) {
		gate_init(&gates[i], i, sonde_group_token(&group));
		sonde_group_spawn(&group, NULL, gate_pass, &gates[i], NULL);
		gate_await(&gates[i]);
	}
}

static void test_end_of_the_block_tells_and_waits(void **state)
{
	struct told told = { 0 };
	struct gate gates[2];

	(void)state;
	leave_early(gates, &told);
	assert_int_equal(told.n[SONDE_OBSERVED_RUN], 2);
	assert_int_equal(told.n[SONDE_OBSERVED_ORPHAN], 0);
	assert_string_equal(told.to, "cancelled");
}

/* Opens the gate when it hears that somebody is slow. */
struct opener {
	struct gate *gate;
	struct told told;
};

static void open_at_stall(void *user, const struct sonde_observation *observation)
{
	struct opener *opener = user;

	told_hear(&opener->told, observation);
	if (observation->what == SONDE_OBSERVED_STALL) {
		assert_non_null(strstr(sonde_error_message(observation->error),
				       "1 tasks still run 10 s after they were told to end; "
				       "the first is \"stubborn\""));
		gate_open(opener->gate, false);
	}
}

static void test_slow_leave_is_told_after_ten_seconds_by_default(void **state)
{
	struct patient_clock clock;
	struct gate gate;
	struct opener opener = { .gate = &gate };
	struct sonde_observer observer = { open_at_stall, &opener };
	struct sonde_group group;

	(void)state;
	patient_clock_init(&clock, 5 * SECOND);
	patient_clock_let(&clock, 3600 * SECOND);
	gate_init(&gate, 0, NULL);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
							  .clock = &clock.clock,
							  .observer = &observer }),
			 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, "stubborn", gate_pass, &gate, NULL), SONDE_OK);
	gate_await(&gate);
	sonde_group_cancel(&group, NULL);
	assert_null(sonde_group_wait(&group));
	assert_int_equal(patient_clock_now_ns(&clock), 15 * SECOND);
	assert_int_equal(opener.told.n[SONDE_OBSERVED_STALL], 1);
	assert_int_equal(opener.told.n[SONDE_OBSERVED_RECOVERY], 1);
	sonde_group_deinit(&group);
}

static struct sonde_error *wait_inside(void *argument)
{
	struct sonde_group *group = argument;
	struct sonde_group_result result;

	sonde_group_deinit(group);
	if (sonde_group_next(group, &result) || sonde_group_gather(group))
		return NULL;
	return sonde_group_wait(group);
}

static void test_no_task_waits_for_its_own_group(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, wait_inside, &yard.group, NULL),
			 SONDE_OK);
	error_expect(sonde_group_wait(&yard.group), &sonde_internal);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 1);
	sonde_group_deinit(&yard.group);
}

static struct sonde_error *never_run(void *argument)
{
	(void)argument;
	return sonde_error_raise(&sonde_internal, "it was run");
}

/* Whose observer returns once the result was asked for. */
struct refusal {
	_Atomic bool is_refused;
	_Atomic bool is_read;
};

/* Relaxed, all: nothing but the group's own lock is to order what the two threads do. */
static void hold_the_refusal(void *user, const struct sonde_observation *observation)
{
	struct refusal *refusal = user;

	if (observation->what != SONDE_OBSERVED_REJECTION)
		return;
	atomic_store_explicit(&refusal->is_refused, true, memory_order_relaxed);
	while (!atomic_load_explicit(&refusal->is_read, memory_order_relaxed))
		sched_yield();
}

/* For the thread sanitizer above all. */
static void test_result_of_a_late_task_may_be_asked_for_meanwhile(void **state)
{
	struct refusal refusal = { .is_read = false };
	const struct sonde_observer observer = { hold_the_refusal, &refusal };
	struct sonde_group_result result;
	struct sonde_group group;

	(void)state;
	sonde_group_init(&group, &(struct sonde_group_options){ .observer = &observer });
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 1;
	assert_int_equal(sonde_group_spawn(&group, NULL, never_run, NULL, NULL), SONDE_OK);
	sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE] = 0;
	while (!atomic_load_explicit(&refusal.is_refused, memory_order_relaxed))
		sched_yield();
	assert_int_equal(sonde_group_result(&group, 0, &result), SONDE_OK);
	assert_false(result.has_ended);
	atomic_store_explicit(&refusal.is_read, true, memory_order_relaxed);
	error_expect(sonde_group_wait(&group), &sonde_timeout);
	assert_int_equal(sonde_group_result(&group, 0, &result), SONDE_OK);
	assert_true(result.has_ended && !result.has_run);
	sonde_group_deinit(&group);
}

static struct sonde_error *do_nothing(void *argument)
{
	(void)argument;
	return NULL;
}

/* What a look at one costs does not grow with how many there were: else this takes minutes. */
static void test_each_of_very_many_is_returned(void **state)
{
	struct sonde_group_result result;
	struct sonde_group group;
	unsigned n = 0;

	(void)state;
	sonde_group_init(&group, &(struct sonde_group_options){ .max_tasks = 1u << 16,
								.max_running = 2 });
	for (unsigned i = 0; i < 1u << 16; i++)
		assert_int_equal(sonde_group_spawn(&group, NULL, do_nothing, NULL, NULL), SONDE_OK);
	while (sonde_group_next(&group, &result))
		n++;
	assert_int_equal(n, 1u << 16);
	sonde_group_deinit(&group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_ends_it_with_the_errors_as_cause),
		cmocka_unit_test(test_deadline_of_the_context_ends_it),
		cmocka_unit_test(test_tasks_have_the_spawners_context_and_the_sooner_deadline),
		cmocka_unit_test(test_task_whose_deadline_is_over_never_begins),
		cmocka_unit_test(test_cancel_is_the_outcome_where_it_was_heeded),
		cmocka_unit_test(test_what_an_answer_had_found_is_the_cause),
		cmocka_unit_test(test_spawn_into_a_cancelled_group_never_begins),
#ifdef SONDE_TESTPOINTS
		cmocka_unit_test(test_what_is_spawned_after_the_end_never_begins),
#endif
		cmocka_unit_test(test_parents_token_fires_the_childs),
		cmocka_unit_test(test_failure_reaches_groups_inside_tasks),
		cmocka_unit_test(test_task_that_ends_its_thread_has_failed),
		cmocka_unit_test(test_end_of_the_block_tells_and_waits),
		cmocka_unit_test(test_slow_leave_is_told_after_ten_seconds_by_default),
		cmocka_unit_test(test_no_task_waits_for_its_own_group),
		cmocka_unit_test(test_result_of_a_late_task_may_be_asked_for_meanwhile),
		cmocka_unit_test(test_each_of_very_many_is_returned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
