/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_POOL_CORE_H
#define SONDE_RESILIENCE_POOL_CORE_H

/*
 * What a pool is made of, for its own sources alone:
 *
 *	pool_line.c	who is next: tasks, and those who wait for space
 *	pool_perform.c	running a task, and its end
 *	pool_thread.c	threads come and go
 *	pool_slot.c	the memory of tasks, and what becomes of their outcome
 *	pool_stop.c	completion, stop, deinit
 *	pool_submit.c	a task's way in
 *	pool.c		the rest
 *	future.c	who waits for an outcome
 *
 * It stands on the heap, so that a task that outlives the pool's owner finds it. One lock guards
 * all of it; no code of anybody else's is called under it but the clock.
 */

#include <pthread.h>

#include "base/compiler.h"
#include "resilience/park.h"
#include "resilience/pool.h"
#include "resilience/queue.h"

#define SONDE__POOL_CLASSES 3
#define SONDE__POOL_INLINE_MAX 4 /* Tasks run by a submit, one inside the other. */
#define SONDE__POOL_DEPTH_MAX 1024 /* And by waits: a thread's stack ends somewhere. */
#define SONDE__POOL_NAME_SIZE 32

#define SONDE__POOL_TOO_DEEP "too many tasks wait for each other on one thread"

/* A task's state. */
enum {
	SONDE__POOL_NEW = 0,
	SONDE__POOL_QUEUED = 1,
	SONDE__POOL_RUNNING = 2, /* Taken out, whether or not it will be run. */
	SONDE__POOL_ENDED = 3,
};

/* What became of it. */
enum sonde__pool_outcome {
	SONDE__POOL_RUN = 0,
	SONDE__POOL_FAILED = 1,
	SONDE__POOL_CANCELLED = 2,
	SONDE__POOL_EXPIRED = 3,
	SONDE__POOL_DROPPED = 4,
};

struct sonde__pool_list {
	struct sonde__pool_task *first;
	struct sonde__pool_task *last;
	size_t n_tasks;
};

/* A thread that runs tasks: one of the pool's, or one in sonde_pool_turn. */
struct sonde__pool_runner {
	struct sonde__pool_runner *next;
	struct sonde__pool_runner *previous;
	pthread_t thread;
	uint32_t n_tasks; /* That it is in, one inside the other; */
	uint32_t n_inline; /* by submits. */
	bool is_in_task; /* In code that may never return. */
	bool is_worker; /* One of the pool's own. */
};

struct sonde__pool_worker {
	struct sonde__pool_runner runner; /* The first member. */
	struct sonde__pool_core *core;
	struct sonde__waiter waiter; /* While it is idle. */
	struct sonde__pool_task *task; /* Given while it was idle. */
	struct sonde__pool_worker *next_ended;
	char name[16];
};

/* One task that was submitted by a function. */
struct sonde__pool_slot {
	struct sonde__pool_task task; /* The first member. */
	struct sonde__pool_core *core;
	sonde_task_fn *function;
	void *argument;
	void (*discard)(void *argument);
	struct sonde__future *future; /* NULL: nobody will take the outcome, */
	bool was_forsaken; /* who first was there to. */
	struct sonde_cancel token;
	void *result;
	struct sonde_error *error;
	struct sonde__pool_slot *next_free;
};

struct sonde__pool_chunk {
	struct sonde__pool_chunk *next;
	size_t n_slots;
	size_t n_used; /* From the first on; what is beyond was never touched. */
	struct sonde__pool_slot slots[];
};

struct sonde__future {
	struct sonde__pool_core *core; /* Held. NULL: a future of nothing. */
	struct sonde__pool_slot *slot; /* Until it is done. */
	_Atomic uint32_t state;
	int fd; /* -1: nobody asked for it. */
	void *result;
	struct sonde_error *error;
	struct sonde__waiters waiters;
} SONDE__MAY_ALIAS;

struct sonde__pool_core {
	pthread_mutex_t lock;
	uint64_t process; /* That made it. */
	size_t n_holders; /* Its owner, its threads, futures. */

	struct sonde__pool_list lines[SONDE__POOL_CLASSES]; /* The highest first. */
	uint8_t passed[SONDE__POOL_CLASSES];
	size_t n_queued;
	size_t n_reserved; /* Let in, and not queued yet. */
	size_t capacity;
	struct sonde__waiters submitters[SONDE__POOL_CLASSES];
	uint8_t submitters_passed[SONDE__POOL_CLASSES];

	struct sonde__pool_list running;
	size_t n_running; /* Taken out, and not ended; */
	size_t n_ending; /* of these counted already. */
	size_t n_stopped; /* Queued at the end of a stop. */
	struct sonde__waiters idle; /* Workers. */
	struct sonde__waiters watchers; /* Who waits for completion, or for the end of threads. */
	struct sonde__pool_runner *runners;
	struct sonde__pool_worker *ended; /* To be joined. */
	uint32_t n_threads;
	uint32_t n_threads_wanted;
	uint32_t n_threads_provided_for; /* With slots. */
	uint32_t n_threads_begun;
	bool is_closed;
	bool is_abandoned; /* Its owner has gone, and what the options named. */
	bool has_no_threads;

	struct sonde__pool_chunk *chunks;
	struct sonde__pool_slot *free_slots;
	struct sonde_pool_figures figures; /* The counts alone. */

	enum sonde_queue_policy policy;
	size_t stack_size;
	/* Relaxed: a deinit takes them away while a future may still ask; it sees them or not. */
	const struct sonde_clock *_Atomic clock;
	const struct sonde_observer *_Atomic observer;
	char name[SONDE__POOL_NAME_SIZE];
};

struct sonde__pool {
	struct sonde__pool_core *core;
} SONDE__MAY_ALIAS;

static inline void sonde__pool_lock(struct sonde__pool_core *core)
{
	pthread_mutex_lock(&core->lock);
}

static inline void sonde__pool_unlock(struct sonde__pool_core *core)
{
	pthread_mutex_unlock(&core->lock);
}

const struct sonde_clock *sonde__pool_clock(const struct sonde__pool_core *core);
uint64_t sonde__pool_now(const struct sonde__pool_core *core);

/* NULL: there is none, or it was another process's. */
struct sonde__pool_core *sonde__pool_core_of(const struct sonde_pool *pool);
bool sonde__pool_core_is_foreign(const struct sonde__pool_core *core);

/* Gives up a hold; with the lock held, which it gives back. */
void sonde__pool_core_release(struct sonde__pool_core *core);

/* Without the lock. Nothing is told to the owner's observer once the owner has gone. */
void sonde__pool_tell(const struct sonde__pool_core *core, enum sonde_observed what,
		      uint64_t duration_ns, uint64_t count, const struct sonde_error *error);

/*
 * ---- pool_line.c: all with the lock held ------------------------------------------------------
 */

/* Is there room for one more, and nobody before it? */
bool sonde__pool_has_room(const struct sonde__pool_core *core);

/* Waits for room; the lock is held before and after. */
enum sonde__queue_end sonde__pool_wait_for_room(struct sonde__pool_core *core,
						enum sonde_priority priority, uint64_t until_ns,
						struct sonde_cancel *cancel);

/* Gives reserved room back. */
void sonde__pool_leave_room(struct sonde__pool_core *core);

/* Gives the room that was reserved to the task: queues it, or hands it to an idle worker. */
void sonde__pool_enqueue(struct sonde__pool_core *core, struct sonde__pool_task *task);

/* Takes out the next one, NULL: none, or this one, or the one to be dropped for a new one. */
struct sonde__pool_task *sonde__pool_take(struct sonde__pool_core *core,
					  struct sonde__pool_runner *runner);
void sonde__pool_take_this(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
			   struct sonde__pool_task *task);
struct sonde__pool_task *sonde__pool_take_victim(struct sonde__pool_core *core,
						 enum sonde_priority priority);

/* Marks one that is in no line as running. `runner` may be NULL: it will not be run. */
void sonde__pool_begin(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
		       struct sonde__pool_task *task);

/* Lets those in who wait for room, as far as there is some. */
void sonde__pool_admit(struct sonde__pool_core *core);

void sonde__pool_list_remove(struct sonde__pool_list *list, struct sonde__pool_task *task);

/*
 * ---- pool_perform.c ---------------------------------------------------------------------------
 */

/* Runs a task that was begun, or says why not, and ends it. The lock is held before and after. */
void sonde__pool_perform(struct sonde__pool_core *core, struct sonde__pool_runner *runner,
			 struct sonde__pool_task *task);

/* Ends one that was begun and is not run. The lock is held before and after. */
void sonde__pool_refuse(struct sonde__pool_core *core, struct sonde__pool_task *task,
			struct sonde_error *error, enum sonde__pool_outcome outcome);

/* Fires the token of one that runs; with the lock held before and after. */
void sonde__pool_fire(struct sonde__pool_core *core, struct sonde__pool_task *task,
		      const char *reason);

/* Wakes those who wait for completion or for threads, where there is something to see. */
void sonde__pool_notify(struct sonde__pool_core *core);
bool sonde__pool_is_idle(const struct sonde__pool_core *core);

/* With the lock held; NULL: the calling thread runs none of its tasks. */
struct sonde__pool_runner *sonde__pool_own_runner(const struct sonde__pool_core *core);

/*
 * As sonde_pool_turn, of the next task, or of this one where it is queued. The lock is held before
 * and after. False: there was nothing to run.
 */
bool sonde__pool_turn(struct sonde__pool_core *core, struct sonde__pool_task *task);

/*
 * ---- pool_thread.c ----------------------------------------------------------------------------
 */

/* Starts threads until there are as many as wanted. Without the lock. */
int sonde__pool_threads_start(struct sonde__pool_core *core);

/* Wakes idle ones that are to leave. With the lock held. */
void sonde__pool_threads_rouse(struct sonde__pool_core *core);

/* Joins those that have ended. Without the lock. */
void sonde__pool_threads_join(struct sonde__pool_core *core);

void sonde__pool_runner_add(struct sonde__pool_core *core, struct sonde__pool_runner *runner);
void sonde__pool_runner_remove(struct sonde__pool_core *core, struct sonde__pool_runner *runner);

/*
 * ---- pool_slot.c ------------------------------------------------------------------------------
 */

/* Memory for what one more thread can run, or for the queue. Without the lock. */
int sonde__pool_slots_add(struct sonde__pool_core *core, size_t n_slots);
void sonde__pool_slots_free(struct sonde__pool_core *core);

/* With the lock held; NULL: none is left. */
struct sonde__pool_slot *sonde__pool_slot_new(struct sonde__pool_core *core);

/* One that was not accepted after all. Without the lock. */
void sonde__pool_slot_undo(struct sonde__pool_slot *slot);

/* Fills it in. Without the lock. */
void sonde__pool_slot_set(struct sonde__pool_slot *slot, sonde_task_fn *function, void *argument,
			  const struct sonde_task_options *options);

/*
 * ---- future.c ---------------------------------------------------------------------------------
 */

/* With the lock held. */
void sonde__future_attach(struct sonde__future *future, struct sonde__pool_slot *slot);
void sonde__future_complete(struct sonde__future *future, void *result, struct sonde_error *error);

/* As sonde_future_wait, until a moment. Full: the thread is in too many tasks already. */
enum sonde__queue_end sonde__future_wait_until(struct sonde_future *future, uint64_t until_ns,
					       struct sonde_cancel *cancel);
struct sonde_error *sonde__future_take(struct sonde_future *future, void **ret_result);

#endif
