/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the bytes are divided. Sixteen blocks to a ring are aimed at, so that one that is quarantined
 * under a stopped writer costs little, of 64 KiB where the ring is large enough and of 16 KiB, the
 * size of the largest record, at least. A ring gets 256 KiB before another CPU gets one of its own:
 * a few CPUs sharing a ring cost each other some cache misses, a ring that holds too little costs
 * records.
 */

#include "box/shape.h"

#define PAGE 4096u
#define BLOCK_SHIFT_MIN 14
#define BLOCK_SHIFT_MAX 16
#define BLOCKS_MIN 4u
#define BLOCKS_AIM 16u
#define BLOCKS_MAX 4096u
#define RING_AIM (256u * 1024)
#define RESERVE_MAX (1024u * 1024)
#define TEXTS_MIN (16u * 1024)
#define FIGURES_MIN (32u * 1024)
#define FIGURES_MAX (1024u * 1024)
#define FIGURES_SHARD (32u * 1024) /* A shard's share, at the least. */
#define LINES_PER_ENTRY 4u
#define BYTES_PER_OPEN_ENTRY 1536u /* Of the box: a twenty-fourth of it is for open spans. */

_Static_assert((1u << BLOCK_SHIFT_MIN) >= SONDE__RECORD_MAX_SIZE,
	       "the largest record fits the smallest block");
_Static_assert(BLOCKS_MAX <= SONDE__HEAD_BLOCK_MASK, "a head can name every block");
_Static_assert(sizeof(struct sonde__ring) == 8 * SONDE__CACHE_LINE,
	       "no line is shared by two owners");
_Static_assert(sizeof(struct sonde__block) == 2 * SONDE__CACHE_LINE,
	       "no line is shared by two owners");
_Static_assert(sizeof(struct sonde__box_header) <= SONDE__BOX_COUNTERS_OFFSET,
	       "header and counters are apart");
_Static_assert(SONDE__BOX_COUNTERS_OFFSET + sizeof(struct sonde__box_counters) <=
		       SONDE__BOX_HEADER_SIZE,
	       "header and counters are one page");
_Static_assert(sizeof(struct sonde__figures_head) == 4 * SONDE__CACHE_LINE,
	       "no line is shared by two owners");
_Static_assert(sizeof(struct sonde__figures_entry) == SONDE__CACHE_LINE &&
		       sizeof(struct sonde__figures_line) == SONDE__CACHE_LINE &&
		       sizeof(struct sonde__figures_shard) == SONDE__CACHE_LINE,
	       "one access, one line");
_Static_assert(FIGURES_MAX / SONDE__CACHE_LINE < UINT16_MAX, "an index names every line");
_Static_assert(sizeof(struct sonde__open_entry) == SONDE__CACHE_LINE, "one span, one line");
_Static_assert(SONDE_LOSS_COUNT <= SONDE__BOX_REASONS, "every reason has a counter");

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static uint64_t bounded(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static void shape_fill(uint32_t n_blocks, uint32_t block_shift, struct sonde__ring_shape *ret)
{
	uint32_t map_size = 1u << (block_shift - SONDE__GRANULE_SHIFT);
	uint32_t n_order = 1;

	while (n_order < n_blocks)
		n_order *= 2;
	ret->n_blocks = n_blocks;
	ret->order_mask = n_order - 1;
	ret->n_granules = map_size < SONDE__WORD_MAX ? map_size : SONDE__WORD_MAX;
	ret->block_shift = block_shift;
	ret->order_offset = sizeof(struct sonde__ring);
	ret->blocks_offset = (uint32_t)round_up(ret->order_offset + n_order * sizeof(uint16_t),
						2 * SONDE__CACHE_LINE);
	ret->maps_offset = ret->blocks_offset + n_blocks * (uint32_t)sizeof(struct sonde__block);
	ret->data_offset = (uint32_t)round_up(ret->maps_offset + n_blocks * map_size, PAGE);
	ret->size = ret->data_offset + ((uint64_t)n_blocks << block_shift);
}

bool sonde__ring_shape_fit(uint64_t size, uint32_t block_shift, struct sonde__ring_shape *ret)
{
	struct sonde__ring_shape shape;
	uint32_t n_blocks = (uint32_t)bounded(size >> block_shift, 0, BLOCKS_MAX);

	for (; n_blocks >= BLOCKS_MIN; n_blocks--) {
		shape_fill(n_blocks, block_shift, &shape);
		if (shape.size <= size) {
			*ret = shape;
			return true;
		}
	}
	return false;
}

static void ring_shape_choose(uint64_t size, struct sonde__ring_shape *ret)
{
	uint32_t shift = BLOCK_SHIFT_MAX;

	while (shift > BLOCK_SHIFT_MIN && size / BLOCKS_AIM < (UINT64_C(1) << shift))
		shift--;
	if (!sonde__ring_shape_fit(size, shift, ret))
		shape_fill(BLOCKS_MIN, BLOCK_SHIFT_MIN, ret);
}

void sonde__figures_shape_choose(uint64_t size, unsigned n_cpus, struct sonde__figures_shape *ret)
{
	const uint32_t line = sizeof(struct sonde__figures_line);
	uint32_t n_own = 1;
	uint32_t n_lines;

	size = bounded(size, FIGURES_MIN, FIGURES_MAX);
	while (n_own < n_cpus && n_own < SONDE__FIGURES_OWN_MAX &&
	       size / (2 * n_own) >= FIGURES_SHARD)
		n_own *= 2;
	ret->n_shards = 1 + n_own;
	ret->map_stride = (uint32_t)round_up(SONDE__FIGURES_SITES * sizeof(uint16_t), line);
	ret->shards_offset = sizeof(struct sonde__figures_head);
	ret->maps_offset = ret->shards_offset +
			   ret->n_shards * (uint32_t)sizeof(struct sonde__figures_shard);
	ret->entries_offset = ret->maps_offset + ret->n_shards * ret->map_stride;
	n_lines = (uint32_t)(size - ret->entries_offset) / line;
	ret->n_entries = n_lines / (1 + LINES_PER_ENTRY);
	ret->n_lines = n_lines - ret->n_entries;
	ret->lines_offset = ret->entries_offset + ret->n_entries * line;
	ret->size = ret->lines_offset + ret->n_lines * line;
}

static uint32_t open_entries_choose(uint64_t size)
{
	uint32_t n_entries = SONDE__OPEN_ENTRIES_MIN;

	while (n_entries < SONDE__OPEN_ENTRIES_MAX && 2 * n_entries <= size / BYTES_PER_OPEN_ENTRY)
		n_entries *= 2;
	return n_entries;
}

/* One part after the other; *at is the first free byte. */
static struct sonde__box_part part_place(uint64_t *at, uint32_t count, uint64_t stride)
{
	struct sonde__box_part part = { .offset = *at, .count = count, .stride = (uint32_t)stride };

	*at = round_up(*at + count * stride, PAGE);
	return part;
}

void sonde__box_divide(uint64_t size, unsigned n_cpus, struct sonde__box *ret,
		       struct sonde__box_header *ret_header)
{
	uint64_t at = SONDE__BOX_HEADER_SIZE;
	uint64_t space;

	size = bounded(size, SONDE__BOX_SIZE_MIN, SONDE__BOX_SIZE_MAX) / PAGE * PAGE;
	ret_header->sites = part_place(&at, SONDE__SITES_MAX, sizeof(uint32_t));
	ret_header->texts = part_place(
		&at, (uint32_t)(bounded(size / 16, TEXTS_MIN, SONDE__TEXTS_MAX) / PAGE * PAGE), 1);
	if (!sonde__ring_shape_fit(bounded(size / 16, 0, RESERVE_MAX), BLOCK_SHIFT_MIN,
				   &ret->reserve_shape))
		shape_fill(BLOCKS_MIN, BLOCK_SHIFT_MIN, &ret->reserve_shape);
	sonde__figures_shape_choose(size / 8, n_cpus, &ret->figures_shape);
	ret->has_own_counts = n_cpus > 0 && n_cpus < ret->figures_shape.n_shards;
	ret->n_open_entries = open_entries_choose(size);
	space = size - at - ret->reserve_shape.size - round_up(ret->figures_shape.size, PAGE) -
		round_up(ret->n_open_entries * sizeof(struct sonde__open_entry), PAGE);
	ret->n_rings = (uint32_t)bounded(space / RING_AIM, 1, bounded(n_cpus, 1, SONDE__RINGS_MAX));
	ring_shape_choose(space / ret->n_rings / PAGE * PAGE, &ret->ring_shape);
	ret_header->rings = part_place(&at, ret->n_rings, ret->ring_shape.size);
	ret_header->reserve = part_place(&at, 1, ret->reserve_shape.size);
	ret_header->figures = part_place(&at, 1, ret->figures_shape.size);
	ret_header->open_spans =
		part_place(&at, ret->n_open_entries, sizeof(struct sonde__open_entry));
	ret_header->counters = (struct sonde__box_part){ SONDE__BOX_COUNTERS_OFFSET, 1,
							 sizeof(struct sonde__box_counters) };
	ret_header->ring_shape = ret->ring_shape;
	ret_header->reserve_shape = ret->reserve_shape;
	ret_header->box_size = at;
	ret->size = at;
}
