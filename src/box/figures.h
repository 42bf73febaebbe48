/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_FIGURES_H
#define SONDE_BOX_FIGURES_H

/*
 * The figures' life in a box, and how a duration finds its bucket. What counts and who reads is in
 * the door, box.h.
 */

#include "base/compiler.h"
#include "box/shape.h"

/* In fresh, zeroed memory; writers may come in at any moment. Async-signal-safe. */
void sonde__figures_open(const struct sonde__box *box);

/* All figures to zero, in memory that is used again; the entries and lines stay their sites'. */
void sonde__figures_restart(const struct sonde__box *box);

/* Figures as they lie in memory: this process's box, or one that somebody else left. */
struct sonde__figures_region {
	const uint8_t *base;
	struct sonde__figures_shape shape;
};

/* False where `size` bytes at `base` are not a part that can be read within its bounds. */
bool sonde__figures_region_find(const void *base, size_t size, struct sonde__figures_region *ret);

bool sonde__figures_region_read(const struct sonde__figures_region *region, uint32_t site,
				struct sonde__figures *ret);

/* 2^63 times 2^(1/4), 2^(2/4) and 2^(3/4), rounded down. */
#define SONDE__FIGURES_ROOT1 UINT64_C(0x9837f0518db8a96f)
#define SONDE__FIGURES_ROOT2 UINT64_C(0xb504f333f9de6484)
#define SONDE__FIGURES_ROOT3 UINT64_C(0xd744fccad69d6af4)

/*
 * The slot of a duration: the number of boundaries below it, where a boundary belongs to the bucket
 * under it. Exact for every number of units, because the boundaries between powers of two are
 * irrational.
 */
static SONDE__ALWAYS_INLINE uint32_t sonde__figures_slot(uint64_t units)
{
	const unsigned exponent = 63 - (unsigned)__builtin_clzll(units | 1);
	const uint64_t mantissa = units << (63 - exponent);
	uint32_t boundaries = 4 * exponent;

	boundaries += mantissa > UINT64_C(1) << 63;
	boundaries += mantissa > SONDE__FIGURES_ROOT1;
	boundaries += mantissa > SONDE__FIGURES_ROOT2;
	boundaries += mantissa > SONDE__FIGURES_ROOT3;
	/* Eight of them lie at up to 2^-30 s: those are slot 0's. */
	if (SONDE__UNLIKELY(boundaries < 8))
		boundaries = 8;
	boundaries -= 8;
	return boundaries < SONDE__FIGURES_SLOTS ? boundaries : SONDE__FIGURES_SLOTS - 1;
}

#endif
