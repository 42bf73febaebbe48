/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's life, and the memory of its tasks: chunks that double what is there, so that a task
 * stays where it is, and is found by its index.
 */
#include "resilience/group.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sonde/deadline.h>

#include "base/testpoint.h"

#define MAX_RUNNING 32u
#define MAX_TASKS 4096u
#define MAX_TASKS_MAX (SONDE__GROUP_CHUNK << (SONDE__GROUP_CHUNKS - 1))
#define SLOW_LEAVE_MS 10000u

_Static_assert(sizeof(struct sonde__group) <= sizeof(struct sonde_group), "a group fits");
_Static_assert(_Alignof(struct sonde__group) <= _Alignof(struct sonde_group), "and is aligned");
_Static_assert(MAX_TASKS_MAX == 1u << 20, "as the header says");

/* ---- Memory ---------------------------------------------------------------------------------- */

static unsigned chunk_of(size_t index)
{
	return index < SONDE__GROUP_CHUNK
		       ? 0
		       : 1 + (unsigned)(31 - __builtin_clz((uint32_t)(index / SONDE__GROUP_CHUNK)));
}

/* Of a chunk: how many tasks come before it. */
static size_t chunk_begin(unsigned chunk)
{
	return chunk ? (size_t)SONDE__GROUP_CHUNK << (chunk - 1) : 0;
}

struct sonde__group_task *sonde__group_task_at(struct sonde__group *group, size_t index)
{
	unsigned chunk = chunk_of(index);

	return &group->chunks[chunk][index - chunk_begin(chunk)];
}

/* Memory for the next task; NULL: there is none. With the lock held. */
static struct sonde__group_task *task_new(struct sonde__group *group)
{
	size_t index = group->figures.spawned;
	unsigned chunk = chunk_of(index);

	if (!group->chunks[chunk]) {
		size_t n_tasks = chunk ? chunk_begin(chunk) : SONDE__GROUP_CHUNK;

		group->chunks[chunk] = calloc(n_tasks, sizeof(struct sonde__group_task));
	}
	if (!group->chunks[chunk])
		return NULL;
	return sonde__group_task_at(group, index);
}

/* ---- Init and deinit ------------------------------------------------------------------------- */

static bool options_are_valid(const struct sonde_group_options *options)
{
	return options->mode <= SONDE_GROUP_FIRST_SUCCESS && options->max_tasks <= MAX_TASKS_MAX &&
	       !(options->parent && options->cancel);
}

static void options_set(struct sonde__group *group, const struct sonde_group_options *options)
{
	uint64_t limit_ns = options->limit_ms ? sonde__ms_to_ns(options->limit_ms) : SONDE__NEVER;

	group->name = options->name;
	group->mode = options->mode;
	group->pool = options->pool;
	group->max_running = options->max_running ? options->max_running
			     : options->pool	  ? UINT32_MAX
						  : MAX_RUNNING;
	group->max_tasks = options->max_tasks ? options->max_tasks : MAX_TASKS;
	group->slow_leave_ns = sonde__ms_to_ns(options->slow_leave_ms ? options->slow_leave_ms
								      : SLOW_LEAVE_MS);
	group->stack_size = options->stack_size;
	group->clock = options->clock;
	group->observer = options->observer;
	group->end_ns = limit_ns == SONDE__NEVER
				? sonde__deadline_current()
				: sonde__wait_end(sonde__now_ns(options->clock), limit_ns);
}

int sonde_group_init(struct sonde_group *sonde_group, const struct sonde_group_options *options)
{
	static const struct sonde_group_options defaults;
	struct sonde__group *group = sonde__group_of(sonde_group);

	if (!options)
		options = &defaults;
	if (!group)
		return SONDE_E_INVALID;
	group->process = 0; /* Nothing to free. */
	if (!options_are_valid(options))
		return SONDE_E_INVALID;
	memset(group, 0, sizeof(*group));
	options_set(group, options);
	group->process = getpid();
	group->fd = -1;
	group->winner = group->first_error = SIZE_MAX;
	pthread_mutex_init(&group->lock, /* attributes= */ NULL);
	(void)sonde_cancel_init(&group->token, options->parent
						       ? &sonde__group_of(options->parent)->token
						       : options->cancel);
	return SONDE_OK;
}

/* What nobody was given is told; an answer to being told to end says nothing. */
static void errors_free(struct sonde__group *group)
{
	for (size_t i = 0; i < group->figures.spawned; i++) {
		struct sonde__group_task *task = sonde__group_task_at(group, i);

		if (task->error && task->state == SONDE__GROUP_FAILED)
			sonde__group_tell(group, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0,
					  /* count= */ 0, task->error);
		task->error = sonde_error_free(task->error);
	}
}

void sonde_group_deinit(struct sonde_group *sonde_group)
{
	struct sonde__group *group = sonde__group_here(sonde_group);
	bool have_all_ended;

	if (!group)
		return;
	if (sonde__group_is_inside(group)) {
		SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(
			&sonde_internal, "a group is not freed by a task of its own");

		sonde__group_tell(group, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0,
				  /* count= */ 0, error);
		return;
	}
	pthread_mutex_lock(&group->lock);
	have_all_ended = sonde__group_have_all_ended(group);
	pthread_mutex_unlock(&group->lock);
	if (!have_all_ended)
		sonde__group_end(group, SONDE__GROUP_LEFT, "the group is left", /* error= */ NULL);
	sonde__group_wait(group, /* wants_all= */ true);
	errors_free(group);
	for (unsigned i = 0; i < SONDE__GROUP_CHUNKS; i++)
		free(group->chunks[i]);
	if (group->fd >= 0)
		close(group->fd);
	sonde_cancel_deinit(&group->token);
	pthread_mutex_destroy(&group->lock);
	group->process = 0;
}

/* ---- Spawning -------------------------------------------------------------------------------- */

static void task_set(struct sonde__group_task *task, struct sonde__group *group, const char *name,
		     sonde_operation_fn *operation, void *argument)
{
	memset(task, 0, sizeof(*task));
	task->group = group;
	task->name = name;
	task->operation = operation;
	task->argument = argument;
	task->index = (uint32_t)group->figures.spawned;
	task->spawned_ns = sonde__now_ns(group->clock);
	task->context = sonde_context_current();
	sonde_context_limit(&task->context, group->end_ns);
}

/* With the lock held. */
static int spawn(struct sonde__group *group, const char *name, sonde_operation_fn *operation,
		 void *argument)
{
	struct sonde__group_task *task;

	if (group->is_closed)
		return SONDE_E_CLOSED;
	if (group->figures.spawned >= group->max_tasks)
		return SONDE_E_LIMITED;
	task = task_new(group);
	if (!task)
		return SONDE_E_NOMEM;
	/* Told already, it never begins. */
	if (!group->pool && !sonde_cancel_is_fired(&group->token))
		sonde__group_thread_provide(group);
	task_set(task, group, name, operation, argument);
	group->figures.spawned++;
	group->figures.queued++;
	sonde__group_list_push(&group->queue, task);
	return SONDE_OK;
}

int sonde_group_spawn(struct sonde_group *sonde_group, const char *name,
		      sonde_operation_fn *operation, void *argument, size_t *ret_index)
{
	struct sonde__group *group = sonde__group_of(sonde_group);
	size_t index;
	int status;

	if (!group || !operation)
		return SONDE_E_INVALID;
	if (!sonde__group_here(sonde_group))
		return SONDE_E_CLOSED;
	pthread_mutex_lock(&group->lock);
	index = group->figures.spawned;
	status = spawn(group, name, operation, argument);
	pthread_mutex_unlock(&group->lock);
	if (status < 0)
		return status;
	SONDE__TESTPOINT("group-spawned");
	sonde__group_look(group);
	if (group->pool)
		sonde__group_pool_feed(group);
	if (ret_index)
		*ret_index = index;
	return SONDE_OK;
}

struct sonde_cancel *sonde_group_token(struct sonde_group *group)
{
	return group ? &sonde__group_of(group)->token : NULL;
}

void sonde_group_cancel(struct sonde_group *sonde_group, const char *reason)
{
	struct sonde__group *group = sonde__group_here(sonde_group);

	if (group)
		sonde__group_end(group, SONDE__GROUP_TOLD, reason, /* error= */ NULL);
}
