/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task's way from the moment it is taken out of its line: it is run, or refused, what there is to
 * tell is told, and its end is called, by whoever is the last to hold it. Those who fire its token
 * hold it meanwhile: tokens are fired without the lock.
 *
 * It counts as running until its end has returned, so that who finds the pool idle finds every
 * future done.
 */

#include "resilience/clock.h"
#include "resilience/observe.h"
#include "resilience/pool_core.h"

bool sonde__pool_is_idle(const struct sonde__pool_core *core)
{
	return !core->n_queued && !core->n_reserved && !core->n_running;
}

void sonde__pool_notify(struct sonde__pool_core *core)
{
	if (core->is_closed || sonde__pool_is_idle(core))
		while (sonde__waiters_grant(&core->watchers))
			;
}

static void count(struct sonde__pool_core *core, enum sonde__pool_outcome outcome)
{
	struct sonde_pool_figures *figures = &core->figures;

	figures->run += outcome == SONDE__POOL_RUN || outcome == SONDE__POOL_FAILED;
	figures->failed += outcome == SONDE__POOL_FAILED;
	figures->cancelled += outcome == SONDE__POOL_CANCELLED;
	figures->expired += outcome == SONDE__POOL_EXPIRED;
	figures->dropped += outcome == SONDE__POOL_DROPPED;
}

/* Gives up a hold; the last one's ends it. */
static void let_go(struct sonde__pool_core *core, struct sonde__pool_task *task)
{
	struct sonde_error *refusal = task->refusal;

	if (--task->n_holders)
		return;
	task->state = SONDE__POOL_ENDED;
	/* Before the outcome is given: who has it finds it counted. */
	count(core, (enum sonde__pool_outcome)task->outcome);
	core->n_ending++;
	sonde__pool_unlock(core);
	task->end(task, refusal);
	sonde__pool_lock(core);
	core->n_ending--;
	core->n_running--;
	sonde__pool_notify(core);
}

static void finish(struct sonde__pool_core *core, struct sonde__pool_task *task,
		   struct sonde_error *refusal, enum sonde__pool_outcome outcome)
{
	sonde__pool_list_remove(&core->running, task);
	task->refusal = refusal;
	task->outcome = (uint8_t)outcome;
	let_go(core, task);
}

void sonde__pool_refuse(struct sonde__pool_core *core, struct sonde__pool_task *task,
			struct sonde_error *error, enum sonde__pool_outcome outcome)
{
	finish(core, task, error, outcome);
}

void sonde__pool_fire(struct sonde__pool_core *core, struct sonde__pool_task *task,
		      const char *reason)
{
	task->n_holders++;
	sonde__pool_unlock(core);
	sonde_cancel_fire(task->cancel, reason);
	sonde__pool_lock(core);
	let_go(core, task);
}

/* ---- Running --------------------------------------------------------------------------------- */

/* NULL: nothing speaks against running it. */
static struct sonde_error *refusal_of(const struct sonde__pool_task *task,
				      enum sonde__pool_outcome *ret_outcome)
{
	uint64_t deadline_ns = task->context.extension[SONDE__EXTENSION_DEADLINE];

	if (sonde_cancel_is_fired(task->cancel)) {
		*ret_outcome = SONDE__POOL_CANCELLED;
		return sonde_cancel_error(task->cancel);
	}
	if (deadline_ns && task->started_ns >= deadline_ns) {
		*ret_outcome = SONDE__POOL_EXPIRED;
		return sonde_error_raise(&sonde_timeout,
					 "over the deadline before the task's turn came");
	}
	return NULL;
}

struct performance {
	struct sonde__pool_core *core;
	struct sonde__pool_runner *runner;
	struct sonde__pool_task *task;
	bool was_in_task; /* The runner, before: this task is run by another one. */
};

/*
 * As part of the work that submitted it, while that waits: a span that has ended would have a log
 * record for each.
 */
static void tell_run(const struct performance *performance, bool is_awaited, uint64_t ended_ns,
		     const struct sonde_error *error)
{
	const struct sonde__pool_core *core = performance->core;
	const struct sonde__pool_task *task = performance->task;
	const struct sonde_context own = sonde_context_current();
	SONDE_CONTEXT_SCOPE(is_awaited ? &task->context : &own);

	sonde__pool_tell(core, SONDE_OBSERVED_WAIT, task->started_ns - task->submitted_ns,
			 /* count= */ 0, /* error= */ NULL);
	sonde__pool_tell(core, SONDE_OBSERVED_RUN, ended_ns - task->started_ns, /* count= */ 1,
			 error);
}

/* Without the lock before, with it after. `told` is the error that the run is told with. */
static void settle(const struct performance *performance, const struct sonde_error *told,
		   struct sonde_error *refusal, enum sonde__pool_outcome outcome)
{
	struct sonde__pool_core *core = performance->core;
	bool has_run = outcome == SONDE__POOL_RUN || outcome == SONDE__POOL_FAILED;
	bool is_awaited;
	uint64_t now_ns;

	sonde__pool_lock(core);
	/* From here on it returns: a deinit waits for it. */
	performance->runner->is_in_task = false;
	now_ns = core->is_abandoned ? 0 : sonde__pool_now(core);
	has_run = has_run && !core->is_abandoned;
	is_awaited = performance->task->is_awaited;
	sonde__pool_unlock(core);
	if (has_run)
		tell_run(performance, is_awaited, now_ns, told);
	sonde__pool_lock(core);
	finish(core, performance->task, refusal, outcome);
	performance->runner->is_in_task = performance->was_in_task;
	if (core->is_closed)
		sonde__pool_notify(core);
}

/* The task has called pthread_exit. */
static void thread_was_ended(void *argument)
{
	const struct performance *performance = argument;
	struct sonde_error *error;

	if (sonde__pool_core_is_foreign(performance->core))
		return;
	error = sonde_error_raise(&sonde_internal, "the task has ended its thread");
	settle(performance, error, error, SONDE__POOL_FAILED);
	sonde__pool_unlock(performance->core);
}

/*
 * The task has forked, and returns in the child as well: what the lock guarded is nobody's any
 * more, and whoever held it is not there.
 */
static void take_lock_in_child(struct sonde__pool_core *core)
{
	pthread_mutex_init(&core->lock, /* attributes= */ NULL);
	sonde__pool_lock(core);
}

static const struct sonde_error *run_in_context(struct sonde__pool_task *task)
{
	SONDE_CONTEXT_SCOPE(&task->context);

	return task->run(task);
}

void sonde__pool_perform(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
			 struct sonde__pool_task *task)
{
	struct performance performance = { core, runner, task, runner->n_tasks > 0 };
	enum sonde__pool_outcome outcome = SONDE__POOL_RUN;
	const struct sonde_error *error = NULL;
	struct sonde_error *refusal;

	runner->n_tasks++;
	sonde__pool_unlock(core);
	refusal = refusal_of(task, &outcome);
	if (!refusal) {
		pthread_cleanup_push(thread_was_ended, &performance);
		error = run_in_context(task);
		pthread_cleanup_pop(/* execute= */ 0);
		outcome = error ? SONDE__POOL_FAILED : SONDE__POOL_RUN;
	}
	if (sonde__pool_core_is_foreign(core))
		take_lock_in_child(core);
	else
		settle(&performance, error, refusal, outcome);
	runner->n_tasks--;
}

/* ---- On the calling thread ------------------------------------------------------------------- */

struct sonde__pool_runner *sonde__pool_own_runner(const struct sonde__pool_core *core)
{
	struct sonde__pool_runner *runner = core->runners;

	while (runner && !pthread_equal(runner->thread, pthread_self()))
		runner = runner->next;
	return runner;
}

struct turn {
	struct sonde__pool_core *core;
	struct sonde__pool_runner runner;
};

static void turn_end(struct turn *turn)
{
	sonde__pool_runner_remove(turn->core, &turn->runner);
	sonde__pool_notify(turn->core);
}

/* The task has called pthread_exit. */
static void turn_was_ended(void *argument)
{
	struct turn *turn = argument;

	if (sonde__pool_core_is_foreign(turn->core))
		return;
	sonde__pool_lock(turn->core);
	turn_end(turn);
	sonde__pool_unlock(turn->core);
}

/* Whoever calls holds the core, by the pool or by a future. */
static void perform_as_guest(struct turn *turn, struct sonde__pool_task *task)
{
	sonde__pool_runner_add(turn->core, &turn->runner);
	pthread_cleanup_push(turn_was_ended, turn);
	sonde__pool_perform(turn->core, &turn->runner, task);
	pthread_cleanup_pop(/* execute= */ 0);
	turn_end(turn);
}

static struct sonde__pool_task *take(struct sonde__pool_core *core,
				     struct sonde__pool_runner *runner,
				     struct sonde__pool_task *task)
{
	if (!task)
		return sonde__pool_take(core, runner);
	if (task->state != SONDE__POOL_QUEUED)
		return NULL;
	sonde__pool_take_this(core, runner, task);
	return task;
}

bool sonde__pool_turn(struct sonde__pool_core *core, struct sonde__pool_task *task)
{
	struct sonde__pool_runner *own = sonde__pool_own_runner(core);
	struct turn turn = { .core = core, .runner = { .thread = pthread_self() } };
	struct sonde__pool_task *taken = take(core, own ? own : &turn.runner, task);

	if (taken && own)
		sonde__pool_perform(core, own, taken);
	else if (taken)
		perform_as_guest(&turn, taken);
	return taken != NULL;
}
