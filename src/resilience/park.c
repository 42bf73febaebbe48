/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "resilience/cancel.h"
#include "resilience/clock.h"

/* What a parker's word holds. Cancelled may become woken; nothing else changes once it is set. */
#define WAITING 0u
#define UNPARKED 1u
#define CANCELLED 2u

/* Acquire, A1, partner R1 in wake: who was woken sees what the waker did before. */
static uint32_t parker_word(struct sonde__parker *parker)
{
	return atomic_load_explicit(&parker->word, memory_order_acquire);
}

bool sonde__parker_is_woken(struct sonde__parker *parker)
{
	return parker_word(parker) == UNPARKED;
}

void sonde__parker_renew(struct sonde__parker *parker)
{
	uint32_t was = CANCELLED;

	/* Relaxed, both: nothing was written by anybody; who was woken looks by A1. */
	atomic_compare_exchange_strong_explicit(&parker->word, &was, WAITING, memory_order_relaxed,
						memory_order_relaxed);
}

/* On the address alone: the memory may be somebody else's by now, who is then woken for nothing. */
static void futex_wake(_Atomic uint32_t *word)
{
	int number = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	errno = number;
}

/* Until a moment of CLOCK_MONOTONIC; may end early. */
static void futex_wait(_Atomic uint32_t *word, uint64_t until_ns)
{
	struct timespec moment = { .tv_sec = (time_t)(until_ns / SONDE__NS_PER_S),
				   .tv_nsec = (long)(until_ns % SONDE__NS_PER_S) };
	int number = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, WAITING,
		until_ns == SONDE__NEVER ? NULL : &moment, NULL, FUTEX_BITSET_MATCH_ANY);
	errno = number;
}

static void wake(struct sonde__parker *parker, uint32_t why)
{
	uint32_t was = WAITING;

	/*
	 * Release, R1, partner A1 above. Failed: relaxed, somebody else woke it. An unpark beats a
	 * cancellation: what was granted has been granted.
	 */
	if (why == UNPARKED)
		was = atomic_exchange_explicit(&parker->word, UNPARKED, memory_order_release);
	else if (!atomic_compare_exchange_strong_explicit(&parker->word, &was, why,
							  memory_order_release,
							  memory_order_relaxed))
		return;
	if (was == WAITING)
		futex_wake(&parker->word);
}

void sonde__unpark(struct sonde__parker *parker)
{
	wake(parker, UNPARKED);
}

static void cancel_parker(void *user)
{
	wake(user, CANCELLED);
}

static enum sonde__woken wait_for_word(struct sonde__parker *parker,
				       const struct sonde_clock *clock, uint64_t until_ns)
{
	for (;;) {
		uint32_t word = parker_word(parker);
		uint64_t now_ns;

		if (word != WAITING)
			return word == UNPARKED ? SONDE__WOKEN : SONDE__WOKEN_CANCELLED;
		now_ns = until_ns == SONDE__NEVER ? 0 : sonde__now_ns(clock);
		if (now_ns >= until_ns)
			return SONDE__WOKEN_LATE;
		if (clock && clock->wait)
			clock->wait(clock->user, until_ns);
		else if (clock && until_ns != SONDE__NEVER)
			/* Moments of another clock: as far from now on ours. */
			futex_wait(&parker->word,
				   sonde__moment_after(sonde__monotonic_ns(), until_ns - now_ns));
		else
			futex_wait(&parker->word, until_ns);
	}
}

enum sonde__woken sonde__park(struct sonde__parker *parker, const struct sonde_clock *clock,
			      uint64_t until_ns, struct sonde_cancel *cancel)
{
	struct sonde__cancel_hook hook = { .call = cancel_parker, .user = parker };
	enum sonde__woken woken;

	sonde__cancel_hook_add(cancel, &hook);
	woken = wait_for_word(parker, clock, until_ns);
	sonde__cancel_hook_remove(cancel, &hook);
	/* Woken while it was leaving. */
	if (woken != SONDE__WOKEN && parker_word(parker) == UNPARKED)
		woken = SONDE__WOKEN;
	return woken;
}

bool sonde__sleep_until(const struct sonde_clock *clock, uint64_t until_ns,
			struct sonde_cancel *cancel)
{
	struct sonde__parker parker;

	sonde__parker_init(&parker);
	return sonde__park(&parker, clock, until_ns, cancel) != SONDE__WOKEN_CANCELLED;
}

void sonde__waiters_insert(struct sonde__waiters *waiters, struct sonde__waiter *waiter,
			   struct sonde__waiter *next)
{
	struct sonde__waiter *previous = next ? next->previous : waiters->last;

	waiter->next = next;
	waiter->previous = previous;
	if (previous)
		previous->next = waiter;
	else
		waiters->first = waiter;
	if (next)
		next->previous = waiter;
	else
		waiters->last = waiter;
	waiters->n_waiters++;
}

void sonde__waiters_push(struct sonde__waiters *waiters, struct sonde__waiter *waiter)
{
	sonde__waiters_insert(waiters, waiter, /* next= */ NULL);
}

void sonde__waiters_remove(struct sonde__waiters *waiters, struct sonde__waiter *waiter)
{
	if (waiter->previous)
		waiter->previous->next = waiter->next;
	else
		waiters->first = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	else
		waiters->last = waiter->previous;
	waiters->n_waiters--;
}

bool sonde__waiters_grant(struct sonde__waiters *waiters)
{
	struct sonde__waiter *waiter = waiters->first;

	if (!waiter)
		return false;
	sonde__waiters_remove(waiters, waiter);
	waiter->is_granted = true;
	sonde__unpark(&waiter->parker);
	SONDE__TESTPOINT("waiter-granted");
	return true;
}
