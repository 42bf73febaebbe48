/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's half of the ring: collect, release, hand out again. Written for memory that anybody
 * of this user may have scribbled on: whatever it reads is checked against what private memory
 * says, no loop is longer than the ring, and a block whose figures contradict each other is left
 * alone for good, which costs that block.
 *
 * Stages of a block, as the reader sees it:
 *
 *	OPEN ──seen behind the head, sealed──▶ SEALED ──all scanned──▶ WAITING ──all released──▶ OPEN
 *	                                          │                       ▲
 *	                                          └─unfinished─▶ LISTED ──┘ when the last writer finished
 */

#include "box/ring.h"

#include "base/testpoint.h"

struct view {
	struct sonde__ring *ring;
	const struct sonde__ring_shape *shape;
	struct sonde__block *block;
	uint32_t index;
	_Atomic uint8_t *map;
	const uint8_t *data;
};

struct output {
	struct sonde__record_ref *refs;
	size_t capacity;
	size_t n;
};

static struct view view_make(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			     uint32_t index)
{
	struct view view = {
		.ring = ring,
		.shape = shape,
		.block = sonde__ring_block(ring, shape, index),
		.index = index,
		.map = sonde__ring_map(ring, shape, index),
		.data = sonde__ring_data(ring, shape, index),
	};

	return view;
}

/* ---- Handing a block out again --------------------------------------------------------------- */

/* Relaxed add by the only writer of a counter that others read. */
static void count_up(_Atomic uint64_t *counter, uint64_t n, memory_order order)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      order);
}

static void map_clear(const struct view *view, uint32_t n_granules)
{
	/* S1. Words, not bytes: maps are whole words, and nobody else writes here now. */
	for (uint32_t at = 0; at < n_granules; at += 8)
		__atomic_store_n((uint64_t *)(uintptr_t)(view->map + at), 0, __ATOMIC_RELEASE);
}

static uint32_t used_granules(const struct view *view, uint64_t word)
{
	uint32_t offset = sonde__word_offset(word);

	return offset < view->shape->n_granules ? offset : view->shape->n_granules;
}

/*
 * The block's counts move from its word to `retired`, seen as one step by sonde__ring_account
 * through `retirements`: odd before the first change (each change is a release: S1), even after the
 * last (S2).
 */
static void word_renew(const struct view *view, uint64_t word, uint64_t sequence)
{
	struct sonde__ring *ring = view->ring;

	count_up(&ring->retirements, 1, memory_order_relaxed);
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++)
		count_up(&ring->retired[signal], sonde__word_count(word, (enum sonde_signal)signal),
			 memory_order_release); /* S1 */
	map_clear(view, used_granules(view, word));
	SONDE__TESTPOINT("reader:map-cleared");
	/*
	 * R1, partner A1: a writer that sees the block open finds its map empty, and we have read
	 * its bytes.
	 */
	atomic_store_explicit(&view->block->word, sonde__word_make(sequence), memory_order_release);
	SONDE__TESTPOINT("reader:word-renewed");
	count_up(&ring->retirements, 1, memory_order_release); /* S2 */
}

static void block_hand_out(const struct view *view)
{
	struct sonde__ring *ring = view->ring;
	struct sonde__block *block = view->block;
	/* Relaxed: written by us alone. */
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	/* Relaxed: sealed, so it does not change any more. */
	uint64_t word = atomic_load_explicit(&block->word, memory_order_relaxed);

	block->scan = 0;
	block->n_seen = 0;
	block->n_done = 0;
	block->n_final = 0;
	block->next = 0;
	block->stage = SONDE__STAGE_OPEN;
	word_renew(view, word, tail);
	atomic_store_explicit(sonde__ring_order(ring, view->shape, tail), (uint16_t)view->index,
			      memory_order_relaxed);
	/*
	 * R3, partner A3: a writer that sees this tail sees the order's entry and the block open.
	 */
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	SONDE__TESTPOINT("reader:tail-moved");
}

static void block_settle(const struct view *view)
{
	view->block->stage = SONDE__STAGE_WAITING;
	if (view->block->n_done == view->block->n_final)
		block_hand_out(view);
}

/* ---- Collecting ------------------------------------------------------------------------------ */

/* The granules of a record that says it is `size` long and begins at `at`; 0: it cannot be. */
static uint32_t record_granules(const struct view *view, uint32_t at, uint32_t limit)
{
	const struct sonde__record *record =
		(const struct sonde__record *)(view->data + ((size_t)at << SONDE__GRANULE_SHIFT));
	uint32_t size = record->size;
	uint32_t n;

	if (size < sizeof(*record) || size > SONDE__RECORD_MAX_SIZE)
		return 0;
	n = (size + SONDE__GRANULE - 1) >> SONDE__GRANULE_SHIFT;
	if (n > limit - at)
		return 0;
	/*
	 * Relaxed: a mark there would be another record's, and A4 comes when that one's turn comes.
	 */
	for (uint32_t i = 1; i < n; i++)
		if (atomic_load_explicit(&view->map[at + i], memory_order_relaxed) !=
		    SONDE__MARK_EMPTY)
			return 0;
	return n;
}

static void mark_set(const struct view *view, uint32_t at, unsigned mark)
{
	/* Relaxed: for ourselves, and for accounts, which take each byte for itself. */
	atomic_store_explicit(&view->map[at], (uint8_t)mark, memory_order_relaxed);
}

/* Takes the finished record at `at`; returns how many granules to step over. */
static uint32_t record_take(const struct view *view, uint32_t at, uint32_t limit, unsigned mark,
			    struct output *out)
{
	struct sonde__block *block = view->block;
	uint32_t n = record_granules(view, at, limit);
	unsigned signal = mark & SONDE__MARK_SIGNAL;

	block->n_seen++;
	if (n > 0 && (mark & SONDE__MARK_KIND) == SONDE__MARK_COMMITTED) {
		struct sonde__record_ref *ref = &out->refs[out->n++];

		ref->record = (const struct sonde__record *)(view->data +
							     ((size_t)at << SONDE__GRANULE_SHIFT));
		ref->block = block;
		mark_set(view, at, SONDE__MARK_COLLECTED | signal);
	} else {
		count_up(&view->ring->invalid[signal], 1, memory_order_relaxed);
		mark_set(view, at, SONDE__MARK_RELEASED | signal);
		block->n_done++;
	}
	for (uint32_t i = 1; i < n; i++)
		mark_set(view, at + i, SONDE__MARK_INSIDE);
	return n > 0 ? n : 1;
}

static bool is_finished_mark(unsigned mark)
{
	unsigned kind = mark & SONDE__MARK_KIND;

	return (kind == SONDE__MARK_COMMITTED || kind == SONDE__MARK_DISCARDED) &&
	       (mark & SONDE__MARK_SIGNAL) < SONDE_SIGNAL_COUNT;
}

/*
 * Takes every finished record below `limit`, in order; steps over holes, which need no size for
 * that: an unfinished record's granules are all empty. False: the output is full.
 */
static bool block_scan(const struct view *view, uint32_t limit, struct output *out)
{
	uint32_t at = view->block->scan;
	uint32_t hole = UINT32_MAX;
	bool has_room = true;

	if (at > limit)
		at = limit;
	while (at < limit) {
		/* A4, partner R4: a mark that is seen is a record that is wholly there. */
		unsigned mark = atomic_load_explicit(&view->map[at], memory_order_acquire);

		if (is_finished_mark(mark)) {
			has_room = out->n < out->capacity;
			if (!has_room)
				break;
			at += record_take(view, at, limit, mark, out);
			continue;
		}
		if (mark == SONDE__MARK_EMPTY && hole == UINT32_MAX)
			hole = at;
		at++;
	}
	view->block->scan = hole < at ? hole : at;
	return has_room;
}

static void block_seal(const struct view *view)
{
	/*
	 * Relaxed: what counts is that no reservation comes after it, which the word's own order
	 * gives.
	 */
	uint64_t word = atomic_fetch_and_explicit(&view->block->word, ~SONDE__WORD_OPEN,
						  memory_order_relaxed);

	SONDE__TESTPOINT("reader:sealed");
	view->block->n_final = sonde__word_total(word);
	view->block->stage = SONDE__STAGE_SEALED;
}

static uint32_t block_limit(const struct view *view)
{
	/* Relaxed: says how far to look, and a writer that is done came before us in this word. */
	return used_granules(view, atomic_load_explicit(&view->block->word, memory_order_relaxed));
}

/* Looks again at the blocks that were passed with unfinished records. */
static bool unfinished_collect(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			       struct output *out)
{
	uint32_t *link = &ring->unfinished;

	for (uint32_t i = 0; i<shape->n_blocks && * link> 0 && *link <= shape->n_blocks; i++) {
		struct view view = view_make(ring, shape, *link - 1);

		if (!block_scan(&view, block_limit(&view), out))
			return false;
		if (view.block->n_seen != view.block->n_final) {
			link = &view.block->next;
			continue;
		}
		*link = view.block->next;
		block_settle(&view);
	}
	return true;
}

static void unfinished_add(const struct view *view)
{
	view->block->stage = SONDE__STAGE_LISTED;
	view->block->next = view->ring->unfinished;
	view->ring->unfinished = view->index + 1;
}

/*
 * The block at ring->read, which the head has passed: scans it to its end and goes on to the next.
 */
static bool passed_collect(const struct view *view, struct output *out)
{
	if (view->block->stage == SONDE__STAGE_OPEN)
		block_seal(view);
	if (!block_scan(view, block_limit(view), out))
		return false;
	view->ring->read++;
	if (view->block->n_seen == view->block->n_final)
		block_settle(view);
	else
		unfinished_add(view);
	return true;
}

/*
 * The block that has the sequence number ring->read; false: the ring's memory contradicts itself.
 */
static bool read_block(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
		       struct view *ret)
{
	/* Relaxed, both: written by us. */
	uint32_t index = atomic_load_explicit(sonde__ring_order(ring, shape, ring->read),
					      memory_order_relaxed);
	struct sonde__block *block;

	if (index >= shape->n_blocks)
		return false;
	block = sonde__ring_block(ring, shape, index);
	if (!sonde__word_has_sequence(atomic_load_explicit(&block->word, memory_order_relaxed),
				      ring->read))
		return false;
	*ret = view_make(ring, shape, index);
	return true;
}

bool sonde__ring_collect(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 struct sonde__ring_pass *pass, struct sonde__record_ref *refs,
			 size_t capacity, size_t *n)
{
	struct output out = { .refs = refs, .capacity = capacity, .n = *n };
	/* Relaxed: what the head passed is found by the blocks' own words and marks. */
	uint64_t head =
		sonde__head_sequence(atomic_load_explicit(&ring->head, memory_order_relaxed));
	bool is_complete;

	if (!pass->is_under_way) {
		pass->is_under_way = true;
		pass->target = head;
	}
	is_complete = unfinished_collect(ring, shape, &out);
	/*
	 * The count bounds a head that somebody scribbled on: in truth the head is never a round
	 * ahead.
	 */
	for (uint32_t i = 0; is_complete && i <= shape->n_blocks && ring->read <= pass->target;
	     i++) {
		struct view view;

		if (!read_block(ring, shape, &view))
			break;
		if (ring->read >= head) {
			is_complete = block_scan(&view, block_limit(&view), &out);
			break;
		}
		is_complete = passed_collect(&view, &out);
	}
	if (is_complete)
		pass->is_under_way = false;
	*n = out.n;
	return is_complete;
}

void sonde__ring_release(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 struct sonde__block *block, const struct sonde__record *record)
{
	struct view view = view_make(ring, shape, block->index);
	size_t at = (size_t)((const uint8_t *)record - view.data) >> SONDE__GRANULE_SHIFT;
	unsigned mark;

	if (at >= shape->n_granules)
		return;
	/* Relaxed: our own mark. */
	mark = atomic_load_explicit(&view.map[at], memory_order_relaxed);
	if ((mark & SONDE__MARK_KIND) != SONDE__MARK_COLLECTED)
		return;
	mark_set(&view, (uint32_t)at, SONDE__MARK_RELEASED | (mark & SONDE__MARK_SIGNAL));
	block->n_done++;
	if (block->stage == SONDE__STAGE_WAITING && block->n_done == block->n_final)
		block_hand_out(&view);
}
