/* SPDX-License-Identifier: Apache-2.0 */

/* Exit stacks: what is run, in which order, whatever fails, and what becomes of the errors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/deadline.h>
#include <sonde/exit_stack.h>

#include "support/sequence.h"
#include "support/virtual_clock.h"

/* Memory that gives out, where the test says so. */
static bool has_memory = true;

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
	return has_memory ? __real_realloc(memory, size) : NULL;
}

static char record[256]; /* A letter for each call. */

/* What is pushed: the text of one letter. */
static char *letter(char c)
{
	static char letters[128][2];

	letters[(unsigned char)c][0] = c;
	return letters[(unsigned char)c];
}

static void record_clear(void)
{
	record[0] = '\0';
}

static void note(void *argument)
{
	size_t size = strlen(record);

	snprintf(record + size, sizeof(record) - size, "%s", (const char *)argument);
}

static struct sonde_error *operate_badly(void *argument)
{
	note(argument);
	return sonde_error_raise(&sonde_conflict, "%s failed", (const char *)argument);
}

static struct sonde_error *operate_well(void *argument)
{
	note(argument);
	return NULL;
}

struct seen {
	uint32_t n_runs;
	uint32_t n_orphans;
	char text[512];
};

static void see(void *user, const struct sonde_observation *observation)
{
	struct seen *seen = user;

	assert_int_equal(observation->pattern, SONDE_PATTERN_CLEANUP);
	seen->n_runs += observation->what == SONDE_OBSERVED_RUN;
	seen->n_orphans += observation->what == SONDE_OBSERVED_ORPHAN;
	sonde_error_format_chain(observation->error, seen->text, sizeof(seen->text));
}

static void test_runs_in_reverse(void **state)
{
	struct sonde_exit_stack stack;

	(void)state;
	record_clear();
	assert_int_equal(sonde_exit_stack_init(&stack, NULL), SONDE_OK);
	assert_int_equal(sonde_exit_stack_push(&stack, note, letter('a')), SONDE_OK);
	assert_int_equal(sonde_exit_stack_push_operation(&stack, operate_well, letter('b')),
			 SONDE_OK);
	assert_int_equal(sonde_exit_stack_push(&stack, note, letter('c')), SONDE_OK);
	assert_int_equal(sonde_exit_stack_count(&stack), 3);
	assert_null(sonde_exit_stack_close(&stack, NULL));
	assert_string_equal(record, "cba");
	assert_null(sonde_exit_stack_close(&stack, NULL));
	sonde_exit_stack_push(&stack, note, letter('d'));
	assert_null(sonde_exit_stack_close(&stack, NULL));
	sonde_exit_stack_deinit(&stack);
	assert_string_equal(record, "cbad");
}

static void test_joins_what_fails_to_the_first_error(void **state)
{
	struct sonde_exit_stack_options options = { .name = "order" };
	struct sonde_observer observer;
	struct sonde_exit_stack stack;
	struct sonde_error *error;
	struct seen seen = { 0 };

	(void)state;
	record_clear();
	observer = (struct sonde_observer){ see, &seen };
	options.observer = &observer;
	sonde_exit_stack_init(&stack, &options);
	sonde_exit_stack_push_operation(&stack, operate_badly, letter('a'));
	sonde_exit_stack_push(&stack, note, letter('b'));
	sonde_exit_stack_push_operation(&stack, operate_badly, letter('c'));
	error = sonde_exit_stack_close(&stack, sonde_error_raise(&sonde_not_found, "the work"));
	assert_string_equal(record, "cba");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 0)), "the work");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 1)), "c failed");
	assert_string_equal(sonde_error_message(sonde_error_joined(error, 2)), "a failed");
	assert_null(sonde_error_joined(error, 3));
	assert_int_equal(seen.n_runs, 2);
	assert_int_equal(seen.n_orphans, 0);
	sonde_error_free(error);
	sonde_exit_stack_deinit(&stack);
}

static void test_one_error_stays_itself(void **state)
{
	struct sonde_error *work = sonde_error_raise(&sonde_not_found, "the work");
	struct sonde_exit_stack stack;
	struct sonde_error *error;

	(void)state;
	sonde_exit_stack_init(&stack, NULL);
	sonde_exit_stack_push_operation(&stack, operate_well, letter('a'));
	assert_ptr_equal(sonde_exit_stack_close(&stack, work), work);
	assert_ptr_equal(sonde_exit_stack_close(NULL, work), work);
	sonde_error_free(work);
	sonde_exit_stack_push_operation(&stack, operate_badly, letter('a'));
	error = sonde_exit_stack_close(&stack, NULL);
	assert_ptr_equal(sonde_error_type_of(error), &sonde_conflict);
	sonde_error_free(error);
}

static void test_undoes_only_what_failed(void **state)
{
	struct sonde_exit_stack stack;
	struct sonde_error *error;

	(void)state;
	record_clear();
	sonde_exit_stack_init(&stack, NULL);
	sonde_exit_stack_push_undo(&stack, note, letter('u'));
	sonde_exit_stack_push(&stack, note, letter('a'));
	assert_null(sonde_exit_stack_close(&stack, NULL));
	assert_string_equal(record, "a");
	/* What is to make it final fails: all before it is undone, nothing after it. */
	sonde_exit_stack_push_undo(&stack, note, letter('v'));
	sonde_exit_stack_push_operation(&stack, operate_badly, letter('c'));
	sonde_exit_stack_push_undo(&stack, note, letter('w'));
	error = sonde_exit_stack_close(&stack, NULL);
	assert_string_equal(record, "acv");
	sonde_error_free(error);
	sonde_exit_stack_push_undo(&stack, note, letter('x'));
	error = sonde_exit_stack_close(&stack, sonde_error_raise(&sonde_not_found, "the work"));
	assert_string_equal(record, "acvx");
	sonde_error_free(error);
}

static void leave_early(struct sonde_observer *observer)
{
	struct sonde_exit_stack_options options = { .name = "order", .observer = observer };
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;

	sonde_exit_stack_init(&stack, &options);
	sonde_exit_stack_push_undo(&stack, note, letter('u'));
	sonde_exit_stack_push_operation(&stack, operate_badly, letter('a'));
}

static void test_left_without_a_result_has_failed(void **state)
{
	struct seen seen = { 0 };
	struct sonde_observer observer = { see, &seen };

	(void)state;
	record_clear();
	leave_early(&observer);
	assert_string_equal(record, "au");
	assert_int_equal(seen.n_orphans, 1);
	assert_non_null(strstr(seen.text, "a failed"));
}

static void test_hands_over(void **state)
{
	struct sonde_exit_stack from;
	struct sonde_exit_stack to;

	(void)state;
	record_clear();
	sonde_exit_stack_init(&from, NULL);
	sonde_exit_stack_init(&to, NULL);
	sonde_exit_stack_push(&to, note, letter('a'));
	sonde_exit_stack_push(&from, note, letter('b'));
	sonde_exit_stack_push(&from, note, letter('c'));
	assert_int_equal(sonde_exit_stack_move(&from, &from), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_move(&from, NULL), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_move(NULL, &to), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_move(&from, &to), SONDE_OK);
	assert_int_equal(sonde_exit_stack_count(&from), 0);
	sonde_exit_stack_deinit(&from);
	assert_string_equal(record, "");
	sonde_exit_stack_deinit(&to);
	assert_string_equal(record, "cba");
	sonde_exit_stack_push(&to, note, letter('d'));
	sonde_exit_stack_release(&to);
	sonde_exit_stack_release(NULL);
	sonde_exit_stack_deinit(&to);
	assert_string_equal(record, "cba");
}

static void push_more(void *argument)
{
	note(letter('p'));
	sonde_exit_stack_push(argument, note, letter('q'));
	sonde_exit_stack_push(argument, note, letter('r'));
}

static void close_again(void *argument)
{
	note(letter('('));
	assert_null(sonde_exit_stack_close(argument, NULL));
	note(letter(')'));
}

static void test_what_is_run_may_use_the_stack(void **state)
{
	struct sonde_exit_stack stack;

	(void)state;
	record_clear();
	sonde_exit_stack_init(&stack, NULL);
	sonde_exit_stack_push(&stack, note, letter('a'));
	sonde_exit_stack_push(&stack, push_more, &stack);
	sonde_exit_stack_push(&stack, note, letter('b'));
	assert_null(sonde_exit_stack_close(&stack, NULL));
	assert_string_equal(record, "bprqa");
	record_clear();
	for (int i = 0; i < 20; i++)
		sonde_exit_stack_push(&stack, note, letter('.'));
	sonde_exit_stack_push(&stack, close_again, &stack);
	assert_null(sonde_exit_stack_close(&stack, NULL));
	assert_string_equal(record, "(....................)");
}

static void test_without_memory_it_is_done_at_once(void **state)
{
	struct seen seen = { 0 };
	struct sonde_observer observer = { see, &seen };
	struct sonde_exit_stack_options options = { .observer = &observer };
	struct sonde_exit_stack other;
	struct sonde_exit_stack stack;

	(void)state;
	record_clear();
	sonde_exit_stack_init(&stack, &options);
	sonde_exit_stack_init(&other, NULL);
	has_memory = false;
	for (int i = 0; i < SONDE_EXIT_STACK_SLOTS; i++)
		assert_int_equal(sonde_exit_stack_push(&stack, note, letter('.')), SONDE_OK);
	assert_int_equal(sonde_exit_stack_push(&stack, note, letter('n')), SONDE_E_NOMEM);
	assert_int_equal(sonde_exit_stack_push_undo(&stack, note, letter('u')), SONDE_E_NOMEM);
	assert_int_equal(sonde_exit_stack_push_operation(&stack, operate_badly, letter('f')),
			 SONDE_E_NOMEM);
	assert_string_equal(record, "nuf");
	assert_int_equal(seen.n_orphans, 1);
	sonde_exit_stack_push(&other, note, letter('o'));
	assert_int_equal(sonde_exit_stack_move(&other, &stack), SONDE_E_NOMEM);
	assert_int_equal(sonde_exit_stack_count(&other), 1);
	assert_int_equal(sonde_exit_stack_count(&stack), SONDE_EXIT_STACK_SLOTS);
	has_memory = true;
	assert_int_equal(sonde_exit_stack_move(&other, &stack), SONDE_OK);
	sonde_exit_stack_deinit(&stack);
	assert_string_equal(record, "nufo........");
}

static void test_nonsense(void **state)
{
	struct sonde_exit_stack stack;

	(void)state;
	assert_int_equal(sonde_exit_stack_init(NULL, NULL), SONDE_E_INVALID);
	sonde_exit_stack_init(&stack, NULL);
	assert_int_equal(sonde_exit_stack_push(NULL, note, letter('a')), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_push(&stack, NULL, letter('a')), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_push_undo(&stack, NULL, letter('a')), SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_push_operation(&stack, NULL, letter('a')),
			 SONDE_E_INVALID);
	assert_int_equal(sonde_exit_stack_count(NULL), 0);
	assert_int_equal(sonde_exit_stack_count(&stack), 0);
	sonde_exit_stack_deinit(NULL);
}

struct limits {
	const struct sonde_clock *clock;
	uint64_t left_ns;
};

static void note_what_is_left(void *argument)
{
	struct limits *limits = argument;

	limits->left_ns = sonde_deadline_left_ns(limits->clock);
}

static uint64_t left_at_the_end(uint64_t limit_ms)
{
	struct sonde_exit_stack_options options = { .limit_ms = limit_ms };
	SONDE_EXIT_STACK_AUTODEINIT struct sonde_exit_stack stack;
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct virtual_clock clock;
	struct limits limits;

	virtual_clock_init(&clock, SECOND);
	options.clock = limits.clock = &clock.clock;
	sonde_exit_stack_init(&stack, &options);
	sonde_deadline_begin_ns(&deadline, SECOND, &clock.clock);
	sonde_exit_stack_push(&stack, note_what_is_left, &limits);
	clock.now_ns += 2 * SECOND;
	assert_null(sonde_exit_stack_close(&stack, NULL));
	assert_true(sonde_deadline_is_over(&clock.clock));
	return limits.left_ns;
}

static void test_time_of_its_own(void **state)
{
	(void)state;
	assert_true(left_at_the_end(0) == 0);
	assert_true(left_at_the_end(5000) == 5 * SECOND);
	assert_true(left_at_the_end(UINT64_MAX) == UINT64_MAX);
	assert_true(sonde_deadline_moment_ns() == UINT64_MAX);
}

/* ---- A model --------------------------------------------------------------------------------- */

#define N_STACKS 2
#define CALLS_MAX 4096

struct world;

/* What is pushed; kind as the model has it: always, fails, operate_wells, undoes. */
struct item {
	struct world *world;
	uint32_t id;
	uint32_t kind;
};

struct world {
	struct sonde_exit_stack stacks[N_STACKS];
	struct item items[CALLS_MAX];
	uint32_t n_items;
	/* The model: which items stand in which stack, and what has been called. */
	uint32_t pushed[N_STACKS][CALLS_MAX];
	uint32_t n_pushed[N_STACKS];
	uint32_t wanted[CALLS_MAX];
	uint32_t n_wanted;
	uint32_t called[CALLS_MAX];
	uint32_t n_called;
};

static void item_call(void *argument)
{
	struct item *item = argument;

	item->world->called[item->world->n_called++] = item->id;
}

static struct sonde_error *item_operate(void *argument)
{
	struct item *item = argument;

	item_call(item);
	return item->kind == 1 ? sonde_error_raise(&sonde_conflict, "it failed") : NULL;
}

static void world_push(struct world *world, uint32_t which, uint32_t kind)
{
	struct item *item = &world->items[world->n_items];

	*item = (struct item){ world, world->n_items++, kind };
	world->pushed[which][world->n_pushed[which]++] = item->id;
	if (kind == 0)
		sonde_exit_stack_push(&world->stacks[which], item_call, item);
	else if (kind == 3)
		sonde_exit_stack_push_undo(&world->stacks[which], item_call, item);
	else
		sonde_exit_stack_push_operation(&world->stacks[which], item_operate, item);
}

/* The model's end: from the last to the first, undoing from the first failure on. */
static uint32_t model_close(struct world *world, uint32_t which, bool has_failed)
{
	uint32_t n_failed = 0;

	for (uint32_t i = world->n_pushed[which]; i > 0; i--) {
		const struct item *item = &world->items[world->pushed[which][i - 1]];

		if (item->kind == 3 && !has_failed)
			continue;
		world->wanted[world->n_wanted++] = item->id;
		n_failed += item->kind == 1;
		has_failed = has_failed || item->kind == 1;
	}
	world->n_pushed[which] = 0;
	return n_failed;
}

static bool world_close(struct world *world, uint32_t which, bool has_failed)
{
	uint32_t n_errors = model_close(world, which, has_failed) + has_failed;
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_exit_stack_close(
		&world->stacks[which],
		has_failed ? sonde_error_raise(&sonde_not_found, "the work") : NULL);
	const struct sonde_error *first = n_errors > 1 ? sonde_error_joined(error, 0) : error;
	uint32_t n_joined = 0;

	while (sonde_error_joined(error, n_joined))
		n_joined++;
	if (has_failed && sonde_error_type_of(first) != &sonde_not_found)
		return false;
	if (n_errors > 1)
		return n_joined == (n_errors < SONDE_ERROR_JOINED_MAX ? n_errors :
									SONDE_ERROR_JOINED_MAX);
	return n_joined == 0 && (error != NULL) == (n_errors == 1);
}

static bool world_step(struct world *world, const struct sequence_step *step)
{
	uint32_t which = step->a % N_STACKS;
	uint32_t other = 1 - which;

	switch (step->what % 16) {
	case 0:
	case 1:
		return world_close(world, which, step->what & 1);
	case 2:
		sonde_exit_stack_release(&world->stacks[which]);
		world->n_pushed[which] = 0;
		return true;
	case 3:
		sonde_exit_stack_move(&world->stacks[which], &world->stacks[other]);
		memcpy(&world->pushed[other][world->n_pushed[other]], world->pushed[which],
		       world->n_pushed[which] * sizeof(uint32_t));
		world->n_pushed[other] += world->n_pushed[which];
		world->n_pushed[which] = 0;
		return true;
	default:
		world_push(world, which, step->b % 4);
		return true;
	}
}

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct world world;
	bool is_right = true;

	memset(&world, 0, sizeof(world));
	for (uint32_t i = 0; i < N_STACKS; i++)
		sonde_exit_stack_init(&world.stacks[i], NULL);
	for (size_t i = 0; i < n_steps && is_right; i++) {
		is_right = world_step(&world, &steps[i]);
		for (uint32_t j = 0; j < N_STACKS; j++)
			is_right = is_right && sonde_exit_stack_count(&world.stacks[j]) ==
						       world.n_pushed[j];
	}
	for (uint32_t i = 0; i < N_STACKS; i++) {
		model_close(&world, i, /* has_failed= */ true);
		sonde_exit_stack_deinit(&world.stacks[i]);
	}
	is_right = is_right && world.n_called == world.n_wanted &&
		   !memcmp(world.called, world.wanted, world.n_wanted * sizeof(uint32_t));
	if (!is_right)
		snprintf(why, size, "%u called, not %u, or others", world.n_called, world.n_wanted);
	return is_right;
}

static void test_as_the_model_has_it(void **state)
{
	(void)state;
	sequence_check(play, 1000, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_in_reverse),
		cmocka_unit_test(test_joins_what_fails_to_the_first_error),
		cmocka_unit_test(test_one_error_stays_itself),
		cmocka_unit_test(test_undoes_only_what_failed),
		cmocka_unit_test(test_left_without_a_result_has_failed),
		cmocka_unit_test(test_hands_over),
		cmocka_unit_test(test_what_is_run_may_use_the_stack),
		cmocka_unit_test(test_without_memory_it_is_done_at_once),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_time_of_its_own),
		cmocka_unit_test(test_as_the_model_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
