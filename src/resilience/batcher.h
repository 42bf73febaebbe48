/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BATCHER_H
#define SONDE_RESILIENCE_BATCHER_H

/* The batcher's insides: what adds, takes and reports share. docs/design/batcher.md argues it. */

#include <pthread.h>
#include <stdatomic.h>

#include <sonde/batcher.h>

#include "base/compiler.h"
#include "resilience/batching.h"
#include "resilience/clock.h"
#include "resilience/park.h"

enum sonde__ticket_state {
	SONDE__TICKET_NONE = 0, /* There is no item. */
	SONDE__TICKET_WAITING = 1, /* It waits: entry. */
	SONDE__TICKET_RUNNING = 2, /* The handler has it: place. */
	SONDE__TICKET_DONE = 3, /* The outcome is there. */
};

struct sonde__ticket {
	_Atomic uint32_t state; /* Changed under the batcher's lock. */
	/* Woken: it is done. Who waits parks here, and needs no batcher to leave. */
	struct sonde__parker done;
	struct sonde__batcher *batcher; /* Not to be followed when it is done. */
	union {
		struct sonde__batching_entry *entry;
		struct sonde__ticket **place; /* In a slot. */
		void *result;
	} at;
	struct sonde_error *error;
	/* For who waits, and an orphan that is found, when the batcher is gone: */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	const char *name;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__ticket) <= sizeof(struct sonde_batcher_ticket), "it fits");
_Static_assert(_Alignof(struct sonde__ticket) <= _Alignof(struct sonde_batcher_ticket), "aligned");

/* A batch with the handler. */
struct sonde__batcher_slot {
	struct sonde_batcher_batch batch; /* The first: what is handed out. */
	struct sonde__batcher *batcher;
	struct sonde__ticket **tickets; /* One for each item; NULL: nobody asks. */
	bool *is_asked; /* While it is reported: who asked when the copies were made. */
	uint64_t taken_ns; /* Where somebody observes. */
	bool is_used;
};

/* Somebody who waits for room, in its stack. */
struct sonde__adder {
	struct sonde__waiter waiter; /* The first. */
	const struct sonde_batcher_item *item;
	struct sonde__ticket *ticket;
	bool is_refused; /* Granted, because the batcher was closed. */
};

struct sonde__batcher {
	pthread_mutex_t lock; /* Of all that is not an option. */
	struct sonde_batcher_options options; /* With all defaults. */
	struct sonde__batching batching;
	struct sonde__batcher_slot *slots;
	size_t n_slots_used;
	struct sonde__waiters adders;
	struct sonde__waiters idle; /* Threads of its own. */
	struct sonde__waiters stoppers;
	struct sonde_batcher_figures figures; /* But n_waiting. */
	pthread_t *threads;
	size_t n_threads;
	pid_t process;
	bool is_closed;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__batcher) <= sizeof(struct sonde_batcher), "a batcher fits");
_Static_assert(_Alignof(struct sonde__batcher) <= _Alignof(struct sonde_batcher), "and is aligned");

static inline struct sonde__batcher *sonde__batcher_of(const struct sonde_batcher *batcher)
{
	return (struct sonde__batcher *)(uintptr_t)batcher;
}

static inline struct sonde__ticket *sonde__ticket_of(const struct sonde_batcher_ticket *ticket)
{
	return (struct sonde__ticket *)(uintptr_t)ticket;
}

static inline uint64_t sonde__batcher_now_ns(const struct sonde__batcher *batcher)
{
	return sonde__now_ns(batcher->options.clock);
}

/* Without the lock. */
void sonde__batcher_observe(const struct sonde__batcher *batcher, enum sonde_observed what,
			    uint64_t duration_ns, uint64_t count, const struct sonde_error *error);

/* Without the lock: an item that will never be handled; takes `why` over. */
void sonde__batcher_release(const struct sonde__batcher *batcher, void *value,
			    struct sonde_error *why);

/* ---- Under the lock -------------------------------------------------------------------------- */

/* There is room, and it is not closed. */
void sonde__batcher_insert(struct sonde__batcher *batcher, const struct sonde_batcher_item *item,
			   struct sonde__ticket *ticket);

/* There may be room now: who waits comes in. */
void sonde__batcher_admit(struct sonde__batcher *batcher);

/* There may be something to take, or an earlier moment to wait for. */
static inline void sonde__batcher_rouse(struct sonde__batcher *batcher)
{
	if (batcher->idle.n_waiters)
		sonde__waiters_grant(&batcher->idle);
}

/* Whoever waits for all to be handled looks again, if it is. */
void sonde__batcher_settle_stop(struct sonde__batcher *batcher);

/* NULL: nothing that is due can be taken now. */
struct sonde__batcher_slot *sonde__batcher_take_slot(struct sonde__batcher *batcher);

/* When a take may give something, which is 0 for now. */
uint64_t sonde__batcher_due_ns(const struct sonde__batcher *batcher);

/* The outcome is there; takes `error` over. Wakes who waits. */
void sonde__ticket_settle(struct sonde__ticket *ticket, struct sonde_error *error, void *result);

/*
 * Takes out the item of `entry`, which will never be handled: an error for who asked for it, as
 * `type` and the text say, and the value and another one for release.
 */
struct sonde__withdrawn {
	void *value;
	struct sonde_error *why;
};

struct sonde__withdrawn sonde__batcher_withdraw(struct sonde__batcher *batcher,
						struct sonde__batching_entry *entry,
						const struct sonde_error_type *type,
						const char *text);

#endif
