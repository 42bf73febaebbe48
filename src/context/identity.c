/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New ids.
 *
 * Each thread walks the numbers modulo 2^64 by one odd step, from a place of its own that comes
 * from the process's seed and the thread's number; an id is the place plus the process's key,
 * mixed. The step is odd and the mix one-to-one, so a thread repeats no id before 2^64 of them, and
 * two threads meet only where their stretches overlap: for T threads and N ids each some T * T * N
 * of 2^64.
 *
 * A forked child has its parent's place and seed. A new key is enough to part them: with the sum,
 * parent and child repeat each other only where the two keys lie less than N steps apart.
 *
 * No id is a secret: an observer who inverts the mix can predict the thread's next ids.
 */

#include "context/context.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <string.h>

_Atomic uint64_t sonde__identity_key;
void (*_Atomic sonde__identity_on_thread)(void);

static _Atomic uint64_t process_seed; /* 0: not seeded. */
static _Atomic uint64_t n_threads;

/*
 * Where the kernel gives no random numbers: those it gave at exec, told apart by the process's id.
 */
static void seed_from_exec(uint64_t ret[2])
{
	unsigned long address = getauxval(AT_RANDOM);

	ret[0] = ret[1] = 0;
	if (address)
		memcpy(ret, (const void *)address, 2 * sizeof(ret[0]));
	ret[1] += sonde__mix64((uint64_t)getpid() + SONDE__IDENTITY_STEP);
}

void sonde__identity_open(void)
{
	uint64_t random[2];

	if (sonde__random_bytes(random, sizeof(random)) < 0)
		seed_from_exec(random);
	/* Relaxed: whoever reads one of the old values still draws what nobody else draws. */
	atomic_store_explicit(&process_seed, random[0] | 1, memory_order_relaxed);
	atomic_store_explicit(&sonde__identity_key, random[1], memory_order_relaxed);
}

void sonde__identity_seed_thread(void)
{
	uint64_t unseeded = 0;
	uint64_t number = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed);
	uint64_t seed;
	void (*on_thread)(void);

	/* Relaxed throughout: values that depend on no other memory. */
	if (!atomic_load_explicit(&process_seed, memory_order_relaxed))
		sonde__identity_open();
	seed = sonde__mix64(atomic_load_explicit(&process_seed, memory_order_relaxed) +
			    number * SONDE__IDENTITY_STEP);
	/*
	 * Fails where a signal handler came between and has seeded the thread: its ids are taken.
	 */
	atomic_compare_exchange_strong_explicit(&sonde__thread.id_state, &unseeded, seed ? seed : 1,
						memory_order_relaxed, memory_order_relaxed);
	on_thread = atomic_load_explicit(&sonde__identity_on_thread, memory_order_relaxed);
	if (on_thread)
		on_thread();
}

uint64_t sonde__identity_draw_again(void)
{
	uint64_t id;

	do {
		/* Relaxed: the thread's own word. */
		if (!atomic_load_explicit(&sonde__thread.id_state, memory_order_relaxed))
			sonde__identity_seed_thread();
		id = sonde__identity_try();
	} while (!id);
	return id;
}
