/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the group's own: one for each task up to the limit. One that has nothing to do waits
 * for the next task, and leaves when the group has ended, which joins it.
 */
#include "resilience/group.h"

#include <stdlib.h>

#include "base/testpoint.h"
#include "base/thread.h"

struct sonde__group_thread {
	struct sonde__group_thread *next;
	struct sonde__group *group;
	pthread_t thread;
};

/* With the lock held, before and after. */
static void rest(struct sonde__group *group)
{
	struct sonde__waiter waiter;

	sonde__waiter_init(&waiter);
	sonde__waiters_push(&group->idle, &waiter);
	pthread_mutex_unlock(&group->lock);
	(void)sonde__park(&waiter.parker, /* clock= */ NULL, SONDE__NEVER, /* cancel= */ NULL);
	pthread_mutex_lock(&group->lock);
}

/* The next task, begun; NULL: there is none any more. */
static struct sonde__group_task *next_task(struct sonde__group *group)
{
	struct sonde__group_task *task = NULL;

	for (;;) {
		/* What a token above has told since never runs. */
		sonde__group_look(group);
		SONDE__TESTPOINT("group-looked");
		pthread_mutex_lock(&group->lock);
		/* Nor what was queued after that: it is left for another look. */
		if (!sonde_cancel_is_fired(&group->token))
			task = sonde__group_list_pop(&group->queue);
		if (task || (group->is_closed && !group->queue.first))
			break;
		if (!group->queue.first)
			rest(group);
		pthread_mutex_unlock(&group->lock);
	}
	if (task)
		sonde__group_task_begin(task);
	pthread_mutex_unlock(&group->lock);
	return task;
}

/* The task has called pthread_exit: it has failed, and another thread takes over. */
static void thread_was_ended(void *argument)
{
	struct sonde__group_task *task = argument;
	struct sonde__group *group = task->group;

	sonde__group_task_refuse(task, sonde_error_raise(&sonde_internal,
							 "the task has ended its thread"));
	pthread_mutex_lock(&group->lock);
	group->n_threads--;
	if (group->queue.first)
		sonde__group_thread_provide(group);
	pthread_mutex_unlock(&group->lock);
	sonde__group_task_finish(task);
}

static void *thread_main(void *argument)
{
	struct sonde__group_thread *self = argument;
	struct sonde__group_task *task;

	while ((task = next_task(self->group))) {
		pthread_cleanup_push(thread_was_ended, task);
		sonde__group_task_run(task);
		pthread_cleanup_pop(/* execute= */ 0);
		sonde__group_task_finish(task);
	}
	return NULL;
}

static void start(struct sonde__group *group)
{
	struct sonde__group_thread *thread = malloc(sizeof(*thread));
	int status;

	if (!thread)
		return;
	thread->group = group;
	status = sonde__thread_start(&thread->thread, thread_main, thread, group->stack_size,
				     group->name ? group->name : "sonde-group");
	if (status < 0) {
		free(thread);
		return;
	}
	thread->next = group->threads;
	group->threads = thread;
	group->n_threads++;
}

void sonde__group_thread_provide(struct sonde__group *group)
{
	/* Where none can be had, those who are there come to it, or else whoever waits. */
	if (!sonde__waiters_grant(&group->idle) && group->n_threads < group->max_running)
		start(group);
}

void sonde__group_threads_join(struct sonde__group *group)
{
	struct sonde__group_thread *thread;

	pthread_mutex_lock(&group->lock);
	thread = group->threads;
	group->threads = NULL;
	group->n_threads = 0;
	while (sonde__waiters_grant(&group->idle))
		;
	pthread_mutex_unlock(&group->lock);
	while (thread) {
		struct sonde__group_thread *next = thread->next;

		pthread_join(thread->thread, /* value= */ NULL);
		free(thread);
		thread = next;
	}
}
