/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_LAYOUT_H
#define SONDE_BOX_LAYOUT_H

/*
 * What the box looks like in memory, to this process and to any other that reads its file:
 *
 *	header (one page: who, when, where everything is; counters)
 *	site table, site texts
 *	ring 0 … ring n-1, all alike
 *	reserve ring
 *	figures by site: head | shards | maps, one a shard | entries | lines of counts
 *	open spans: lanes of eight entries
 *
 * and a ring:
 *
 *	struct sonde__ring | order | blocks' words | commit maps | the blocks' bytes
 *
 * Control and bytes are apart, so that a record that was written too long cannot reach a commit map
 * of its own ring, and so that blocks are aligned and a block of the smallest size holds the
 * largest record.
 *
 * No pointers: offsets count from the box's first byte, or, in a ring, from the ring's. Every
 * offset, count and stride stands in the header, so that a reader of another version finds its way.
 */

#include <stdatomic.h>
#include <stdint.h>

#include <sonde/agent.h>

#include "base/compiler.h"
#include "base/process.h"

/*
 * Kept inverted in the code, so that a scan of memory for the magic finds boxes and not this
 * library.
 */
#define SONDE__BOX_MAGIC_INVERTED UINT64_C(0x87909d9a9b91908c) /* Of "sondebox", little-endian. */
#define SONDE__BOX_LAYOUT_VERSION 1

enum sonde__box_state {
	SONDE__BOX_STATE_NEW = 0, /* Being made. */
	SONDE__BOX_STATE_LIVE = 1,
	SONDE__BOX_STATE_CLOSED = 2, /* Ended in order: nothing to recover. */
};

/* ---- Ring ------------------------------------------------------------------------------------ */

#define SONDE__GRANULE_SHIFT 5
#define SONDE__GRANULE (1u << SONDE__GRANULE_SHIFT)

/*
 * A block's word: its whole state towards writers, in one piece, so that one compare-and-swap both
 * checks and takes. From bit 0: granules taken; records taken, by signal; open; sequence.
 */
#define SONDE__WORD_FIELD 11
#define SONDE__WORD_MAX \
	((1u << SONDE__WORD_FIELD) - 1) /* Also the most granules that a block uses. */
#define SONDE__WORD_COUNT_SHIFT(signal) (SONDE__WORD_FIELD * (1 + (unsigned)(signal)))
#define SONDE__WORD_OPEN_SHIFT (SONDE__WORD_FIELD * (1 + SONDE_SIGNAL_COUNT))
#define SONDE__WORD_OPEN \
	(UINT64_C(1) << SONDE__WORD_OPEN_SHIFT) /* 0: sealed, or memory never initialised. */
#define SONDE__WORD_SEQUENCE_SHIFT (SONDE__WORD_OPEN_SHIFT + 1)
#define SONDE__WORD_SEQUENCE_BITS (64 - SONDE__WORD_SEQUENCE_SHIFT)

/*
 * A commit map's byte: the kind in the high half, for a record's first granule the signal in the
 * low.
 */
enum sonde__mark {
	SONDE__MARK_EMPTY = 0x00,
	SONDE__MARK_COMMITTED = 0x10, /* By the writer, as is */
	SONDE__MARK_DISCARDED = 0x20, /* this. The rest by the reader: */
	SONDE__MARK_COLLECTED = 0x30,
	SONDE__MARK_RELEASED = 0x40,
	SONDE__MARK_INSIDE = 0x50, /* A later granule of a record that was collected. */
};

#define SONDE__MARK_KIND 0xf0
#define SONDE__MARK_SIGNAL 0x0f

/* A ring's head: the sequence number being filled, and the block that has it. */
#define SONDE__HEAD_BLOCK_BITS 16
#define SONDE__HEAD_BLOCK_MASK ((UINT64_C(1) << SONDE__HEAD_BLOCK_BITS) - 1)

/* How far the reader is with a block; reader.c has the picture. */
enum sonde__block_stage {
	SONDE__STAGE_OPEN = 0, /* So says fresh memory. */
	SONDE__STAGE_SEALED = 1,
	SONDE__STAGE_LISTED = 2, /* In the ring's list of unfinished blocks. */
	SONDE__STAGE_WAITING = 3, /* For releases alone. */
};

struct sonde__block {
	/* Writers' line. */
	_Atomic uint64_t word; /* Taken from by writers; opened and sealed by the reader. */
	uint8_t pad[SONDE__CACHE_LINE - 8];

	/* The reader's line. */
	uint16_t ring; /* Which block this is. */
	uint16_t index;
	uint32_t scan; /* Every record before this granule has been collected. */
	uint32_t n_seen; /* Records collected or found discarded, */
	uint32_t n_done; /* of these released; */
	uint32_t n_final; /* all that it will ever have, once it is sealed. */
	uint32_t stage; /* enum sonde__block_stage */
	uint32_t next; /* In the list of unfinished blocks. */
	uint8_t pad2[SONDE__CACHE_LINE - 28];
};

struct sonde__ring {
	/* Writers' line. */
	_Atomic uint64_t head; /* Moved on by writers alone. */
	_Atomic uint64_t refused[SONDE_SIGNAL_COUNT]; /* Added to by writers: full. */
	uint8_t pad[2 * SONDE__CACHE_LINE - 32]; /* Two lines: the CPU fetches them in pairs. */

	/* The reader's lines; writers read the tail when they move the head on. */
	_Atomic uint64_t tail; /* The first sequence number that has no block yet. */
	uint8_t pad2[2 * SONDE__CACHE_LINE - 8];

	_Atomic uint64_t retirements; /* Odd while counts move from a word to `retired`. */
	_Atomic uint64_t
		retired[SONDE_SIGNAL_COUNT]; /* Records of the blocks that were handed out again. */
	_Atomic uint64_t
		invalid[SONDE_SIGNAL_COUNT]; /* Of all: discarded, or refused by the reader. */
	uint64_t read; /* The first sequence number not wholly scanned. */
	uint8_t pad3[2 * SONDE__CACHE_LINE - 64];

	uint32_t
		/* First of the list of blocks that were passed with unfinished records. */
		unfinished;
	uint8_t pad4[2 * SONDE__CACHE_LINE - 4];
};

/* How a ring is laid out; the same for all ordinary rings. In every box's header. */
struct sonde__ring_shape {
	uint32_t n_blocks;
	uint32_t order_mask; /* Entries of `order` less one. */
	uint32_t n_granules; /* That may be taken in a block. */
	uint32_t block_shift; /* log2 of a block's bytes. */
	uint32_t order_offset; /* uint16_t each: the block that has a sequence number. */
	uint32_t blocks_offset; /* struct sonde__block each. */
	uint32_t maps_offset; /* 1 << (block_shift - SONDE__GRANULE_SHIFT) bytes each. */
	uint32_t data_offset;
	uint64_t size;
};

/* ---- Header ---------------------------------------------------------------------------------- */

struct sonde__box_part {
	uint64_t offset;
	uint32_t count;
	uint32_t stride;
};

#define SONDE__SERVICE_SIZE 64

struct sonde__box_header {
	_Atomic uint64_t magic; /* Written last. */
	uint32_t layout_version;
	uint32_t header_size;
	uint64_t box_size;
	_Atomic uint32_t state; /* enum sonde__box_state */
	uint32_t granule_shift;
	uint8_t word_field_bits;
	uint8_t word_open_bit;
	uint8_t word_sequence_bits;
	uint8_t head_block_bits;
	uint32_t block_stride; /* sizeof(struct sonde__block) */
	struct sonde__process_id process;
	uint64_t pid_namespace; /* In which the pid means something; 0: not known. */
	char service[SONDE__SERVICE_SIZE]; /* Ends with a zero. */
	uint64_t anchor_ticks;
	uint64_t anchor_monotonic_ns;
	uint64_t anchor_realtime_ns;
	uint64_t ticks_per_ms;
	struct sonde__box_part
		sites; /* uint32_t: offset of the site's text record in units of 8; 0: none. */
	struct sonde__box_part texts;
	struct sonde__box_part rings;
	struct sonde__box_part reserve;
	struct sonde__box_part open_spans; /* struct sonde__open_entry: what runs now. */
	struct sonde__box_part counters;
	struct sonde__box_part figures; /* Begins with struct sonde__figures_head. */
	struct sonde__ring_shape ring_shape;
	struct sonde__ring_shape reserve_shape;
};

#define SONDE__BOX_HEADER_SIZE 4096
#define SONDE__BOX_SIZE_MIN (256u * 1024)
#define SONDE__BOX_SIZE_MAX (256u * 1024 * 1024)
#define SONDE__SITES_MAX 1024u
#define SONDE__ERROR_SITES_MAX (SONDE__SITES_MAX / 2) /* Of these, of errors, */
#define SONDE__EVENT_SITES_MAX (SONDE__SITES_MAX / 4) /* and of what the toolkit says. */
#define SONDE__TEXTS_MAX (128u * 1024)
#define SONDE__RINGS_MAX 1024u

/*
 * A site's text record: this, then name, file and function, then zeros up to a multiple of 8.
 * Records lie one after the other; the first begins at 8, so that 0 is none.
 */
struct sonde__site_text {
	uint32_t hash;
	uint32_t line;
	uint16_t name_size;
	uint16_t file_size;
	uint16_t function_size;
	uint16_t kind; /* enum sonde__site_kind */
};

/* ---- Figures --------------------------------------------------------------------------------- */

/*
 * Calls, errors and durations by site; figures.c has the picture. Durations are counted in units of
 * 2^-32 s. A line has the counts of eight neighbouring buckets.
 */
#define SONDE__FIGURES_SCALE 2 /* Buckets grow by 2^(1/4). */
#define SONDE__FIGURES_LINE 8u
#define SONDE__FIGURES_LINES 22u /* Of one entry. */
#define SONDE__FIGURES_SLOTS (SONDE__FIGURES_LINE * SONDE__FIGURES_LINES)
/*
 * Slots begin at 4 units, 2^-30 s, and end at 2^14 s. What is outside counts in the first and the
 * last. Slot n is the OTLP bucket of this index plus n.
 */
#define SONDE__FIGURES_UNITS_MIN UINT64_C(4)
#define SONDE__FIGURES_UNITS_MAX (UINT64_C(1) << 46)
#define SONDE__FIGURES_INDEX (-120)
#define SONDE__FIGURES_SITES (1 + SONDE__SITES_MAX) /* By a site's id; 0: all others. */
#define SONDE__FIGURES_OWN_MAX 16u /* Shards besides the common one. */

struct sonde__figures_line {
	_Atomic uint64_t counts[SONDE__FIGURES_LINE];
};

/* One site's in one shard: a cache line. Of an error's site, the errors alone. */
struct sonde__figures_entry {
	_Atomic uint64_t units; /* Sum of the durations, */
	_Atomic uint64_t errors;
	/* Where the last call was counted: place; which line, << 8; that line's number, << 16. */
	_Atomic uint32_t recent;
	_Atomic uint16_t lines[SONDE__FIGURES_LINES]; /* Number of a line plus 1; 0: none. */
};

/* What no record says, by shard. */
struct sonde__figures_shard {
	_Atomic uint64_t unsampled[SONDE_SIGNAL_COUNT];
	uint8_t pad[SONDE__CACHE_LINE - 8 * SONDE_SIGNAL_COUNT];
};

struct sonde__figures_shape {
	uint32_t n_shards; /* The common one, and a power of two of CPUs' own. */
	uint32_t n_entries;
	uint32_t n_lines;
	uint32_t map_stride; /* Maps: uint16_t by site, the number of an entry plus 1; 0: none. */
	uint32_t shards_offset; /* All four from the part's first byte. */
	uint32_t maps_offset;
	uint32_t entries_offset;
	uint32_t lines_offset;
	uint32_t size;
};

struct sonde__figures_head {
	int32_t scale;
	int32_t index;
	uint32_t n_sites;
	uint32_t n_slots;
	struct sonde__figures_shape shape;
	uint8_t pad[2 * SONDE__CACHE_LINE - 52];

	_Atomic uint32_t n_entries_used; /* 0: not open. Both moved on by writers. */
	_Atomic uint32_t n_lines_used;
	_Atomic uint64_t n_misplaced; /* Calls that were counted with site 0 for want of room. */
	_Atomic uint64_t n_errors_misplaced; /* Captured errors that found no site, or no entry. */
	_Atomic uint64_t n_events_misplaced; /* The same of what the toolkit says, */
	_Atomic uint64_t n_items_misplaced; /* and of the items that it says it about. */
	uint8_t pad2[2 * SONDE__CACHE_LINE - 40];
};

/* ---- Open spans ------------------------------------------------------------------------------ */

/*
 * A recorded span between its begin and its end; open.c has the picture. Entries lie in lanes; a
 * thread uses the lane, and at need a second one, that follow from where its memory is.
 */
#define SONDE__OPEN_LANE 8u
#define SONDE__OPEN_ENTRIES_MIN 64u
#define SONDE__OPEN_ENTRIES_MAX 16384u

struct sonde__open_entry {
	_Atomic uint64_t span_id; /* 0: free. Written first. */
	_Atomic uint64_t check; /* ~span_id, written last. */
	_Atomic uint64_t trace_id[2];
	_Atomic uint64_t start; /* Ticks, or ns since 1970 where the caller gave it. */
	_Atomic uint32_t site;
	_Atomic uint32_t place; /* Of the span in memory, bits 4 to 35. */
	_Atomic uint32_t owner; /* Kept from span to span: the thread's mark, */
	_Atomic uint32_t thread; /* and its id. */
	_Atomic uint64_t parent_id;
};

/* ---- Counters -------------------------------------------------------------------------------- */

/* Losses that no ring knows of. */
#define SONDE__BOX_COUNTERS_OFFSET 2048
#define SONDE__BOX_REASONS 32

struct sonde__box_counters {
	_Atomic uint64_t lost[SONDE_SIGNAL_COUNT][SONDE__BOX_REASONS];
	_Atomic uint64_t open_untracked; /* Spans that began, or went on, without an open entry. */
};

#endif
