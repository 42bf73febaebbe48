/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_JOIN_H
#define SONDE_PIPELINE_JOIN_H

/*
 * The parts table: what was added to spans that have not been exported yet, found by the span's
 * ids. Bounded in number and bytes; when it is full the oldest part leaves as a log record of its
 * own. Beside it a memory of the spans exported last, so that a part that comes after its span is
 * known to be late and need not wait for nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/base.h>

/* One part, copied out of the ring, or made of an error. */
struct sonde__part {
	struct sonde__part *next_in_slot;
	struct sonde__part *older;
	struct sonde__part *newer;
	struct sonde__part *next_taken; /* Of the same item of a batch. */
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint64_t time; /* The record's. */
	uint64_t since_ns; /* When it came into the table. */
	bool time_is_unix;
	bool is_cut; /* A text in it lacks its end. */
	bool is_counted; /* A capture of its own. False: of an error that has a log too. */
	bool is_taken; /* On its way out, in a batch; stays until that is committed. */
	uint8_t status;
	uint8_t trace_flags;
	uint16_t n_dropped_attributes;
	uint32_t low_size; /* Of fields that yield to the span's own, */
	uint32_t fields_size; /* and of those that beat them. */
	uint32_t name_size;
	uint32_t description_size;
	uint8_t bytes[]; /* low fields, fields, name, description */
};

static inline struct sonde_bytes sonde__part_low(const struct sonde__part *part)
{
	return (struct sonde_bytes){ part->bytes, part->low_size };
}

static inline struct sonde_bytes sonde__part_fields(const struct sonde__part *part)
{
	return (struct sonde_bytes){ part->bytes + part->low_size, part->fields_size };
}

static inline struct sonde_text sonde__part_name(const struct sonde__part *part)
{
	return (struct sonde_text){ (const char *)part->bytes + part->low_size + part->fields_size,
				    part->name_size };
}

static inline struct sonde_text sonde__part_description(const struct sonde__part *part)
{
	return (struct sonde_text){ (const char *)part->bytes + part->low_size + part->fields_size +
					    part->name_size,
				    part->description_size };
}

/* Bytes that a part with so much content takes of the budget. */
static inline size_t sonde__part_size(size_t content_size)
{
	return sizeof(struct sonde__part) + content_size;
}

struct sonde__join {
	struct sonde__part **slots;
	uint64_t *exported; /* Span ids, each where its own bits say; the newer one stays. */
	size_t n_slots; /* Of both; also the most parts. */
	struct sonde__part *oldest;
	struct sonde__part *newest;
	size_t n_parts;
};

int sonde__join_init(struct sonde__join *join, size_t n_slots);
void sonde__join_deinit(struct sonde__join *join);

/* Takes a part over; it was allocated with malloc. */
void sonde__join_add(struct sonde__join *join, struct sonde__part *part);

/* Marks the span's parts as taken and chains them by time, the earliest first; NULL: none. */
struct sonde__part *sonde__join_take(struct sonde__join *join, const uint8_t trace_id[16],
				     const uint8_t span_id[8]);
/* The oldest that is not taken; NULL: none. */
struct sonde__part *sonde__join_oldest(const struct sonde__join *join);

/* Frees a part for good; returns the bytes it took. */
size_t sonde__join_remove(struct sonde__join *join, struct sonde__part *part);

/* Parts that count as captured and are still here: found by walking. */
uint64_t sonde__join_count(const struct sonde__join *join);

void sonde__join_remember(struct sonde__join *join, const uint8_t span_id[8]);
bool sonde__join_is_exported(const struct sonde__join *join, const uint8_t span_id[8]);

#endif
