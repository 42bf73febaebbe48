/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BULKHEAD_H
#define SONDE_BULKHEAD_H

/*
 * How many may be at something at once, so that one slow neighbour does not take every thread the
 * service has. A permit is taken before and given back after; who finds none is turned away, or
 * waits his turn in a queue of limited length for a limited time.
 *
 *	static struct sonde_bulkhead bulkhead;
 *	const struct sonde_bulkhead_options options = { .name = "payments", .limit = 8 };
 *
 *	sonde_bulkhead_init(&bulkhead, &options);
 *	…
 *	if (!sonde_bulkhead_try_acquire(&bulkhead))
 *		return answer_busy(request);
 *	charge(request);
 *	sonde_bulkhead_release(&bulkhead);
 *
 * or, for those who can wait: error = sonde_bulkhead_run(&bulkhead, cancel, charge, request);
 *
 * Shared, its permits are of all processes forked after its init, in one pid namespace. What a
 * process held when it died, however it died, comes back. One that becomes another program by exec
 * has not died: give back before, or what it holds is gone until it ends.
 *
 * One that is not shared is of its process alone: a forked child makes its own, because its copy
 * may be locked, and threads that it does not have may wait there. NULL for a bulkhead is no limit.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_bulkhead {
	uint64_t opaque[40];
};

struct sonde_bulkhead_options {
	const char *name; /* For telemetry and messages; NULL: "". */
	uint32_t limit; /* Permits. 0: 25, as resilience4j's maxConcurrentCalls. */
	/*
	 * Who may wait, and how long. Both 0: nobody waits, as with Polly's queueLimit and
	 * resilience4j's maxWaitDuration. One of them 0: the other alone limits. UINT32_MAX and
	 * UINT64_MAX: no limit. The deadline of the context always is one.
	 */
	uint32_t max_queue;
	uint64_t max_wait_ms;
	bool shared; /* With processes forked after init. */
	uint32_t max_limit; /* Shared: what set_limit may give at most; 0: `limit`. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/* The most that limit may be, and in shared memory, where each permit has a word of its own. */
#define SONDE_BULKHEAD_LIMIT_MAX 0x7fffffff
#define SONDE_BULKHEAD_SHARED_MAX 65536

/*
 * `options` may be NULL. SONDE_E_INVALID: no bulkhead, a limit past the above, or max_limit below
 * limit. SONDE_E_SYSTEM: no shared memory was to be had. Not async-signal-safe.
 */
SONDE_API int sonde_bulkhead_init(struct sonde_bulkhead *bulkhead,
				  const struct sonde_bulkhead_options *options);

/*
 * Nobody waits any more, and every release has returned: it tells of whom it let in when that one
 * may be done already. Shared: of this process alone, whose permits come back when it ends.
 * Harmless for NULL, and the second time.
 */
SONDE_API void sonde_bulkhead_deinit(struct sonde_bulkhead *bulkhead);

/*
 * Takes a permit where there is one and nobody came first. False: turned away. On any thread; never
 * waits, allocates nothing. Lock-free. An observer hears of a rejection with its error.
 *
 * Shared and full, it looks at most every 100 ms whether those who hold permits still live, which
 * reads a file of /proc for each.
 */
SONDE_API bool sonde_bulkhead_try_acquire(struct sonde_bulkhead *bulkhead)
	__attribute__((warn_unused_result));

/*
 * Takes a permit, and waits for it as the options allow. NULL: taken. First come, first served;
 * shared, among the threads of a process. Else the caller's error, and no permit:
 *
 *	sonde_bulkhead_full	there was none, and its message and its attribute bulkhead.reason
 *				say which limit turned him away: "limit" (nobody may wait),
 *				"queue" (too many wait) or "wait" (he waited as long as one may)
 *	sonde_timeout		the context's deadline came first; the cause is the one above
 *	sonde_cancelled		`cancel`, which may be NULL, was fired
 *
 * May block; on any thread.
 */
SONDE_API struct sonde_error *sonde_bulkhead_acquire(struct sonde_bulkhead *bulkhead,
						     struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/*
 * Gives a permit back: by any thread of the process that took it. Who first waited gets it. Where
 * none is taken (shared: by this process) it changes nothing but says so: an error of type
 * sonde_internal is observed as ORPHAN. Permits have no names: who gives one back twice while
 * others have theirs lets one in too many, and it is said when the last of them gives back.
 * Lock-free while nobody waits, else it takes a lock for a moment.
 */
SONDE_API void sonde_bulkhead_release(struct sonde_bulkhead *bulkhead);

/* Acquires, runs the operation on this thread, releases. The operation's error, or acquire's. */
SONDE_API struct sonde_error *sonde_bulkhead_run(struct sonde_bulkhead *bulkhead,
						 struct sonde_cancel *cancel,
						 sonde_operation_fn *operation, void *argument)
	__attribute__((warn_unused_result));

/* ---- For event loops ------------------------------------------------------------------------- */

/*
 * A place in the queue that no thread waits in. Caller's memory, until granted or withdrawn; one
 * that is queued must not be asked with again.
 */
struct sonde_bulkhead_waiter {
	uint64_t opaque[20];
};

enum sonde_bulkhead_answer {
	SONDE_BULKHEAD_GRANTED = 0, /* The permit is yours; the function is not called. */
	SONDE_BULKHEAD_QUEUED = 1, /* The function will be called, or you withdraw. */
	SONDE_BULKHEAD_REJECTED = 2, /* Nobody may wait, or too many do. */
};

/*
 * The permit is yours. Called on the thread that gives it, under the bulkhead's lock: it tells the
 * loop (writes an eventfd, puts something into a queue) and must not call the bulkhead.
 */
typedef void sonde_bulkhead_granted_fn(void *user);

/*
 * Takes a permit or a place in the queue, in turn with the threads that wait. Never waits itself;
 * how long the place is kept is the loop's: its timer withdraws. That it was granted is observed,
 * as a wait of the work that asked, by who gave the permit back. Or a negative status:
 * SONDE_E_INVALID, SONDE_E_UNSUPPORTED for a shared one, where a loop tries again on its timer.
 */
SONDE_API int sonde_bulkhead_ask(struct sonde_bulkhead *bulkhead,
				 struct sonde_bulkhead_waiter *waiter,
				 sonde_bulkhead_granted_fn *granted, void *user);

/*
 * Gives a place up that ask gave (QUEUED), once. True: the function was not called and will not be;
 * an observer hears of a rejection, with a sonde_cancelled. False: it was called, has returned, and
 * the permit is yours to give back. A second time, or of a place that ask did not give, it changes
 * nothing but says so as release does: true, nothing is yours.
 */
SONDE_API bool sonde_bulkhead_withdraw(struct sonde_bulkhead *bulkhead,
				       struct sonde_bulkhead_waiter *waiter)
	__attribute__((warn_unused_result));

/* ---- At run time ----------------------------------------------------------------------------- */

/*
 * Another number of permits. More: those who wait get them. Fewer, 0 even: who has one keeps it,
 * and nobody is let in until enough have come back. SONDE_E_INVALID: past the limits above, or
 * shared and past max_limit.
 */
SONDE_API int sonde_bulkhead_set_limit(struct sonde_bulkhead *bulkhead, uint32_t limit);

/* As of now, each number by itself. Rejections and waits are those of this process. */
struct sonde_bulkhead_figures {
	uint32_t limit;
	uint32_t n_taken; /* Shared: by all processes. */
	uint32_t n_waiting; /* Shared: in all processes. */
	uint64_t n_rejected_limit;
	uint64_t n_rejected_queue;
	uint64_t n_rejected_wait; /* After the longest wait, or at the deadline. */
	uint64_t n_withdrawn; /* Cancelled, or withdrawn. */
	uint64_t n_waited; /* Granted after a wait. */
	uint64_t n_reclaimed; /* Permits of dead processes that this one took back. */
};

SONDE_API void sonde_bulkhead_read(struct sonde_bulkhead *bulkhead,
				   struct sonde_bulkhead_figures *ret);

/* Ends at the end of the block: SONDE_BULKHEAD_AUTODEINIT struct sonde_bulkhead bulkhead; */
#define SONDE_BULKHEAD_AUTODEINIT SONDE_CLEANUP(sonde_bulkhead_deinit)

SONDE_END_DECLS

#endif
