/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of the group's own: one for each task up to the limit. One that has nothing to do waits
 * for the next task, and leaves when the group has ended, which joins it.
 */
#include "resilience/group.h"

#include <stdlib.h>

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

static void *thread_main(void *argument)
{
	struct sonde__group_thread *self = argument;
	struct sonde__group *group = self->group;

	for (;;) {
		struct sonde__group_task *task;

		/* What a token above has told since never runs. */
		sonde__group_look(group);
		pthread_mutex_lock(&group->lock);
		task = sonde__group_begin(group);
		if (!task && !group->is_closed)
			rest(group);
		else if (!task)
			break;
		pthread_mutex_unlock(&group->lock);
		if (task)
			sonde__group_perform(task);
	}
	pthread_mutex_unlock(&group->lock);
	return NULL;
}

static int start(struct sonde__group *group)
{
	struct sonde__group_thread *thread = malloc(sizeof(*thread));
	int status;

	if (!thread)
		return SONDE_E_NOMEM;
	thread->group = group;
	status = sonde__thread_start(&thread->thread, thread_main, thread, group->stack_size,
				     group->name ? group->name : "sonde-group");
	if (status < 0) {
		free(thread);
		return status;
	}
	thread->next = group->threads;
	group->threads = thread;
	group->n_threads++;
	return SONDE_OK;
}

int sonde__group_thread_provide(struct sonde__group *group)
{
	int status = SONDE_OK;

	if (sonde__waiters_grant(&group->idle))
		return SONDE_OK;
	if (group->n_threads < group->max_running)
		status = start(group);
	/* Those who are there will come to it. */
	return group->n_threads ? SONDE_OK : status;
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
