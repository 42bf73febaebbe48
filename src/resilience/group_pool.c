/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks on a pool. The group gives it as many as may run at a time; each that ends makes room for
 * the next. A task stands in its own memory in the pool's queue, from where whoever waits can have
 * it back: to run it himself, where the pool's threads may all be waiting as he does, or to drop it
 * when all were told to end.
 *
 * What a full pool does not take stays in the group's queue, until a task ends, somebody waits, or
 * looks for the next one.
 */
#include "resilience/group.h"

#include <stddef.h>

static struct sonde__group_task *task_of(struct sonde__pool_task *pooled)
{
	return (struct sonde__group_task *)((char *)pooled -
					    offsetof(struct sonde__group_task, pooled));
}

/* ---- What the pool has and has not begun; all with the lock held ----------------------------- */

static void submitted_add(struct sonde__group *group, struct sonde__group_task *task)
{
	struct sonde__group_task *first = group->submitted ? group->submitted : task;
	struct sonde__group_task *last = group->submitted ? first->previous_running : task;

	task->is_submitted = true;
	task->next_running = first;
	task->previous_running = last;
	last->next_running = task;
	first->previous_running = task;
	group->submitted = first;
}

/* Where it is in there: the pool begins it, or ends it, or somebody tries to have it back. */
static void submitted_remove(struct sonde__group *group, struct sonde__group_task *task)
{
	struct sonde__group_task *next = task->next_running;

	if (!task->is_submitted)
		return;
	task->is_submitted = false;
	next->previous_running = task->previous_running;
	task->previous_running->next_running = next;
	if (group->submitted == task)
		group->submitted = next != task ? next : NULL;
}

/* Perhaps before who gave it to the pool has come to enter that. */
static void leave(struct sonde__group_task *task)
{
	submitted_remove(task->group, task);
	task->has_left = true;
}

/* ---- A task's way ---------------------------------------------------------------------------- */

static const struct sonde_error *run(struct sonde__pool_task *pooled)
{
	struct sonde__group_task *task = task_of(pooled);

	pthread_mutex_lock(&task->group->lock);
	leave(task);
	sonde__group_task_begin(task);
	pthread_mutex_unlock(&task->group->lock);
	sonde__group_task_run(task);
	return task->error;
}

static void end(struct sonde__pool_task *pooled, struct sonde_error *error)
{
	struct sonde__group_task *task = task_of(pooled);

	if (error) {
		pthread_mutex_lock(&task->group->lock);
		leave(task);
		pthread_mutex_unlock(&task->group->lock);
		sonde__group_task_refuse(task, error);
	}
	sonde__group_task_finish(task);
}

/* With the lock held: the next that may run, out of the queue; NULL: none may. */
static struct sonde__group_task *next_task(struct sonde__group *group)
{
	struct sonde__group_task *task;

	if (group->n_active >= group->max_running || sonde_cancel_is_fired(&group->token))
		return NULL;
	task = sonde__group_list_pop(&group->queue);
	if (!task)
		return NULL;
	task->is_active = true;
	group->n_active++;
	return task;
}

/* Gives up its place among those that may run; with the lock held. */
static void deactivate(struct sonde__group_task *task)
{
	if (task->is_active)
		task->group->n_active--;
	task->is_active = false;
}

static struct sonde_error *submit(struct sonde__group_task *task)
{
	SONDE_CONTEXT_SCOPE(&task->context);

	task->has_left = false;
	task->pooled = (struct sonde__pool_task){ .run = run,
						  .end = end,
						  .cancel = &task->group->token,
						  .name = task->name };
	return sonde__pool_submit(task->group->pool, &task->pooled, /* limit_ms= */ 0,
				  /* cancel= */ NULL);
}

/* True: the pool has it, or it has ended. Else the pool is full. */
static bool give(struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;
	struct sonde_error *error = submit(task);
	bool is_full = error && sonde_error_is(error, &sonde_queue_full);

	pthread_mutex_lock(&group->lock);
	if (error)
		deactivate(task);
	else if (!task->has_left)
		submitted_add(group, task);
	if (is_full)
		sonde__group_list_push_first(&group->queue, task);
	sonde__group_notify(group, /* is_for_helpers= */ true);
	pthread_mutex_unlock(&group->lock);
	if (is_full) {
		sonde_error_free(error);
	} else if (error) {
		sonde__group_task_refuse(task, error);
		sonde__group_task_finish(task);
	}
	return !is_full;
}

void sonde__group_pool_feed(struct sonde__group *group)
{
	struct sonde__group_task *task;

	do {
		pthread_mutex_lock(&group->lock);
		task = next_task(group);
		pthread_mutex_unlock(&group->lock);
	} while (task && give(task));
}

void sonde__group_pool_release(struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;
	bool was_active = task->is_active;

	if (!group->pool || !was_active)
		return;
	pthread_mutex_lock(&group->lock);
	deactivate(task);
	pthread_mutex_unlock(&group->lock);
	sonde__group_pool_feed(group);
}

static void take_back(struct sonde__group_task *task)
{
	struct sonde_error *error = sonde_cancel_error(&task->group->token);

	if (!sonde__pool_withdraw(task->group->pool, &task->pooled, error))
		sonde_error_free(error);
}

bool sonde__group_pool_help(struct sonde__group *group, bool is_own_thread)
{
	bool is_told = sonde_cancel_is_fired(&group->token);
	struct sonde__group_task *task;

	task = next_task(group);
	if (task) {
		sonde__group_task_help(task);
		return true;
	}
	task = is_told || is_own_thread ? group->submitted : NULL;
	if (!task)
		return false;
	submitted_remove(group, task);
	pthread_mutex_unlock(&group->lock);
	if (is_told)
		take_back(task);
	else
		(void)sonde__pool_run_here(group->pool, &task->pooled);
	pthread_mutex_lock(&group->lock);
	return true;
}
