/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_QUEUE_H
#define SONDE_QUEUE_H

/*
 * A bounded queue of pointers between any number of threads, first in, first out.
 *
 *	struct sonde_queue queue;
 *
 *	sonde_queue_init(&queue, NULL);
 *	…a producer…	error = sonde_queue_push(&queue, order, UINT64_MAX, NULL);
 *	…and when there is no more… sonde_queue_close(&queue);
 *	…a consumer…	while (!(error = sonde_queue_pop(&queue, UINT64_MAX, NULL, &item)))
 *				work_on(item);
 *			sonde_error_free(error); …sonde_closed: there was no more
 *	sonde_queue_deinit(&queue);
 *
 * Who waits is served first come, first served, and nobody who comes later is let in before. What
 * is accepted comes out once: popped, or given to `drop`.
 *
 * The try forms never wait for space or items; every call takes a lock for a moment. None is
 * async-signal-safe. A queue is of the process that made it: a forked child makes its own.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_queue {
	uint64_t opaque[40];
};

/* What a push does when the queue is full. */
enum sonde_queue_policy {
	SONDE_QUEUE_WAIT = 0, /* Waits for space. */
	SONDE_QUEUE_REJECT = 1, /* Fails. */
	SONDE_QUEUE_DROP_OLDEST = 2, /* Takes the place of the item that has waited longest. */
};

struct sonde_queue_options {
	const char *name; /* For telemetry; default "". */
	size_t capacity; /* In items, at most 2^24; default 1024. */
	enum sonde_queue_policy policy; /* Default: wait. */
	/* Room for `capacity` items, of the caller. Default: allocated by init. */
	void **slots;
	/*
	 * Is given each item that was accepted and will not be popped: dropped for a newer one, on
	 * the thread that pushes, or left at deinit. Called without locks. Default: such items are
	 * only counted.
	 */
	void (*drop)(void *user, void *item);
	void *drop_user;
	/* A push that waited as long is told to the observer. Default 10; UINT64_MAX: none. */
	uint64_t slow_ms;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/*
 * `options` may be NULL. SONDE_E_INVALID: no queue, or a capacity or policy that is none.
 * SONDE_E_NOMEM.
 */
SONDE_API int sonde_queue_init(struct sonde_queue *queue,
			       const struct sonde_queue_options *options);

/*
 * Nobody uses it any more, or waits in it; the call that gave the last item, or closed it, may
 * still be on its way out. What is left goes to `drop`, the oldest first. Harmless for NULL, and
 * for one that is all zero.
 */
SONDE_API void sonde_queue_deinit(struct sonde_queue *queue);

/*
 * SONDE_E_LIMITED: full, where the policy is not to drop. SONDE_E_CLOSED. Never waits for space,
 * never allocates.
 */
SONDE_API int sonde_queue_try_push(struct sonde_queue *queue, void *item);

/* SONDE_E_NOT_FOUND: empty. SONDE_E_CLOSED: empty, and it stays so. *ret_item is untouched then. */
SONDE_API int sonde_queue_try_pop(struct sonde_queue *queue, void **ret_item);

/*
 * Waits for space, where that is the policy, at most `limit_ms` (UINT64_MAX: no limit, 0: not at
 * all) and until the deadline of the current context. The item stays the caller's on failure:
 * sonde_queue_full: no space within the limit, or rejected; sonde_timeout: not before the deadline;
 * sonde_closed; sonde_cancelled: `cancel`, which may be NULL, was fired. What can be done at once
 * is done even when the deadline is over.
 */
SONDE_API struct sonde_error *sonde_queue_push(struct sonde_queue *queue, void *item,
					       uint64_t limit_ms, struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/*
 * Waits for an item, in the same way. sonde_timeout: none within the limit or before the deadline;
 * sonde_closed: none is left, and none will come; sonde_cancelled.
 */
SONDE_API struct sonde_error *sonde_queue_pop(struct sonde_queue *queue, uint64_t limit_ms,
					      struct sonde_cancel *cancel, void **ret_item)
	__attribute__((warn_unused_result));

/*
 * From now on every push fails, those that wait as well, and pops fail as soon as nothing is left.
 * Harmless the second time.
 */
SONDE_API void sonde_queue_close(struct sonde_queue *queue);
SONDE_API bool sonde_queue_is_closed(struct sonde_queue *queue);

/* Items in it now. */
SONDE_API size_t sonde_queue_length(struct sonde_queue *queue);

/*
 * An eventfd for a loop: readable while sonde_queue_try_pop would not say "empty"; not to be read,
 * written or closed. Made at the first call, of the queue until its deinit; from then on the queue
 * makes a system call whenever it becomes empty or ceases to be. SONDE_E_SYSTEM: the system gave
 * none.
 */
SONDE_API int sonde_queue_fd(struct sonde_queue *queue);

/* Ends at the end of the block: SONDE_QUEUE_AUTODEINIT struct sonde_queue queue; */
#define SONDE_QUEUE_AUTODEINIT SONDE_CLEANUP(sonde_queue_deinit)

SONDE_END_DECLS

#endif
