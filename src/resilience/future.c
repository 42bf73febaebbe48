/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A future is in its caller's memory and tied to the slot of its task, both under the pool's lock:
 * the task's end puts the outcome into the future and unties it, the future's deinit unties it
 * first. It holds the pool's core, so that it may outlive the pool.
 */

#include <sonde/future.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "resilience/clock.h"
#include "resilience/pool_core.h"

/* A future's state. */
#define PENDING 0u
#define DONE 1u
#define TAKEN 2u

static struct sonde__future *future_of(const struct sonde_future *future)
{
	return (struct sonde__future *)(uintptr_t)future;
}

/* Acquire, A1, partner R1 in set_state: who sees it done sees the outcome. */
static uint32_t state_of(const struct sonde__future *future)
{
	return atomic_load_explicit(&future->state, memory_order_acquire);
}

static void set_state(struct sonde__future *future, uint32_t state)
{
	/* Release, R1, partner A1 above. */
	atomic_store_explicit(&future->state, state, memory_order_release);
}

static void make_readable(const struct sonde__future *future)
{
	int number = errno;

	if (future->fd >= 0)
		(void)!write(future->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	errno = number;
}

void sonde__future_attach(struct sonde__future *future, struct sonde__pool_slot *slot)
{
	future->core = slot->core;
	future->core->n_holders++;
	future->slot = slot;
	future->fd = -1;
	slot->future = future;
	slot->task.is_awaited = true;
}

void sonde__future_complete(struct sonde__future *future, void *result, struct sonde_error *error)
{
	future->result = result;
	future->error = error;
	future->slot = NULL;
	set_state(future, DONE);
	make_readable(future);
	while (sonde__waiters_grant(&future->waiters))
		;
}

/* With the lock held before and after. */
static enum sonde__queue_end wait_locked(struct sonde__future *future, uint64_t until_ns,
					 struct sonde_cancel *cancel)
{
	struct sonde__pool_core *core = future->core;
	struct sonde__waiter waiter;
	enum sonde__woken woken;

	sonde__waiter_init(&waiter);
	sonde__waiters_push(&future->waiters, &waiter);
	sonde__pool_unlock(core);
	woken = sonde__park(&waiter.parker, sonde__pool_clock(core), until_ns, cancel);
	sonde__pool_lock(core);
	if (waiter.is_granted)
		return SONDE__QUEUE_DONE;
	sonde__waiters_remove(&future->waiters, &waiter);
	return woken == SONDE__WOKEN_LATE ? SONDE__QUEUE_LATE : SONDE__QUEUE_CANCELLED;
}

/*
 * Runs the task here, where nobody but the calling thread may ever do that. False: it must not, for
 * all that it is in already. With the lock held before and after.
 */
static bool help(struct sonde__future *future)
{
	struct sonde__pool_core *core = future->core;
	const struct sonde__pool_runner *own = sonde__pool_own_runner(core);
	struct sonde__pool_task *task = &future->slot->task;

	if (!own && !core->has_no_threads)
		return true;
	if (own && own->n_tasks >= SONDE__POOL_DEPTH_MAX && task->state == SONDE__POOL_QUEUED)
		return false;
	(void)sonde__pool_turn(core, task);
	return true;
}

enum sonde__queue_end sonde__future_wait_until(struct sonde_future *public, uint64_t until_ns,
					       struct sonde_cancel *cancel)
{
	struct sonde__future *future = future_of(public);
	enum sonde__queue_end end = SONDE__QUEUE_DONE;

	if (state_of(future) != PENDING)
		return SONDE__QUEUE_DONE;
	if (sonde_cancel_is_fired(cancel))
		return SONDE__QUEUE_CANCELLED;
	if (!until_ns)
		return SONDE__QUEUE_LATE;
	sonde__pool_lock(future->core);
	if (future->slot && !help(future))
		end = SONDE__QUEUE_FULL;
	else if (future->slot)
		end = wait_locked(future, until_ns, cancel);
	sonde__pool_unlock(future->core);
	return end;
}

struct sonde_error *sonde__future_take(struct sonde_future *public, void **ret_result)
{
	struct sonde__future *future = future_of(public);
	struct sonde_error *error;
	bool is_first;

	sonde__pool_lock(future->core);
	is_first = state_of(future) == DONE;
	set_state(future, TAKEN);
	sonde__pool_unlock(future->core);
	if (!is_first)
		return sonde_error_raise(&sonde_internal, "the outcome was taken already");
	error = future->error;
	if (ret_result)
		*ret_result = future->result;
	return error;
}

struct sonde_error *sonde_future_wait(struct sonde_future *public, uint64_t limit_ms,
				      struct sonde_cancel *cancel, void **ret_result)
{
	struct sonde__future *future = future_of(public);
	uint64_t until_ns = 0;

	if (!public || !future->core)
		return sonde_error_raise(&sonde_internal, "there is nothing to wait for");
	if (sonde__pool_core_is_foreign(future->core))
		return sonde_error_raise(&sonde_closed, "the future is another process's");
	if (limit_ms && state_of(future) == PENDING)
		until_ns = sonde__wait_end(sonde__pool_now(future->core),
					   sonde__ms_to_ns(limit_ms));
	switch (sonde__future_wait_until(public, until_ns, cancel)) {
	case SONDE__QUEUE_DONE:
		return sonde__future_take(public, ret_result);
	case SONDE__QUEUE_CANCELLED:
		return sonde_cancel_error(cancel);
	case SONDE__QUEUE_FULL:
		return sonde_error_raise(&sonde_queue_full, SONDE__POOL_TOO_DEEP);
	default:
		return sonde_error_raise(&sonde_timeout, "the task has not ended in time");
	}
}

bool sonde_future_is_done(const struct sonde_future *public)
{
	return public && future_of(public)->core && state_of(future_of(public)) != PENDING;
}

bool sonde_future_is_taken(const struct sonde_future *public)
{
	return public && future_of(public)->core && state_of(future_of(public)) == TAKEN;
}

int sonde_future_fd(struct sonde_future *public)
{
	struct sonde__future *future = future_of(public);
	int fd;

	if (!public || !future->core || sonde__pool_core_is_foreign(future->core))
		return SONDE_E_INVALID;
	sonde__pool_lock(future->core);
	if (future->fd < 0) {
		future->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (state_of(future) != PENDING)
			make_readable(future);
	}
	fd = future->fd;
	sonde__pool_unlock(future->core);
	return fd >= 0 ? fd : SONDE_E_SYSTEM;
}

static struct sonde_error *cancelled(const char *reason)
{
	return reason && *reason ? sonde_error_raise(&sonde_cancelled, "cancelled: %s", reason)
				 : sonde_error_raise(&sonde_cancelled, "cancelled");
}

void sonde_future_cancel(struct sonde_future *public, const char *reason)
{
	struct sonde__future *future = future_of(public);
	struct sonde__pool_core *core = public ? future->core : NULL;
	struct sonde__pool_task *task;

	if (!core || sonde__pool_core_is_foreign(core))
		return;
	sonde__pool_lock(core);
	/* Who waits for what is done here may end the future, and with it the core, meanwhile. */
	core->n_holders++;
	task = future->slot ? &future->slot->task : NULL;
	if (task && task->state == SONDE__POOL_QUEUED) {
		sonde__pool_take_this(core, /* runner= */ NULL, task);
		sonde__pool_refuse(core, task, cancelled(reason), SONDE__POOL_CANCELLED);
	} else if (task && task->state == SONDE__POOL_RUNNING) {
		sonde__pool_fire(core, task, reason);
	}
	sonde__pool_core_release(core);
}

/* Nobody has taken it. */
static void tell_untaken(struct sonde__future *future)
{
	if (future->error)
		sonde__pool_tell(future->core, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0,
				 /* count= */ 1, future->error);
	else
		sonde__pool_tell(future->core, SONDE_OBSERVED_DROP, /* duration_ns= */ 0,
				 /* count= */ 1, /* error= */ NULL);
	future->error = sonde_error_free(future->error);
}

void sonde_future_deinit(struct sonde_future *public)
{
	struct sonde__future *future = future_of(public);
	struct sonde__pool_core *core = public ? future->core : NULL;

	if (!core)
		return;
	if (sonde__pool_core_is_foreign(core)) {
		memset(public, 0, sizeof(*public));
		return;
	}
	sonde__pool_lock(core);
	if (future->slot) {
		future->slot->future = NULL;
		future->slot->was_forsaken = true;
		future->slot->task.is_awaited = false;
	}
	sonde__pool_unlock(core);
	if (state_of(future) == DONE)
		tell_untaken(future);
	if (future->fd >= 0)
		close(future->fd);
	memset(public, 0, sizeof(*public));
	sonde__pool_lock(core);
	sonde__pool_core_release(core);
}
