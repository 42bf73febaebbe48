/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell: a futex over one word with three states.
 *
 *	AWAKE --wait--> PARKED --ring--> RUNG --wait returns--> AWAKE
 *	AWAKE --ring--> RUNG --wait returns at once--> AWAKE
 *	                PARKED --the time is over--> AWAKE
 *
 * Every ring writes RUNG by an exchange, also over RUNG: the waiter, which takes it by an exchange
 * of its own, then reads from a chain of exchanges that holds all rings since its last wait, and
 * sees what each ringer had done before. Only the ringer that finds PARKED makes the system call,
 * so a burst of rings wakes once. A ring between the waiter's step to PARKED and its sleep is not
 * lost: the kernel finds RUNG where it was told to expect PARKED, and does not sleep.
 *
 * In a forked child the word may say PARKED though nobody waits: the next wait takes it over.
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
	/* R1, partner A1: who takes the ring sees the work that was published before it. */
	uint32_t state = atomic_exchange_explicit(&bell->state, RUNG, memory_order_release);
	int saved_errno = errno;

	SONDE__TESTPOINT("bell:rung");
	if (state != PARKED)
		return;
	syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

/* Steps to PARKED; false where a ring was waiting, which is left for the caller to take. */
static bool park(struct sonde__bell *bell)
{
	uint32_t state = AWAKE;

	/* Relaxed: parking publishes nothing, and a ring found here is taken by A1. */
	return atomic_compare_exchange_strong_explicit(
		       &bell->state, &state, PARKED, memory_order_relaxed, memory_order_relaxed) ||
	       state == PARKED;
}

bool sonde__bell_wait(struct sonde__bell *bell, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / SONDE__NS_PER_S),
		.tv_nsec = (long)(timeout_ns % SONDE__NS_PER_S),
	};
	int saved_errno = errno;

	if (park(bell)) {
		SONDE__TESTPOINT("bell:parked");
		syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, PARKED,
			timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
		errno = saved_errno;
	}
	return atomic_exchange_explicit(&bell->state, AWAKE, memory_order_acquire) ==
	       RUNG; /* A1, partner R1. */
}
