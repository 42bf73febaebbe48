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

/* The site's entry in the shard, made at need; NULL: no room. */
struct sonde__figures_entry *sonde__figures_entry_find(const struct sonde__box *box, uint32_t shard,
						       uint32_t site);

/* Captures of this signal that were sampled out, by sonde__box_count_unsampled. */
uint64_t sonde__box_unsampled(const struct sonde__box *box, enum sonde_signal signal);

/* Figures as they lie in memory: this process's box, or one that somebody else left. */
struct sonde__figures_region {
	const uint8_t *base;
	struct sonde__figures_shape shape;
};

/* False where `size` bytes at `base` are not a part that can be read within its bounds. */
bool sonde__figures_region_find(const void *base, size_t size, struct sonde__figures_region *ret);

bool sonde__figures_region_read(const struct sonde__figures_region *region, uint32_t site,
				struct sonde__figures *ret);

/* The errors alone, also of a site without calls. */
uint64_t sonde__figures_region_errors(const struct sonde__figures_region *region, uint32_t site);

/* 2^63 times 2^(1/4), 2^(2/4) and 2^(3/4), rounded down. */
#define SONDE__FIGURES_ROOT1 UINT64_C(0x9837f0518db8a96f)
#define SONDE__FIGURES_ROOT2 UINT64_C(0xb504f333f9de6484)
#define SONDE__FIGURES_ROOT3 UINT64_C(0xd744fccad69d6af4)

/*
 * The slot of a duration is four times its power of two, plus how many of the three boundaries
 * above that power it exceeds. Exact for every number of units, because these boundaries are
 * irrational; at a power of two itself the upper bucket is taken, where OTLP says the lower one:
 * a number of units stands for all durations from it to the next, and all but the first of these
 * belong there. The two halves of a slot do not wait for each other.
 */
static SONDE__ALWAYS_INLINE bool sonde__figures_has_slot(uint64_t units)
{
	return units - SONDE__FIGURES_UNITS_MIN <
	       SONDE__FIGURES_UNITS_MAX - SONDE__FIGURES_UNITS_MIN;
}

static SONDE__ALWAYS_INLINE unsigned sonde__figures_exponent(uint64_t units)
{
	return 63 - (unsigned)__builtin_clzll(units);
}

/* Which of an entry's lines. */
static SONDE__ALWAYS_INLINE unsigned sonde__figures_line(uint64_t units)
{
	return sonde__figures_exponent(units) / 2 - 1;
}

/* Which of the line's counts. */
static SONDE__ALWAYS_INLINE unsigned sonde__figures_place(uint64_t units)
{
	const unsigned exponent = sonde__figures_exponent(units);
	const uint64_t mantissa = units << (63 - exponent);

	return (exponent % 2) * 4 + (mantissa > SONDE__FIGURES_ROOT1) +
	       (mantissa > SONDE__FIGURES_ROOT2) + (mantissa > SONDE__FIGURES_ROOT3);
}

#endif
