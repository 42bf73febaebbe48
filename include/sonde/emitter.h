/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EMITTER_H
#define SONDE_EMITTER_H

/*
 * Tells those who asked that something has happened.
 *
 *	static struct sonde_error *send_receipt(void *user, const struct sonde_event *event) …
 *
 *	struct sonde_emitter emitter;
 *	const struct sonde_subscription receipts = { .event = "order.paid", .handle = send_receipt };
 *
 *	sonde_emitter_init(&emitter, NULL);
 *	sonde_emitter_subscribe(&emitter, &receipts, NULL);
 *	…
 *	sonde_emitter_emit(&emitter, &(struct sonde_event){ .name = "order.paid", .data = order });
 *
 * Handlers run one after another on the thread that emits, without locks: the greater priority
 * first, of the same priority who came first. One that fails stops no other; its error is observed
 * as an orphan, or returned, joined with the others', to who emits and asks for it. A handler may
 * do anything with the emitter: emit, subscribe, unsubscribe others and itself, but not deinit it.
 * It ends by return alone, on a pool as well: one that ends its thread is never let go of.
 *
 * All functions may be called by any thread at any time, none by a signal handler. After a fork the
 * emitter is the child's own copy, if no other thread of the parent was inside it.
 */

#include <sonde/cancel.h>
#include <sonde/pool.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

#define SONDE_EMITTER_SUBSCRIPTIONS_DEFAULT 64
#define SONDE_EMITTER_SUBSCRIPTIONS_MAX 65535
#define SONDE_EMITTER_DEPTH_DEFAULT 32

/* Caller's memory; nothing in it is to be read. */
struct sonde_emitter {
	uint64_t opaque[40];
};

struct sonde_emitter_options {
	const char *name; /* For telemetry. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	uint32_t max_subscriptions; /* 0: 64. Their memory is taken by init. */
	uint32_t max_depth; /* Emits in handlers of emits in handlers…, on one thread; 0: 32. */
};

/* An event has a name or, where that is NULL, a number. */
struct sonde_event {
	const char *name;
	uint64_t number;
	void *data; /* Whatever those who emit and handle it agree on. */
};

/* NULL: it went well; else the error, which the emitter takes over. */
typedef struct sonde_error *sonde_event_fn(void *user, const struct sonde_event *event);

struct sonde_subscription {
	const char *event; /* Its name, which must outlive the subscription; NULL: */
	uint64_t number; /* by its number, */
	bool is_for_all; /* or every event, whatever the two say. */
	bool is_once; /* Handled once, then over: also where several threads emit at once. */
	int32_t priority; /* 0: the ordinary one. */
	sonde_event_fn *handle;
	void *user;
	/*
	 * Called once, when the subscription is over and the handler does not run any more: what
	 * `user` points to may be freed. By the last emit that ran it, by who unsubscribes, or by
	 * deinit; without locks. May be NULL.
	 */
	void (*end)(void *user);
};

/* SONDE_E_INVALID: no emitter, or too many subscriptions. SONDE_E_NOMEM. */
SONDE_API int sonde_emitter_init(struct sonde_emitter *emitter,
				 const struct sonde_emitter_options *options);

/*
 * Ends all subscriptions; waits for handlers that a pool runs, and those that it has queued are not
 * run any more. Nobody is in a call of it any more. Harmless for NULL, and the second time.
 */
SONDE_API void sonde_emitter_deinit(struct sonde_emitter *emitter);

/*
 * Takes part from the next emit on: not in one that has begun. *ret_id, which may not be wanted,
 * names it for as long as the emitter lives; never 0. The struct is copied. SONDE_E_INVALID: there
 * is no handler. SONDE_E_LIMITED: max_subscriptions are there. Takes a lock for a moment.
 */
SONDE_API int sonde_emitter_subscribe(struct sonde_emitter *emitter,
				      const struct sonde_subscription *subscription,
				      uint64_t *ret_id);

/*
 * No call of its handler begins any more. SONDE_INCOMPLETE: one that had begun still runs, on this
 * thread or on another; `end` says when it is over. SONDE_E_NOT_FOUND: it is over already. Never
 * waits.
 */
SONDE_API int sonde_emitter_unsubscribe(struct sonde_emitter *emitter, uint64_t id);

/*
 * The same, and waits until the handler does not run any more. SONDE_INCOMPLETE: the deadline came,
 * or `cancel`, which may be NULL, was fired; or a handler of this emitter asks, which must not wait
 * for one that perhaps waits for it: then as sonde_emitter_unsubscribe.
 */
SONDE_API int sonde_emitter_unsubscribe_wait(struct sonde_emitter *emitter, uint64_t id,
					     struct sonde_cancel *cancel);

/* How many subscriptions there are. */
SONDE_API uint32_t sonde_emitter_subscriptions(struct sonde_emitter *emitter);

/*
 * Runs the handlers of the event and returns how many they were. Their errors, and the one of an
 * emit that is too deep, which runs none, are observed as orphans. Where nobody has subscribed to
 * anything like it: wait-free, a few nanoseconds. Else takes a lock between handlers.
 */
SONDE_API size_t sonde_emitter_emit(struct sonde_emitter *emitter, const struct sonde_event *event);

/* The same; returns the handlers' errors as sonde_error_join makes one of them. */
SONDE_API struct sonde_error *sonde_emitter_emit_joined(struct sonde_emitter *emitter,
							const struct sonde_event *event)
	__attribute__((warn_unused_result));

/*
 * ---- Side by side
 * --------------------------------------------------------------------------------
 *
 * Handlers run on the pool's threads, in the emitting one's context and in no order. What the pool
 * does not take, because it is full or closed, runs on the emitting thread: nothing is lost, and
 * who emits too much slows down. What a pool still has queued counts as running: a task of the same
 * pool must not wait for it by sonde_emitter_unsubscribe_wait.
 */

/*
 * Waits for all of them and returns their errors as sonde_emitter_emit_joined does. A handler that
 * the pool never ran, because it was stopped or the deadline was over, is an error, too.
 */
SONDE_API struct sonde_error *sonde_emitter_emit_on(struct sonde_emitter *emitter,
						    const struct sonde_event *event,
						    struct sonde_pool *pool)
	__attribute__((warn_unused_result));

/*
 * Waits for none, and returns how many they are; their errors are orphans. The event is copied; its
 * name, and what `data` points to, live until the last handler has returned. Allocates. Who
 * unsubscribes meanwhile is not called any more.
 */
SONDE_API size_t sonde_emitter_post(struct sonde_emitter *emitter, const struct sonde_event *event,
				    struct sonde_pool *pool);

/* Ends at the end of the block: SONDE_EMITTER_AUTODEINIT struct sonde_emitter emitter; */
#define SONDE_EMITTER_AUTODEINIT SONDE_CLEANUP(sonde_emitter_deinit)

SONDE_END_DECLS

#endif
