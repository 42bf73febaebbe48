/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_POOL_H
#define SONDE_RESILIENCE_POOL_H

/*
 * Tasks in the memory of whoever submits them, for what stands on pools: nothing is allocated, and
 * nothing copied. docs/design/pool.md argues it.
 *
 * An accepted task is the pool's until its `end` is called, which happens exactly once, without
 * locks, on any thread; from that call on the pool does not know it any more. `run` is called
 * before that, or not at all.
 */

#include <sonde/context.h>
#include <sonde/pool.h>

struct sonde__pool_task {
	/*
	 * On one of the pool's threads, in the context in which it was submitted. The error is told
	 * with the run, and stays with the task until its end.
	 */
	const struct sonde_error *(*run)(struct sonde__pool_task *task);
	/*
	 * The error says why it was not run, or not to its end, and is the callee's from then on;
	 * NULL: it has run.
	 */
	void (*end)(struct sonde__pool_task *task, struct sonde_error *error);
	/* Fired before its turn: it is not run. Fired by an overdue stop. May be NULL. */
	struct sonde_cancel *cancel;
	const char *name; /* May be NULL. */
	enum sonde_priority priority;

	/* The pool's. */
	uint8_t state;
	uint8_t outcome;
	bool is_told; /* By the stop. */
	bool is_awaited; /* Somebody has its future. */
	uint32_t n_holders;
	struct sonde_error *refusal;
	struct sonde_context context;
	uint64_t submitted_ns;
	uint64_t started_ns;
	struct sonde__pool_task *next;
	struct sonde__pool_task *previous;
};

/*
 * Waits for space as sonde_pool_submit does; `limit_ms` 0: not at all. NULL: accepted, and perhaps
 * ended already. Else it is as it was, and the rejection is told.
 */
struct sonde_error *sonde__pool_submit(struct sonde_pool *pool, struct sonde__pool_task *task,
				       uint64_t limit_ms, struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/*
 * Takes it out of the queue: then true, and its end is called with `error` before it returns.
 * False: it runs, or has ended; the error is the caller's.
 */
bool sonde__pool_withdraw(struct sonde_pool *pool, struct sonde__pool_task *task,
			  struct sonde_error *error);

/*
 * Takes it out of the queue and runs it here: then true, and it has run; its end has been called,
 * or is by who is just firing its token. False: it runs elsewhere, or has ended. For a task that
 * waits for it, on one of the pool's own threads.
 */
bool sonde__pool_run_here(struct sonde_pool *pool, struct sonde__pool_task *task);

/* The calling thread runs one of the pool's tasks. */
bool sonde__pool_is_own_thread(struct sonde_pool *pool);

#endif
