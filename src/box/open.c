/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of open spans; docs/design/open.md argues it.
 *
 *	entry: free, nobody's ──claim (CAS)──► free, T's ──begin──► T's, open ──end──► free, T's
 *
 * An entry that a thread has used stays that thread's, so that its next begin takes it with plain
 * stores. Another thread that finds no room takes a free one over. It may do so while the old
 * owner, who has just seen it free, is about to write: then both write, and one of the two spans
 * goes untracked. Nothing worse comes of it: an end clears an entry only if it has the span's own
 * id, else the span is counted.
 *
 * A span that never ends keeps its entry until a span begins in the same memory, or until its lane
 * is full and its frame is seen to be gone, or its thread.
 */

#include "box/open.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/process.h"
#include "base/random.h"
#include "box/open_inline.h"

#define LANES 2 /* That a thread may use. */
#define CLAIMS 2 /* Rounds, where others claim the same entries. */
#define SWEEP 64u /* Entries looked at in one sweep. */

/* A span in this thread's stack is no further away, in units of 16 bytes; see span.c. */
#define STACK_REACH (1u << 19)

struct sonde__open_table sonde__open_table;

static _Atomic uint64_t *untracked; /* In the box. */
static _Atomic bool clock_has_thread;

/* ---- The calling thread's id ----------------------------------------------------------------- */

/*
 * The id stands in the number of the thread's clock, which the C library knows without a system
 * call. The kernel's ABI has it so; still it is tried out first.
 */
static uint32_t thread_of_clock(void)
{
	clockid_t clock;

	return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? (uint32_t)(~clock >> 3) : 0;
}

static uint32_t thread_id(void)
{
	/* Relaxed: whichever it finds is right. */
	if (atomic_load_explicit(&clock_has_thread, memory_order_relaxed))
		return thread_of_clock();
	return (uint32_t)syscall(SYS_gettid);
}

/* ---- Life cycle ------------------------------------------------------------------------------ */

/* Once: it stays, also in a child, so that threads inside find what they found. */
static void geometry_set(const struct sonde__box *box)
{
	if (untracked)
		return;
	untracked = &box->counters->open_untracked;
	sonde__open_table.mask =
		box->n_open_entries * (uint32_t)sizeof(struct sonde__open_entry) - 1;
}

void sonde__open_table_set(const struct sonde__box *box, bool is_on)
{
	geometry_set(box);
	/* Relaxed: a statement about this process, which a raw clone makes untrue in the child. */
	atomic_store_explicit(&clock_has_thread,
			      thread_of_clock() == (uint32_t)syscall(SYS_gettid),
			      memory_order_relaxed);
	for (uint32_t i = 0; i < box->n_open_entries; i++) {
		/* Relaxed: after a stop a late end may come by, which finds its id or does not. */
		atomic_store_explicit(&box->open_entries[i].span_id, 0, memory_order_relaxed);
		atomic_store_explicit(&box->open_entries[i].owner, 0, memory_order_relaxed);
	}
	/* R11, partner A11 */
	atomic_store_explicit(&sonde__open_table.entries, is_on ? box->open_entries : NULL,
			      memory_order_release);
}

void sonde__open_table_forget(void)
{
	/* Release: by habit; who sees NULL looks at nothing behind it. */
	atomic_store_explicit(&sonde__open_table.entries, NULL, memory_order_release);
}

/* ---- Finding an entry ------------------------------------------------------------------------ */

/* The best to take comes first. */
enum claim {
	GONE, /* Of a span whose memory is another's now: the one that begins. */
	OWN,
	NOBODYS,
	OTHERS, /* Free, and another thread's so far. */
	LEFT, /* Of a span in a frame that this thread has left. */
	NONE,
};

struct search {
	struct sonde__open_entry *lanes[LANES];
	uint32_t first;
	uint32_t owner;
	uint32_t place;
	uint32_t here;
};

/* In each lane from the position `first` on, so that what is found there is at hand next time. */
static struct sonde__open_entry *entry_at(struct sonde__open_entry *const lanes[LANES],
					  uint32_t first, uint32_t i)
{
	return lanes[i / SONDE__OPEN_LANE] + (first + i) % SONDE__OPEN_LANE;
}

static void lanes_find(struct sonde__open_entry *entries, uint32_t owner,
		       struct sonde__open_entry *ret[LANES])
{
	const uint32_t first = sonde__open_lane(owner);
	const uint32_t second = sonde__open_lane(sonde__mix64(owner));

	ret[0] = sonde__open_at(entries, first);
	ret[1] = sonde__open_at(entries, second != first ? second : first ^ SONDE__OPEN_LANE_SIZE);
}

static enum claim claim_of(const struct search *search, const struct sonde__open_entry *entry,
			   uint32_t owner)
{
	/* Relaxed, here and below: what is found is claimed by compare-and-swap. */
	const uint32_t place = SONDE__OPEN_GET(place);
	const bool is_own = owner == search->owner;

	if (SONDE__OPEN_GET(span_id)) {
		if (place == search->place)
			return GONE;
		/* Deeper in this stack than the running function. */
		return is_own && search->here - place - 1 < STACK_REACH ? LEFT : NONE;
	}
	if (is_own)
		return OWN;
	return owner ? OTHERS : NOBODYS;
}

static struct sonde__open_entry *best_of(const struct search *search, uint32_t *ret_owner)
{
	struct sonde__open_entry *best = NULL;
	enum claim best_claim = NONE;

	for (uint32_t i = 0; i < LANES * SONDE__OPEN_LANE && best_claim > OWN; i++) {
		struct sonde__open_entry *entry = entry_at(search->lanes, search->first, i);
		uint32_t owner = SONDE__OPEN_GET(owner);
		enum claim claim = claim_of(search, entry, owner);

		if (claim < best_claim) {
			best_claim = claim;
			best = entry;
			*ret_owner = owner;
		}
	}
	return best;
}

static bool claim(struct sonde__open_entry *entry, uint32_t from, uint32_t owner)
{
	if (from == owner)
		return true;
	/* Relaxed, all: the swap decides who owns it, and hands no other memory over. */
	if (!atomic_compare_exchange_strong_explicit(&entry->owner, &from, owner,
						     memory_order_relaxed, memory_order_relaxed))
		return false;
	SONDE__OPEN_SET(thread, thread_id());
	return true;
}

SONDE__COLD struct sonde__open_entry *sonde__open_find(struct sonde__open_entry *entries,
						       const void *place)
{
	struct search search = {
		.first = sonde__open_position(place) / (uint32_t)sizeof(*entries),
		.owner = sonde__open_owner(),
		.place = sonde__open_place(place),
		.here = sonde__open_place(__builtin_frame_address(0)),
	};

	lanes_find(entries, search.owner, search.lanes);
	for (int i = 0; i < CLAIMS; i++) {
		uint32_t owner;
		struct sonde__open_entry *entry = best_of(&search, &owner);

		if (!entry)
			break;
		if (claim(entry, owner, search.owner))
			return entry;
	}
	sonde__open_count_untracked();
	return NULL;
}

SONDE__COLD void sonde__open_count_untracked(void)
{
	/* Relaxed: a count that orders nothing. */
	atomic_fetch_add_explicit(untracked, 1, memory_order_relaxed);
}

/* ---- Threads that are gone ------------------------------------------------------------------- */

/* Open spans stay: one may have been handed on. */
static void let_go(struct sonde__open_entry *entry, uint32_t owner)
{
	/* Relaxed, both: as in claim. */
	atomic_compare_exchange_strong_explicit(&entry->owner, &owner, 0, memory_order_relaxed,
						memory_order_relaxed);
}

void sonde__open_thread_enter(void)
{
	/* A11 */
	struct sonde__open_entry *entries =
		atomic_load_explicit(&sonde__open_table.entries, memory_order_acquire);
	const uint32_t owner = sonde__open_owner();
	struct sonde__open_entry *lanes[LANES];

	if (!entries || !sonde__process_is_known())
		return;
	lanes_find(entries, owner, lanes);
	for (uint32_t i = 0; i < LANES * SONDE__OPEN_LANE; i++)
		let_go(entry_at(lanes, /* first= */ 0, i), owner);
}

static bool thread_is_gone(uint32_t thread)
{
	return syscall(SYS_tgkill, getpid(), (pid_t)thread, 0) < 0 && errno == ESRCH;
}

/* Whether the table's end was reached. */
static bool sweep_some(struct sonde__open_entry *entries)
{
	static uint32_t next; /* The reader's thread alone. */
	const uint32_t n_entries = sonde__open_table.mask / sizeof(struct sonde__open_entry) + 1;

	for (uint32_t i = 0; i < SWEEP; i++, next++) {
		struct sonde__open_entry *entry = entries + next % n_entries;
		uint64_t span_id = SONDE__OPEN_GET(span_id);
		uint32_t owner = SONDE__OPEN_GET(owner);

		if (!span_id || !thread_is_gone(SONDE__OPEN_GET(thread)))
			continue;
		let_go(entry, owner);
		/* Relaxed, both: as an end. */
		atomic_compare_exchange_strong_explicit(&entry->span_id, &span_id, 0,
							memory_order_relaxed, memory_order_relaxed);
	}
	return next % n_entries == 0;
}

void sonde__open_sweep(void)
{
	static uint64_t last_untracked; /* The reader's thread alone. */
	/* A11 */
	struct sonde__open_entry *entries =
		atomic_load_explicit(&sonde__open_table.entries, memory_order_acquire);
	uint64_t now_untracked;

	if (!entries)
		return;
	/* Relaxed: a count that orders nothing. */
	now_untracked = atomic_load_explicit(untracked, memory_order_relaxed);
	if (now_untracked != last_untracked && sweep_some(entries))
		last_untracked = now_untracked;
}
