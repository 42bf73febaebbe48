/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_RING_INLINE_H
#define SONDE_BOX_RING_INLINE_H

/*
 * The writers' fast path, to be inlined where every nanosecond counts. The argument is in ring.c.
 */

#include "base/compiler.h"
#include "base/testpoint.h"
#include "box/ring.h"

/*
 * The head's block cannot take the record, as its word said: moves the head on, or sees that
 * another writer did. False: the ring is full. Else *head is to be tried next.
 */
bool sonde__ring_pass(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
		      uint64_t word, uint64_t *head);

/* Open, of this sequence number, and with room. */
static SONDE__ALWAYS_INLINE bool sonde__word_admits(uint64_t word, uint64_t sequence,
						    uint32_t n_granules,
						    const struct sonde__ring_shape *shape)
{
	return (word ^ sonde__word_make(sequence)) >> SONDE__WORD_OPEN_SHIFT == 0 &&
	       sonde__word_offset(word) + n_granules <= shape->n_granules;
}

/*
 * One attempt in the block of `head`. False: *ret_word says why; neither may have changed since.
 */
static SONDE__ALWAYS_INLINE bool sonde__ring_try(struct sonde__ring *ring,
						 const struct sonde__ring_shape *shape,
						 uint64_t head, uint32_t n_granules,
						 enum sonde_signal signal, struct sonde__place *ret,
						 uint64_t *ret_word)
{
	const uint64_t taken = n_granules + (UINT64_C(1) << SONDE__WORD_COUNT_SHIFT(signal));
	const uint32_t index = sonde__head_block(head);
	struct sonde__block *block = sonde__ring_block(ring, shape, index);
	uint64_t word;

	/* A1, partner R1: the map is empty, and the reader is done with the bytes. */
	word = atomic_load_explicit(&block->word, memory_order_acquire);
	SONDE__TESTPOINT("ring:word-loaded");
	while (SONDE__LIKELY(
		sonde__word_admits(word, sonde__head_sequence(head), n_granules, shape))) {
		/* A1 again, on success and on failure: the word may be another than was loaded. */
		if (SONDE__UNLIKELY(!atomic_compare_exchange_weak_explicit(
			    &block->word, &word, word + taken, memory_order_acquire,
			    memory_order_acquire)))
			continue;
		SONDE__TESTPOINT("ring:reserved");
		ret->record = sonde__ring_data(ring, shape, index) +
			      ((size_t)sonde__word_offset(word) << SONDE__GRANULE_SHIFT);
		ret->mark = sonde__ring_map(ring, shape, index) + sonde__word_offset(word);
		return true;
	}
	*ret_word = word;
	return false;
}

/* The head, for a first attempt. */
static SONDE__ALWAYS_INLINE uint64_t sonde__ring_head(struct sonde__ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_acquire); /* A2, partner R2 */
}

/* sonde__ring_reserve. */
static SONDE__ALWAYS_INLINE bool sonde__ring_take(struct sonde__ring *ring,
						  const struct sonde__ring_shape *shape,
						  uint32_t n_granules, enum sonde_signal signal,
						  struct sonde__place *ret)
{
	uint64_t head = sonde__ring_head(ring);
	uint64_t word;

	for (;;) {
		SONDE__TESTPOINT("ring:head-loaded");
		if (SONDE__UNLIKELY(sonde__head_block(head) >= shape->n_blocks))
			return false;
		if (SONDE__LIKELY(
			    sonde__ring_try(ring, shape, head, n_granules, signal, ret, &word)))
			return true;
		if (!sonde__ring_pass(ring, shape, word, &head))
			return false;
	}
}

#endif
