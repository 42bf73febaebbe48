/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a permit that another process may give back. In each process the threads queue for
 * the turn, each parked on a word of its own; who has the turn sleeps on the bell, a futex in the
 * shared memory, and looks again whenever it was rung, and by himself from time to time.
 */

#include "resilience/shared_permits.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/testpoint.h"
#include "resilience/cancel.h"
#include "resilience/clock.h"

struct sleeper {
	struct sonde__shared_memory *memory;
	_Atomic bool is_cancelled;
};

/* Others wake for nothing as well, and sleep on. */
static void cancel_sleeper(void *user)
{
	struct sleeper *sleeper = user;

	/* Relaxed: the bell publishes it. */
	atomic_store_explicit(&sleeper->is_cancelled, true, memory_order_relaxed);
	sonde__shared_bell_ring(sleeper->memory);
}

/* Until the bell is not at `seen` any more, or the moment has come; may end early. */
static void bell_sleep(struct sonde__shared_memory *memory, uint32_t seen,
		       const struct sonde_clock *clock, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t moment_ns = sonde__moment_after(sonde__monotonic_ns(), until_ns - now_ns);
	struct timespec moment = { .tv_sec = (time_t)(moment_ns / SONDE__NS_PER_S),
				   .tv_nsec = (long)(moment_ns % SONDE__NS_PER_S) };
	int number = errno;

	if (clock && clock->wait)
		clock->wait(clock->user, until_ns);
	else
		syscall(SYS_futex, &memory->bell, FUTEX_WAIT_BITSET, seen, &moment, NULL,
			FUTEX_BITSET_MATCH_ANY);
	errno = number;
}

/* The first of this process. */
static enum sonde__shared_answer wait_at_bell(struct sonde__shared_permits *permits,
					      struct sleeper *sleeper, uint64_t until_ns)
{
	struct sonde__shared_memory *memory = permits->memory;

	for (;;) {
		/* A1, partner R1 in sonde__shared_bell_ring: what was done before it is seen. */
		uint32_t seen = atomic_load_explicit(&memory->bell, memory_order_acquire);
		uint64_t now_ns;
		uint64_t look_ns;

		/* In one order with the words: who gives back after the look below rings. */
		atomic_store_explicit(&memory->has_sleepers, 1, memory_order_seq_cst);
		if (sonde__shared_permits_take(permits))
			return SONDE__SHARED_GRANTED;
		if (atomic_load_explicit(&sleeper->is_cancelled, memory_order_relaxed))
			return SONDE__SHARED_CANCELLED;
		now_ns = sonde__now_ns(permits->clock);
		if (now_ns >= until_ns)
			return SONDE__SHARED_LATE;
		look_ns = sonde__moment_after(now_ns, SONDE__SHARED_SWEEP_NS);
		SONDE__TESTPOINT("bulkhead_before_sleep");
		bell_sleep(memory, seen, permits->clock, now_ns,
			   until_ns < look_ns ? until_ns : look_ns);
	}
}

static enum sonde__shared_answer wait_as_first(struct sonde__shared_permits *permits,
					       uint64_t until_ns, struct sonde_cancel *cancel)
{
	struct sleeper sleeper = { .memory = permits->memory };
	struct sonde__cancel_hook hook = { .call = cancel_sleeper, .user = &sleeper };
	enum sonde__shared_answer answer;

	sonde__cancel_hook_add(cancel, &hook);
	answer = wait_at_bell(permits, &sleeper, until_ns);
	sonde__cancel_hook_remove(cancel, &hook);
	return answer;
}

static enum sonde__shared_answer wait_for_turn(struct sonde__shared_permits *permits,
					       uint64_t until_ns, struct sonde_cancel *cancel)
{
	struct sonde__permits *turn = &permits->own->turn;
	struct sonde__permit_waiter waiter;
	enum sonde__woken woken = SONDE__WOKEN;
	enum sonde__shared_answer answer;

	/* All zero is a mutex, too; in a child the page is new. */
	(void)sonde__permits_set_limit(turn, 1, /* teller= */ NULL);
	if (sonde__permits_ask(turn, &waiter, UINT32_MAX, /* granted= */ NULL, /* user= */ NULL) ==
	    SONDE__PERMITS_QUEUED)
		woken = sonde__park(&waiter.waiter.parker, permits->clock, until_ns, cancel);
	if (woken != SONDE__WOKEN && sonde__permits_leave(turn, &waiter) == SONDE__PERMITS_LEFT)
		return woken == SONDE__WOKEN_LATE ? SONDE__SHARED_LATE : SONDE__SHARED_CANCELLED;
	answer = wait_as_first(permits, until_ns, cancel);
	(void)sonde__permits_release(turn, /* teller= */ NULL);
	return answer;
}

enum sonde__shared_answer sonde__shared_permits_wait(struct sonde__shared_permits *permits,
						     uint64_t until_ns,
						     struct sonde_cancel *cancel)
{
	struct sonde__shared_memory *memory = permits->memory;
	_Atomic uint64_t *places = memory->words + memory->n_permits;
	uint64_t key = sonde__process_key();
	enum sonde__shared_answer answer;
	uint32_t at;

	at = sonde__shared_words_change(places, memory->n_places, /* from= */ 0, /* was= */ 0, key);
	if (at == memory->n_places)
		return SONDE__SHARED_FULL;
	SONDE__TESTPOINT("bulkhead_waiting");
	answer = wait_for_turn(permits, until_ns, cancel);
	/* Release, and nobody acquires it: a place has nothing to hand on. */
	atomic_store_explicit(&places[at], 0, memory_order_release);
	return answer;
}
