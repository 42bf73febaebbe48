/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_GROUP_H
#define SONDE_GROUP_H

/*
 * Several operations side by side, as one: whoever began them waits until the last has left, is
 * given every error, and may have the others told to end as soon as one has failed, or succeeded.
 *
 *	SONDE_GROUP_AUTODEINIT struct sonde_group group;
 *
 *	sonde_group_init(&group, NULL);
 *	for (i = 0; i < n; i++)
 *		sonde_group_spawn(&group, "fetch", fetch, &requests[i], NULL);
 *	return sonde_group_wait(&group);
 *
 * No task outlives its group: the end of the block waits, too. A task is told to end by the group's
 * token, which it looks at, waits with, and hands to the groups that it makes itself; what it makes
 * stands in its argument. It runs in the context in which it was spawned: its trace, its values,
 * and its deadline or the group's, whichever is sooner.
 *
 * Tasks run on threads of the group's own, which it keeps until it has ended, or on a pool. Where
 * there is no thread for them, because the system has none, or because the pool is full or all its
 * threads wait for groups, whoever waits runs those that are queued himself. Calls may come from
 * the owner's thread and from tasks, but for init and deinit; none is for a signal handler. In a
 * forked child a group of its parent's is closed, and its deinit does nothing.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

struct sonde_pool;

/* Caller's memory; nothing in it is to be read. */
struct sonde_group {
	uint64_t opaque[80];
};

/* What has all the others told to end. */
enum sonde_group_mode {
	SONDE_GROUP_FAIL_FAST = 0, /* The first error. */
	SONDE_GROUP_ALL = 1, /* Nothing: each runs to its end. */
	SONDE_GROUP_FIRST_SUCCESS = 2, /* The first success. */
};

struct sonde_group_options {
	const char *name; /* Told with what is observed; NULL is "". */
	enum sonde_group_mode mode; /* Default: the first error. */
	/* So many run at a time, the others queue; 0: 32, of a pool's: as many as it runs. */
	uint32_t max_running;
	/*
	 * Of all its life; a spawn beyond is refused. Memory grows with them; 0: 4096. At most
	 * 2^20.
	 */
	uint32_t max_tasks;
	uint64_t limit_ms; /* From the init on; 0: the context's deadline alone. */
	/* How long after being told to end a task may stay before that is told; 0: 10 000. */
	uint64_t slow_leave_ms;
	size_t stack_size; /* Of its threads; 0: the system's default. */
	/* Outlives the group; its stop fires the group's token. NULL: threads of its own. */
	struct sonde_pool *pool;
	struct sonde_group *parent; /* Whose token fires this one's; NULL: none. */
	struct sonde_cancel *cancel; /* As it, in place of a parent. */
	const struct sonde_clock *clock; /* NULL: CLOCK_MONOTONIC. */
	const struct sonde_observer *observer; /* NULL: the process's alone. */
};

/*
 * `options` may be NULL. SONDE_E_INVALID: no group, no such mode, too many tasks, parent and token
 * both; SONDE_E_NOMEM.
 */
SONDE_API int sonde_group_init(struct sonde_group *group,
			       const struct sonde_group_options *options);

/*
 * Has all that still runs told to end, waits until it has, for as long as that takes, and frees
 * what is left: an error that nobody was given is observed as ORPHAN, where it is not just the
 * answer to being told to end. After a wait nothing runs any more. Harmless for NULL, and the
 * second time.
 */
SONDE_API void sonde_group_deinit(struct sonde_group *group);

/*
 * Begins a task, or queues it: it never waits. Also from a task of the group. One that has not
 * begun when the group is told to end never does, and its error is a sonde_cancelled; one whose
 * deadline is over before its turn comes does not, either, and its error is a sonde_timeout. `name`
 * is told with its run, and may be NULL. *ret_index, where the pointer is not NULL, counts from 0.
 * SONDE_E_LIMITED: that many were spawned; SONDE_E_CLOSED: a wait has ended; SONDE_E_NOMEM;
 * SONDE_E_INVALID: no operation.
 */
SONDE_API int sonde_group_spawn(struct sonde_group *group, const char *name,
				sonde_operation_fn *operation, void *argument, size_t *ret_index);

/* For the tasks, and what they begin. Of the group until its deinit. */
SONDE_API struct sonde_cancel *sonde_group_token(struct sonde_group *group);

/* Has all tasks told to end. It does not wait. `reason` as in sonde_cancel_fire. */
SONDE_API void sonde_group_cancel(struct sonde_group *group, const char *reason);

/* ---- All of them ----------------------------------------------------------------------------- */

/*
 * Waits until all have left, and closes the group. Returns what became of it, with all errors that
 * nobody has taken yet:
 *
 *	all went well, or one did where that is enough		NULL
 *	some failed	the error, the first one first; several are joined
 *	the limit or the deadline came, at which all were told	sonde_timeout, caused by the errors
 *	it was cancelled, and some task has heeded it		sonde_cancelled, caused by the errors
 *
 * A sonde_cancelled with which a task answers to being told to end is not one of the errors: it is
 * counted. But where the limit came or it was cancelled, one that has a cause is: that is the last
 * that was heard of the work. Of those, and of the failures, the error has the number as
 * attributes. Where one success is enough the errors of the others stay, to be taken or told at the
 * deinit. A second wait finds the errors taken: NULL, where it was not late or cancelled. Called by
 * a task of the group: sonde_internal.
 */
SONDE_API struct sonde_error *sonde_group_wait(struct sonde_group *group)
	__attribute__((warn_unused_result));

/*
 * As it, and takes no error: each is there by its index. Returns how many have one. 0 as well where
 * a task of the group calls it.
 */
SONDE_API size_t sonde_group_gather(struct sonde_group *group);

/* ---- One of them ----------------------------------------------------------------------------- */

struct sonde_group_result {
	size_t index;
	const char *name; /* As it was spawned. */
	void *argument;
	struct sonde_error *error;
	bool has_ended;
	bool has_run; /* Else it never began. */
	uint64_t queued_ns; /* Until it began. */
	uint64_t duration_ns;
};

/* How a task stands; the error is the group's. SONDE_E_NOT_FOUND: there is none with this index. */
SONDE_API int sonde_group_result(struct sonde_group *group, size_t index,
				 struct sonde_group_result *ret);

/* Takes over the error of a task that has ended. NULL: it has none, or not any more. */
SONDE_API struct sonde_error *sonde_group_take(struct sonde_group *group, size_t index)
	__attribute__((warn_unused_result));

/* The task whose success was the first. SONDE_E_NOT_FOUND: none yet. In any mode. */
SONDE_API int sonde_group_winner(struct sonde_group *group, size_t *ret_index);

/* ---- As they end ----------------------------------------------------------------------------- */

/*
 * Waits for the next task to end, in the order in which they do. True: *ret says which, and its
 * error is the caller's. False: all that were spawned have been returned; more may be spawned then,
 * until a wait. At the limit or deadline the tasks are told to end, and are returned as they do.
 */
SONDE_API bool sonde_group_next(struct sonde_group *group, struct sonde_group_result *ret);

/*
 * As it without waiting: SONDE_OK; SONDE_INCOMPLETE: none has ended yet; SONDE_E_NOT_FOUND: all
 * have been returned. It also sees that the limit or deadline has come, and offers a pool again
 * what it was too full to take: a loop that waits for the descriptor calls it now and then, too.
 */
SONDE_API int sonde_group_try_next(struct sonde_group *group, struct sonde_group_result *ret);

/*
 * An eventfd that is readable once a task has ended, until a try_next does not return one; not to
 * be read, written or closed. SONDE_E_SYSTEM: the system gave none.
 */
SONDE_API int sonde_group_fd(struct sonde_group *group);

/* ---- Figures --------------------------------------------------------------------------------- */

/* spawned = queued + running + succeeded + failed + cancelled. */
struct sonde_group_figures {
	size_t spawned;
	size_t queued;
	size_t running;
	size_t succeeded;
	size_t failed;
	size_t cancelled; /* Never begun, or left with a sonde_cancelled when told to end. */
};

SONDE_API void sonde_group_figures(struct sonde_group *group, struct sonde_group_figures *ret);

/* Ends at the end of the block: SONDE_GROUP_AUTODEINIT struct sonde_group group; */
#define SONDE_GROUP_AUTODEINIT SONDE_CLEANUP(sonde_group_deinit)

SONDE_END_DECLS

#endif
