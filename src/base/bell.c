/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell: a futex over one word with five states.
 *
 *	AWAKE --wait--> PARKED --ring--> RUNG --wait returns--> AWAKE
 *	AWAKE --ring--> RUNG --wait returns at once--> AWAKE
 *	                PARKED --the time is over--> AWAKE
 *	AWAKE --doze--> DOZING --ring--> RUNG --doze returns--> AWAKE
 *	                DOZING --soft ring--> STIRRED --ring, or the time is over--> AWAKE
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
	DOZING = 3,
	STIRRED = 4, /* Still dozing. */
};

static void wake(struct sonde__bell *bell)
{
	int saved_errno = errno;

	syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved_errno;
}

void sonde__bell_ring(struct sonde__bell *bell)
{
	/* R1, partner A1: who takes the ring sees the work that was published before it. */
	uint32_t state = atomic_exchange_explicit(&bell->state, RUNG, memory_order_release);

	SONDE__TESTPOINT("bell:rung");
	if (state != AWAKE && state != RUNG)
		wake(bell);
}

void sonde__bell_ring_softly(struct sonde__bell *bell)
{
	/* Relaxed: the exchange below decides. */
	uint32_t state = atomic_load_explicit(&bell->state, memory_order_relaxed);
	uint32_t next;

	do {
		next = state == DOZING || state == STIRRED ? STIRRED : RUNG;
		/* R1, partner A1, also where the state stays what it was. */
	} while (!atomic_compare_exchange_weak_explicit(&bell->state, &state, next,
							memory_order_release,
							memory_order_relaxed));
	SONDE__TESTPOINT("bell:rung");
	if (state == PARKED)
		wake(bell);
}

/* Steps to `state`; false where a ring was waiting, which is left for the caller to take. */
static bool lie_down(struct sonde__bell *bell, uint32_t state)
{
	uint32_t old = AWAKE;

	/* Relaxed, both: lying down publishes nothing, and a ring found here is taken by A1. */
	do {
		if (old == RUNG)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&bell->state, &old, state,
							memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

static bool bell_rest(struct sonde__bell *bell, uint32_t state, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / SONDE__NS_PER_S),
		.tv_nsec = (long)(timeout_ns % SONDE__NS_PER_S),
	};
	int saved_errno = errno;

	if (lie_down(bell, state)) {
		SONDE__TESTPOINT("bell:parked");
		syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, state,
			timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
		errno = saved_errno;
	}
	/* A1, partner R1. */
	state = atomic_exchange_explicit(&bell->state, AWAKE, memory_order_acquire);
	return state == RUNG || state == STIRRED;
}

bool sonde__bell_wait(struct sonde__bell *bell, uint64_t timeout_ns)
{
	return bell_rest(bell, PARKED, timeout_ns);
}

bool sonde__bell_doze(struct sonde__bell *bell, uint64_t timeout_ns)
{
	return bell_rest(bell, DOZING, timeout_ns);
}
