/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the tasks, for who waits for all, for the next one, or looks at each. */
#include "resilience/group.h"

#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Told to end by somebody else: neither an error nor a success of its own has decided it. */
static bool was_ended(const struct sonde__group *group)
{
	return group->why == SONDE__GROUP_LATE || group->why == SONDE__GROUP_TOLD ||
	       group->why == SONDE__GROUP_LEFT;
}

/* A retry, say, that was told in the middle of its work: what it had found so far is its cause. */
static bool is_telling_answer(const struct sonde__group_task *task)
{
	return task->state == SONDE__GROUP_CANCELLED && sonde_error_cause(task->error);
}

/*
 * All errors that are there and are no mere answers, the first one first. Where one of them decided
 * what became of the group, no answer says more. With the lock held.
 */
static struct sonde_error *errors_take(struct sonde__group *group)
{
	struct sonde_error *all = NULL;
	bool wants_answers = was_ended(group);

	if (group->first_error != SIZE_MAX)
		all = sonde_error_steal(&sonde__group_task_at(group, group->first_error)->error);
	for (size_t i = 0; i < group->figures.spawned; i++) {
		struct sonde__group_task *task = sonde__group_task_at(group, i);

		if (task->state == SONDE__GROUP_FAILED ||
		    (wants_answers && is_telling_answer(task)))
			all = sonde_error_join(all, sonde_error_steal(&task->error));
	}
	return all;
}

static struct sonde_error *outcome(const struct sonde__group *group, struct sonde_error *errors)
{
	const char *name = group->name ? group->name : "";
	SONDE_ERROR_AUTOFREE struct sonde_error *told = NULL;

	switch ((enum sonde__group_why)group->why) {
	case SONDE__GROUP_GOES_ON:
	case SONDE__GROUP_FAILS:
	case SONDE__GROUP_WON:
		break;
	case SONDE__GROUP_LATE:
		return sonde_error_wrap(errors, &sonde_timeout,
					"the group \"%s\" was not done in time", name);
	case SONDE__GROUP_TOLD:
	case SONDE__GROUP_LEFT:
		if (!group->figures.cancelled)
			break;
		/* With the reason, as whoever fired the token gave it. */
		told = sonde_cancel_error(&group->token);
		return sonde_error_wrap(errors, &sonde_cancelled, "the group \"%s\" was %s", name,
					sonde_error_message(told));
	}
	return errors;
}

struct sonde_error *sonde_group_wait(struct sonde_group *sonde_group)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	struct sonde_error *error = NULL;
	bool is_won;

	if (!group)
		return sonde_error_raise(&sonde_closed, "there is no group to wait for");
	if (sonde__group_is_inside(group))
		return sonde_error_raise(&sonde_internal,
					 "a group is not waited for by a task of its own");
	sonde__group_wait(group, /* wants_all= */ true);
	pthread_mutex_lock(&group->lock);
	/* Their errors stay, to be taken or told at the end. */
	is_won = group->why == SONDE__GROUP_WON;
	if (!is_won)
		error = errors_take(group);
	pthread_mutex_unlock(&group->lock);
	if (is_won)
		return NULL;
	error = outcome(group, error);
	if (error) {
		sonde_error_set(error, sonde_int("sonde.group.failed",
						 (int64_t)group->figures.failed));
		sonde_error_set(error, sonde_int("sonde.group.cancelled",
						 (int64_t)group->figures.cancelled));
	}
	return error;
}

size_t sonde_group_gather(struct sonde_group *sonde_group)
{
	struct sonde__group *group = sonde__group_here(sonde_group);

	if (!group || sonde__group_is_inside(group))
		return 0;
	sonde__group_wait(group, /* wants_all= */ true);
	return group->figures.failed + group->figures.cancelled;
}

/* ---- Results --------------------------------------------------------------------------------- */

static struct sonde_group_result result_of(const struct sonde__group_task *task)
{
	bool has_ended = task->state > SONDE__GROUP_RUNNING;

	return (struct sonde_group_result){
		.index = task->index,
		.name = task->name,
		.argument = task->argument,
		.error = has_ended ? task->error : NULL,
		.has_ended = has_ended,
		/* Changed without the lock while it runs. */
		.has_run = has_ended ? task->has_run : task->state == SONDE__GROUP_RUNNING,
		.queued_ns = has_ended ? task->started_ns - task->spawned_ns : 0,
		.duration_ns = has_ended ? task->ended_ns - task->started_ns : 0,
	};
}

int sonde_group_result(struct sonde_group *sonde_group, size_t index,
		       struct sonde_group_result *ret)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	int status = SONDE_E_NOT_FOUND;

	if (!group || !ret)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&group->lock);
	if (index < group->figures.spawned) {
		*ret = result_of(sonde__group_task_at(group, index));
		status = SONDE_OK;
	}
	pthread_mutex_unlock(&group->lock);
	return status;
}

struct sonde_error *sonde_group_take(struct sonde_group *sonde_group, size_t index)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	struct sonde_error *error = NULL;

	if (!group)
		return NULL;
	pthread_mutex_lock(&group->lock);
	if (index < group->figures.spawned) {
		struct sonde__group_task *task = sonde__group_task_at(group, index);

		if (task->state > SONDE__GROUP_RUNNING)
			error = sonde_error_steal(&task->error);
	}
	pthread_mutex_unlock(&group->lock);
	return error;
}

int sonde_group_winner(struct sonde_group *sonde_group, size_t *ret_index)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	size_t winner;

	if (!group || !ret_index)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&group->lock);
	winner = group->winner;
	pthread_mutex_unlock(&group->lock);
	if (winner == SIZE_MAX)
		return SONDE_E_NOT_FOUND;
	*ret_index = winner;
	return SONDE_OK;
}

static int next_of(struct sonde__group *group, struct sonde_group_result *ret)
{
	struct sonde__group_task *task;
	int status = SONDE_OK;
	uint64_t n;

	if (group->end_ns != SONDE__NEVER && sonde__now_ns(group->clock) >= group->end_ns)
		sonde__group_end(group, SONDE__GROUP_LATE, "the group's time is over",
				 /* error= */ NULL);
	sonde__group_look(group);
	pthread_mutex_lock(&group->lock);
	task = sonde__group_list_pop(&group->ended);
	if (task) {
		*ret = result_of(task);
		task->error = NULL;
		group->n_returned++;
	} else {
		status = group->n_returned == group->figures.spawned ? SONDE_E_NOT_FOUND
								     : SONDE_INCOMPLETE;
		if (group->fd >= 0)
			(void)!read(group->fd, &n, sizeof(n));
	}
	pthread_mutex_unlock(&group->lock);
	return status;
}

int sonde_group_try_next(struct sonde_group *sonde_group, struct sonde_group_result *ret)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	int status;

	if (!group || !ret)
		return SONDE_E_INVALID;
	status = next_of(group, ret);
	/* Nobody waits, who would run what a full pool did not take: it may have room by now. */
	if (status == SONDE_INCOMPLETE && group->pool)
		sonde__group_pool_feed(group);
	return status;
}

bool sonde_group_next(struct sonde_group *sonde_group, struct sonde_group_result *ret)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	int status = SONDE_INCOMPLETE;

	if (!group || !ret || sonde__group_is_inside(group))
		return false;
	/* Another thread may have been given the one that was waited for. */
	while ((status = next_of(group, ret)) == SONDE_INCOMPLETE)
		sonde__group_wait(group, /* wants_all= */ false);
	return status == SONDE_OK;
}

int sonde_group_fd(struct sonde_group *sonde_group)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	int fd;

	if (!group)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&group->lock);
	if (group->fd < 0)
		group->fd = eventfd(group->ended.first != NULL, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = group->fd;
	pthread_mutex_unlock(&group->lock);
	return fd >= 0 ? fd : SONDE_E_SYSTEM;
}

void sonde_group_figures(struct sonde_group *sonde_group, struct sonde_group_figures *ret)
{
	struct sonde__group *group = sonde__group_here(sonde_group);

	if (!ret)
		return;
	*ret = (struct sonde_group_figures){ 0 };
	if (!group)
		return;
	pthread_mutex_lock(&group->lock);
	*ret = group->figures;
	pthread_mutex_unlock(&group->lock);
}
