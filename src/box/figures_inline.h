/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_FIGURES_INLINE_H
#define SONDE_BOX_FIGURES_INLINE_H

/* Where the figures' things are, for those who count; figures.c has the picture. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "box/figures.h"
#include "box/shape.h"

/* A site that a CPU has found in the common shard so often gets an entry in its own. */
#define SONDE__FIGURES_UNTIL_SHARDED 256u

static SONDE__ALWAYS_INLINE struct sonde__figures_head *sonde__figures_head(
	const struct sonde__box *box)
{
	return (struct sonde__figures_head *)box->figures;
}

static SONDE__ALWAYS_INLINE _Atomic uint16_t *sonde__figures_cell(const struct sonde__box *box,
								  uint32_t shard, uint32_t site)
{
	const struct sonde__figures_shape *shape = &box->figures_shape;

	return (_Atomic uint16_t *)(box->figures + shape->maps_offset + shard * shape->map_stride) +
	       site;
}

/* NULL for a number that is none, or too large. */
static SONDE__ALWAYS_INLINE struct sonde__figures_entry *sonde__figures_entry_at(
	const struct sonde__box *box, uint32_t number)
{
	const struct sonde__figures_shape *shape = &box->figures_shape;

	if (SONDE__UNLIKELY(number - 1 >= shape->n_entries))
		return NULL;
	return (struct sonde__figures_entry *)(box->figures + shape->entries_offset) + number - 1;
}

/* Relaxed: what the number names was zero before the box was published, and nothing else. */
static SONDE__ALWAYS_INLINE uint32_t sonde__figures_number(const _Atomic uint16_t *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

/* The site's entry in the shard; NULL: none yet. */
static SONDE__ALWAYS_INLINE struct sonde__figures_entry *sonde__figures_entry_in(
	const struct sonde__box *box, uint32_t shard, uint32_t site)
{
	return sonde__figures_entry_at(
		box, sonde__figures_number(sonde__figures_cell(box, shard, site)));
}

/* The CPU's own shard; 0 where it has none. */
static SONDE__ALWAYS_INLINE uint32_t sonde__figures_shard_of(const struct sonde__box *box,
							     uint32_t cpu)
{
	const uint32_t n_own = box->figures_shape.n_shards - 1;

	if (box->has_own_counts)
		return cpu < n_own ? 1 + cpu : 0;
	return 1 + (cpu & (n_own - 1));
}

#endif
