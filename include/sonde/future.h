/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_FUTURE_H
#define SONDE_FUTURE_H

/*
 * What a task of a pool will have come to: its result, or the error that it ends with.
 *
 * Made by sonde_pool_submit, in the caller's memory. Whoever waits for it takes the error, which is
 * then the caller's; an error that nobody takes is told to the observer as an orphan, which the
 * agent captures. It may outlive its pool. Nothing here is async-signal-safe.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. All zero: a future of nothing. */
struct sonde_future {
	uint64_t opaque[16];
};

/*
 * Waits until the task has ended, at most `limit_ms` (UINT64_MAX: no limit; 0: not at all) and
 * until the deadline of the current context, or until `cancel`, which may be NULL, is fired.
 *
 * The task has ended: returns its error, which is the caller's from then on, or NULL; *ret_result,
 * where the pointer is not NULL, is what the task made (NULL where it made nothing). That is given
 * once: afterwards it is a sonde_internal "taken already".
 *
 * It has not: a sonde_timeout or sonde_cancelled of the wait's own; the task goes on, the future
 * can be waited for again, and sonde_future_is_taken says false.
 *
 * Called from a task of the same pool it runs a task that is still queued right here, so that tasks
 * may wait for those they have submitted even where all threads do; up to 1024 one inside the
 * other, past that it is a sonde_queue_full, and can be waited for elsewhere.
 */
SONDE_API struct sonde_error *sonde_future_wait(struct sonde_future *future, uint64_t limit_ms,
						struct sonde_cancel *cancel, void **ret_result)
	__attribute__((warn_unused_result));

/* The task has ended: a wait gives its outcome at once. Wait-free. */
SONDE_API bool sonde_future_is_done(const struct sonde_future *future);

/* The outcome was given to somebody who waited. Wait-free. */
SONDE_API bool sonde_future_is_taken(const struct sonde_future *future);

/*
 * An eventfd that is readable once the task has ended; not to be read, written or closed. Made at
 * the first call, of the future until its deinit. SONDE_E_SYSTEM: the system gave none.
 */
SONDE_API int sonde_future_fd(struct sonde_future *future);

/*
 * A task that is still queued will not be run: its future is done, with a sonde_cancelled that has
 * the reason in it (NULL: none). One that runs is told by its token. Harmless once it has ended.
 */
SONDE_API void sonde_future_cancel(struct sonde_future *future, const char *reason);

/*
 * Never waits: a task that has not ended goes on as one that nobody waits for. What was not taken
 * is told to the observer: an error as an orphan, a success as a drop. Nobody waits for it any
 * more. Harmless for NULL, for a future of nothing, and the second time.
 */
SONDE_API void sonde_future_deinit(struct sonde_future *future);

/* Ends at the end of the block: SONDE_FUTURE_AUTODEINIT struct sonde_future future; */
#define SONDE_FUTURE_AUTODEINIT SONDE_CLEANUP(sonde_future_deinit)

SONDE_END_DECLS

#endif
