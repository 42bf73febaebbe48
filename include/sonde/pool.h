/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_POOL_H
#define SONDE_POOL_H

/*
 * A fixed number of threads that run tasks from a bounded queue.
 *
 *	struct sonde_pool pool;
 *	SONDE_FUTURE_AUTODEINIT struct sonde_future future = { { 0 } };
 *
 *	sonde_pool_init(&pool, NULL);
 *	error = sonde_pool_submit(&pool, read_the_file, path, NULL, &future);
 *	if (!error)
 *		error = sonde_future_wait(&future, UINT64_MAX, NULL, &content);
 *	…
 *	sonde_pool_stop(&pool, 5000, NULL);
 *	sonde_pool_deinit(&pool);
 *
 * A task runs in the context in which it was submitted: its trace, its deadline, its values. The
 * error of every task is given to who waits for its future, or told to the observer as an orphan,
 * which the agent captures: there is no "fire and forget".
 *
 * Every call takes a lock for a moment, and none is async-signal-safe. Only sonde_pool_init and
 * sonde_pool_resize allocate; and a submission, where there were never as many tasks out of the
 * queue: more than 16 that other threads than the pool's run. A forked child has none of the
 * threads: every call there says that the pool is closed, and deinit forgets it.
 */

#include <sonde/cancel.h>
#include <sonde/future.h>
#include <sonde/queue.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_pool {
	uint64_t opaque[4];
};

/*
 * Of those that are queued the highest comes first, in the order of submission; but a class that
 * was passed over SONDE_POOL_PASSED_MAX times in a row is next, so that none starves.
 */
enum sonde_priority {
	SONDE_PRIORITY_NORMAL = 0,
	SONDE_PRIORITY_HIGH = 1,
	SONDE_PRIORITY_LOW = 2,
};
#define SONDE_POOL_PASSED_MAX 8

/* No thread: tasks run where sonde_pool_turn is called. */
#define SONDE_POOL_NO_THREADS UINT32_MAX

struct sonde_pool_options {
	const char *name; /* For telemetry and of the threads; copied up to 31 bytes. Default "". */
	uint32_t threads; /* Default: the number of CPUs that the process may use. At most 4096. */
	uint32_t capacity; /* Tasks that are queued; default 1024, at most 2^20. */
	/*
	 * Where the queue is full. To wait, the default: until there is space, or the deadline. To
	 * drop: the oldest of the lowest class, where that is not above the new one's; else as to
	 * reject.
	 */
	enum sonde_queue_policy policy;
	size_t stack_size; /* Of each thread; default: the system's. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/*
 * `options` may be NULL. SONDE_E_INVALID: no pool, or an option that is none; SONDE_E_NOMEM;
 * SONDE_E_SYSTEM: the system gave no thread.
 */
SONDE_API int sonde_pool_init(struct sonde_pool *pool, const struct sonde_pool_options *options);

/* ---- Tasks ----------------------------------------------------------------------------------- */

/*
 * Returns NULL, or the error that it ends with. `cancel` is the task's own token, for it to look at
 * and to wait with; *ret_result is NULL until it is set. It should not end its thread; where it
 * does, it has failed, and another thread takes over.
 */
typedef struct sonde_error *sonde_task_fn(void *argument, struct sonde_cancel *cancel,
					  void **ret_result);

struct sonde_task_options {
	const char *name; /* Told where it is left over at the stop; must outlive it. Default "". */
	enum sonde_priority priority; /* Default: normal. */
	uint64_t limit_ms; /* How long to wait for space. Default: until the deadline. */
	/*
	 * Ends the wait for space, and fires the task's own token; must outlive the task. A task
	 * whose token is fired while it is queued is not run when its turn comes. Default: none.
	 */
	struct sonde_cancel *cancel;
	/* In place of the task, where it was accepted and will not be run. Default: nothing. */
	void (*discard)(void *argument);
};

/*
 * Queues a task. NULL: accepted; it will be run, or its future will say why it was not: it was
 * cancelled (sonde_cancelled), its deadline was over before its turn came (sonde_timeout), it made
 * room for a newer one (sonde_queue_full). `future` is memory for one that is not in use; NULL:
 * nobody will wait, and its error is told to the observer.
 *
 * Not accepted: sonde_queue_full: rejected, or no space within the limit; sonde_timeout: not before
 * the deadline; sonde_closed; sonde_cancelled. *future is a future of nothing then.
 *
 * A task that submits to its own pool would wait for itself where the queue is full: the new task
 * is then run at once, on the calling thread, up to four one inside the other, and past that it is
 * rejected. Tasks may wait for each other as sonde_future_wait says.
 */
SONDE_API struct sonde_error *sonde_pool_submit(struct sonde_pool *pool, sonde_task_fn *task,
						void *argument,
						const struct sonde_task_options *options,
						struct sonde_future *future)
	__attribute__((warn_unused_result));

/*
 * The same without waiting, whatever the policy. SONDE_E_LIMITED: full, or the token is fired
 * already; SONDE_E_CLOSED; SONDE_E_INVALID: no task.
 */
SONDE_API int sonde_pool_try_submit(struct sonde_pool *pool, sonde_task_fn *task, void *argument,
				    const struct sonde_task_options *options,
				    struct sonde_future *future);

/*
 * Submits and waits for it: work that needs a CPU, or that blocks, off the thread of a loop's
 * worker. It returns when the task has ended or will not be run. At the deadline, and when
 * `options->cancel` is fired, a queued task is taken back and a running one told: what it makes of
 * that is the outcome; an error of it is the cause of the sonde_timeout.
 */
SONDE_API struct sonde_error *sonde_pool_run(struct sonde_pool *pool, sonde_task_fn *task,
					     void *argument,
					     const struct sonde_task_options *options,
					     void **ret_result) __attribute__((warn_unused_result));

/*
 * Runs the next task on the calling thread, as one of the pool's would. False: none is queued. For
 * loops, and for pools without threads. Any number of threads may be in it; none takes room in the
 * queue.
 */
SONDE_API bool sonde_pool_turn(struct sonde_pool *pool);

/* ---- Completion, size, end ------------------------------------------------------------------- */

/*
 * Waits until no task is queued or running; in a pool without threads it runs what is queued, one
 * task after the other, as long as there is time. Others may go on submitting. sonde_timeout: not
 * within the limit, or before the deadline; sonde_cancelled; sonde_internal: called by one of its
 * tasks.
 */
SONDE_API struct sonde_error *sonde_pool_wait(struct sonde_pool *pool, uint64_t limit_ms,
					      struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/*
 * Changes the number of threads; 0 is the default number. More are there when it returns; who is
 * too many leaves after its task. SONDE_E_SYSTEM, SONDE_E_NOMEM: it has as many as could be had.
 * SONDE_E_CLOSED; SONDE_E_INVALID: too many, or a pool without threads.
 */
SONDE_API int sonde_pool_resize(struct sonde_pool *pool, uint32_t threads);

/* Who was left at the end of a stop. */
#define SONDE_POOL_LEFT_MAX 8
struct sonde_pool_left {
	size_t n_cancelled; /* Queued, and will not be run; of all stops. */
	size_t n_running; /* Told by their tokens, and still running. */
	const char *running[SONDE_POOL_LEFT_MAX]; /* Names of the first of them. */
};

/*
 * Accepts nothing any more, lets what is queued run, and the threads end. Where that takes longer
 * than `limit_ms`, or than the deadline, it does not wait any more: what is queued is cancelled,
 * what runs is told by its token. SONDE_OK: everything has run; SONDE_INCOMPLETE: see *ret, which
 * may be NULL; another stop waits for who was told. SONDE_E_INVALID: called by one of its tasks.
 */
SONDE_API int sonde_pool_stop(struct sonde_pool *pool, uint64_t limit_ms,
			      struct sonde_pool_left *ret);

/*
 * A stop that waits for no task. A task that still runs then keeps what it needs of the pool until
 * it ends; nothing of the options is used any more, but the clock by who waits for its future
 * already, and the observer by who is just ending one; its error is an orphan for the process's
 * observer alone, its future is done when it ends. Such a task must not touch the pool. Harmless
 * for NULL, for one that is all zero, and the second time.
 */
SONDE_API void sonde_pool_deinit(struct sonde_pool *pool);

/* ---- Figures --------------------------------------------------------------------------------- */

/* submitted = run + cancelled + expired + dropped + queued + running. */
struct sonde_pool_figures {
	uint64_t submitted; /* Accepted. */
	uint64_t rejected; /* Not accepted, for any reason. */
	uint64_t run;
	uint64_t failed; /* Of these with an error. */
	uint64_t cancelled; /* Not run: token, sonde_future_cancel, or the stop. */
	uint64_t expired; /* Not run: the deadline was over. */
	uint64_t dropped; /* Not run: made room. */
	size_t queued;
	size_t running;
	size_t threads;
	size_t idle; /* Of the threads. */
};

SONDE_API void sonde_pool_figures(struct sonde_pool *pool, struct sonde_pool_figures *ret);

/* Ends at the end of the block: SONDE_POOL_AUTODEINIT struct sonde_pool pool; */
#define SONDE_POOL_AUTODEINIT SONDE_CLEANUP(sonde_pool_deinit)

SONDE_END_DECLS

#endif
