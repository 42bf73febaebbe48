/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_SHAPE_H
#define SONDE_BOX_SHAPE_H

/*
 * What this process knows of its box: where it lies and how it is divided. Kept in private memory
 * and never changed after the first open, so that nobody who can write into the shared file can
 * lead a writer or the reader out of it.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "box/box.h"
#include "box/layout.h"

struct sonde__box {
	uint8_t *base;
	uint8_t *rings; /* The first ring. */
	size_t ring_stride;
	uint32_t n_rings;
	uint32_t has_rseq;
	ptrdiff_t rseq_offset; /* Of this thread's rseq area from the thread pointer. */
	struct sonde__ring_shape ring_shape;
	struct sonde__ring_shape reserve_shape;
	struct sonde__ring *reserve;
	struct sonde__box_counters *counters;
	uint8_t *figures; /* struct sonde__figures_head and what follows it. */
	struct sonde__figures_shape figures_shape;
	struct sonde__open_entry *open_entries;
	uint32_t n_open_entries; /* A power of two. */
	bool has_own_counts; /* Each CPU has a shard to itself, and can add without a lock. */
	_Atomic uint32_t *site_ids;
	uint8_t *site_texts;
	size_t site_texts_size;
	size_t size;
};

/*
 * The box, or NULL while there is none. Stored once with release (R0), when the box is ready, and
 * set to NULL only by sonde__box_forsake; loaded with acquire (A0) by whoever is about to look
 * inside.
 */
extern _Atomic(const struct sonde__box *) sonde__box_current;

static inline const struct sonde__box *sonde__box_get(void)
{
	/* A0, partner R0: without it the geometry and the rings behind it may be seen unmade. */
	return atomic_load_explicit(&sonde__box_current, memory_order_acquire);
}

/* Ring number `index`, the reserve being the last, and its shape. */
static inline struct sonde__ring *sonde__box_ring(const struct sonde__box *box, uint32_t index)
{
	if (index == box->n_rings)
		return box->reserve;
	return (struct sonde__ring *)(box->rings + index * box->ring_stride);
}

static inline const struct sonde__ring_shape *sonde__box_ring_shape(const struct sonde__box *box,
								    uint32_t index)
{
	return index == box->n_rings ? &box->reserve_shape : &box->ring_shape;
}

/* Divides at most `size` bytes among `n_cpus`; fills all that follows from it but the addresses. */
void sonde__box_divide(uint64_t size, unsigned n_cpus, struct sonde__box *ret,
		       struct sonde__box_header *ret_header);

/* The figures' part, of at most `size` bytes; never less than what site 0 needs. */
void sonde__figures_shape_choose(uint64_t size, unsigned n_cpus, struct sonde__figures_shape *ret);

/* A ring of at most `size` bytes with blocks of 1 << block_shift: false when four do not fit. */
bool sonde__ring_shape_fit(uint64_t size, uint32_t block_shift, struct sonde__ring_shape *ret);

#endif
