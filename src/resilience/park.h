/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_PARK_H
#define SONDE_RESILIENCE_PARK_H

/*
 * How every blocking call of the toolkit waits: each waiting thread on a word of its own, until
 * somebody wakes it, a moment comes, or its token is fired. A wake-up is remembered, so that it may
 * come before the wait. docs/design/park.md argues it.
 *
 * A place in a queue is a waiter in the waiting thread's stack, in a list under the object's lock:
 *
 *	sonde__waiter_init(&waiter);
 *	lock; sonde__waiters_push(&object->waiters, &waiter); unlock;
 *	woken = sonde__park(&waiter.parker, clock, until_ns, cancel);
 *	lock; if (!waiter.is_granted) sonde__waiters_remove(&object->waiters, &waiter); unlock;
 *
 * and whoever grants does so under the lock: sets is_granted, takes it out of the list, and
 * unparks.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/cancel.h>
#include <sonde/resilience.h>

enum sonde__woken {
	SONDE__WOKEN = 0, /* By sonde__unpark, whatever else happened. */
	SONDE__WOKEN_LATE = 1, /* The moment has come. */
	SONDE__WOKEN_CANCELLED = 2, /* The token was fired. */
};

struct sonde__parker {
	_Atomic uint32_t word;
};

/* Before each wait; while nobody can wake it. */
static inline void sonde__parker_init(struct sonde__parker *parker)
{
	/* Relaxed: it is nobody else's yet. */
	atomic_store_explicit(&parker->word, 0, memory_order_relaxed);
}

/* Has it been woken, in a wait or before one? What the waker did before is visible then. */
bool sonde__parker_is_woken(struct sonde__parker *parker);

/* Before a further wait, while others can wake it: only a cancellation is forgotten. */
void sonde__parker_renew(struct sonde__parker *parker);

/*
 * Waits for sonde__unpark until `until_ns` of `clock` (SONDE__NEVER: for ever) or until `cancel`,
 * which may be NULL, is fired. What the waker did before is visible. One thread at a time.
 */
enum sonde__woken sonde__park(struct sonde__parker *parker, const struct sonde_clock *clock,
			      uint64_t until_ns, struct sonde_cancel *cancel);

/*
 * Wakes the thread that parks, or will. It may be gone, and its memory with it, before the call
 * returns. Lock-free, async-signal-safe.
 */
void sonde__unpark(struct sonde__parker *parker);

/* Only waits. False: the token was fired first. */
bool sonde__sleep_until(const struct sonde_clock *clock, uint64_t until_ns,
			struct sonde_cancel *cancel);

/* First come, first served; every call under the owner's lock. */
struct sonde__waiter {
	struct sonde__waiter *next;
	struct sonde__waiter *previous;
	struct sonde__parker parker;
	bool is_granted;
};

struct sonde__waiters {
	struct sonde__waiter *first;
	struct sonde__waiter *last;
	size_t n_waiters;
};

static inline void sonde__waiter_init(struct sonde__waiter *waiter)
{
	waiter->next = NULL;
	waiter->previous = NULL;
	waiter->is_granted = false;
	sonde__parker_init(&waiter->parker);
}

void sonde__waiters_push(struct sonde__waiters *waiters, struct sonde__waiter *waiter);
/* Before `next`, which is in the list; NULL: as the last. */
void sonde__waiters_insert(struct sonde__waiters *waiters, struct sonde__waiter *waiter,
			   struct sonde__waiter *next);
void sonde__waiters_remove(struct sonde__waiters *waiters, struct sonde__waiter *waiter);

/* Takes the first one out, grants and wakes it. False: nobody waits. */
bool sonde__waiters_grant(struct sonde__waiters *waiters);

#endif
