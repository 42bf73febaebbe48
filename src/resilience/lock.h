/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_LOCK_DOOR_H
#define SONDE_RESILIENCE_LOCK_DOOR_H

/*
 * What mutex, read-write lock and condition share: one wait that is measured, ends at its limits,
 * and is told while it goes on for too long. docs/design/lock.md argues it.
 */

#include <stdint.h>

#include <sonde/lock.h>

#include "base/compiler.h"
#include "context/context.h"
#include "resilience/clock.h"
#include "resilience/park.h"

/* Kept so that all zero is every default. */
struct sonde__lock_settings {
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	uint64_t slow_wait_ms;
};

#define SONDE__SLOW_WAIT_MS UINT64_C(1000)

void sonde__lock_settings_init(struct sonde__lock_settings *settings,
			       const struct sonde_lock_options *options);

/* Who calls: one word that no two threads that live have in common. */
static inline uintptr_t sonde__lock_self(void)
{
	return (uintptr_t)&sonde__thread;
}

/*
 * A place in a lock's queue. Who tells a stall leaves the queue for that moment, because an
 * observer may want the lock itself, and returns to his place by the number that he drew when he
 * came.
 */
struct sonde__lock_waiter {
	struct sonde__waiter waiter; /* First: the queue is of these. */
	uint64_t number;
	bool is_woken; /* Of a mutex: to take part in the race. */
	bool is_writer; /* Of a read-write lock. */
};

struct sonde__lock_queue {
	struct sonde__waiters waiters;
	uint64_t n_numbers;
};

/* Both under the lock's guard. */
void sonde__lock_queue_enter(struct sonde__lock_queue *queue, struct sonde__lock_waiter *waiter);
void sonde__lock_queue_return(struct sonde__lock_queue *queue, struct sonde__lock_waiter *waiter);

struct sonde__lock_wait {
	const struct sonde__lock_settings *settings;
	const char *kind; /* "mutex" */
	struct sonde_cancel *cancel;
	uint64_t since_ns;
	uint64_t end_ns;
	uint64_t slow_ns; /* The moment from which on it is slow; never: it was said. */
	bool has_stalled;
};

enum sonde__lock_woken {
	SONDE__LOCK_WOKEN = 0,
	SONDE__LOCK_LATE = 1,
	SONDE__LOCK_CANCELLED = 2,
	SONDE__LOCK_SLOW = 3, /* To be told, and waited on. */
};

/* What bounds a wait. */
struct sonde__lock_limits {
	uint64_t limit_ns;
	bool past_deadline; /* However late it is. */
	struct sonde_cancel *cancel;
};

/* From now on. `slow_wait_ms` is the one that 0 in the settings stands for. */
void sonde__lock_wait_begin(struct sonde__lock_wait *wait,
			    const struct sonde__lock_settings *settings, const char *kind,
			    const struct sonde__lock_limits *limits, uint64_t slow_wait_ms);

enum sonde__lock_woken sonde__lock_wait_park(struct sonde__lock_wait *wait,
					     struct sonde__parker *parker);

/* How long it has taken. */
uint64_t sonde__lock_wait_ns(const struct sonde__lock_wait *wait);

/* Tells the stall; without locks. `place` may be NULL: where the lock was taken last. */
void sonde__lock_wait_stall(struct sonde__lock_wait *wait, const char *place);

/* Tells the end; without locks. */
void sonde__lock_wait_granted(const struct sonde__lock_wait *wait);

/* As it, and returns the error of who was turned away. */
struct sonde_error *sonde__lock_wait_refused(const struct sonde__lock_wait *wait,
					     enum sonde__lock_woken why, const char *place);

/* Makes an error of a misuse, and tells it where nobody is given it. */
struct sonde_error *sonde__lock_misuse(const struct sonde__lock_settings *settings,
				       const char *kind, const char *what, const char *place);
void sonde__lock_misuse_say(const struct sonde__lock_settings *settings, const char *kind,
			    const char *what, const char *place);

#endif
