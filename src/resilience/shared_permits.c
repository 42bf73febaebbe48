/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each permit is a word: 0, or the key of the process that holds it (base/process.h). Taking one is
 * the exchange of a word, which is at once the count and the signature: there is no instant in
 * which a kill could leave one without the other. A place to wait in is such a word, too.
 *
 *	who takes     0 → key     by exchange; among the first `limit` words
 *	who gives     key → 0     the process's own, whichever
 *	who sweeps    key → 0     of a process that is dead; by exchange, so once
 *
 * Of each process one thread at a time, the first in its queue, sleeps on a word of the shared
 * memory; the others wait for his place, in order. Whoever gives back and finds somebody asleep
 * wakes all these firsts. A process that is killed between the two leaves them asleep for a sweep's
 * period at most, after which they look by themselves, as they have to anyway: the dead wake
 * nobody.
 */

#include "resilience/shared_permits.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "base/random.h"
#include "base/testpoint.h"
#include "resilience/clock.h"

/*
 * The limit's word: the limit, whether it was lowered while more were taken, and a number that
 * tells one setting from the next.
 */
#define LOWERED (UINT64_C(1) << 32)
#define SETTING (UINT64_C(1) << 33)

#define SCANS_MAX 1000 /* For a permit that is there; each but the last had bad luck. */
#define CHECKED 16 /* Of so many processes a sweep remembers that they live. */

static size_t memory_size(uint32_t n_permits, uint32_t n_places)
{
	return sizeof(struct sonde__shared_memory) +
	       ((size_t)n_permits + n_places) * sizeof(_Atomic uint64_t);
}

/* NULL: the system has none. */
static void *map(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, /* fd= */ -1,
			    0);

	return memory == MAP_FAILED ? NULL : memory;
}

int sonde__shared_permits_init(struct sonde__shared_permits *permits, uint32_t limit,
			       uint32_t max_limit, uint32_t max_queue)
{
	struct sonde__shared_memory *memory = map(memory_size(max_limit, max_queue), MAP_SHARED);
	struct sonde__shared_own *own = map(sizeof(*own), MAP_PRIVATE);

	if (!memory || !own || sonde__process_init() < 0) {
		if (memory)
			munmap(memory, memory_size(max_limit, max_queue));
		if (own)
			munmap(own, sizeof(*own));
		return SONDE_E_SYSTEM;
	}
	/*
	 * Zero, which both may begin with, is what a child finds in its own. A kernel that cannot
	 * do that copies them instead, which is the same where nobody waits as it forks.
	 */
	(void)madvise(own, sizeof(*own), MADV_WIPEONFORK);
	memory->n_permits = max_limit;
	memory->n_places = max_queue;
	/* Relaxed: it is nobody else's yet. */
	atomic_store_explicit(&memory->limit, limit, memory_order_relaxed);
	permits->memory = memory;
	permits->own = own;
	return SONDE_OK;
}

void sonde__shared_permits_deinit(struct sonde__shared_permits *permits)
{
	struct sonde__shared_memory *memory = permits->memory;

	munmap(permits->own, sizeof(*permits->own));
	munmap(memory, memory_size(memory->n_permits, memory->n_places));
	permits->memory = NULL;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/*
 * All in one order, with the limit and the sleepers' flag: who gives back and who goes to sleep, or
 * two who take while the limit is being lowered, each write one word and read the other's. One of
 * them sees the other.
 */
static bool word_change(_Atomic uint64_t *word, uint64_t was, uint64_t key)
{
	return atomic_compare_exchange_strong_explicit(word, &was, key, memory_order_seq_cst,
						       memory_order_relaxed);
}

static uint64_t word_now(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_seq_cst);
}

uint32_t sonde__shared_words_change(_Atomic uint64_t *words, uint32_t n, uint32_t from,
				    uint64_t was, uint64_t key)
{
	uint32_t at = from < n ? from : 0;

	for (uint32_t i = 0; i < n; i++, at = at + 1 < n ? at + 1 : 0) {
		/* In the one order: who is about to sleep goes by what it finds here, too. */
		if (word_now(&words[at]) == was && word_change(&words[at], was, key))
			return at;
	}
	return n;
}

static uint32_t words_taken(const _Atomic uint64_t *words, uint32_t n)
{
	uint32_t n_taken = 0;

	for (uint32_t i = 0; i < n; i++)
		n_taken += word_now(&words[i]) != 0;
	return n_taken;
}

/* Where this thread begins to look: always at the same place, and others at others. */
static uint32_t place_of_thread(uint64_t key, uint32_t n)
{
	uint64_t stack = (uintptr_t)&key >> 16;

	return (uint32_t)((sonde__mix64(stack ^ key) >> 32) * n >> 32);
}

/* ---- Sleepers -------------------------------------------------------------------------------- */

void sonde__shared_bell_ring(struct sonde__shared_memory *memory)
{
	int number = errno;

	/*
	 * Release, R1, partner A1 in shared_wait.c: what was given back is seen by those it wakes.
	 */
	atomic_fetch_add_explicit(&memory->bell, 1, memory_order_release);
	syscall(SYS_futex, &memory->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	errno = number;
}

static void wake_sleepers(struct sonde__shared_memory *memory)
{
	if (!atomic_load_explicit(&memory->has_sleepers, memory_order_seq_cst) ||
	    !atomic_exchange_explicit(&memory->has_sleepers, 0, memory_order_seq_cst))
		return;
	SONDE__TESTPOINT("bulkhead_before_wake");
	sonde__shared_bell_ring(memory);
}

/* ---- The dead -------------------------------------------------------------------------------- */

struct sweep {
	uint64_t own;
	uint64_t alive[CHECKED];
};

static bool is_dead(struct sweep *sweep, uint64_t key)
{
	uint64_t *known = &sweep->alive[sonde__mix64(key) % CHECKED];

	if (!key || key == sweep->own || key == *known)
		return false;
	if (!sonde__process_key_is_alive(key))
		return true;
	*known = key;
	return false;
}

/* One of all processes in a period. */
static bool may_sweep(struct sonde__shared_memory *memory, const struct sonde_clock *clock)
{
	uint64_t now_ns = sonde__now_ns(clock);
	uint64_t last_ns = atomic_load_explicit(&memory->swept_ns, memory_order_relaxed);

	if (last_ns &&
	    sonde__time_until(sonde__moment_after(last_ns, SONDE__SHARED_SWEEP_NS), now_ns))
		return false;
	/* Relaxed: it guards nothing, and two at once would only look twice. */
	return atomic_compare_exchange_strong_explicit(&memory->swept_ns, &last_ns,
						       now_ns ? now_ns : 1, memory_order_relaxed,
						       memory_order_relaxed);
}

bool sonde__shared_permits_sweep(struct sonde__shared_permits *permits)
{
	struct sonde__shared_memory *memory = permits->memory;
	struct sweep sweep = { .own = sonde__process_key() };
	uint64_t n_permits = 0;

	if (!may_sweep(memory, permits->clock))
		return false;
	for (uint32_t i = 0; i < memory->n_permits + memory->n_places; i++) {
		uint64_t key = atomic_load_explicit(&memory->words[i], memory_order_relaxed);

		if (!is_dead(&sweep, key))
			continue;
		SONDE__TESTPOINT("bulkhead_before_reclaim");
		if (word_change(&memory->words[i], key, 0))
			n_permits += i < memory->n_permits;
	}
	if (!n_permits)
		return false;
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(&permits->n_reclaimed, n_permits, memory_order_relaxed);
	wake_sleepers(memory);
	return true;
}

/* ---- Taking and giving ----------------------------------------------------------------------- */

/*
 * After the limit was lowered words past it may be held still, which count as well. Each of two who
 * take at once sees at least the other, so that both may be sent away, and never both let in.
 */
static bool has_room_below(struct sonde__shared_memory *memory, uint64_t setting)
{
	uint32_t limit = (uint32_t)setting;
	uint32_t n_below = words_taken(memory->words, limit);
	uint32_t n_past = words_taken(memory->words + limit, memory->n_permits - limit);

	/* For good: who had looked at an earlier setting finds that it is not the same. */
	if (!n_past)
		word_change(&memory->limit, setting, setting & ~LOWERED);
	return n_below + n_past <= limit;
}

/*
 * Frees one word of this process, from `from` on. There is one that is the caller's to free, and no
 * other thread can take them all: another may only have freed the one that this one saw, and left
 * it one that this one has passed. Where the kernel does not wipe, a child that gives back what its
 * parent took finds none.
 */
static void word_free(struct sonde__shared_memory *memory, uint32_t from, uint64_t key)
{
	for (int i = 0; i < SCANS_MAX; i++) {
		if (sonde__shared_words_change(memory->words, memory->n_permits, from, key, 0) <
		    memory->n_permits)
			break;
	}
	SONDE__TESTPOINT("bulkhead_returned");
	wake_sleepers(memory);
}

static bool claim(struct sonde__shared_memory *memory, uint64_t key)
{
	for (;;) {
		uint64_t setting = word_now(&memory->limit);
		uint32_t limit = (uint32_t)setting;
		uint32_t at = sonde__shared_words_change(memory->words, limit,
							 place_of_thread(key, limit),
							 /* was= */ 0, key);
		bool is_same;

		if (at == limit)
			return false;
		SONDE__TESTPOINT("bulkhead_claimed");
		is_same = word_now(&memory->limit) == setting;
		if (is_same && (!(setting & LOWERED) || has_room_below(memory, setting)))
			return true;
		/* Not always this one: another thread may have freed it as its own. */
		word_free(memory, at, key);
		if (is_same)
			return false;
	}
}

bool sonde__shared_permits_try(struct sonde__shared_permits *permits)
{
	/* Whoever waits in this process came first. */
	return !sonde__permits_taken(&permits->own->turn) && sonde__shared_permits_take(permits);
}

bool sonde__shared_permits_take(struct sonde__shared_permits *permits)
{
	uint64_t key = sonde__process_key();

	if (!claim(permits->memory, key) &&
	    (!sonde__shared_permits_sweep(permits) || !claim(permits->memory, key)))
		return false;
	/* Relaxed: it is compared with what this thread itself has done before. */
	atomic_fetch_add_explicit(&permits->own->n_taken, 1, memory_order_relaxed);
	return true;
}

bool sonde__shared_permits_release(struct sonde__shared_permits *permits)
{
	struct sonde__shared_memory *memory = permits->memory;
	uint64_t key = sonde__process_key();
	uint32_t n_taken = atomic_load_explicit(&permits->own->n_taken, memory_order_relaxed);
	uint32_t from;

	do {
		if (!n_taken)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&permits->own->n_taken, &n_taken,
							n_taken - 1, memory_order_relaxed,
							memory_order_relaxed));
	from = place_of_thread(key, (uint32_t)word_now(&memory->limit));
	SONDE__TESTPOINT("bulkhead_before_return");
	word_free(memory, from, key);
	return true;
}

bool sonde__shared_permits_set_limit(struct sonde__shared_permits *permits, uint32_t limit)
{
	struct sonde__shared_memory *memory = permits->memory;
	uint64_t was = word_now(&memory->limit);
	uint64_t next;

	if (limit > memory->n_permits)
		return false;
	do {
		next = ((was & ~(uint64_t)UINT32_MAX) + SETTING) | limit;
		if (limit < (uint32_t)was)
			next |= LOWERED;
	} while (!atomic_compare_exchange_weak_explicit(&memory->limit, &was, next,
							memory_order_seq_cst,
							memory_order_relaxed));
	wake_sleepers(memory);
	return true;
}

uint32_t sonde__shared_permits_limit(const struct sonde__shared_permits *permits)
{
	return (uint32_t)word_now(&permits->memory->limit);
}

uint32_t sonde__shared_permits_taken(const struct sonde__shared_permits *permits)
{
	return words_taken(permits->memory->words, permits->memory->n_permits);
}

uint32_t sonde__shared_permits_waiting(const struct sonde__shared_permits *permits)
{
	const struct sonde__shared_memory *memory = permits->memory;

	return words_taken(memory->words + memory->n_permits, memory->n_places);
}
