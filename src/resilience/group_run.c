/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task is queued, runs, and has ended; or has ended without having run, because all were told to
 * end. Its end is entered last, with the lock held: from then on the owner may have the group
 * freed. Everything that an end brings about, its observation and telling the others, comes before.
 */
#include "resilience/group.h"

#include <errno.h>
#include <unistd.h>

#include "resilience/observe.h"

void sonde__group_list_push(struct sonde__group_list *list, struct sonde__group_task *task)
{
	task->next = NULL;
	if (list->last)
		list->last->next = task;
	else
		list->first = task;
	list->last = task;
}

void sonde__group_list_push_first(struct sonde__group_list *list, struct sonde__group_task *task)
{
	task->next = list->first;
	list->first = task;
	if (!list->last)
		list->last = task;
}

struct sonde__group_task *sonde__group_list_pop(struct sonde__group_list *list)
{
	struct sonde__group_task *task = list->first;

	if (!task)
		return NULL;
	list->first = task->next;
	if (!list->first)
		list->last = NULL;
	return task;
}

void sonde__group_tell(const struct sonde__group *group, enum sonde_observed what,
		       uint64_t duration_ns, uint64_t count, const struct sonde_error *error)
{
	sonde__observe(group->observer, &(struct sonde_observation){
						.pattern = SONDE_PATTERN_GROUP,
						.what = what,
						.name = group->name,
						.duration_ns = duration_ns,
						.count = count,
						.error = error,
					});
}

/* ---- Being told to end ----------------------------------------------------------------------- */

static const char *state_name(enum sonde__group_why why)
{
	switch (why) {
	case SONDE__GROUP_GOES_ON:
		return "running";
	case SONDE__GROUP_FAILS:
		return "failing";
	case SONDE__GROUP_WON:
		return "won";
	case SONDE__GROUP_LATE:
		return "late";
	case SONDE__GROUP_TOLD:
	case SONDE__GROUP_LEFT:
		break;
	}
	return "cancelled";
}

static void tell_state(const struct sonde__group *group, enum sonde__group_why why,
		       const struct sonde_error *error)
{
	sonde__observe(group->observer, &(struct sonde_observation){
						.pattern = SONDE_PATTERN_GROUP,
						.what = SONDE_OBSERVED_STATE,
						.name = group->name,
						.from = state_name(SONDE__GROUP_GOES_ON),
						.to = state_name(why),
						.error = error,
					});
}

/* With the lock held. An eventfd can only be full where somebody wrote into it: readable, too. */
static void make_readable(const struct sonde__group *group)
{
	int number = errno;

	if (group->fd >= 0)
		(void)!write(group->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	errno = number;
}

static void running_add(struct sonde__group *group, struct sonde__group_task *task)
{
	group->figures.running++;
	task->previous_running = NULL;
	task->next_running = group->running;
	if (group->running)
		group->running->previous_running = task;
	group->running = task;
}

static void running_remove(struct sonde__group *group, struct sonde__group_task *task)
{
	group->figures.running--;
	if (task->next_running)
		task->next_running->previous_running = task->previous_running;
	if (task->previous_running)
		task->previous_running->next_running = task->next_running;
	else
		group->running = task->next_running;
}

/* Enters the end of a task; with the lock held. */
static void enter_end(struct sonde__group *group, struct sonde__group_task *task,
		      enum sonde__group_state state)
{
	static const size_t counters[] = {
		[SONDE__GROUP_SUCCEEDED] = offsetof(struct sonde_group_figures, succeeded),
		[SONDE__GROUP_FAILED] = offsetof(struct sonde_group_figures, failed),
		[SONDE__GROUP_CANCELLED] = offsetof(struct sonde_group_figures, cancelled),
	};

	if (task->state == SONDE__GROUP_RUNNING)
		running_remove(group, task);
	else
		group->figures.queued--;
	task->state = (uint8_t)state;
	task->thread = 0;
	++*(size_t *)((char *)&group->figures + counters[state]);
	sonde__group_list_push(&group->ended, task);
	make_readable(group);
	sonde__group_notify(group, /* is_for_helpers= */ false);
}

/* What is queued never runs. Each that is taken out is not ended yet, and so keeps the group. */
static void sweep(struct sonde__group *group)
{
	struct sonde__group_list swept;
	struct sonde__group_task *task;
	uint64_t n = 0;

	pthread_mutex_lock(&group->lock);
	swept = group->queue;
	group->queue = (struct sonde__group_list){ NULL, NULL };
	pthread_mutex_unlock(&group->lock);
	for (task = swept.first; task; task = task->next, n++) {
		task->error = sonde_cancel_error(&group->token);
		task->started_ns = task->ended_ns = sonde__now_ns(group->clock);
	}
	if (!n)
		return;
	sonde__group_tell(group, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, n, /* error= */ NULL);
	pthread_mutex_lock(&group->lock);
	while ((task = sonde__group_list_pop(&swept)))
		enter_end(group, task, SONDE__GROUP_CANCELLED);
	pthread_mutex_unlock(&group->lock);
}

/* With the lock held. True: it is the first reason. Who is late with nothing left is not late. */
static bool why_set(struct sonde__group *group, enum sonde__group_why why)
{
	if (group->why != SONDE__GROUP_GOES_ON ||
	    (why == SONDE__GROUP_LATE && sonde__group_have_all_ended(group)))
		return false;
	group->why = (uint8_t)why;
	return true;
}

/* Without the lock, by whoever set the reason. */
static void end_tell(struct sonde__group *group, enum sonde__group_why why, const char *reason,
		     const struct sonde_error *error)
{
	sonde_cancel_fire(&group->token, reason);
	tell_state(group, why, error);
	sweep(group);
}

void sonde__group_end(struct sonde__group *group, enum sonde__group_why why, const char *reason,
		      const struct sonde_error *error)
{
	bool is_first;

	pthread_mutex_lock(&group->lock);
	is_first = why_set(group, why);
	pthread_mutex_unlock(&group->lock);
	if (is_first)
		end_tell(group, why, reason, error);
}

void sonde__group_look(struct sonde__group *group)
{
	bool is_first;

	if (!sonde_cancel_is_fired(&group->token))
		return;
	pthread_mutex_lock(&group->lock);
	is_first = why_set(group, SONDE__GROUP_TOLD);
	pthread_mutex_unlock(&group->lock);
	if (is_first)
		tell_state(group, SONDE__GROUP_TOLD, /* error= */ NULL);
	sweep(group);
}

/* ---- A task ---------------------------------------------------------------------------------- */

void sonde__group_task_begin(struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;

	task->state = SONDE__GROUP_RUNNING;
	task->has_run = true;
	task->thread = (uintptr_t)&sonde__thread;
	group->figures.queued--;
	running_add(group, task);
}

/* It answers to being told to end: that is no failure. */
static bool is_answer(const struct sonde__group *group, const struct sonde_error *error)
{
	return sonde_cancel_is_fired(&group->token) && sonde_error_is(error, &sonde_cancelled);
}

static void tell_task(const struct sonde__group_task *task, enum sonde_observed what,
		      uint64_t duration_ns, uint64_t delay_ns)
{
	const struct sonde__group *group = task->group;

	sonde__observe(group->observer, &(struct sonde_observation){
						.pattern = SONDE_PATTERN_GROUP,
						.what = what,
						.name = task->name ? task->name : group->name,
						.duration_ns = duration_ns,
						.delay_ns = delay_ns,
						.error = task->error,
					});
}

/* Notes what this end means for the group; with the lock held. True: it has all told to end. */
static bool decide(struct sonde__group *group, const struct sonde__group_task *task,
		   enum sonde__group_state state)
{
	if (state == SONDE__GROUP_SUCCEEDED && group->winner == SIZE_MAX)
		group->winner = task->index;
	if (state == SONDE__GROUP_FAILED && group->first_error == SIZE_MAX)
		group->first_error = task->index;
	if (state == SONDE__GROUP_FAILED && group->mode == SONDE_GROUP_FAIL_FAST)
		return why_set(group, SONDE__GROUP_FAILS);
	if (state == SONDE__GROUP_SUCCEEDED && group->mode == SONDE_GROUP_FIRST_SUCCESS)
		return why_set(group, SONDE__GROUP_WON);
	return false;
}

/*
 * What it brings about for the others, told as part of its own work: the thread may be at anybody
 * else's by now.
 */
static enum sonde__group_state conclude(const struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;
	enum sonde__group_state state = SONDE__GROUP_SUCCEEDED;
	bool decides;
	SONDE_CONTEXT_SCOPE(&task->context);

	/* Who was told before this is not told because of it. */
	sonde__group_look(group);
	if (task->error)
		state = is_answer(group, task->error) ? SONDE__GROUP_CANCELLED
						      : SONDE__GROUP_FAILED;
	pthread_mutex_lock(&group->lock);
	decides = decide(group, task, state);
	pthread_mutex_unlock(&group->lock);
	if (decides && task->error)
		end_tell(group, SONDE__GROUP_FAILS, "another task has failed", task->error);
	else if (decides)
		end_tell(group, SONDE__GROUP_WON, "another task has succeeded", /* error= */ NULL);
	return state;
}

void sonde__group_task_finish(struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;
	enum sonde__group_state state = conclude(task);

	sonde__group_pool_release(task);
	pthread_mutex_lock(&group->lock);
	enter_end(group, task, state);
	pthread_mutex_unlock(&group->lock);
}

/* What is told of one that was not run: it waited in vain, or was dropped as all were told. */
static void tell_refusal(const struct sonde__group_task *task)
{
	if (is_answer(task->group, task->error))
		sonde__group_tell(task->group, SONDE_OBSERVED_DROP, /* duration_ns= */ 0,
				  /* count= */ 1, /* error= */ NULL);
	else
		tell_task(task, SONDE_OBSERVED_REJECTION, task->started_ns - task->spawned_ns,
			  /* delay_ns= */ 0);
}

static void tell_run(const struct sonde__group_task *task)
{
	tell_task(task, SONDE_OBSERVED_RUN, task->ended_ns - task->started_ns,
		  task->started_ns - task->spawned_ns);
}

/* Also of one that the thread had to give up, or never took: in its context in any case. */
static void tell_end(const struct sonde__group_task *task)
{
	SONDE_CONTEXT_SCOPE(&task->context);

	if (task->has_run)
		tell_run(task);
	else
		tell_refusal(task);
}

void sonde__group_task_refuse(struct sonde__group_task *task, struct sonde_error *error)
{
	task->error = error;
	task->ended_ns = sonde__now_ns(task->group->clock);
	if (!task->has_run)
		task->started_ns = task->ended_ns;
	tell_end(task);
}

void sonde__group_task_run(struct sonde__group_task *task)
{
	const struct sonde_clock *clock = task->group->clock;
	SONDE_CONTEXT_SCOPE(&task->context);

	task->started_ns = sonde__now_ns(clock);
	if (sonde__deadline_current() <= task->started_ns) {
		task->has_run = false;
		sonde__group_task_refuse(
			task, sonde_error_raise(&sonde_timeout,
						"over the deadline before the task's turn came"));
		return;
	}
	task->error = task->operation(task->argument);
	task->ended_ns = sonde__now_ns(clock);
	tell_run(task);
}

void sonde__group_task_help(struct sonde__group_task *task)
{
	struct sonde__group *group = task->group;

	sonde__group_task_begin(task);
	pthread_mutex_unlock(&group->lock);
	sonde__group_task_run(task);
	sonde__group_task_finish(task);
	pthread_mutex_lock(&group->lock);
}
