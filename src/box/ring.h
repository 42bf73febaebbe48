/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_RING_H
#define SONDE_BOX_RING_H

/*
 * One ring: many writers, one reader. ring.c opens with the algorithm and its argument; this header
 * has the parts of the state by name. Every function takes the ring and its shape, which comes from
 * private memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box/box.h"
#include "box/layout.h"

static inline struct sonde__block *sonde__ring_block(struct sonde__ring *ring,
						     const struct sonde__ring_shape *shape,
						     uint32_t index)
{
	return (struct sonde__block *)((uint8_t *)ring + shape->blocks_offset) + index;
}

static inline _Atomic uint8_t *sonde__ring_map(struct sonde__ring *ring,
					       const struct sonde__ring_shape *shape,
					       uint32_t index)
{
	return (_Atomic uint8_t *)((uint8_t *)ring + shape->maps_offset) +
	       ((size_t)index << (shape->block_shift - SONDE__GRANULE_SHIFT));
}

static inline uint8_t *sonde__ring_data(struct sonde__ring *ring,
					const struct sonde__ring_shape *shape, uint32_t index)
{
	return (uint8_t *)ring + shape->data_offset + ((size_t)index << shape->block_shift);
}

static inline _Atomic uint16_t *sonde__ring_order(struct sonde__ring *ring,
						  const struct sonde__ring_shape *shape,
						  uint64_t sequence)
{
	return (_Atomic uint16_t *)((uint8_t *)ring + shape->order_offset) +
	       (sequence & shape->order_mask);
}

static inline uint64_t sonde__head_make(uint64_t sequence, uint32_t block)
{
	return sequence << SONDE__HEAD_BLOCK_BITS | block;
}

static inline uint64_t sonde__head_sequence(uint64_t head)
{
	return head >> SONDE__HEAD_BLOCK_BITS;
}

static inline uint32_t sonde__head_block(uint64_t head)
{
	return (uint32_t)(head & SONDE__HEAD_BLOCK_MASK);
}

/* The word of a block that was just opened under a sequence number. */
static inline uint64_t sonde__word_make(uint64_t sequence)
{
	return sequence << SONDE__WORD_SEQUENCE_SHIFT | SONDE__WORD_OPEN;
}

static inline bool sonde__word_has_sequence(uint64_t word, uint64_t sequence)
{
	return word >> SONDE__WORD_SEQUENCE_SHIFT ==
	       sequence << SONDE__WORD_SEQUENCE_SHIFT >> SONDE__WORD_SEQUENCE_SHIFT;
}

static inline uint32_t sonde__word_offset(uint64_t word)
{
	return (uint32_t)(word & SONDE__WORD_MAX);
}

static inline uint32_t sonde__word_count(uint64_t word, enum sonde_signal signal)
{
	return (uint32_t)(word >> SONDE__WORD_COUNT_SHIFT(signal) & SONDE__WORD_MAX);
}

/* Records in the block, of all signals. */
static inline uint32_t sonde__word_total(uint64_t word)
{
	uint32_t total = 0;

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++)
		total += sonde__word_count(word, (enum sonde_signal)signal);
	return total;
}

/* Opens a ring in fresh, zeroed memory; `sequence` is the first that it hands out. */
void sonde__ring_open(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
		      uint64_t sequence, uint16_t number);

/*
 * Writers. Takes `n_granules` for one record; false when the ring is full, which counts nothing.
 * Lock-free, async-signal-safe. ring_inline.h has the same inline.
 */
struct sonde__place {
	uint8_t *record;
	_Atomic uint8_t *mark;
};

bool sonde__ring_reserve(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 uint32_t n_granules, enum sonde_signal signal, struct sonde__place *ret);

/* Used part, by reservations, in percent. Any thread. */
unsigned sonde__ring_fill_percent(struct sonde__ring *ring, const struct sonde__ring_shape *shape);

/* ---- The reader ------------------------------------------------------------------------------ */

struct sonde__ring_pass {
	uint64_t target; /* The head's sequence number when the pass came to this ring. */
	bool is_under_way;
};

/*
 * Appends to refs[*n]. False: `capacity` was reached before the ring's end; call again with the
 * same pass. Never waits for a writer.
 */
bool sonde__ring_collect(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 struct sonde__ring_pass *pass, struct sonde__record_ref *refs,
			 size_t capacity, size_t *n);

void sonde__ring_release(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 struct sonde__block *block, const struct sonde__record *record);

/*
 * Makes every reservation fail from here on, by sealing all blocks, for good or until the ring is
 * opened again. Only while no reader runs.
 */
void sonde__ring_seal(struct sonde__ring *ring, const struct sonde__ring_shape *shape);
void sonde__ring_unseal(struct sonde__ring *ring, const struct sonde__ring_shape *shape);

/*
 * Whether the reader's figures and the words agree with each other and with the invariants in
 * ring.c. For tests, on the reader's thread between two calls; writers may be at work.
 */
bool sonde__ring_is_valid(struct sonde__ring *ring, const struct sonde__ring_shape *shape);

/* ---- Accounting, any thread ------------------------------------------------------------------ */

struct sonde__ring_account {
	uint64_t captured; /* Reserved or refused. */
	uint64_t refused;
	uint64_t invalid;
	uint64_t queued;
	uint64_t unfinished;
};

/* `queued` and what it is made of first, `captured` last. Bounded, whatever the others do. */
void sonde__ring_account(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 enum sonde_signal signal, struct sonde__ring_account *ret);

#endif
