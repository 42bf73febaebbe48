/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for tasks. Whoever waits is also the one who sees the deadline come, and a token above
 * fired, and has the tasks told; after that only the tasks themselves end the wait, and it is told
 * when they take too long for that.
 */
#include "resilience/group.h"

#include <inttypes.h>

#include "resilience/observe.h"

static bool is_there(const struct sonde__group *group, bool wants_all)
{
	if (sonde__group_have_all_ended(group))
		return true;
	return !wants_all && group->ended.first;
}

void sonde__group_notify(struct sonde__group *group, bool is_for_helpers)
{
	struct sonde__waiter *waiter = group->watchers.first;

	while (waiter) {
		const struct sonde__group_watcher *watcher = (struct sonde__group_watcher *)waiter;
		struct sonde__waiter *next = waiter->next;

		if ((is_for_helpers && watcher->helps) || is_there(group, watcher->wants_all)) {
			sonde__waiters_remove(&group->watchers, waiter);
			waiter->is_granted = true;
			sonde__unpark(&waiter->parker);
		}
		waiter = next;
	}
}

struct wait {
	struct sonde__group *group;
	struct sonde__group_watcher watcher;
	uint64_t since_ns;
	uint64_t told_ns; /* When it found that all were told to end. */
	uint64_t slow_ns; /* From when on those who were told to end are slow; never: not yet. */
	bool has_stalled;
	bool is_on_pool; /* Where the tasks of a pool may be waiting for this very thread. */
};

/* The first task that still runs; with the lock held. */
static const char *name_of_running(struct sonde__group *group)
{
	for (size_t i = 0; i < group->figures.spawned; i++) {
		const struct sonde__group_task *task = sonde__group_task_at(group, i);

		if (task->state == SONDE__GROUP_RUNNING)
			return task->name ? task->name : "";
	}
	return "";
}

static void tell_stall(struct wait *wait, uint64_t now_ns)
{
	struct sonde__group *group = wait->group;
	uint64_t late_ns = now_ns - wait->told_ns;
	SONDE_ERROR_AUTOFREE struct sonde_error *error = NULL;
	const char *name;
	size_t n;

	wait->slow_ns = SONDE__NEVER;
	wait->has_stalled = true;
	pthread_mutex_lock(&group->lock);
	n = group->figures.running;
	name = name_of_running(group);
	pthread_mutex_unlock(&group->lock);
	error = sonde_error_raise(&sonde_timeout,
				  "%zu tasks still run %.3g s after they were told to end; the first "
				  "is \"%s\"",
				  n, (double)late_ns / (double)SONDE__NS_PER_S, name);
	sonde__group_tell(group, SONDE_OBSERVED_STALL, late_ns, n, error);
}

/* One look at the time; without the lock. */
static void heed(struct wait *wait, enum sonde__woken woken)
{
	struct sonde__group *group = wait->group;
	uint64_t now_ns = sonde__now_ns(group->clock);

	if (woken == SONDE__WOKEN_LATE && now_ns >= wait->slow_ns)
		tell_stall(wait, now_ns);
	else if (woken == SONDE__WOKEN_LATE)
		sonde__group_end(group, SONDE__GROUP_LATE, "the group's time is over",
				 /* error= */ NULL);
	sonde__group_look(group);
}

/* Until the deadline, and while the token is not fired; then for as long as it takes. */
static enum sonde__woken park(struct wait *wait)
{
	struct sonde__group *group = wait->group;
	uint64_t until_ns = group->end_ns;

	if (!sonde_cancel_is_fired(&group->token)) {
		uint64_t deadline_ns = sonde__deadline_current();

		if (deadline_ns < until_ns)
			until_ns = deadline_ns;
		return sonde__park(&wait->watcher.waiter.parker, group->clock, until_ns,
				   &group->token);
	}
	if (!wait->told_ns) {
		wait->told_ns = sonde__now_ns(group->clock);
		wait->slow_ns = sonde__moment_after(wait->told_ns, group->slow_leave_ns);
	}
	return sonde__park(&wait->watcher.waiter.parker, group->clock, wait->slow_ns,
			   /* cancel= */ NULL);
}

/* With the lock held, before and after. */
static void wait_once(struct wait *wait)
{
	struct sonde__group *group = wait->group;
	enum sonde__woken woken;

	sonde__waiter_init(&wait->watcher.waiter);
	sonde__waiters_push(&group->watchers, &wait->watcher.waiter);
	pthread_mutex_unlock(&group->lock);
	woken = park(wait);
	if (woken != SONDE__WOKEN)
		heed(wait, woken);
	pthread_mutex_lock(&group->lock);
	if (!wait->watcher.waiter.is_granted)
		sonde__waiters_remove(&group->watchers, &wait->watcher.waiter);
}

/* The tasks may be waiting for this very thread. */
static bool is_needed_by(struct sonde_pool *pool)
{
	struct sonde_pool_figures figures;

	sonde_pool_figures(pool, &figures);
	return !figures.threads || sonde__pool_is_own_thread(pool);
}

/* Runs a task that nobody else would; with the lock held, before and after. */
static bool help(struct wait *wait)
{
	struct sonde__group *group = wait->group;
	struct sonde__group_task *task;

	if (sonde_cancel_is_fired(&group->token) && group->queue.first) {
		pthread_mutex_unlock(&group->lock);
		sonde__group_look(group);
		pthread_mutex_lock(&group->lock);
		return true;
	}
	if (group->pool)
		return sonde__group_pool_help(group, wait->is_on_pool);
	if (group->n_threads)
		return false;
	task = sonde__group_list_pop(&group->queue);
	if (!task)
		return false;
	sonde__group_task_help(task);
	return true;
}

void sonde__group_wait(struct sonde__group *group, bool wants_all)
{
	struct wait wait = { .group = group, .slow_ns = SONDE__NEVER };
	bool has_waited = false;
	uint64_t now_ns;

	wait.watcher.wants_all = wants_all;
	wait.watcher.helps = group->pool != NULL;
	wait.is_on_pool = group->pool && is_needed_by(group->pool);
	pthread_mutex_lock(&group->lock);
	while (!is_there(group, wants_all)) {
		if (help(&wait))
			continue;
		if (!has_waited)
			wait.since_ns = sonde__now_ns(group->clock);
		has_waited = true;
		wait_once(&wait);
	}
	if (wants_all)
		group->is_closed = true;
	pthread_mutex_unlock(&group->lock);
	if (wants_all)
		sonde__group_threads_join(group);
	if (!has_waited)
		return;
	now_ns = sonde__now_ns(group->clock);
	if (wait.has_stalled)
		sonde__group_tell(group, SONDE_OBSERVED_RECOVERY, now_ns - wait.told_ns,
				  /* count= */ 0, /* error= */ NULL);
	sonde__group_tell(group, SONDE_OBSERVED_WAIT, now_ns - wait.since_ns, /* count= */ 0,
			  /* error= */ NULL);
}

bool sonde__group_is_inside(struct sonde__group *group)
{
	const struct sonde__group_task *task;

	pthread_mutex_lock(&group->lock);
	task = group->running;
	while (task && task->thread != (uintptr_t)&sonde__thread)
		task = task->next_running;
	pthread_mutex_unlock(&group->lock);
	return task != NULL;
}
