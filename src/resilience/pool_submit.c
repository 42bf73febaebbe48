/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A submission: room first, which may take a while; then a slot, filled in without the lock; then
 * into the line with it. In the meantime the room is reserved.
 */

#include <string.h>

#include "resilience/clock.h"
#include "resilience/name.h"
#include "resilience/pool_core.h"

#define MORE_SLOTS 64

/* How a submission wants to be treated. */
struct entry {
	enum sonde_priority priority;
	uint64_t limit_ms; /* 0: neither waits nor is run here. */
	struct sonde_cancel *cancel;
	struct sonde__pool_runner *own; /* Found: the thread that runs one of its tasks. */
	struct sonde__pool_task *victim; /* Found: to be dropped. */
	uint64_t begun_ns;
};

/* With the lock held before and after. Done: room is reserved, or `own` will run it. */
static enum sonde__queue_end find_room(struct sonde__pool_core *core, struct entry *entry)
{
	uint64_t until_ns;
	enum sonde__queue_end end;

	if (core->is_closed)
		return SONDE__QUEUE_CLOSED;
	if (sonde__pool_has_room(core)) {
		core->n_reserved++;
		return SONDE__QUEUE_DONE;
	}
	if (core->policy == SONDE_QUEUE_DROP_OLDEST)
		entry->victim = sonde__pool_take_victim(core, entry->priority);
	if (core->policy != SONDE_QUEUE_WAIT || !entry->limit_ms)
		return entry->victim ? SONDE__QUEUE_DONE : SONDE__QUEUE_FULL;
	entry->own = sonde__pool_own_runner(core);
	if (entry->own)
		return entry->own->n_inline < SONDE__POOL_INLINE_MAX ? SONDE__QUEUE_DONE
								     : SONDE__QUEUE_FULL;
	until_ns = sonde__wait_end(entry->begun_ns, sonde__ms_to_ns(entry->limit_ms));
	end = sonde__pool_wait_for_room(core, entry->priority, until_ns, entry->cancel);
	return end == SONDE__QUEUE_LATE && until_ns != sonde__deadline_current() ? SONDE__QUEUE_FULL
										 : end;
}

static enum sonde__queue_end enter(struct sonde__pool_core *core, struct entry *entry)
{
	enum sonde__queue_end end;

	if (sonde_cancel_is_fired(entry->cancel))
		return SONDE__QUEUE_CANCELLED;
	entry->begun_ns = sonde__pool_now(core);
	end = find_room(core, entry);
	if (!entry->victim)
		return end;
	sonde__pool_refuse(core, entry->victim,
			   sonde_error_raise(&sonde_queue_full, "dropped for a newer task"),
			   SONDE__POOL_DROPPED);
	sonde__pool_unlock(core);
	sonde__pool_tell(core, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, /* count= */ 1,
			 /* error= */ NULL);
	sonde__pool_lock(core);
	return end;
}

/* With the lock held, which it gives back. Done: the task is the pool's. */
static enum sonde__queue_end put(struct sonde__pool_core *core, const struct entry *entry,
				 struct sonde__pool_task *task)
{
	struct sonde__pool_runner *own = entry->own;

	/* In the meantime. */
	if (core->is_closed && !own) {
		sonde__pool_leave_room(core);
		core->figures.rejected++;
		sonde__pool_unlock(core);
		return SONDE__QUEUE_CLOSED;
	}
	task->submitted_ns = entry->begun_ns;
	task->is_told = false;
	task->refusal = NULL;
	core->figures.submitted++;
	if (!own) {
		sonde__pool_enqueue(core, task);
	} else {
		own->n_inline++;
		sonde__pool_begin(core, own, task);
		sonde__pool_perform(core, own, task);
		own->n_inline--;
	}
	sonde__pool_unlock(core);
	return SONDE__QUEUE_DONE;
}

static struct sonde_error *error_of(const struct sonde__pool_core *core, enum sonde__queue_end end,
				    const struct sonde_cancel *cancel)
{
	const struct sonde__name name = sonde__name_of(core ? core->name : NULL);

	switch (end) {
	case SONDE__QUEUE_FULL:
		return sonde_error_raise(&sonde_queue_full, "pool%s%s is full", name.space, name.text);
	case SONDE__QUEUE_CANCELLED:
		return sonde_cancel_error(cancel);
	case SONDE__QUEUE_LATE:
		return sonde_error_raise(
			&sonde_timeout, "over the deadline before pool%s%s had space", name.space, name.text);
	default:
		return sonde_error_raise(&sonde_closed, "pool%s%s is closed", name.space, name.text);
	}
}

static struct sonde_error *reject(struct sonde__pool_core *core, const struct entry *entry,
				  enum sonde__queue_end end)
{
	struct sonde_error *error = error_of(core, end, entry->cancel);

	sonde__pool_tell(core, SONDE_OBSERVED_REJECTION,
			 entry->begun_ns ? sonde__pool_now(core) - entry->begun_ns : 0,
			 /* count= */ 1, error);
	return error;
}

/* NULL: the room is there, and the lock is held. */
static struct sonde_error *lock_and_enter(struct sonde__pool_core *core, struct entry *entry)
{
	enum sonde__queue_end end;

	sonde__pool_lock(core);
	end = enter(core, entry);
	if (end == SONDE__QUEUE_DONE)
		return NULL;
	core->figures.rejected++;
	sonde__pool_unlock(core);
	return reject(core, entry, end);
}

struct sonde_error *sonde__pool_submit(struct sonde_pool *pool, struct sonde__pool_task *task,
				       uint64_t limit_ms, struct sonde_cancel *cancel)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	struct entry entry = { .priority = task->priority, .limit_ms = limit_ms, .cancel = cancel };
	struct sonde_error *error;

	if (!core)
		return error_of(NULL, SONDE__QUEUE_CLOSED, NULL);
	task->context = sonde_context_current();
	error = lock_and_enter(core, &entry);
	if (error)
		return error;
	return put(core, &entry, task) == SONDE__QUEUE_DONE
		       ? NULL
		       : reject(core, &entry, SONDE__QUEUE_CLOSED);
}

/*
 * There is memory for what can be queued, and for as many tasks out of the queue as the pool's
 * threads run; who runs more of them elsewhere, or keeps ones that have ended, has room made for
 * more. The room in the queue is reserved meanwhile. With the lock held before and after; NULL: no
 * memory.
 */
static struct sonde__pool_slot *slot_new(struct sonde__pool_core *core)
{
	struct sonde__pool_slot *slot = sonde__pool_slot_new(core);
	int status = SONDE_OK;

	/* Others may be as quick. */
	while (!slot && status == SONDE_OK) {
		sonde__pool_unlock(core);
		status = sonde__pool_slots_add(core, MORE_SLOTS);
		sonde__pool_lock(core);
		slot = sonde__pool_slot_new(core);
	}
	return slot;
}

/* With the lock held, which it gives back. */
static struct sonde_error *refuse_full(struct sonde__pool_core *core, const struct entry *entry)
{
	if (!entry->own)
		sonde__pool_leave_room(core);
	core->figures.rejected++;
	sonde__pool_unlock(core);
	return reject(core, entry, SONDE__QUEUE_FULL);
}

static struct sonde_error *submit(struct sonde__pool_core *core, sonde_task_fn *function,
				  void *argument, const struct sonde_task_options *options,
				  struct sonde_future *future, uint64_t limit_ms)
{
	struct entry entry = { .priority = options->priority,
			       .limit_ms = limit_ms,
			       .cancel = options->cancel };
	struct sonde__pool_slot *slot;
	struct sonde_error *error = lock_and_enter(core, &entry);

	if (error)
		return error;
	slot = slot_new(core);
	if (!slot)
		return refuse_full(core, &entry);
	sonde__pool_unlock(core);
	slot->core = core;
	sonde__pool_slot_set(slot, function, argument, options);
	slot->task.context = sonde_context_current();
	sonde__pool_lock(core);
	if (future)
		sonde__future_attach((struct sonde__future *)future, slot);
	if (put(core, &entry, &slot->task) == SONDE__QUEUE_DONE)
		return NULL;
	sonde__pool_slot_undo(slot);
	return reject(core, &entry, SONDE__QUEUE_CLOSED);
}

static const struct sonde_task_options default_options;

struct sonde_error *sonde_pool_submit(struct sonde_pool *pool, sonde_task_fn *task, void *argument,
				      const struct sonde_task_options *options,
				      struct sonde_future *future)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	const struct sonde_task_options *given = options ? options : &default_options;

	if (future)
		memset(future, 0, sizeof(*future));
	if (!task)
		return sonde_error_raise(&sonde_internal, "there is no task to submit");
	if (!core)
		return error_of(NULL, SONDE__QUEUE_CLOSED, NULL);
	return submit(core, task, argument, given, future,
		      given->limit_ms ? given->limit_ms : UINT64_MAX);
}

int sonde_pool_try_submit(struct sonde_pool *pool, sonde_task_fn *task, void *argument,
			  const struct sonde_task_options *options, struct sonde_future *future)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	struct sonde_error *error;
	int status = SONDE_OK;

	if (future)
		memset(future, 0, sizeof(*future));
	if (!task)
		return SONDE_E_INVALID;
	if (!core)
		return SONDE_E_CLOSED;
	error = submit(core, task, argument, options ? options : &default_options, future,
		       /* limit_ms= */ 0);
	if (error)
		status = sonde_error_is(error, &sonde_closed) ? SONDE_E_CLOSED : SONDE_E_LIMITED;
	sonde_error_free(error);
	return status;
}

/* Why a task is not waited for. */
static const char *reason_of(enum sonde__queue_end end)
{
	switch (end) {
	case SONDE__QUEUE_LATE:
		return "over the deadline";
	case SONDE__QUEUE_FULL:
		return SONDE__POOL_TOO_DEEP;
	default:
		return "the caller was cancelled";
	}
}

struct sonde_error *sonde_pool_run(struct sonde_pool *pool, sonde_task_fn *task, void *argument,
				   const struct sonde_task_options *options, void **ret_result)
{
	struct sonde_cancel *cancel = options ? options->cancel : NULL;
	SONDE_FUTURE_AUTODEINIT struct sonde_future future;
	struct sonde_error *error = sonde_pool_submit(pool, task, argument, options, &future);
	enum sonde__queue_end end;

	if (error)
		return error;
	end = sonde__future_wait_until(&future, sonde__deadline_current(), cancel);
	if (end != SONDE__QUEUE_DONE) {
		sonde_future_cancel(&future, reason_of(end));
		(void)sonde__future_wait_until(&future, SONDE__NEVER, /* cancel= */ NULL);
	}
	error = sonde__future_take(&future, ret_result);
	if (error && end == SONDE__QUEUE_LATE && !sonde_error_is(error, &sonde_timeout))
		error = sonde_error_wrap(error, &sonde_timeout, "over the deadline");
	if (error && end == SONDE__QUEUE_FULL)
		error = sonde_error_wrap(error, &sonde_queue_full, SONDE__POOL_TOO_DEEP);
	return error;
}
