/* SPDX-License-Identifier: Apache-2.0 */
/* The writers' half of the ring; the argument is written below once it stands. */

#include "box/ring.h"

#include "base/compiler.h"
#include "base/testpoint.h"
#include "box/ring_inline.h"

void sonde__ring_open(struct sonde__ring *ring, const struct sonde__ring_shape *shape, uint64_t sequence,
		      uint16_t number)
{
	for (uint32_t i = 0; i < shape->n_blocks; i++) {
		struct sonde__block *block = sonde__ring_block(ring, shape, i);

		block->ring = number;
		block->index = (uint16_t)i;
		atomic_store_explicit(sonde__ring_order(ring, shape, sequence + i), (uint16_t)i, memory_order_relaxed);
		/* R1 */
		atomic_store_explicit(&block->word, sonde__word_make(sequence + i), memory_order_release);
	}
	ring->read = sequence;
	atomic_store_explicit(&ring->head, sonde__head_make(sequence, /* block= */ 0), memory_order_release); /* R2 */
	atomic_store_explicit(&ring->tail, sequence + shape->n_blocks, memory_order_release); /* R3 */
}

/* The bell is for who may sleep: rung from half full on, once for each block that fills. */
static void ring_bell(const struct sonde__ring_shape *shape, uint64_t n_free)
{
	if (n_free * 2 <= shape->n_blocks)
		sonde__bell_ring(&sonde__box_bell);
}

SONDE__COLD bool sonde__ring_pass(struct sonde__ring *ring, const struct sonde__ring_shape *shape, uint64_t word,
				  uint64_t *head)
{
	uint64_t next = sonde__head_sequence(*head) + 1;
	uint64_t old = *head;
	uint64_t tail;
	uint16_t index;

	if (!sonde__word_has_sequence(word, next - 1)) {
		*head = atomic_load_explicit(&ring->head, memory_order_acquire); /* A2 */
		return *head != old;
	}
	/* A3, partner R3: the order's entry and the next block's word are seen at least as new as this tail. */
	tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	SONDE__TESTPOINT("ring:tail-loaded");
	if (tail <= next)
		return false;
	index = atomic_load_explicit(sonde__ring_order(ring, shape, next), memory_order_relaxed);
	/* R2, partner A2: hands what A3 saw on to the writers that find the head moved. */
	if (atomic_compare_exchange_strong_explicit(&ring->head, head, sonde__head_make(next, index),
						    memory_order_acq_rel, memory_order_acquire)) {
		SONDE__TESTPOINT("ring:head-moved");
		*head = sonde__head_make(next, index);
		ring_bell(shape, tail - next - 1);
	}
	return true;
}

bool sonde__ring_reserve(struct sonde__ring *ring, const struct sonde__ring_shape *shape, uint32_t n_granules,
			 enum sonde_signal signal, struct sonde__place *ret)
{
	return sonde__ring_take(ring, shape, n_granules, signal, ret);
}

unsigned sonde__ring_fill_percent(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	/* Relaxed: an estimate, and each value is right by itself. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t index = sonde__head_block(head);
	uint64_t n_free = tail - sonde__head_sequence(head) - 1;
	uint32_t offset = 0;

	if (n_free >= shape->n_blocks || index >= shape->n_blocks)
		return 0;
	offset = sonde__word_offset(atomic_load_explicit(&sonde__ring_block(ring, shape, index)->word,
							 memory_order_relaxed));
	if (offset > shape->n_granules)
		offset = shape->n_granules;
	return (unsigned)(((shape->n_blocks - 1 - n_free) * shape->n_granules + offset) * 100 /
			  ((uint64_t)shape->n_blocks * shape->n_granules));
}

void sonde__ring_seal(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	/* Acquire: the counts that are looked at next are final. */
	for (uint32_t i = 0; i < shape->n_blocks; i++)
		atomic_fetch_and_explicit(&sonde__ring_block(ring, shape, i)->word, ~SONDE__WORD_OPEN,
					  memory_order_acquire);
}

void sonde__ring_unseal(struct sonde__ring *ring, const struct sonde__ring_shape *shape)
{
	uint64_t sequence = sonde__head_sequence(atomic_load_explicit(&ring->head, memory_order_relaxed));
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	/* A block that was passed meanwhile may be opened here too: the reader seals what it visits. */
	for (uint64_t i = 0; sequence + i < tail && i < shape->n_blocks; i++) {
		uint16_t index = atomic_load_explicit(sonde__ring_order(ring, shape, sequence + i),
						      memory_order_relaxed);

		if (index < shape->n_blocks)
			atomic_fetch_or_explicit(&sonde__ring_block(ring, shape, index)->word, SONDE__WORD_OPEN,
						 memory_order_release);
	}
}
