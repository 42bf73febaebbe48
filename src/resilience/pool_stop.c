/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion, the stop, and the end. Who waits here is woken at every change that may matter, and
 * looks again: it happens once in a pool's life, or at its rests.
 */

#include <stdlib.h>
#include <string.h>

#include "resilience/clock.h"
#include "resilience/pool_core.h"

/* With the lock held before and after. */
static enum sonde__woken watch(struct sonde__pool_core *core, const struct sonde_clock *clock,
			       uint64_t until_ns, struct sonde_cancel *cancel)
{
	struct sonde__waiter waiter;
	enum sonde__woken woken;

	sonde__waiter_init(&waiter);
	sonde__waiters_push(&core->watchers, &waiter);
	sonde__pool_unlock(core);
	woken = sonde__park(&waiter.parker, clock, until_ns, cancel);
	sonde__pool_lock(core);
	if (!waiter.is_granted)
		sonde__waiters_remove(&core->watchers, &waiter);
	return woken;
}

/* ---- Completion ------------------------------------------------------------------------------ */

static enum sonde__woken wait_for_idle(struct sonde__pool_core *core, uint64_t until_ns,
				       struct sonde_cancel *cancel)
{
	enum sonde__woken woken = SONDE__WOKEN;

	while (core->has_no_threads && !sonde_cancel_is_fired(cancel) &&
	       sonde__pool_now(core) < until_ns && sonde__pool_turn(core, /* task= */ NULL))
		;
	while (woken == SONDE__WOKEN && !sonde__pool_is_idle(core))
		woken = watch(core, sonde__pool_clock(core), until_ns, cancel);
	return sonde__pool_is_idle(core) ? SONDE__WOKEN : woken;
}

struct sonde_error *sonde_pool_wait(struct sonde_pool *pool, uint64_t limit_ms,
				    struct sonde_cancel *cancel)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	enum sonde__woken woken;
	bool is_own;

	if (!core)
		return sonde_error_raise(&sonde_closed, "the pool is closed");
	sonde__pool_lock(core);
	is_own = sonde__pool_own_runner(core) != NULL;
	woken = is_own ? SONDE__WOKEN
		       : wait_for_idle(
				 core,
				 sonde__wait_end(sonde__pool_now(core), sonde__ms_to_ns(limit_ms)),
				 cancel);
	sonde__pool_unlock(core);
	if (is_own)
		return sonde_error_raise(&sonde_internal,
					 "a task waits for its own pool's completion");
	if (woken == SONDE__WOKEN)
		return NULL;
	return woken == SONDE__WOKEN_CANCELLED
		       ? sonde_cancel_error(cancel)
		       : sonde_error_raise(&sonde_timeout, "tasks were not completed in time");
}

/* ---- The stop -------------------------------------------------------------------------------- */

static void close_to_all(struct sonde__pool_core *core)
{
	core->is_closed = true;
	for (size_t i = 0; i < SONDE__POOL_CLASSES; i++) {
		while (core->submitters[i].first) {
			core->n_reserved++;
			sonde__waiters_grant(&core->submitters[i]);
		}
	}
	sonde__pool_threads_rouse(core);
	sonde__pool_notify(core);
}

static bool has_ended(const struct sonde__pool_core *core)
{
	return sonde__pool_is_idle(core) && !core->n_threads;
}

static void cancel_queued(struct sonde__pool_core *core)
{
	struct sonde__pool_task *task;

	while ((task = sonde__pool_take(core, /* runner= */ NULL)))
		sonde__pool_refuse(
			core, task,
			sonde_error_raise(&sonde_cancelled, "cancelled: the pool was stopped"),
			SONDE__POOL_CANCELLED);
}

static void tell_running(struct sonde__pool_core *core)
{
	struct sonde__pool_task *task = core->running.first;

	while (task) {
		if (!task->is_told) {
			task->is_told = true;
			sonde__pool_fire(core, task, "the pool was stopped");
			task = core->running.first;
		} else {
			task = task->next;
		}
	}
}

static void fill_left(const struct sonde__pool_core *core, struct sonde_pool_left *ret)
{
	size_t n = 0;

	memset(ret, 0, sizeof(*ret));
	ret->n_cancelled = core->n_stopped;
	ret->n_running = core->n_running;
	for (const struct sonde__pool_task *task = core->running.first;
	     task && n < SONDE_POOL_LEFT_MAX; task = task->next)
		ret->running[n++] = task->name ? task->name : "";
}

/* With the lock held before and after. */
static void stop(struct sonde__pool_core *core, uint64_t until_ns)
{
	enum sonde__woken woken = SONDE__WOKEN;

	close_to_all(core);
	while (core->has_no_threads && sonde__pool_now(core) < until_ns &&
	       sonde__pool_turn(core, /* task= */ NULL))
		;
	while (woken == SONDE__WOKEN && !has_ended(core))
		woken = watch(core, sonde__pool_clock(core), until_ns, /* cancel= */ NULL);
	if (has_ended(core))
		return;
	core->n_stopped += core->n_queued;
	cancel_queued(core);
	tell_running(core);
	sonde__pool_threads_rouse(core);
}

int sonde_pool_stop(struct sonde_pool *pool, uint64_t limit_ms, struct sonde_pool_left *ret)
{
	struct sonde__pool_core *core = sonde__pool_core_of(pool);
	struct sonde_pool_left left;

	if (!core)
		return SONDE_E_CLOSED;
	sonde__pool_lock(core);
	if (sonde__pool_own_runner(core)) {
		sonde__pool_unlock(core);
		return SONDE_E_INVALID;
	}
	stop(core, sonde__wait_end(sonde__pool_now(core), sonde__ms_to_ns(limit_ms)));
	fill_left(core, &left);
	sonde__pool_unlock(core);
	sonde__pool_threads_join(core);
	if (ret)
		*ret = left;
	return left.n_cancelled || left.n_running ? SONDE_INCOMPLETE : SONDE_OK;
}

/* ---- The end --------------------------------------------------------------------------------- */

/*
 * Does every thread that is left run a task, or is it the caller's own? One that is counted and not
 * a runner yet is being made by a thread that a task has ended.
 */
static bool has_settled(const struct sonde__pool_core *core)
{
	uint32_t n_workers = 0;

	for (const struct sonde__pool_runner *runner = core->runners; runner;
	     runner = runner->next) {
		if (!runner->is_in_task && !pthread_equal(runner->thread, pthread_self()))
			return false;
		n_workers += runner->is_worker;
	}
	return n_workers == core->n_threads;
}

static void abandon(struct sonde__pool_core *core)
{
	core->is_abandoned = true;
	atomic_store_explicit(&core->clock, NULL, memory_order_relaxed);
	atomic_store_explicit(&core->observer, NULL, memory_order_relaxed);
	for (struct sonde__pool_runner *runner = core->runners; runner; runner = runner->next)
		if (runner->is_worker)
			(void)pthread_detach(runner->thread);
}

void sonde_pool_deinit(struct sonde_pool *public)
{
	struct sonde__pool *pool = (struct sonde__pool *)public;
	struct sonde__pool_core *core = sonde__pool_core_of(public);

	if (!public)
		return;
	pool->core = NULL;
	/* None, or a copy that another process's threads may have been in the middle of. */
	if (!core)
		return;
	sonde__pool_lock(core);
	stop(core, /* until_ns= */ 0);
	/* What is not in a task leaves at once, and does not need to be waited for long. */
	while (!has_settled(core))
		(void)watch(core, /* clock= */ NULL, SONDE__NEVER, /* cancel= */ NULL);
	abandon(core);
	sonde__pool_unlock(core);
	sonde__pool_threads_join(core);
	sonde__pool_lock(core);
	sonde__pool_core_release(core);
}
