/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of tasks that are submitted as functions: made with the pool, as many as can be queued
 * and run at once, so that a submission allocates nothing. A slot is free again when its task has
 * ended; the outcome has gone to the future by then, or to the observer.
 */

#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "resilience/pool_core.h"

int sonde__pool_slots_add(struct sonde__pool_core *core, size_t n_slots)
{
	/* What is never used is never touched, and costs no memory. */
	struct sonde__pool_chunk *chunk =
		calloc(1, sizeof(*chunk) + n_slots * sizeof(chunk->slots[0]));

	if (!chunk)
		return SONDE_E_NOMEM;
	chunk->n_slots = n_slots;
	sonde__pool_lock(core);
	chunk->next = core->chunks;
	core->chunks = chunk;
	sonde__pool_unlock(core);
	return SONDE_OK;
}

void sonde__pool_slots_free(struct sonde__pool_core *core)
{
	while (core->chunks) {
		struct sonde__pool_chunk *chunk = core->chunks;

		core->chunks = chunk->next;
		free(chunk);
	}
}

struct sonde__pool_slot *sonde__pool_slot_new(struct sonde__pool_core *core)
{
	struct sonde__pool_slot *slot = core->free_slots;

	if (slot) {
		core->free_slots = slot->next_free;
		return slot;
	}
	for (struct sonde__pool_chunk *chunk = core->chunks; chunk; chunk = chunk->next)
		if (chunk->n_used < chunk->n_slots)
			return &chunk->slots[chunk->n_used++];
	return NULL;
}

static struct sonde__pool_slot *slot_of(struct sonde__pool_task *task)
{
	return (struct sonde__pool_slot *)task;
}

static const struct sonde_error *slot_run(struct sonde__pool_task *task)
{
	struct sonde__pool_slot *slot = slot_of(task);

	slot->error = slot->function(slot->argument, &slot->token, &slot->result);
	return slot->error;
}

/* With the lock held. */
static void slot_free(struct sonde__pool_slot *slot)
{
	slot->next_free = slot->core->free_slots;
	slot->core->free_slots = slot;
}

void sonde__pool_slot_undo(struct sonde__pool_slot *slot)
{
	struct sonde__pool_core *core = slot->core;

	sonde_cancel_deinit(&slot->token);
	sonde__pool_lock(core);
	if (slot->future) {
		memset(slot->future, 0, sizeof(*slot->future));
		core->n_holders--;
	}
	slot_free(slot);
	sonde__pool_unlock(core);
}

/* Nobody will be given it. In the context of the work that submitted it, wherever it ended. */
static void tell_outcome(struct sonde__pool_core *core, const struct sonde_context *context,
			 struct sonde_error *error, bool was_forsaken)
{
	SONDE_CONTEXT_SCOPE(context);

	if (error)
		sonde__pool_tell(core, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0, /* count= */ 1,
				 error);
	else if (was_forsaken)
		sonde__pool_tell(core, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, /* count= */ 1,
				 /* error= */ NULL);
	sonde_error_free(error);
}

static void slot_end(struct sonde__pool_task *task, struct sonde_error *refusal)
{
	struct sonde__pool_slot *slot = slot_of(task);
	struct sonde__pool_core *core = slot->core;
	struct sonde_error *error = refusal ? refusal : slot->error;
	struct sonde_context context = task->context;
	bool was_forsaken;
	bool is_taken;

	/* Not where it ended its thread in the middle: then it had the argument. */
	if (refusal && task->outcome != SONDE__POOL_FAILED && slot->discard)
		slot->discard(slot->argument);
	sonde_cancel_deinit(&slot->token);
	sonde__pool_lock(core);
	is_taken = slot->future != NULL;
	was_forsaken = slot->was_forsaken;
	if (is_taken)
		sonde__future_complete(slot->future, slot->result, error);
	slot_free(slot);
	sonde__pool_unlock(core);
	SONDE__TESTPOINT("pool-completed");
	if (!is_taken)
		tell_outcome(core, &context, error, was_forsaken);
}

void sonde__pool_slot_set(struct sonde__pool_slot *slot, sonde_task_fn *function, void *argument,
			  const struct sonde_task_options *options)
{
	slot->task.run = slot_run;
	slot->task.end = slot_end;
	slot->task.cancel = &slot->token;
	slot->task.name = options->name;
	slot->task.priority = options->priority;
	slot->task.is_awaited = false;
	slot->function = function;
	slot->argument = argument;
	slot->discard = options->discard;
	slot->future = NULL;
	slot->was_forsaken = false;
	slot->result = NULL;
	slot->error = NULL;
	(void)sonde_cancel_init(&slot->token, options->cancel);
}
