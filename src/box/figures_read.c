/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folding the shards of one site's figures, out of memory that anybody of this user may have
 * scribbled on: every number found there is held against a shape that lies elsewhere, and wrong
 * ones are left out. Reads while writers write: each count by itself only grows.
 */

#include "box/figures.h"

#include <string.h>

#include "box/box.h"

#define UNITS_PER_SECOND 0x1p32

struct sum {
	uint64_t counts[SONDE__FIGURES_SLOTS];
	uint64_t errors;
	double units;
};

static bool area_fits(uint64_t offset, uint64_t count, uint64_t stride, uint64_t size)
{
	return offset % sizeof(uint64_t) == 0 && offset <= size && count * stride <= size - offset;
}

bool sonde__figures_region_find(const void *base, size_t size, struct sonde__figures_region *ret)
{
	const struct sonde__figures_head *head = base;
	struct sonde__figures_region region = { .base = base };
	const struct sonde__figures_shape *shape = &region.shape;

	if (size < sizeof(*head) || (uintptr_t)base % sizeof(uint64_t))
		return false;
	region.shape = head->shape;
	if (head->scale != SONDE__FIGURES_SCALE || head->index != SONDE__FIGURES_INDEX ||
	    head->n_sites != SONDE__FIGURES_SITES || head->n_slots != SONDE__FIGURES_SLOTS ||
	    shape->n_shards > 1 + SONDE__FIGURES_OWN_MAX ||
	    shape->map_stride < SONDE__FIGURES_SITES * sizeof(uint16_t) ||
	    !area_fits(shape->shards_offset, shape->n_shards,
		       sizeof(struct sonde__figures_shard), size) ||
	    !area_fits(shape->maps_offset, shape->n_shards, shape->map_stride, size) ||
	    !area_fits(shape->entries_offset, shape->n_entries,
		       sizeof(struct sonde__figures_entry), size) ||
	    !area_fits(shape->lines_offset, shape->n_lines, sizeof(struct sonde__figures_line),
		       size))
		return false;
	*ret = region;
	return true;
}

static const struct sonde__figures_entry *entry_of(const struct sonde__figures_region *region,
						   uint32_t shard, uint32_t site)
{
	const struct sonde__figures_shape *shape = &region->shape;
	const _Atomic uint16_t *map = (const _Atomic uint16_t *)(region->base + shape->maps_offset +
								 shard * shape->map_stride);
	/* Relaxed: the number is all there is to it. */
	uint32_t number = atomic_load_explicit(&map[site], memory_order_relaxed);

	if (number - 1 >= shape->n_entries)
		return NULL;
	return (const struct sonde__figures_entry *)(region->base + shape->entries_offset) +
	       number - 1;
}

static void line_fold(const struct sonde__figures_region *region, uint32_t number,
		      uint64_t counts[SONDE__FIGURES_LINE])
{
	const struct sonde__figures_line *line;

	if (number - 1 >= region->shape.n_lines)
		return;
	line = (const struct sonde__figures_line *)(region->base + region->shape.lines_offset) +
	       number - 1;
	/* Relaxed: each count for itself. */
	for (uint32_t i = 0; i < SONDE__FIGURES_LINE; i++)
		counts[i] += atomic_load_explicit(&line->counts[i], memory_order_relaxed);
}

static void entry_fold(const struct sonde__figures_region *region,
		       const struct sonde__figures_entry *entry, struct sum *sum)
{
	/* A1, partner R1: the calls of these errors are counted below. */
	sum->errors += atomic_load_explicit(&entry->errors, memory_order_acquire);
	/* Relaxed, both: a count, and a number. */
	sum->units += (double)atomic_load_explicit(&entry->units, memory_order_relaxed);
	for (uint32_t i = 0; i < SONDE__FIGURES_LINES; i++)
		line_fold(region, atomic_load_explicit(&entry->lines[i], memory_order_relaxed),
			  &sum->counts[i * SONDE__FIGURES_LINE]);
}

/* What lies between the first and the last bucket that is not empty. */
static void buckets_fill(const struct sum *sum, struct sonde__figures *ret)
{
	uint32_t first = 1;
	uint32_t last = SONDE__FIGURES_SLOTS - 1;

	while (first <= last && !sum->counts[first])
		first++;
	while (last > first && !sum->counts[last])
		last--;
	ret->offset = first <= last ? SONDE__FIGURES_INDEX + (int32_t)first : 0;
	ret->n_buckets = first <= last ? last - first + 1 : 0;
	memcpy(ret->buckets, &sum->counts[first], ret->n_buckets * sizeof(ret->buckets[0]));
}

bool sonde__figures_region_read(const struct sonde__figures_region *region, uint32_t site,
				struct sonde__figures *ret)
{
	struct sum sum = { .errors = 0 };
	uint64_t calls = 0;

	if (site >= SONDE__FIGURES_SITES)
		return false;
	for (uint32_t shard = 0; shard < region->shape.n_shards; shard++) {
		const struct sonde__figures_entry *entry = entry_of(region, shard, site);

		if (entry)
			entry_fold(region, entry, &sum);
	}
	for (uint32_t i = 0; i < SONDE__FIGURES_SLOTS; i++)
		calls += sum.counts[i];
	if (!calls)
		return false;
	ret->site = site;
	ret->scale = SONDE__FIGURES_SCALE;
	ret->calls = calls;
	ret->errors = sum.errors;
	ret->sum_seconds = sum.units / UNITS_PER_SECOND;
	ret->zero_count = sum.counts[0];
	buckets_fill(&sum, ret);
	return true;
}

uint64_t sonde__figures_region_errors(const struct sonde__figures_region *region, uint32_t site)
{
	uint64_t n = 0;

	if (site >= SONDE__FIGURES_SITES)
		return 0;
	for (uint32_t shard = 0; shard < region->shape.n_shards; shard++) {
		const struct sonde__figures_entry *entry = entry_of(region, shard, site);

		/* Relaxed: each count for itself. */
		if (entry)
			n += atomic_load_explicit(&entry->errors, memory_order_relaxed);
	}
	return n;
}

uint64_t sonde__errors_read(uint32_t site)
{
	const struct sonde__box *box = sonde__box_get();
	struct sonde__figures_region region;

	if (!box)
		return 0;
	region = (struct sonde__figures_region){ .base = box->figures,
						 .shape = box->figures_shape };
	return sonde__figures_region_errors(&region, site);
}

bool sonde__figures_read(uint32_t site, struct sonde__figures *ret)
{
	const struct sonde__box *box = sonde__box_get();
	struct sonde__figures_region region;

	if (!box)
		return false;
	region = (struct sonde__figures_region){ .base = box->figures,
						 .shape = box->figures_shape };
	return sonde__figures_region_read(&region, site, ret);
}
