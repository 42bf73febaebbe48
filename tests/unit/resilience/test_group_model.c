/* SPDX-License-Identifier: Apache-2.0 */

/* Groups against a model of their header's words, with the test choosing which task ends when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/group.h>
#include <sonde/pool.h>

#include "base/clock.h"
#include "support/gates.h"
#include "support/sequence.h"

#define TASKS_MAX 14
#define RUNNING_MAX 3
#define PATIENCE_NS UINT64_C(20000000000)

enum task_state { QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED };

struct task {
	enum task_state state;
	bool heeds;
	bool has_run;
	bool was_returned; /* By next. */
	unsigned n_given; /* How often its error was. */
};

struct model {
	struct sonde_group group;
	struct sonde_cancel above;
	struct gate gates[TASKS_MAX];
	struct told told;
	struct sonde_observer observer;
	/* The model's. */
	struct task tasks[TASKS_MAX];
	unsigned n_tasks;
	enum sonde_group_mode mode;
	enum { GOES_ON, FAILS, WON, TOLD } why;
	unsigned first_error;
};

static unsigned count(const struct model *model, enum task_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < model->n_tasks; i++)
		n += model->tasks[i].state == state;
	return n;
}

/* What follows of itself. */
static void settle(struct model *model)
{
	for (unsigned i = 0; i < model->n_tasks; i++) {
		struct task *task = &model->tasks[i];

		if (model->why != GOES_ON) {
			if (task->state == QUEUED || (task->state == RUNNING && task->heeds))
				task->state = CANCELLED;
		} else if (task->state == QUEUED && count(model, RUNNING) < RUNNING_MAX) {
			task->state = RUNNING;
			task->has_run = true;
		}
	}
}

static bool is_settled(struct model *model)
{
	struct sonde_group_figures figures;

	sonde_group_figures(&model->group, &figures);
	return figures.spawned == model->n_tasks && figures.queued == count(model, QUEUED) &&
	       figures.running == count(model, RUNNING) &&
	       figures.succeeded == count(model, SUCCEEDED) &&
	       figures.failed == count(model, FAILED) &&
	       figures.cancelled == count(model, CANCELLED);
}

static bool agrees(struct model *model, char *why, size_t size)
{
	uint64_t end_ns = sonde__monotonic_ns() + PATIENCE_NS;
	struct sonde_group_figures figures;

	settle(model);
	while (!is_settled(model)) {
		if (sonde__monotonic_ns() < end_ns) {
			sched_yield();
			continue;
		}
		sonde_group_figures(&model->group, &figures);
		return snprintf(why, size,
				"queued %zu not %u, running %zu not %u, succeeded %zu not %u, failed "
				"%zu not %u, cancelled %zu not %u",
				figures.queued, count(model, QUEUED), figures.running,
				count(model, RUNNING), figures.succeeded, count(model, SUCCEEDED),
				figures.failed, count(model, FAILED), figures.cancelled,
				count(model, CANCELLED)) < 0;
	}
	return true;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static bool step_spawn(struct model *model, bool heeds, char *why, size_t size)
{
	unsigned i = model->n_tasks;
	size_t index;
	int status;

	if (i < TASKS_MAX)
		gate_init(&model->gates[i], i, heeds ? sonde_group_token(&model->group) : NULL);
	status = sonde_group_spawn(&model->group, NULL, gate_pass,
				   i < TASKS_MAX ? &model->gates[i] : NULL, &index);
	if (i == TASKS_MAX)
		return status == SONDE_E_LIMITED ||
		       snprintf(why, size, "one too many: %d", status) < 0;
	if (status != SONDE_OK || index != i)
		return snprintf(why, size, "spawn %u: %d", i, status) < 0;
	model->tasks[i] = (struct task){ .state = QUEUED, .heeds = heeds };
	model->n_tasks++;
	return true;
}

/* The `n`th of those that run, around; false: none does. */
static bool step_open(struct model *model, unsigned n, bool fails)
{
	unsigned n_running = count(model, RUNNING);
	unsigned i = 0;

	if (!n_running)
		return false;
	for (n %= n_running; model->tasks[i].state != RUNNING || n--; i++)
		;
	model->tasks[i].state = fails ? FAILED : SUCCEEDED;
	if (fails && model->first_error == TASKS_MAX)
		model->first_error = i;
	if (fails && model->mode == SONDE_GROUP_FAIL_FAST && model->why == GOES_ON)
		model->why = FAILS;
	if (!fails && model->mode == SONDE_GROUP_FIRST_SUCCESS && model->why == GOES_ON)
		model->why = WON;
	/* Its own thread may be the only one that could not see the token yet. */
	gate_await(&model->gates[i]);
	gate_open(&model->gates[i], fails);
	return true;
}

static bool has_ended(const struct task *task)
{
	return task->state > RUNNING;
}

/* The error of task `i` was given to the test. */
static bool given(struct model *model, unsigned i, const struct sonde_error *error)
{
	struct task *task = &model->tasks[i];
	bool has_one = (task->state == FAILED || task->state == CANCELLED) && !task->n_given;
	unsigned number = TASKS_MAX;

	if (!error || !has_one)
		return !error && !has_one;
	task->n_given++;
	if (task->state == CANCELLED)
		return sonde_error_is(error, &sonde_cancelled);
	return sscanf(sonde_error_message(error), "gate %u", &number) == 1 && number == i;
}

static bool step_next(struct model *model, char *why, size_t size)
{
	struct sonde_group_result result;
	unsigned n_there = 0;
	unsigned n_returned = 0;
	bool is_right;

	for (unsigned i = 0; i < model->n_tasks; i++) {
		n_there += has_ended(&model->tasks[i]) && !model->tasks[i].was_returned;
		n_returned += model->tasks[i].was_returned;
	}
	if (!n_there && n_returned < model->n_tasks)
		return sonde_group_try_next(&model->group, &result) == SONDE_INCOMPLETE ||
		       snprintf(why, size, "next has one that has not ended") < 0;
	if (!n_there)
		return !sonde_group_next(&model->group, &result) ||
		       snprintf(why, size, "next has one too many") < 0;
	if (!sonde_group_next(&model->group, &result) || result.index >= model->n_tasks)
		return snprintf(why, size, "next has none") < 0;
	is_right = has_ended(&model->tasks[result.index]) &&
		   !model->tasks[result.index].was_returned &&
		   result.has_run == model->tasks[result.index].has_run &&
		   given(model, (unsigned)result.index, result.error);
	model->tasks[result.index].was_returned = true;
	sonde_error_free(result.error);
	return is_right || snprintf(why, size, "next is wrong about %zu", result.index) < 0;
}

static bool step_take(struct model *model, unsigned i, char *why, size_t size)
{
	struct sonde_error *error = sonde_group_take(&model->group, i);
	bool is_right = i < model->n_tasks ? given(model, i, error) : !error;

	sonde_error_free(error);
	return is_right || snprintf(why, size, "take is wrong about %u", i) < 0;
}

static bool step_result(struct model *model, unsigned i, char *why, size_t size)
{
	struct sonde_group_result result;
	int status = sonde_group_result(&model->group, i, &result);
	const struct task *task = &model->tasks[i];

	if (i >= model->n_tasks)
		return status == SONDE_E_NOT_FOUND || snprintf(why, size, "result of none") < 0;
	return (status == SONDE_OK && result.has_ended == has_ended(task) &&
		result.has_run == task->has_run &&
		(result.error != NULL) == (has_ended(task) && task->state != SUCCEEDED &&
					   !task->n_given)) ||
	       snprintf(why, size, "result is wrong about %u", i) < 0;
}

static void step_tell(struct model *model, uint64_t b)
{
	bool is_heard = false;

	for (unsigned i = 0; i < model->n_tasks; i++)
		is_heard |= model->tasks[i].state == RUNNING && model->tasks[i].heeds;
	if (b % 6 == 0)
		sonde_group_cancel(&model->group, NULL);
	else if (b % 6 == 1 && is_heard)
		sonde_cancel_fire(&model->above, NULL);
	else
		return;
	if (model->why == GOES_ON)
		model->why = TOLD;
}

static bool step_run(struct model *model, const struct sequence_step *step, char *why, size_t size)
{
	switch (step->what % 14) {
	case 0:
	case 1:
	case 2:
	case 3:
		return step_spawn(model, step->b % 2, why, size);
	case 4:
	case 5:
	case 6:
	case 7:
		(void)step_open(model, step->a % TASKS_MAX, step->b % 3 == 0);
		return true;
	case 8:
	case 9:
		return step_next(model, why, size);
	case 10:
		return step_take(model, step->a % TASKS_MAX, why, size);
	case 11:
	case 12:
		return step_result(model, step->a % TASKS_MAX, why, size);
	default:
		step_tell(model, step->b);
		return true;
	}
}

/* ---- The end --------------------------------------------------------------------------------- */

/* All that are in what a wait returned are given now. */
static bool given_by_wait(struct model *model, const struct sonde_error *errors)
{
	const struct sonde_error *one = sonde_error_joined(errors, 0);
	bool is_first = true;
	size_t i = 0;

	if (!errors)
		return true;
	for (one = one ? one : errors; one; one = sonde_error_joined(errors, ++i)) {
		unsigned number = TASKS_MAX;

		if (sscanf(sonde_error_message(one), "gate %u", &number) != 1 ||
		    number >= model->n_tasks)
			return false;
		if (is_first && !model->tasks[model->first_error].n_given &&
		    number != model->first_error)
			return false;
		is_first = false;
		if (!given(model, number, one))
			return false;
	}
	return true;
}

static bool check_wait(struct model *model, char *why, size_t size)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_group_wait(&model->group);
	bool is_cancelled = model->why == TOLD && count(model, CANCELLED);
	bool has_errors = is_cancelled;

	for (unsigned i = 0; i < model->n_tasks; i++)
		has_errors |= model->tasks[i].state == FAILED && !model->tasks[i].n_given;
	if (model->why == WON)
		has_errors = false;
	if ((error != NULL) != has_errors)
		return snprintf(why, size, "wait: %s", error ? "an error" : "no error") < 0;
	if (is_cancelled != (error && sonde_error_is(error, &sonde_cancelled)))
		return snprintf(why, size, "wait: cancelled or not") < 0;
	return given_by_wait(model, is_cancelled ? sonde_error_cause(error) : error) ||
	       snprintf(why, size, "wait: %s", sonde_error_message(error)) < 0;
}

static bool finish(struct model *model, unsigned how, char *why, size_t size)
{
	unsigned n = 0;

	while (step_open(model, 0, n++ % 3 == how))
		if (!agrees(model, why, size))
			return false;
	if (how == 0)
		return check_wait(model, why, size);
	if (how == 1 &&
	    sonde_group_gather(&model->group) != count(model, FAILED) + count(model, CANCELLED))
		return snprintf(why, size, "gather") < 0;
	return true;
}

static bool check_account(const struct model *model, char *why, size_t size)
{
	unsigned n_run = 0;
	unsigned n_never = 0;

	for (unsigned i = 0; i < model->n_tasks; i++) {
		const struct task *task = &model->tasks[i];
		unsigned n = task->n_given + model->told.n_orphans_of[i];

		if (task->state == FAILED ? n != 1 : model->told.n_orphans_of[i] != 0)
			return snprintf(why, size, "the error of %u was given %u times", i, n) < 0;
		n_run += task->has_run;
		n_never += !task->has_run;
	}
	if (model->told.n[SONDE_OBSERVED_RUN] != n_run ||
	    model->told.n_items[SONDE_OBSERVED_DROP] != n_never)
		return snprintf(why, size, "%u runs and %u drops told",
				model->told.n[SONDE_OBSERVED_RUN],
				model->told.n_items[SONDE_OBSERVED_DROP]) < 0;
	if (model->told.n[SONDE_OBSERVED_STATE] != (model->why != GOES_ON))
		return snprintf(why, size, "%u states told",
				model->told.n[SONDE_OBSERVED_STATE]) < 0;
	return true;
}

static struct sonde_pool *pool; /* NULL: threads of each group's own. */

static bool play(const struct sequence_step *steps, size_t n_steps, char *why, size_t size)
{
	static struct model model;
	bool is_right = true;

	memset(&model, 0, sizeof(model));
	model.observer = (struct sonde_observer){ told_hear, &model.told };
	model.mode = n_steps ? (enum sonde_group_mode)(steps[0].a % 3) : SONDE_GROUP_ALL;
	model.first_error = TASKS_MAX;
	sonde_cancel_init(&model.above, NULL);
	assert_int_equal(sonde_group_init(&model.group, &(struct sonde_group_options){
								.mode = model.mode,
								.max_running = RUNNING_MAX,
								.max_tasks = TASKS_MAX,
								.cancel = &model.above,
								.pool = pool,
								.observer = &model.observer }),
			 SONDE_OK);
	for (size_t i = 0; i < n_steps && is_right; i++)
		is_right = step_run(&model, &steps[i], why, size) && agrees(&model, why, size);
	is_right = is_right &&
		   finish(&model, n_steps ? steps[0].a / 3 % 3 : 0, why, size);
	if (!is_right)
		for (unsigned i = 0; i < model.n_tasks; i++)
			gate_open(&model.gates[i], false);
	sonde_group_deinit(&model.group);
	sonde_cancel_deinit(&model.above);
	return is_right && check_account(&model, why, size);
}

static void test_model(void **state)
{
	(void)state;
	sequence_check(play, 2000, 60);
}

static void test_model_on_a_pool(void **state)
{
	static struct sonde_pool static_pool;

	(void)state;
	pool = &static_pool;
	assert_int_equal(sonde_pool_init(pool,
					 &(struct sonde_pool_options){ .threads = RUNNING_MAX }),
			 SONDE_OK);
	sequence_check(play, 2000, 60);
	sonde_pool_deinit(pool);
	pool = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_model_on_a_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
