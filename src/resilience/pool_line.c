/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is next. Three lines of tasks, three lines of those who wait to submit one, one of idle
 * workers. Always, while the lock is free:
 *
 *	a worker waits in the idle line	=> no task is queued
 *	somebody waits for room		=> queued + reserved >= capacity + idle
 *
 * Room is given as a reservation: who was let in brings its task when it has woken up, and nobody
 * takes its place until then.
 */

#include "resilience/pool_core.h"

static size_t class_of(enum sonde_priority priority)
{
	return priority == SONDE_PRIORITY_HIGH ? 0 : priority == SONDE_PRIORITY_LOW ? 2 : 1;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void list_append(struct sonde__pool_list *list, struct sonde__pool_task *task)
{
	task->next = NULL;
	task->previous = list->last;
	if (list->last)
		list->last->next = task;
	else
		list->first = task;
	list->last = task;
	list->n_tasks++;
}

void sonde__pool_list_remove(struct sonde__pool_list *list, struct sonde__pool_task *task)
{
	if (task->previous)
		task->previous->next = task->next;
	else
		list->first = task->next;
	if (task->next)
		task->next->previous = task->previous;
	else
		list->last = task->previous;
	list->n_tasks--;
}

/*
 * The highest class that has something, unless one was passed over too often: then the one that was
 * so most often. SONDE__POOL_CLASSES: nobody has.
 */
static size_t choose(const size_t n[SONDE__POOL_CLASSES], uint8_t passed[SONDE__POOL_CLASSES])
{
	size_t chosen = SONDE__POOL_CLASSES;

	for (size_t i = 0; i < SONDE__POOL_CLASSES; i++)
		if (n[i] && passed[i] >= SONDE_POOL_PASSED_MAX &&
		    (chosen == SONDE__POOL_CLASSES || passed[i] > passed[chosen]))
			chosen = i;
	for (size_t i = 0; i < SONDE__POOL_CLASSES && chosen == SONDE__POOL_CLASSES; i++)
		if (n[i])
			chosen = i;
	for (size_t i = 0; i < SONDE__POOL_CLASSES; i++)
		passed[i] = n[i] && i != chosen ? (uint8_t)(passed[i] + 1) : 0;
	return chosen;
}

/* ---- Room ------------------------------------------------------------------------------------ */

bool sonde__pool_has_room(const struct sonde__pool_core *core)
{
	return core->n_queued + core->n_reserved < core->capacity + core->idle.n_waiters;
}

void sonde__pool_admit(struct sonde__pool_core *core)
{
	while (sonde__pool_has_room(core)) {
		const size_t n[SONDE__POOL_CLASSES] = { core->submitters[0].n_waiters,
							core->submitters[1].n_waiters,
							core->submitters[2].n_waiters };
		size_t chosen = choose(n, core->submitters_passed);

		if (chosen == SONDE__POOL_CLASSES)
			return;
		core->n_reserved++;
		sonde__waiters_grant(&core->submitters[chosen]);
	}
}

void sonde__pool_leave_room(struct sonde__pool_core *core)
{
	core->n_reserved--;
	sonde__pool_admit(core);
	sonde__pool_notify(core);
}

enum sonde__queue_end sonde__pool_wait_for_room(struct sonde__pool_core *core,
						enum sonde_priority priority, uint64_t until_ns,
						struct sonde_cancel *cancel)
{
	struct sonde__waiters *line = &core->submitters[class_of(priority)];
	struct sonde__waiter waiter;
	enum sonde__woken woken;

	sonde__waiter_init(&waiter);
	sonde__waiters_push(line, &waiter);
	sonde__pool_unlock(core);
	woken = sonde__park(&waiter.parker, sonde__pool_clock(core), until_ns, cancel);
	sonde__pool_lock(core);
	if (!waiter.is_granted) {
		sonde__waiters_remove(line, &waiter);
		return woken == SONDE__WOKEN_LATE ? SONDE__QUEUE_LATE : SONDE__QUEUE_CANCELLED;
	}
	/* The close lets everybody in, to be told so here. */
	if (core->is_closed) {
		sonde__pool_leave_room(core);
		return SONDE__QUEUE_CLOSED;
	}
	return SONDE__QUEUE_DONE;
}

/* ---- In and out ------------------------------------------------------------------------------ */

void sonde__pool_begin(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
		       struct sonde__pool_task *task)
{
	task->state = SONDE__POOL_RUNNING;
	task->n_holders = 1;
	task->started_ns = sonde__pool_now(core);
	list_append(&core->running, task);
	core->n_running++;
	if (runner)
		runner->is_in_task = true;
}

static struct sonde__pool_worker *idle_worker(struct sonde__waiter *waiter)
{
	return (struct sonde__pool_worker *)((char *)waiter -
					     offsetof(struct sonde__pool_worker, waiter));
}

void sonde__pool_enqueue(struct sonde__pool_core *core, struct sonde__pool_task *task)
{
	core->n_reserved--;
	if (core->idle.first) {
		struct sonde__pool_worker *worker = idle_worker(core->idle.first);

		worker->task = task;
		sonde__pool_begin(core, &worker->runner, task);
		sonde__waiters_grant(&core->idle);
		return;
	}
	task->state = SONDE__POOL_QUEUED;
	list_append(&core->lines[class_of(task->priority)], task);
	core->n_queued++;
}

void sonde__pool_take_this(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
			   struct sonde__pool_task *task)
{
	sonde__pool_list_remove(&core->lines[class_of(task->priority)], task);
	core->n_queued--;
	sonde__pool_begin(core, runner, task);
	sonde__pool_admit(core);
}

struct sonde__pool_task *sonde__pool_take(struct sonde__pool_core *core,
					  struct sonde__pool_runner *runner)
{
	const size_t n[SONDE__POOL_CLASSES] = { core->lines[0].n_tasks, core->lines[1].n_tasks,
						core->lines[2].n_tasks };
	struct sonde__pool_task *task;

	if (!core->n_queued)
		return NULL;
	task = core->lines[choose(n, core->passed)].first;
	sonde__pool_take_this(core, runner, task);
	return task;
}

struct sonde__pool_task *sonde__pool_take_victim(struct sonde__pool_core *core,
						 enum sonde_priority priority)
{
	for (size_t i = SONDE__POOL_CLASSES; i-- > class_of(priority);) {
		struct sonde__pool_task *task = core->lines[i].first;

		if (!task)
			continue;
		sonde__pool_list_remove(&core->lines[i], task);
		core->n_queued--;
		/* Its place is the new one's. */
		core->n_reserved++;
		sonde__pool_begin(core, /* runner= */ NULL, task);
		return task;
	}
	return NULL;
}
