/* SPDX-License-Identifier: Apache-2.0 */

/* Groups: what each mode makes of errors and successes, results, and limits. */

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sonde/group.h>

#include "support/yard.h"

/* ---- What comes of it ------------------------------------------------------------------------ */

static void test_all_go_well(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	yard_spawn(&yard, 5);
	for (unsigned i = 0; i < 5; i++)
		gate_open(&yard.gates[i], false);
	assert_null(sonde_group_wait(&yard.group));
	assert_int_equal(figures_of(&yard).succeeded, 5);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_RUN], 5);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_STATE], 0);
	assert_false(sonde_cancel_is_fired(sonde_group_token(&yard.group)));
	assert_int_equal(sonde_group_spawn(&yard.group, "gate", gate_pass, NULL, NULL),
			 SONDE_E_CLOSED);
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
	sonde_group_deinit(&yard.group);
}

static void test_nothing_to_wait_for(void **state)
{
	static const enum sonde_group_mode modes[] = { SONDE_GROUP_FAIL_FAST, SONDE_GROUP_ALL,
						       SONDE_GROUP_FIRST_SUCCESS };
	struct sonde_group_result result;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		SONDE_GROUP_AUTODEINIT struct sonde_group group;

		assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
								  .mode = modes[i] }),
				 SONDE_OK);
		assert_false(sonde_group_next(&group, &result));
		assert_int_equal(sonde_group_gather(&group), 0);
		assert_null(sonde_group_wait(&group));
	}
}

static void test_first_error_ends_the_others_by_default(void **state)
{
	struct yard yard;
	struct sonde_error *error;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .max_running = 4 });
	yard_spawn(&yard, 8);
	yard_await(&yard, 4);
	gate_open(&yard.gates[3], true);
	/* 0 and 2 heed, 4 to 7 never begin, 1 does as it likes. */
	while (figures_of(&yard).running > 1)
		sched_yield();
	assert_int_equal(figures_of(&yard).cancelled, 6);
	gate_open(&yard.gates[1], false);
	error = sonde_group_wait(&yard.group);
	assert_string_equal(sonde_error_message(error), "gate 3");
	assert_ptr_equal(sonde_error_type_of(error), &sonde_external_service);
	sonde_error_free(error);
	assert_false(gate_has_begun(&yard.gates[4]));
	assert_string_equal(yard.told.to, "failing");
	assert_int_equal(yard.told.n[SONDE_OBSERVED_STATE], 1);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_RUN], 4);
	assert_int_equal(yard.told.n_items[SONDE_OBSERVED_DROP], 4);
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

static void test_further_errors_are_joined_behind_the_first(void **state)
{
	struct yard yard;
	struct sonde_error *error;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	yard_spawn(&yard, 6);
	yard_await(&yard, 6);
	gate_open(&yard.gates[5], true);
	while (figures_of(&yard).cancelled < 3)
		sched_yield();
	gate_open(&yard.gates[1], true);
	gate_open(&yard.gates[3], true);
	error = sonde_group_wait(&yard.group);
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 0)), "gate 5");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 1)), "gate 1");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 2)), "gate 3");
	assert_null(sonde_error_joined(error, 3));
	sonde_error_free(error);
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

static void test_gather_keeps_every_error_by_its_index(void **state)
{
	struct yard yard;
	struct sonde_group_result result;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL });
	yard_spawn(&yard, 4);
	for (unsigned i = 4; i--;)
		gate_open(&yard.gates[i], i > 1);
	assert_int_equal(sonde_group_gather(&yard.group), 2);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(sonde_group_result(&yard.group, i, &result), SONDE_OK);
		assert_true(result.has_ended && result.has_run);
		assert_int_equal(result.index, i);
		assert_string_equal(result.name, "gate");
		assert_ptr_equal(result.argument, &yard.gates[i]);
		assert_int_equal(result.error != NULL, i > 1);
	}
	assert_int_equal(sonde_group_result(&yard.group, 4, &result), SONDE_E_NOT_FOUND);
	error_expect(sonde_group_take(&yard.group, 2), &sonde_external_service);
	assert_null(sonde_group_take(&yard.group, 2));
	assert_null(sonde_group_take(&yard.group, 0));
	assert_null(sonde_group_take(&yard.group, 99));
	sonde_group_deinit(&yard.group);
	/* The one that nobody took. */
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 1);
	assert_int_equal(yard.told.n_orphans_of[3], 1);
}

static void test_first_success_ends_the_others(void **state)
{
	struct yard yard;
	size_t winner;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_FIRST_SUCCESS });
	yard_spawn(&yard, 4);
	yard_await(&yard, 4);
	gate_open(&yard.gates[1], true);
	while (!figures_of(&yard).failed)
		sched_yield();
	assert_int_equal(sonde_group_winner(&yard.group, &winner), SONDE_E_NOT_FOUND);
	gate_open(&yard.gates[3], false);
	assert_null(sonde_group_wait(&yard.group));
	assert_int_equal(sonde_group_winner(&yard.group, &winner), SONDE_OK);
	assert_int_equal(winner, 3);
	assert_string_equal(yard.told.to, "won");
	assert_int_equal(figures_of(&yard).cancelled, 2);
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 1);
	assert_int_equal(yard.told.n_orphans_of[1], 1);
}

static void test_no_success_joins_all_errors(void **state)
{
	struct yard yard;
	struct sonde_error *error;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_FIRST_SUCCESS });
	yard_spawn(&yard, 3);
	for (unsigned i = 0; i < 3; i++)
		gate_open(&yard.gates[i], true);
	error = sonde_group_wait(&yard.group);
	assert_non_null(sonde_error_joined(error, 2));
	sonde_error_free(error);
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

static void test_next_gives_them_as_they_end(void **state)
{
	static const unsigned order[] = { 2, 0, 3, 1 };
	struct sonde_group_result result;
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL });
	yard_spawn(&yard, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(sonde_group_try_next(&yard.group, &result), SONDE_INCOMPLETE);
		gate_open(&yard.gates[order[i]], i == 1);
		assert_true(sonde_group_next(&yard.group, &result));
		assert_int_equal(result.index, order[i]);
		if (i == 1)
			error_expect(result.error, &sonde_external_service);
		else
			assert_null(result.error);
	}
	assert_false(sonde_group_next(&yard.group, &result));
	/* It goes on for as long as nobody waits for all. */
	assert_int_equal(sonde_group_spawn(&yard.group, NULL, gate_pass, &yard.gates[4], NULL),
			 SONDE_OK);
	gate_open(&yard.gates[4], true);
	assert_true(sonde_group_next(&yard.group, &result));
	assert_null(result.name);
	sonde_error_free(result.error);
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
	assert_int_equal(yard.told.n[SONDE_OBSERVED_ORPHAN], 0);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

static void test_loop_polls_a_descriptor(void **state)
{
	struct sonde_group_result result;
	struct yard yard;
	int fd;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ .mode = SONDE_GROUP_ALL });
	fd = sonde_group_fd(&yard.group);
	assert_true(fd >= 0);
	assert_int_equal(sonde_group_fd(&yard.group), fd);
	yard_spawn(&yard, 2);
	assert_false(is_readable(fd, 0));
	for (unsigned i = 0; i < 2; i++) {
		gate_open(&yard.gates[i], false);
		assert_true(is_readable(fd, 10000));
		assert_int_equal(sonde_group_try_next(&yard.group, &result), SONDE_OK);
		assert_int_equal(sonde_group_try_next(&yard.group, &result),
				 i ? SONDE_E_NOT_FOUND : SONDE_INCOMPLETE);
		assert_false(is_readable(fd, 0));
	}
	sonde_group_deinit(&yard.group);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void test_thirty_two_run_at_a_time_by_default(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard, (struct sonde_group_options){ 0 });
	yard_spawn(&yard, GATES);
	while (figures_of(&yard).running < 32)
		sched_yield();
	yard_await(&yard, 32);
	assert_int_equal(figures_of(&yard).running, 32);
	assert_int_equal(figures_of(&yard).queued, GATES - 32);
	assert_false(gate_has_begun(&yard.gates[32]));
	for (unsigned i = 0; i < GATES; i++)
		gate_open(&yard.gates[i], false);
	assert_null(sonde_group_wait(&yard.group));
	sonde_group_deinit(&yard.group);
}

static struct sonde_error *do_nothing(void *argument)
{
	(void)argument;
	return NULL;
}

static void spawn_up_to(uint32_t max_tasks, unsigned n)
{
	struct sonde_group group;

	assert_int_equal(sonde_group_init(&group,
					  &(struct sonde_group_options){ .max_running = 2,
									 .max_tasks = max_tasks }),
			 SONDE_OK);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(sonde_group_spawn(&group, NULL, do_nothing, NULL, NULL),
				 SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, NULL, do_nothing, NULL, NULL),
			 SONDE_E_LIMITED);
	assert_null(sonde_group_wait(&group));
	sonde_group_deinit(&group);
}

static void test_tasks_are_limited_to_4096_by_default(void **state)
{
	(void)state;
	spawn_up_to(0, 4096);
	spawn_up_to(1, 1);
	spawn_up_to(17, 17);
}

static void test_owner_runs_them_where_no_thread_can_be_had(void **state)
{
	struct sonde_group_result result;
	struct yard yard;

	(void)state;
	/* No address space has room for such a stack. */
	yard_init(&yard, (struct sonde_group_options){ .stack_size = (size_t)1 << 50 });
	yard_spawn(&yard, 3);
	for (unsigned i = 0; i < 3; i++)
		gate_open(&yard.gates[i], false);
	assert_int_equal(figures_of(&yard).queued, 3);
	assert_true(sonde_group_next(&yard.group, &result));
	assert_int_equal(result.index, 0);
	assert_null(sonde_group_wait(&yard.group));
	assert_int_equal(figures_of(&yard).succeeded, 3);
	sonde_group_deinit(&yard.group);
}

static void test_options_that_are_none(void **state)
{
	struct sonde_group group;
	struct sonde_cancel cancel;
	struct sonde_group_result result;

	(void)state;
	assert_int_equal(sonde_group_init(NULL, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
							  .mode = (enum sonde_group_mode)3 }),
			 SONDE_E_INVALID);
	sonde_group_deinit(&group);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
							  .max_tasks = (1 << 20) + 1 }),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_group_init(&group, &(struct sonde_group_options){
							  .parent = &group, .cancel = &cancel }),
			 SONDE_E_INVALID);
	sonde_group_deinit(NULL);
	sonde_group_cancel(NULL, NULL);
	assert_null(sonde_group_token(NULL));
	assert_int_equal(sonde_group_spawn(NULL, NULL, do_nothing, NULL, NULL), SONDE_E_INVALID);
	error_expect(sonde_group_wait(NULL), &sonde_closed);
	assert_int_equal(sonde_group_gather(NULL), 0);
	assert_false(sonde_group_next(NULL, &result));
	assert_int_equal(sonde_group_init(&group, NULL), SONDE_OK);
	assert_int_equal(sonde_group_spawn(&group, NULL, NULL, NULL, NULL), SONDE_E_INVALID);
	sonde_group_deinit(&group);
}

struct brood {
	struct sonde_group *group;
	_Atomic unsigned *n_run;
	unsigned depth;
};

static struct brood broods[4];

static struct sonde_error *spawn_more(void *argument)
{
	struct brood *brood = argument;

	atomic_fetch_add_explicit(brood->n_run, 1, memory_order_relaxed);
	for (unsigned i = 0; brood->depth < 3 && i < 3; i++)
		if (sonde_group_spawn(brood->group, NULL, spawn_more, &broods[brood->depth + 1],
				      NULL) < 0)
			return sonde_error_raise(&sonde_internal, "not spawned");
	return NULL;
}

static void test_tasks_spawn_into_their_own_group(void **state)
{
	_Atomic unsigned n_run = 0;
	struct sonde_group group;

	(void)state;
	sonde_group_init(&group, &(struct sonde_group_options){ .max_running = 3 });
	for (unsigned i = 0; i < 4; i++)
		broods[i] = (struct brood){ &group, &n_run, i };
	assert_int_equal(sonde_group_spawn(&group, NULL, spawn_more, &broods[0], NULL), SONDE_OK);
	assert_null(sonde_group_wait(&group));
	assert_int_equal(n_run, 1 + 3 + 9 + 27);
	sonde_group_deinit(&group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_go_well),
		cmocka_unit_test(test_nothing_to_wait_for),
		cmocka_unit_test(test_first_error_ends_the_others_by_default),
		cmocka_unit_test(test_further_errors_are_joined_behind_the_first),
		cmocka_unit_test(test_gather_keeps_every_error_by_its_index),
		cmocka_unit_test(test_first_success_ends_the_others),
		cmocka_unit_test(test_no_success_joins_all_errors),
		cmocka_unit_test(test_next_gives_them_as_they_end),
		cmocka_unit_test(test_loop_polls_a_descriptor),
		cmocka_unit_test(test_tasks_spawn_into_their_own_group),
		cmocka_unit_test(test_thirty_two_run_at_a_time_by_default),
		cmocka_unit_test(test_tasks_are_limited_to_4096_by_default),
		cmocka_unit_test(test_owner_runs_them_where_no_thread_can_be_had),
		cmocka_unit_test(test_options_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
