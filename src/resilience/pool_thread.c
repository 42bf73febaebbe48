/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads come and go. Each is counted from before it is made until, under the lock, it has decided
 * to leave; then it is joined by whoever resizes, stops or ends the pool next. Where the owner has
 * gone it was detached, and frees itself.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/testpoint.h"
#include "base/thread.h"
#include "resilience/clock.h"
#include "resilience/pool_core.h"

void sonde__pool_runner_add(struct sonde__pool_core *core, struct sonde__pool_runner *runner)
{
	runner->previous = NULL;
	runner->next = core->runners;
	if (runner->next)
		runner->next->previous = runner;
	core->runners = runner;
}

void sonde__pool_runner_remove(struct sonde__pool_core *core, struct sonde__pool_runner *runner)
{
	if (runner->previous)
		runner->previous->next = runner->next;
	else
		core->runners = runner->next;
	if (runner->next)
		runner->next->previous = runner->previous;
}

/* ---- A thread's life ------------------------------------------------------------------------- */

static bool is_to_leave(const struct sonde__pool_core *core)
{
	return core->n_threads > core->n_threads_wanted || (core->is_closed && !core->n_queued);
}

static void wait_idle(struct sonde__pool_core *core, struct sonde__pool_worker *worker)
{
	worker->task = NULL;
	sonde__waiter_init(&worker->waiter);
	sonde__waiters_push(&core->idle, &worker->waiter);
	/* One more that a task can be handed to. */
	sonde__pool_admit(core);
	sonde__pool_unlock(core);
	(void)sonde__park(&worker->waiter.parker, /* clock= */ NULL, SONDE__NEVER,
			  /* cancel= */ NULL);
	sonde__pool_lock(core);
}

/* With the lock held, before and after. NULL: it is to leave. */
static struct sonde__pool_task *next_task(struct sonde__pool_core *core,
					  struct sonde__pool_worker *worker)
{
	struct sonde__pool_task *task = NULL;

	while (!task && !is_to_leave(core)) {
		task = sonde__pool_take(core, &worker->runner);
		if (!task) {
			wait_idle(core, worker);
			task = worker->task;
		}
	}
	return task;
}

/* With the lock held, which it gives back. The worker is gone then, or will be joined. */
static void leave(struct sonde__pool_core *core, struct sonde__pool_worker *worker)
{
	sonde__pool_runner_remove(core, &worker->runner);
	core->n_threads--;
	if (core->is_abandoned) {
		free(worker);
	} else {
		worker->next_ended = core->ended;
		core->ended = worker;
	}
	sonde__pool_notify(core);
	sonde__pool_core_release(core);
}

/*
 * A task has called pthread_exit. The task has been ended; another thread takes this one's place.
 */
static void thread_was_ended(void *argument)
{
	struct sonde__pool_worker *worker = argument;
	struct sonde__pool_core *core = worker->core;
	bool is_missed;

	if (sonde__pool_core_is_foreign(core))
		return;
	sonde__pool_lock(core);
	/* Holds the core until the end of this function. */
	core->n_holders++;
	is_missed = !core->is_abandoned;
	leave(core, worker);
	if (is_missed)
		(void)sonde__pool_threads_start(core);
	sonde__pool_lock(core);
	sonde__pool_core_release(core);
}

static void *thread_main(void *argument)
{
	struct sonde__pool_worker *worker = argument;
	struct sonde__pool_core *core = worker->core;
	struct sonde__pool_task *task;

	/* By itself: who made it may be late, and it may be gone by then. */
	(void)pthread_setname_np(pthread_self(), worker->name);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, /* previous= */ NULL);
	SONDE__TESTPOINT("pool-thread-begun");
	sonde__pool_lock(core);
	worker->runner.thread = pthread_self();
	pthread_cleanup_push(thread_was_ended, worker);
	/* In a child that a task has forked the pool is not touched. */
	while (!sonde__pool_core_is_foreign(core) && (task = next_task(core, worker)))
		sonde__pool_perform(core, &worker->runner, task);
	pthread_cleanup_pop(/* execute= */ 0);
	if (!sonde__pool_core_is_foreign(core))
		leave(core, worker);
	return NULL;
}

/* ---- From outside ---------------------------------------------------------------------------- */

/* Makes one that was counted already. */
static int start_one(struct sonde__pool_core *core, uint32_t number)
{
	struct sonde__pool_worker *worker = calloc(1, sizeof(*worker));
	pthread_t thread;
	int status;

	if (!worker)
		return SONDE_E_NOMEM;
	worker->core = core;
	worker->runner.is_worker = true;
	(void)snprintf(worker->name, sizeof(worker->name), "%.8s-%u",
		       core->name[0] ? core->name : "sonde", number);
	sonde__pool_lock(core);
	core->n_holders++;
	sonde__pool_runner_add(core, &worker->runner);
	sonde__pool_unlock(core);
	status = sonde__thread_start(&thread, thread_main, worker, core->stack_size,
				     /* name= */ NULL);
	if (status == SONDE_OK)
		return SONDE_OK;
	sonde__pool_lock(core);
	sonde__pool_runner_remove(core, &worker->runner);
	core->n_holders--;
	sonde__pool_unlock(core);
	free(worker);
	return status;
}

/* Memory for what one more runs, where there never were as many. */
static int provide(struct sonde__pool_core *core)
{
	uint32_t n_more;

	sonde__pool_lock(core);
	n_more = core->n_threads > core->n_threads_provided_for
			 ? core->n_threads - core->n_threads_provided_for
			 : 0;
	core->n_threads_provided_for += n_more;
	sonde__pool_unlock(core);
	if (!n_more ||
	    sonde__pool_slots_add(core, n_more * (1 + SONDE__POOL_INLINE_MAX)) == SONDE_OK)
		return SONDE_OK;
	sonde__pool_lock(core);
	core->n_threads_provided_for -= n_more;
	sonde__pool_unlock(core);
	return SONDE_E_NOMEM;
}

int sonde__pool_threads_start(struct sonde__pool_core *core)
{
	int status = SONDE_OK;

	while (status == SONDE_OK) {
		uint32_t number;

		sonde__pool_lock(core);
		if (core->is_closed || core->n_threads >= core->n_threads_wanted) {
			sonde__pool_unlock(core);
			return SONDE_OK;
		}
		core->n_threads++;
		number = ++core->n_threads_begun;
		sonde__pool_unlock(core);
		SONDE__TESTPOINT("pool-thread-counted");
		status = provide(core);
		if (status == SONDE_OK)
			status = start_one(core, number);
	}
	sonde__pool_lock(core);
	core->n_threads--;
	sonde__pool_notify(core);
	sonde__pool_unlock(core);
	return status;
}

void sonde__pool_threads_rouse(struct sonde__pool_core *core)
{
	uint32_t n = core->n_threads > core->n_threads_wanted
			     ? core->n_threads - core->n_threads_wanted
			     : 0;

	if (core->is_closed)
		n = core->n_threads;
	while (n-- && sonde__waiters_grant(&core->idle))
		;
}

void sonde__pool_threads_join(struct sonde__pool_core *core)
{
	struct sonde__pool_worker *ended;

	sonde__pool_lock(core);
	ended = core->ended;
	core->ended = NULL;
	sonde__pool_unlock(core);
	while (ended) {
		struct sonde__pool_worker *worker = ended;

		ended = worker->next_ended;
		(void)pthread_join(worker->runner.thread, /* value= */ NULL);
		free(worker);
	}
}
