/* SPDX-License-Identifier: Apache-2.0 */
/* The ring's invariants as code: ring.c says in words what is checked here. */

#include "box/ring.h"

static bool block_is_valid(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			   uint32_t index)
{
	const struct sonde__block *block = sonde__ring_block(ring, shape, index);
	/* Relaxed: its sequence number and, once sealed, its counts are ours alone to change. */
	uint64_t word = atomic_load_explicit(&block->word, memory_order_relaxed);

	if (block->index != index || sonde__word_offset(word) > shape->n_granules)
		return false;
	if (block->n_done > block->n_seen || block->n_seen > sonde__word_total(word) ||
	    block->scan > shape->n_granules)
		return false;
	if (block->stage == SONDE__STAGE_OPEN)
		return block->n_final == 0;
	if ((word & SONDE__WORD_OPEN) || block->n_final != sonde__word_total(word))
		return false;
	/* One that waits for releases alone was seen whole, and would be gone if it had them. */
	return block->stage != SONDE__STAGE_WAITING ||
	       (block->n_seen == block->n_final && block->n_done < block->n_final);
}

/*
 * The numbers from the reader's on belong to one block each, which is at the stage that goes with
 * it.
 */
static bool order_is_valid(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			   uint64_t tail)
{
	for (uint64_t number = ring->read; number < tail; number++) {
		/* Relaxed, both: written by us. */
		uint32_t index = atomic_load_explicit(sonde__ring_order(ring, shape, number),
						      memory_order_relaxed);
		const struct sonde__block *block;

		if (index >= shape->n_blocks)
			return false;
		block = sonde__ring_block(ring, shape, index);
		if (!sonde__word_has_sequence(
			    atomic_load_explicit(&block->word, memory_order_relaxed), number))
			return false;
		if (block->stage != SONDE__STAGE_OPEN &&
		    (number != ring->read || block->stage != SONDE__STAGE_SEALED))
			return false;
	}
	return true;
}

static bool unfinished_is_valid(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	uint32_t n_listed = 0;
	uint32_t n_linked = 0;

	for (uint32_t i = 0; i < shape->n_blocks; i++)
		n_listed += sonde__ring_block(ring, shape, i)->stage == SONDE__STAGE_LISTED;
	for (uint32_t link = ring->unfinished; link > 0; n_linked++) {
		const struct sonde__block *block;

		if (link > shape->n_blocks || n_linked > shape->n_blocks)
			return false;
		block = sonde__ring_block(ring, shape, link - 1);
		if (block->stage != SONDE__STAGE_LISTED)
			return false;
		link = block->next;
	}
	return n_listed == n_linked;
}

bool sonde__ring_is_valid(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	/* Relaxed: the tail is ours, and the head only grows. */
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t head =
		sonde__head_sequence(atomic_load_explicit(&ring->head, memory_order_relaxed));

	/* I3 */
	if (head >= tail || ring->read > head || tail - ring->read > shape->n_blocks)
		return false;
	for (uint32_t i = 0; i < shape->n_blocks; i++)
		if (!block_is_valid(ring, shape, i))
			return false;
	return order_is_valid(ring, shape, tail) && unfinished_is_valid(ring, shape);
}
