/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_PERMITS_H
#define SONDE_RESILIENCE_PERMITS_H

/*
 * A counting semaphore with a queue, first come, first served, whose limit can be changed. Taking
 * and giving back is one exchange while nobody waits; docs/design/bulkhead.md argues it.
 *
 * All of it zero is a semaphore without permits.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "resilience/park.h"

/* The word: the limit, whether anybody waits, and how many permits are taken. */
#define SONDE__PERMITS_LIMIT_SHIFT 32
#define SONDE__PERMITS_QUEUE (UINT64_C(1) << 31)
#define SONDE__PERMITS_TAKEN (SONDE__PERMITS_QUEUE - 1)

struct sonde__permits {
	_Atomic uint64_t word; /* While QUEUE is set it changes under the lock alone. */
	pthread_mutex_t lock;
	struct sonde__waiters waiters; /* Of struct sonde__permit_waiter. */
};

/*
 * Called under the lock: the permit is the one's who asked with `user`. `teller` is what was given
 * to the call that brought it about, for what is to be told when the lock is free again; or NULL.
 */
typedef void sonde__permits_granted_fn(void *user, void *teller);

/* A place in the queue. NULL for `granted`: a thread is parked on it. */
struct sonde__permit_waiter {
	struct sonde__waiter waiter;
	sonde__permits_granted_fn *granted;
	void *user;
	const struct sonde__permits *permits; /* Until it was left, granted or not; else NULL. */
};

void sonde__permits_init(struct sonde__permits *permits, uint32_t limit);
void sonde__permits_deinit(struct sonde__permits *permits);

/* Where there is a permit and nobody waits. Lock-free. */
bool sonde__permits_try(struct sonde__permits *permits);

/* False: none was taken, and nothing has changed. Lets one in at most. */
bool sonde__permits_release(struct sonde__permits *permits, void *teller);

enum sonde__permits_answer {
	SONDE__PERMITS_GRANTED = 0,
	SONDE__PERMITS_QUEUED = 1, /* Until granted, or sonde__permits_leave. */
	SONDE__PERMITS_FULL = 2, /* `max_queue` wait already. */
};

/* Takes a permit, or a place. Sets the waiter up. */
enum sonde__permits_answer sonde__permits_ask(struct sonde__permits *permits,
					      struct sonde__permit_waiter *waiter,
					      uint32_t max_queue,
					      sonde__permits_granted_fn *granted, void *user);

enum sonde__permits_left {
	SONDE__PERMITS_LEFT = 0,
	SONDE__PERMITS_HELD = 1, /* It was granted before. */
	SONDE__PERMITS_NO_PLACE = 2, /* It was left before, or never was one of these permits'. */
};

/* Gives the place up, once, which lets nobody in. */
enum sonde__permits_left sonde__permits_leave(struct sonde__permits *permits,
					      struct sonde__permit_waiter *waiter);

/*
 * True: this is the limit now, and one was let in at most. Else it was raised so far that one was,
 * and there is more to do: so each of them can be told of.
 */
bool sonde__permits_set_limit(struct sonde__permits *permits, uint32_t limit, void *teller);

uint32_t sonde__permits_limit(const struct sonde__permits *permits);
uint32_t sonde__permits_taken(const struct sonde__permits *permits);
uint32_t sonde__permits_waiting(struct sonde__permits *permits);

#endif
