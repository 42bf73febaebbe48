/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_OWNER_H
#define SONDE_STACK_OWNER_H

/*
 * A place that one thread is in at a time; a second one does not wait. The word holds the pid of
 * the process whose thread is inside: a forked child inherits a place that its parent's thread was
 * in the middle of, sees that it is nobody's here, and takes it over.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

struct sonde__owner {
	_Atomic int32_t pid; /* 0: nobody is inside. */
};

enum sonde__entered {
	SONDE__ENTERED_NOT,
	SONDE__ENTERED,
	SONDE__ENTERED_TORN, /* The parent's thread was inside at the fork. */
};

static inline enum sonde__entered sonde__owner_enter(struct sonde__owner *owner)
{
	int32_t self = (int32_t)getpid();
	int32_t other = 0;

	/*
	 * A1: acquire, pairs with R1: what the last owner wrote is seen whole. Failure reads a
	 * number.
	 */
	if (atomic_compare_exchange_strong_explicit(&owner->pid, &other, self, memory_order_acquire,
						    memory_order_relaxed))
		return SONDE__ENTERED;
	if (other == self)
		return SONDE__ENTERED_NOT;
	if (!atomic_compare_exchange_strong_explicit(&owner->pid, &other, self,
						     memory_order_acquire, memory_order_relaxed))
		return SONDE__ENTERED_NOT;
	return SONDE__ENTERED_TORN;
}

static inline void sonde__owner_leave(struct sonde__owner *owner)
{
	/* R1: release, pairs with A1. */
	atomic_store_explicit(&owner->pid, 0, memory_order_release);
}

#endif
