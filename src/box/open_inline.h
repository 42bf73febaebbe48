/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_OPEN_INLINE_H
#define SONDE_BOX_OPEN_INLINE_H

/*
 * A span's begin and end in the table of open spans, to be inlined into the span's own: a handful
 * of loads and stores in a cache line that stays with the thread. Wait-free, async-signal-safe, no
 * read-modify-write but where a thread comes to an entry for the first time.
 */

#include "base/compiler.h"
#include "base/testpoint.h"
#include "box/layout.h"

/* Where the table is. Private memory; the geometry is fixed by the first open. */
struct sonde__open_table {
	_Atomic(struct sonde__open_entry *) entries; /* NULL: no table. */
	uint32_t mask; /* Of a byte's offset in the table. */
};

extern struct sonde__open_table sonde__open_table;

/* A span that begins, as its entry will have it. */
struct sonde__open_begin {
	uint64_t trace_id[2];
	uint64_t span_id;
	uint64_t parent_id;
	uint64_t start;
	uint32_t site;
	const void *place;
};

/* Finds an entry elsewhere; NULL: counted. */
struct sonde__open_entry *sonde__open_find(struct sonde__open_entry *entries, const void *place);

/* Counts a span whose entry is another's at its end. */
void sonde__open_count_untracked(void);

/*
 * The calling thread's mark: no two threads of a process have the same at one time, unless they lie
 * a multiple of 256 GiB apart; then they may write over each other, which readers notice.
 */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_owner(void)
{
	return (uint32_t)((uintptr_t)__builtin_thread_pointer() >> 6);
}

/* Where the span stands, in units of 16 bytes: so much of it as tells it from others. */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_place(const void *span)
{
	return (uint32_t)((uintptr_t)span >> 4);
}

#define SONDE__OPEN_LANE_SIZE (SONDE__OPEN_LANE * sizeof(struct sonde__open_entry))

/* Where a thread's lane begins, in bytes. */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_lane(uint64_t owner)
{
	return (uint32_t)(owner * UINT64_C(0x9e3779b97f4a7c15) >> 32) & sonde__open_table.mask &
	       ~(uint32_t)(SONDE__OPEN_LANE_SIZE - 1);
}

/*
 * The entry of a lane that is tried first, in bytes. By place: spans that are open on one thread
 * stand at least one span's size apart, so that nested ones seldom meet, and one that begins in the
 * memory of one that never ended comes upon its entry.
 */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_position(const void *place)
{
	return (uint32_t)((uintptr_t)place / 512 * sizeof(struct sonde__open_entry)) &
	       (SONDE__OPEN_LANE_SIZE - 1);
}

static SONDE__ALWAYS_INLINE struct sonde__open_entry *sonde__open_at(
	struct sonde__open_entry *entries, uint32_t offset)
{
	return (struct sonde__open_entry *)(void *)((uint8_t *)entries + offset);
}

#define SONDE__OPEN_GET(word) atomic_load_explicit(&entry->word, memory_order_relaxed)
#define SONDE__OPEN_SET(word, value) \
	atomic_store_explicit(&entry->word, value, memory_order_relaxed)
#define SONDE__OPEN_GIVE(word, value) \
	atomic_store_explicit(&entry->word, value, memory_order_release)

/* The table, or NULL while there is none. */
static SONDE__ALWAYS_INLINE struct sonde__open_entry *sonde__open_entries(void)
{
	/* A11, partner R11 in sonde__open_table_set: without it the geometry may be seen unmade. */
	return atomic_load_explicit(&sonde__open_table.entries, memory_order_acquire);
}

/* The thread's own entry for a span at `place`; NULL where that is another's or taken. */
static SONDE__ALWAYS_INLINE struct sonde__open_entry *sonde__open_own(
	struct sonde__open_entry *entries, const void *place)
{
	const uint32_t owner = sonde__open_owner();
	struct sonde__open_entry *entry = sonde__open_at(
		entries, sonde__open_lane(owner) + sonde__open_position(place));

	/* Relaxed: this thread's, or claimed by compare-and-swap. */
	return SONDE__LIKELY(SONDE__OPEN_GET(owner) == owner && !SONDE__OPEN_GET(span_id))
		       ? entry
		       : NULL;
}

/* Takes an entry of the thread's own; what the end is to be given. */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_take(struct sonde__open_entry *entries,
						      struct sonde__open_entry *entry,
						      const struct sonde__open_begin *span)
{
	SONDE__TESTPOINT("open:found");
	/*
	 * First, so that a signal handler of this thread sees the entry taken, and relaxed: what
	 * follows is released. R12, partner A12 in the reader: where it finds a word of this span,
	 * it finds its id, or a later one's; where it finds its check, its words.
	 */
	SONDE__OPEN_SET(span_id, span->span_id);
	SONDE__TESTPOINT("open:taken");
	SONDE__OPEN_GIVE(trace_id[0], span->trace_id[0]);
	SONDE__OPEN_GIVE(trace_id[1], span->trace_id[1]);
	SONDE__OPEN_GIVE(parent_id, span->parent_id);
	SONDE__OPEN_GIVE(start, span->start);
	SONDE__OPEN_GIVE(site, span->site);
	SONDE__OPEN_GIVE(place, sonde__open_place(span->place));
	SONDE__TESTPOINT("open:written");
	SONDE__OPEN_GIVE(check, ~span->span_id);
	return (uint32_t)((uint8_t *)entry - (uint8_t *)entries) + 1;
}

/* What the end is to be given; 0: no entry, counted. */
static SONDE__ALWAYS_INLINE uint32_t sonde__open_begin(const struct sonde__open_begin *span)
{
	struct sonde__open_entry *entries = sonde__open_entries();
	struct sonde__open_entry *entry;

	if (SONDE__UNLIKELY(!entries))
		return 0;
	entry = sonde__open_own(entries, span->place);
	if (SONDE__UNLIKELY(!entry))
		entry = sonde__open_find(entries, span->place);
	return entry ? sonde__open_take(entries, entry, span) : 0;
}

/* `number` is what the begin returned. */
static SONDE__ALWAYS_INLINE void sonde__open_end(uint32_t number, uint64_t span_id)
{
	struct sonde__open_entry *entries = sonde__open_entries();
	struct sonde__open_entry *entry;

	if (SONDE__UNLIKELY(!number || !entries))
		return;
	entry = sonde__open_at(entries, (number - 1) & sonde__open_table.mask);
	/* Relaxed, both: an entry is taken over as it is, and nothing is read through it. */
	if (SONDE__LIKELY(SONDE__OPEN_GET(span_id) == span_id))
		SONDE__OPEN_SET(span_id, 0);
	else
		sonde__open_count_untracked();
}

#endif
