/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell: a futex over one word with three states.
 *
 *	AWAKE --park--> PARKED --ring--> RUNG --wait returns--> AWAKE
 *	                PARKED --unpark, or the time is over--> AWAKE
 *
 * Only the ringer that turns PARKED into RUNG makes the system call, so that a burst of rings wakes
 * once. That no ring is lost between the waiter's last look at the work and its sleep follows from
 * the fences F1 and F2 (Dekker): of two threads that each store, fence and load what the other
 * stored, at least one sees the other's store. Either the ringer sees PARKED, or the waiter, looking
 * once more after park, sees the work. And when the ring comes between that look and the sleep, the
 * kernel finds RUNG where it was told to expect PARKED and does not sleep.
 */

#include "base/bell.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/testpoint.h"

enum {
	AWAKE = 0,
	PARKED = 1,
	RUNG = 2,
};

void sonde__bell_ring(struct sonde__bell *bell)
{
	uint32_t expected = PARKED;
	int saved_errno;

	/* F2, partner F1: the work published before this call comes before the look at the state. */
	atomic_thread_fence(memory_order_seq_cst);
	/* Relaxed: the fence orders it; a stale AWAKE can only be one that F1 makes good. */
	if (atomic_load_explicit(&bell->state, memory_order_relaxed) != PARKED)
		return;
	/* R1, partner A1: who is woken sees the work without looking at the order of anything else. */
	if (!atomic_compare_exchange_strong_explicit(&bell->state, &expected, RUNG, memory_order_release,
						     memory_order_relaxed))
		return;
	SONDE__TESTPOINT("bell:rung");
	saved_errno = errno;
	syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

void sonde__bell_park(struct sonde__bell *bell)
{
	/* Relaxed: F1 orders it. */
	atomic_store_explicit(&bell->state, PARKED, memory_order_relaxed);
	/* F1, partner F2: PARKED can be seen before the waiter looks for work once more. */
	atomic_thread_fence(memory_order_seq_cst);
	SONDE__TESTPOINT("bell:parked");
}

bool sonde__bell_wait(struct sonde__bell *bell, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / SONDE__NS_PER_S),
		.tv_nsec = (long)(timeout_ns % SONDE__NS_PER_S),
	};
	int saved_errno = errno;

	/* One call: a signal ends the wait early, and the caller works out anew how long to wait. */
	syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, PARKED, timeout_ns == UINT64_MAX ? NULL : &timeout,
		NULL, 0);
	errno = saved_errno;
	/* A1, partner R1. */
	return atomic_exchange_explicit(&bell->state, AWAKE, memory_order_acquire) == RUNG;
}

void sonde__bell_unpark(struct sonde__bell *bell)
{
	/* Relaxed: the caller has found work by itself, and a ring that comes in between has nothing to add. */
	atomic_store_explicit(&bell->state, AWAKE, memory_order_relaxed);
}
