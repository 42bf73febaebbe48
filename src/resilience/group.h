/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_GROUP_DOOR_H
#define SONDE_RESILIENCE_GROUP_DOOR_H

/*
 * What a group is made of, for its own sources alone:
 *
 *	group.c		its life and its tasks' memory, and spawning
 *	group_result.c	what became of tasks, for who waits or looks
 *	group_run.c	a task's way from the queue to its end, and being told to end
 *	group_thread.c	threads of its own
 *	group_pool.c	or a pool's
 *	group_wait.c	how waiting is done
 *
 * docs/design/group.md argues it.
 */

#include <pthread.h>
#include <sys/types.h>
#include <unistd.h>

#include <sonde/context.h>
#include <sonde/group.h>

#include "base/compiler.h"
#include "resilience/clock.h"
#include "resilience/park.h"
#include "resilience/pool.h"

/* The first chunk has so many tasks, each further one as many as all before it. */
#define SONDE__GROUP_CHUNK 16u
#define SONDE__GROUP_CHUNKS 17u

enum sonde__group_state {
	SONDE__GROUP_QUEUED = 0, /* With the group. */
	SONDE__GROUP_RUNNING = 1,
	SONDE__GROUP_SUCCEEDED = 2,
	SONDE__GROUP_FAILED = 3,
	SONDE__GROUP_CANCELLED = 4, /* It never ran, or left as it was told to. */
};

struct sonde__group_task {
	struct sonde__group *group;
	struct sonde__group_task *next; /* In the queue, then in the order of ends. */
	struct sonde__group_task *next_running; /* Or among those that the pool has not begun. */
	struct sonde__group_task *previous_running;
	const char *name;
	sonde_operation_fn *operation;
	void *argument;
	struct sonde_context context;
	struct sonde_error *error; /* Once it has ended, until somebody takes it. */
	uintptr_t thread; /* On which it runs; 0: on none. */
	uint64_t spawned_ns;
	uint64_t started_ns;
	uint64_t ended_ns;
	uint32_t index;
	uint8_t state;
	bool has_run;

	/* On a pool, until it has ended: */
	struct sonde__pool_task pooled;
	bool is_active; /* It counts as one of those that may run. */
	bool is_submitted; /* The pool has it; whoever waits may have it back. */
	bool has_left; /* The pool has begun it, or ended it. */
};

struct sonde__group_list {
	struct sonde__group_task *first;
	struct sonde__group_task *last;
};

/* Why all were told to end; the first reason counts. */
enum sonde__group_why {
	SONDE__GROUP_GOES_ON = 0,
	SONDE__GROUP_FAILS = 1,
	SONDE__GROUP_WON = 2,
	SONDE__GROUP_LATE = 3,
	SONDE__GROUP_TOLD = 4, /* By sonde_group_cancel, or by a token above its own. */
	SONDE__GROUP_LEFT = 5, /* By its deinit. */
};

struct sonde__group_watcher {
	struct sonde__waiter waiter; /* First: the list is of these. */
	bool wants_all; /* Not the next one alone. */
	bool helps; /* Wants to know what is queued, too. */
};

struct sonde__group_thread;

struct sonde__group {
	pthread_mutex_t lock; /* Guards all but what the init sets. */
	struct sonde_cancel token;
	const char *name;
	enum sonde_group_mode mode;
	uint32_t max_running;
	uint32_t max_tasks;
	pid_t process; /* That made it. */
	uint64_t end_ns;
	uint64_t slow_leave_ns;
	size_t stack_size;
	struct sonde_pool *pool;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;

	struct sonde__group_task *chunks[SONDE__GROUP_CHUNKS];
	struct sonde__group_list queue;
	struct sonde__group_list ended; /* And returned by no next yet. */
	struct sonde__group_task *running; /* The newest first. */
	struct sonde__group_task *submitted; /* The pool has not begun; the oldest, in a ring. */
	struct sonde_group_figures figures;
	size_t n_returned; /* By next. */
	size_t winner; /* SIZE_MAX: none yet. */
	size_t first_error; /* SIZE_MAX: none yet. */
	struct sonde__waiters watchers;
	struct sonde__group_thread *threads;
	struct sonde__waiters idle; /* Threads. */
	uint32_t n_threads;
	uint32_t n_active; /* On a pool, and those that whoever waits runs. */
	int fd; /* -1: nobody asked for it. */
	uint8_t why;
	bool is_closed;
} SONDE__MAY_ALIAS;

static inline struct sonde__group *sonde__group_of(const struct sonde_group *group)
{
	return (struct sonde__group *)(uintptr_t)group;
}

/* NULL where it is none, or another process's. */
static inline struct sonde__group *sonde__group_here(const struct sonde_group *sonde_group)
{
	struct sonde__group *group = sonde__group_of(sonde_group);

	return group && group->process == getpid() ? group : NULL;
}

static inline size_t sonde__group_n_ended(const struct sonde__group *group)
{
	return group->figures.succeeded + group->figures.failed + group->figures.cancelled;
}

static inline bool sonde__group_have_all_ended(const struct sonde__group *group)
{
	return sonde__group_n_ended(group) == group->figures.spawned;
}

/* The lock is not held. `count` and `duration_ns` may be 0, `error` NULL. */
void sonde__group_tell(const struct sonde__group *group, enum sonde_observed what,
		       uint64_t duration_ns, uint64_t count, const struct sonde_error *error);

/* With the lock held; the index is of one that was spawned. */
struct sonde__group_task *sonde__group_task_at(struct sonde__group *group, size_t index);

/* ---- group_run.c ---------------------------------------------------------------------------- */

void sonde__group_list_push(struct sonde__group_list *list, struct sonde__group_task *task);
void sonde__group_list_push_first(struct sonde__group_list *list, struct sonde__group_task *task);
struct sonde__group_task *sonde__group_list_pop(struct sonde__group_list *list);

/* A task that was taken out of the queue is now running, on this thread. With the lock held. */
void sonde__group_task_begin(struct sonde__group_task *task);

/* Then, without the lock: runs it in its context, and tells that. */
void sonde__group_task_run(struct sonde__group_task *task);

/* Then enters its end, and what that brings about. The group may be gone when it returns. */
void sonde__group_task_finish(struct sonde__group_task *task);

/*
 * All of that on the thread of who waits, which keeps the group; with the lock held, before and
 * after.
 */
void sonde__group_task_help(struct sonde__group_task *task);

/* In place of begin and run: it is not run, or was not to its end; the error is the task's now. */
void sonde__group_task_refuse(struct sonde__group_task *task, struct sonde_error *error);

/*
 * Has all told to end, without the lock. `error`, which may be NULL, is told with it. Only the
 * first call does anything.
 */
void sonde__group_end(struct sonde__group *group, enum sonde__group_why why, const char *reason,
		      const struct sonde_error *error);

/* Where a token above has told it to end: takes note of that, and of what will never run. */
void sonde__group_look(struct sonde__group *group);

/* ---- group_thread.c ------------------------------------------------------------------------- */

/* With the lock held, for one more in the queue. */
void sonde__group_thread_provide(struct sonde__group *group);

/* Has all of them end, and joins them; nothing is queued nor running. Without the lock. */
void sonde__group_threads_join(struct sonde__group *group);

/* ---- group_pool.c --------------------------------------------------------------------------- */

/* Submits what is queued, as far as it may run. Without the lock; the group stays. */
void sonde__group_pool_feed(struct sonde__group *group);

/* The task has ended, but for that being entered: another one may run. Without the lock. */
void sonde__group_pool_release(struct sonde__group_task *task);

/*
 * With the lock held, before and after: runs a task that the pool has not begun, or takes one back
 * where all were told to end. False: there is none.
 */
bool sonde__group_pool_help(struct sonde__group *group, bool is_own_thread);

/* ---- group_wait.c --------------------------------------------------------------------------- */

/* Wakes those who wait for what is there now, or for more to help with; with the lock held. */
void sonde__group_notify(struct sonde__group *group, bool is_for_helpers);

/* Waits until all have ended, or, where not all are wanted, one that was not returned has. */
void sonde__group_wait(struct sonde__group *group, bool wants_all);

/* The calling thread runs a task of the group: it must not wait. */
bool sonde__group_is_inside(struct sonde__group *group);

#endif
