/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BATCHER_H
#define SONDE_BATCHER_H

/*
 * Gathers items that are cheaper to handle together: a hundred inserts in one statement.
 *
 *	static struct sonde_error *insert(void *user, struct sonde_batcher_batch *batch) …
 *
 *	struct sonde_batcher batcher;
 *
 *	sonde_batcher_init(&batcher, &(struct sonde_batcher_options){ .handle = insert });
 *	error = sonde_batcher_add(&batcher, &(struct sonde_batcher_item){ .value = row }, NULL, NULL);
 *	…
 *	error = sonde_batcher_stop(&batcher, 2000, NULL);
 *	sonde_batcher_deinit(&batcher);
 *
 * A batch is due when it has 100 items, or so many bytes, or 1.0 s after it was begun, or when
 * somebody flushes. Items with different keys go into different batches; batches of one key are
 * handled one after another, in the order in which they became due.
 *
 * Two forms. With a handler, a thread of the batcher's own runs it, or a pool. Without one nothing
 * runs by itself: an event loop asks when a batch is due (next_due_ns), takes it, and reports how
 * it went.
 *
 * Each item that is added is handled, dropped, rejected or cancelled, once; who wants to know
 * gives a ticket. An error that nobody asked for is observed as an orphan.
 *
 * All functions may be called by any thread, none by a signal handler. A forked child has no
 * thread of the batcher's: it only deinitialises it, which frees its memory there, and makes
 * another one.
 */

#include <sonde/cancel.h>
#include <sonde/context.h>
#include <sonde/pool.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

#define SONDE_BATCHER_ITEMS_DEFAULT 100
#define SONDE_BATCHER_DELAY_MS_DEFAULT 1000
#define SONDE_BATCHER_KEYS_DEFAULT 64
#define SONDE_BATCHER_WAITING_BATCHES_DEFAULT 10
#define SONDE_BATCHER_CONCURRENCY_DEFAULT 1
#define SONDE_BATCHER_CONCURRENCY_MAX 64
#define SONDE_BATCHER_ITEMS_MAX 1000000 /* In a batch, and waiting. */

/* Caller's memory; nothing in it is to be read. */
struct sonde_batcher {
	uint64_t opaque[72];
};

/* What an add does that finds as many items waiting as there may be. */
enum sonde_batcher_policy {
	SONDE_BATCHER_WAIT = 0, /* Waits for room. */
	SONDE_BATCHER_REJECT = 1, /* Is refused. */
	SONDE_BATCHER_DROP_OLDEST = 2, /* Takes the place of the one who has waited longest. */
};

/* Why a batch was due. */
enum sonde_batcher_reason {
	SONDE_BATCHER_FULL = 0, /* It had max_items. */
	SONDE_BATCHER_BYTES = 1, /* It had max_bytes, or the next item did not fit any more. */
	SONDE_BATCHER_DELAY = 2,
	SONDE_BATCHER_FLUSH = 3, /* Somebody asked, or closed or stopped the batcher. */
	SONDE_BATCHER_KEYS = 4, /* Another key needed its place. */
	SONDE_BATCHER_PRESSURE = 5, /* An add found no room. */
};

struct sonde_batcher_item {
	/* By who adds it: */
	void *value;
	uint64_t key; /* Any number: a hash, an id, an address. */
	uint64_t n_bytes; /* What max_bytes counts. */
	/* By the batcher: */
	struct sonde_context context; /* Who added it: for a link, say, or the request's values. */
	/* By the handler, where the item does not share the batch's fate: */
	void *result; /* For who asked. */
	struct sonde_error *error; /* The batcher takes it over. */
};

struct sonde_batcher_batch {
	uint64_t key;
	struct sonde_batcher_item *items; /* In the order in which they were added. */
	size_t n_items; /* Never 0. */
	uint64_t n_bytes;
	enum sonde_batcher_reason reason;
};

/*
 * NULL: all went well but the items that have an error. Else all failed: each that has no error of
 * its own has a copy of this one. It ends by return alone, never with its thread: a batch that was
 * not reported is with the handler for ever. Where it adds to its own batcher it does not wait for
 * room, which it may have to make itself: sonde_batcher_try_add.
 */
typedef struct sonde_error *sonde_batcher_fn(void *user, struct sonde_batcher_batch *batch);

struct sonde_batcher_options {
	const char *name; /* For telemetry. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	uint32_t max_items; /* In a batch; 0: 100. */
	uint32_t max_keys; /* Whose batches are being gathered; 0: 64. Past it the oldest is due. */
	uint64_t max_bytes; /* In a batch, unless one item alone has more; 0: no limit. */
	uint64_t delay_ms; /* From a batch's first item until it is due; 0: 1000. */
	/* Items that wait, those with the handler not counted; 0: 10 batches, so 1000. */
	uint32_t max_waiting;
	enum sonde_batcher_policy policy;
	/* At most, for room: a moment for SONDE_BATCHER_WAIT; 0: for as long as the deadline. */
	uint64_t wait_ms;
	uint32_t concurrency; /* Batches with the handler at once; 0: 1. A thread for each; or: */
	/*
	 * Where handlers run, in place of all threads but one, which waits for what is due. What it
	 * does not take is handled by that one. Outlives the batcher. NULL: threads of its own.
	 */
	struct sonde_pool *pool;
	sonde_batcher_fn *handle; /* NULL: somebody takes and reports. */
	void *user; /* The handler's and release's. */
	/*
	 * Called, without locks, for an item that was accepted and will never be handled: dropped
	 * or cancelled, as `why` says, which is borrowed. For the value's memory. May be NULL.
	 */
	void (*release)(void *user, void *value, const struct sonde_error *why);
};

/*
 * SONDE_E_INVALID: no batcher, or a number past its limit. SONDE_E_NOMEM: all the memory it will
 * ever use is taken here. SONDE_E_SYSTEM: no thread.
 */
SONDE_API int sonde_batcher_init(struct sonde_batcher *batcher,
				 const struct sonde_batcher_options *options);

/*
 * Cancels what waits, and waits for the handler to return. Nobody is in a call of it any more but
 * those who wait for a ticket. Harmless for NULL, and the second time.
 */
SONDE_API void sonde_batcher_deinit(struct sonde_batcher *batcher);

/* ---- Adding ---------------------------------------------------------------------------------- */

/* What became of an item. Caller's memory; nothing in it is to be read. */
struct sonde_batcher_ticket {
	uint64_t opaque[8];
};

/*
 * Adds a copy of the item; NULL: it will be handled, dropped or cancelled. `ticket`, which may be
 * NULL, is where the outcome will be; it stays where it is until its deinit. Else the item is the
 * caller's as before: sonde_queue_full, by policy; sonde_closed; and, where it waits,
 * sonde_timeout at the current context's deadline, sonde_cancelled by `cancel`, which may be NULL.
 */
SONDE_API struct sonde_error *sonde_batcher_add(struct sonde_batcher *batcher,
						const struct sonde_batcher_item *item,
						struct sonde_batcher_ticket *ticket,
						struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/* The same; never waits: where it would, sonde_queue_full. */
SONDE_API struct sonde_error *sonde_batcher_try_add(struct sonde_batcher *batcher,
						    const struct sonde_batcher_item *item,
						    struct sonde_batcher_ticket *ticket)
	__attribute__((warn_unused_result));

/*
 * Adds and waits for the outcome. Where the wait ends early, an item that still waits is cancelled;
 * one that the handler has is handled, and its outcome nobody's.
 */
SONDE_API struct sonde_error *sonde_batcher_run(struct sonde_batcher *batcher,
						const struct sonde_batcher_item *item,
						struct sonde_cancel *cancel, void **ret_result)
	__attribute__((warn_unused_result));

/* Is the outcome there? Wait-free. */
SONDE_API bool sonde_batcher_ticket_is_done(const struct sonde_batcher_ticket *ticket);

/*
 * Waits for the outcome and returns it: NULL, and *ret_result, which may not be wanted, is what the
 * handler said; or the error, the caller's from now on, sonde_queue_full where it was dropped,
 * sonde_cancelled or sonde_closed where it was cancelled. Later calls return NULL. Where the
 * current context's deadline comes first, or `cancel`, which may be NULL, is fired, sonde_timeout
 * or sonde_cancelled, and the ticket is as before. One thread at a time.
 */
SONDE_API struct sonde_error *sonde_batcher_ticket_wait(struct sonde_batcher_ticket *ticket,
							struct sonde_cancel *cancel,
							void **ret_result)
	__attribute__((warn_unused_result));

/* Takes an item back that still waits; its outcome is sonde_cancelled. False: it is too late. */
SONDE_API bool sonde_batcher_ticket_cancel(struct sonde_batcher_ticket *ticket);

/*
 * Nobody asks any more. An error that nobody took is an orphan, now or when it comes. Before the
 * batcher's deinit, unless the outcome is there. Harmless for NULL, and for a ticket of zeros.
 */
SONDE_API void sonde_batcher_ticket_deinit(struct sonde_batcher_ticket *ticket);

/* ---- Ask and report -------------------------------------------------------------------------- */

/*
 * The moment of its clock when take will give something; 0: now. UINT64_MAX: nothing to wait for.
 */
SONDE_API uint64_t sonde_batcher_next_due_ns(struct sonde_batcher *batcher);

/* A batch that is due; NULL: none is, or `concurrency` are taken. Never waits. */
SONDE_API struct sonde_batcher_batch *sonde_batcher_take(struct sonde_batcher *batcher);

/*
 * How it went, as a handler returns it; takes `error` over. The batch is gone: a second time
 * changes nothing, until take has given the same memory again.
 */
SONDE_API void sonde_batcher_report(struct sonde_batcher *batcher,
				    struct sonde_batcher_batch *batch, struct sonde_error *error);

/* ---- Flushing and stopping ------------------------------------------------------------------- */

/* Everything that waits is due now. Waits for nothing. */
SONDE_API void sonde_batcher_flush(struct sonde_batcher *batcher);

/* The same, and whoever adds from now on, or waits for room, is refused: sonde_closed. */
SONDE_API void sonde_batcher_close(struct sonde_batcher *batcher);

/*
 * Closes it, and waits until all that was added is handled: NULL. After `timeout_ms`, at the
 * current context's deadline or when `cancel`, which may be NULL, is fired, what still waits is
 * cancelled, and sonde_timeout or sonde_cancelled says how much; a handler that runs goes on.
 */
SONDE_API struct sonde_error *sonde_batcher_stop(struct sonde_batcher *batcher, uint64_t timeout_ms,
						 struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/* All that was ever added: n_added = n_rejected + n_handled + n_dropped + n_cancelled + n_waiting
 * + n_running. */
struct sonde_batcher_figures {
	uint64_t n_added;
	uint64_t n_rejected;
	uint64_t n_handled; /* Of these n_failed had an error. */
	uint64_t n_failed;
	uint64_t n_dropped;
	uint64_t n_cancelled;
	uint64_t n_waiting;
	uint64_t n_running; /* With the handler, or taken. */
	uint64_t n_batches; /* Handled. */
};

SONDE_API void sonde_batcher_figures(struct sonde_batcher *batcher,
				     struct sonde_batcher_figures *ret);

/* End at the end of the block: SONDE_BATCHER_AUTODEINIT struct sonde_batcher batcher; */
#define SONDE_BATCHER_AUTODEINIT SONDE_CLEANUP(sonde_batcher_deinit)
#define SONDE_BATCHER_TICKET_AUTODEINIT SONDE_CLEANUP(sonde_batcher_ticket_deinit)

SONDE_END_DECLS

#endif
