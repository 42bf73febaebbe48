/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact figures by site, counted before anything is sampled out.
 *
 *	map of a shard ──by site──▶ entry: sum, errors, 22 lines ──by bucket / 8──▶ line: 8 counts
 *
 * Maps, entries and lines stand in areas of their own; entries and lines are given away one by one,
 * at a site's first call and at its first call of that duration, and never come back. So memory is
 * bounded by the part's size, whatever the number of sites, CPUs and durations, and 1000 sites that
 * each need two or three lines fit where 1000 whole histograms would not.
 *
 * Every site begins with an entry in shard 0, which is all CPUs'. A CPU that finds itself there for
 * the 256th call in a bucket makes an entry in its own shard. So sites that are called often are
 * sharded and the others cost one entry. Where half of the memory is gone, shards are not added any
 * more, and where all is, calls are counted with site 0, whose entry is whole from the beginning:
 * n_misplaced says how many.
 *
 * Where there are as many shards as CPUs, a CPU's own is written by it alone, without locked
 * instructions (cpu_add.h); else CPUs share them by their numbers' lowest bits, and all additions
 * are atomic, as they always are in shard 0. A thread that is moved in between counts in shard 0.
 *
 * All counts are 64 bits wide and only grow, so that any reader at any time, also of a dead
 * process's box, sees figures that need no state of his own. Each call is one addition to its
 * bucket, one to the sum and, for an error, one more. Calls are the buckets' sum.
 *
 * Who may meet whom: writers meet in counts (additions), in cells that are empty (one
 * compare-and-swap wins, the loser gives its own back) and in the two words that say how much was
 * given away. A writer that was stopped inside while the box was replaced adds to a count that may
 * by now be another's: one call with the wrong site, never a wrong cell, because counts and cells
 * do not change places. What is read from shared memory is a number that is held against the part's
 * private shape before it is used.
 */

#include "box/figures.h"

#include <string.h>

#include "base/compiler.h"
#include "base/process.h"
#include "box/box.h"
#include "box/cpu_add.h"
#include "box/figures_inline.h"
#include "box/unsampled_inline.h"

_Static_assert(SONDE__FIGURES_READ_SITES == SONDE__FIGURES_SITES, "the door says the same");
_Static_assert(SONDE__FIGURES_READ_BUCKETS == SONDE__FIGURES_SLOTS - 1, "the door says the same");

/* A call to be counted. */
struct call {
	const struct sonde__box *box;
	uint32_t site;
	uint32_t line; /* Of an entry's lines, */
	uint32_t place; /* of the line's counts. */
	uint64_t units;
	bool is_error;
};

static SONDE__ALWAYS_INLINE struct sonde__figures_line *line_at(const struct sonde__box *box,
								uint32_t number)
{
	const struct sonde__figures_shape *shape = &box->figures_shape;

	if (SONDE__UNLIKELY(number - 1 >= shape->n_lines))
		return NULL;
	return (struct sonde__figures_line *)(box->figures + shape->lines_offset) + number - 1;
}

/* ---- Giving away ----------------------------------------------------------------------------- */

/* One more of `limit`; 0 where there is none, or the part is not open. */
static uint32_t number_take(_Atomic uint32_t *used, uint32_t limit)
{
	/* Relaxed, all: numbers, and the memory they name is zero. */
	uint32_t n = atomic_load_explicit(used, memory_order_relaxed);

	do {
		if (n == 0 || n >= limit)
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(used, &n, n + 1, memory_order_relaxed,
							memory_order_relaxed));
	return n + 1;
}

/* The cell's number; an empty cell gets a new one, unless there is none. */
static uint32_t cell_fill(_Atomic uint16_t *cell, _Atomic uint32_t *used, uint32_t limit)
{
	uint16_t empty = 0;
	uint32_t number = sonde__figures_number(cell);
	uint32_t next;

	if (number)
		return number;
	number = number_take(used, limit);
	/* Relaxed, both: the number is all there is to it. */
	if (!number || atomic_compare_exchange_strong_explicit(cell, &empty, (uint16_t)number,
							       memory_order_relaxed,
							       memory_order_relaxed))
		return number;
	/* Another was first: ours goes back if it was the last, else it is wasted. */
	next = number;
	atomic_compare_exchange_strong_explicit(used, &next, number - 1, memory_order_relaxed,
						memory_order_relaxed);
	return empty;
}

/* The first shard may have all there is, the others half of it. */
static uint32_t share(uint32_t shard, uint32_t n)
{
	return shard == 0 ? n : n / 2;
}

struct sonde__figures_entry *sonde__figures_entry_find(const struct sonde__box *box, uint32_t shard,
						       uint32_t site)
{
	return sonde__figures_entry_at(box, cell_fill(sonde__figures_cell(box, shard, site),
						      &sonde__figures_head(box)->n_entries_used,
						      share(shard, box->figures_shape.n_entries)));
}

static struct sonde__figures_entry *entry_find(const struct call *call, uint32_t shard)
{
	return sonde__figures_entry_find(call->box, shard, call->site);
}

static struct sonde__figures_line *line_find(const struct call *call, uint32_t shard,
					     struct sonde__figures_entry *entry)
{
	const struct sonde__box *box = call->box;

	if (!entry)
		return NULL;
	return line_at(box, cell_fill(&entry->lines[call->line],
				      &sonde__figures_head(box)->n_lines_used,
				      share(shard, box->figures_shape.n_lines)));
}

/* ---- Counting -------------------------------------------------------------------------------- */

/* Adds in a shard that other CPUs write, too; returns the bucket's count before. */
static uint64_t call_add_shared(const struct call *call, struct sonde__figures_entry *entry,
				struct sonde__figures_line *line)
{
	/* Relaxed, both: counts that order nothing. */
	atomic_fetch_add_explicit(&entry->units, call->units, memory_order_relaxed);
	return atomic_fetch_add_explicit(&line->counts[call->place], 1, memory_order_relaxed);
}

/* After the call itself. */
static SONDE__ALWAYS_INLINE void error_add(struct sonde__figures_entry *entry, bool is_error)
{
	/* R1, partner A1: whoever sees the error sees its call. */
	if (SONDE__UNLIKELY(is_error))
		atomic_fetch_add_explicit(&entry->errors, 1, memory_order_release);
}

static bool is_event(const struct call *call)
{
	struct sonde__site_view site;

	return sonde__site_get(call->site, &site) && site.kind == SONDE__SITE_EVENT;
}

static _Atomic uint64_t *misplaced_of(const struct call *call)
{
	struct sonde__figures_head *head = sonde__figures_head(call->box);

	return is_event(call) ? &head->n_events_misplaced : &head->n_misplaced;
}

static void call_add_common(struct call *call, uint32_t own)
{
	struct sonde__figures_entry *entry = entry_find(call, /* shard= */ 0);
	struct sonde__figures_line *line = line_find(call, /* shard= */ 0, entry);

	if (!line && call->site != 0) {
		/* Relaxed: a count that orders nothing. */
		atomic_fetch_add_explicit(misplaced_of(call), 1, memory_order_relaxed);
		if (is_event(call))
			return;
		call->site = 0;
		entry = entry_find(call, /* shard= */ 0);
		line = line_find(call, /* shard= */ 0, entry);
	}
	if (!line)
		return;
	if ((call_add_shared(call, entry, line) + 1) % SONDE__FIGURES_UNTIL_SHARDED == 0 && own)
		(void)entry_find(call, own);
	error_add(entry, call->is_error);
}

static struct call call_make(uint32_t site, uint64_t units, bool is_error)
{
	struct call call = {
		.box = sonde__box_get(),
		.site = site < SONDE__FIGURES_SITES ? site : 0,
		.units = units,
		.is_error = is_error,
	};

	if (units < SONDE__FIGURES_UNITS_MIN)
		units = SONDE__FIGURES_UNITS_MIN;
	if (units >= SONDE__FIGURES_UNITS_MAX)
		units = SONDE__FIGURES_UNITS_MAX - 1;
	call.line = sonde__figures_line(units);
	call.place = sonde__figures_place(units);
	return call;
}

/* Every case: CPUs that share shards, what has no entry or line yet, and no common duration. */
static SONDE__COLD void count_by_case(uint32_t site, uint64_t units, bool is_error)
{
	struct call call = call_make(site, units, is_error);
	struct sonde__figures_entry *entry;
	struct sonde__figures_line *line;
	uint32_t cpu;
	uint32_t own;

	if (!call.box)
		return;
	cpu = sonde__cpu_number(call.box);
	own = sonde__figures_shard_of(call.box, cpu);
	entry = own ? sonde__figures_entry_in(call.box, own, call.site) : NULL;
	line = line_find(&call, own, entry);
	if (!line) {
		call_add_common(&call, own);
	} else if (!call.box->has_own_counts) {
		(void)call_add_shared(&call, entry, line);
		error_add(entry, is_error);
	} else if (sonde__cpu_add_sum(call.box, cpu, &entry->units, &call.units,
				      &line->counts[call.place])) {
		error_add(entry, is_error);
	} else {
		call_add_common(&call, own);
	}
}

/* The thread was moved: the call is not counted yet, and of its units `left` are not. */
static SONDE__COLD void count_moved(uint32_t site, uint64_t units, uint64_t left, bool is_error)
{
	struct call call = call_make(site, units, is_error);

	call.units = left;
	if (call.box)
		call_add_common(&call, /* own= */ 0);
}

/* A call's additions in the CPU's own shard. */
static SONDE__ALWAYS_INLINE void own_add(const struct call *call, uint32_t cpu,
					 struct sonde__figures_entry *entry,
					 _Atomic uint64_t *count)
{
	uint64_t left = call->units;

	if (SONDE__LIKELY(sonde__cpu_add_sum(call->box, cpu, &entry->units, &left, count)))
		error_add(entry, call->is_error);
	else
		count_moved(call->site, call->units, left, call->is_error);
}

/*
 * The bucket of the site's last call is tried first, by a branch: where this call counts is then
 * known before its duration is, and what comes after, such as the next reading of the clock, need
 * not wait for it.
 */
void sonde__figures_count(uint32_t site, uint64_t units, bool is_error)
{
	const struct sonde__box *box = sonde__box_get();
	const struct call call = { .box = box, .site = site, .units = units, .is_error = is_error };
	struct sonde__figures_entry *entry = NULL;
	struct sonde__figures_line *line;
	uint32_t recent;
	uint32_t bucket;
	uint32_t cpu = 0;

	if (SONDE__LIKELY(box && box->has_own_counts && site < SONDE__FIGURES_SITES &&
			  sonde__figures_has_slot(units))) {
		cpu = sonde__cpu_registered(box);
		if (SONDE__LIKELY(cpu < box->figures_shape.n_shards - 1))
			entry = sonde__figures_entry_in(box, 1 + cpu, site);
	}
	if (SONDE__UNLIKELY(!entry)) {
		count_by_case(site, units, is_error);
		return;
	}
	bucket = sonde__figures_line(units) << 8 | sonde__figures_place(units);
	/* Relaxed: a guess, which is held against the bucket and, like all numbers, the shape. */
	recent = atomic_load_explicit(&entry->recent, memory_order_relaxed);
	line = line_at(box, recent >> 16);
	if (SONDE__LIKELY((recent & 0xffff) == bucket && line)) {
		own_add(&call, cpu, entry, &line->counts[recent % SONDE__FIGURES_LINE]);
		return;
	}
	recent = sonde__figures_number(&entry->lines[bucket >> 8]);
	line = line_at(box, recent);
	if (SONDE__UNLIKELY(!line)) {
		count_by_case(site, units, is_error);
		return;
	}
	atomic_store_explicit(&entry->recent, recent << 16 | bucket, memory_order_relaxed);
	own_add(&call, cpu, entry, &line->counts[bucket % SONDE__FIGURES_LINE]);
}

static SONDE__COLD void count_unsampled_by_case(enum sonde_signal signal)
{
	const struct sonde__box *box = sonde__box_get();
	uint32_t shard;

	if (!box || !sonde__process_is_known()) {
		sonde__box_count_loss(signal, SONDE_LOSS_UNSAMPLED);
		return;
	}
	shard = box->has_own_counts ? 0 : sonde__figures_shard_of(box, sonde__cpu_number(box));
	/* Relaxed: a count that orders nothing. */
	atomic_fetch_add_explicit(&sonde__figures_shard_at(box, shard)->unsampled[signal], 1,
				  memory_order_relaxed);
}

void sonde__box_count_unsampled(enum sonde_signal signal)
{
	if (!sonde__process_is_known() || !sonde__box_try_unsampled(signal))
		count_unsampled_by_case(signal);
}

uint64_t sonde__box_unsampled(const struct sonde__box *box, enum sonde_signal signal)
{
	const struct sonde__figures_shard *shards =
		(const struct sonde__figures_shard *)(box->figures +
						      box->figures_shape.shards_offset);
	uint64_t n = 0;

	/* Relaxed: each count for itself. */
	for (uint32_t i = 0; i < box->figures_shape.n_shards; i++)
		n += atomic_load_explicit(&shards[i].unsampled[signal], memory_order_relaxed);
	return n;
}

/* ---- Life ------------------------------------------------------------------------------------ */

void sonde__figures_open(const struct sonde__box *box)
{
	struct sonde__figures_head *head = sonde__figures_head(box);
	struct sonde__figures_entry *others = sonde__figures_entry_at(box, 1);

	head->scale = SONDE__FIGURES_SCALE;
	head->index = SONDE__FIGURES_INDEX;
	head->n_sites = SONDE__FIGURES_SITES;
	head->n_slots = SONDE__FIGURES_SLOTS;
	head->shape = box->figures_shape;
	/* Relaxed, all: numbers, and the memory they name is zero. */
	for (uint32_t i = 0; i < SONDE__FIGURES_LINES; i++)
		atomic_store_explicit(&others->lines[i], (uint16_t)(i + 1), memory_order_relaxed);
	atomic_store_explicit(sonde__figures_cell(box, /* shard= */ 0, /* site= */ 0), 1,
			      memory_order_relaxed);
	atomic_store_explicit(&head->n_lines_used, SONDE__FIGURES_LINES, memory_order_relaxed);
	atomic_store_explicit(&head->n_entries_used, 1, memory_order_relaxed);
}

void sonde__figures_restart(const struct sonde__box *box)
{
	struct sonde__figures_head *head = sonde__figures_head(box);

	/* Relaxed, all: nobody counts between a stop and a start but calls that were inside. */
	atomic_store_explicit(&head->n_misplaced, 0, memory_order_relaxed);
	atomic_store_explicit(&head->n_errors_misplaced, 0, memory_order_relaxed);
	atomic_store_explicit(&head->n_events_misplaced, 0, memory_order_relaxed);
	atomic_store_explicit(&head->n_items_misplaced, 0, memory_order_relaxed);
	for (uint32_t i = 1; i <= box->figures_shape.n_entries; i++) {
		atomic_store_explicit(&sonde__figures_entry_at(box, i)->units, 0,
				      memory_order_relaxed);
		atomic_store_explicit(&sonde__figures_entry_at(box, i)->errors, 0,
				      memory_order_relaxed);
	}
	for (uint32_t i = 1; i <= box->figures_shape.n_lines; i++)
		for (uint32_t at = 0; at < SONDE__FIGURES_LINE; at++)
			atomic_store_explicit(&line_at(box, i)->counts[at], 0,
					      memory_order_relaxed);
}

uint64_t sonde__figures_misplaced(void)
{
	const struct sonde__box *box = sonde__box_get();

	/* Relaxed: a count that orders nothing. */
	return box ? atomic_load_explicit(&sonde__figures_head(box)->n_misplaced,
					  memory_order_relaxed) :
		     0;
}
