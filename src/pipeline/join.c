/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of chains by span id, which is random already, with a list through all entries by
 * age. The table keeps a part until its batch is committed, marked as taken, so that whoever counts
 * the parts finds each of them in exactly one place.
 */

#include "pipeline/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static uint64_t id_of(const uint8_t span_id[8])
{
	uint64_t id;

	memcpy(&id, span_id, sizeof(id));
	return id;
}

static size_t slot_of(const struct sonde__join *join, const uint8_t span_id[8])
{
	return sonde__mix64(id_of(span_id)) & (join->n_slots - 1);
}

int sonde__join_init(struct sonde__join *join, size_t n_slots)
{
	*join = (struct sonde__join){
		.slots = calloc(n_slots, sizeof(*join->slots)),
		.exported = calloc(n_slots, sizeof(*join->exported)),
		.n_slots = n_slots,
	};
	return join->slots && join->exported ? SONDE_OK : SONDE_E_NOMEM;
}

void sonde__join_deinit(struct sonde__join *join)
{
	struct sonde__part *next;

	for (struct sonde__part *part = join->oldest; part; part = next) {
		next = part->newer;
		free(part);
	}
	free(join->slots);
	free(join->exported);
	*join = (struct sonde__join){ 0 };
}

void sonde__join_add(struct sonde__join *join, struct sonde__part *part)
{
	struct sonde__part **slot = &join->slots[slot_of(join, part->span_id)];

	part->next_in_slot = *slot;
	*slot = part;
	part->older = join->newest;
	part->newer = NULL;
	if (join->newest)
		join->newest->newer = part;
	else
		join->oldest = part;
	join->newest = part;
	join->n_parts++;
}

/* Before all that are later; what came later into the table also stands later among equals. */
static void chain_by_time(struct sonde__part **chain, struct sonde__part *part)
{
	while (*chain && (*chain)->time < part->time)
		chain = &(*chain)->next_taken;
	part->next_taken = *chain;
	*chain = part;
}

struct sonde__part *sonde__join_take(struct sonde__join *join, const uint8_t trace_id[16],
				     const uint8_t span_id[8])
{
	struct sonde__part *chain = NULL;

	if (!join->n_parts)
		return NULL;
	for (struct sonde__part *part = join->slots[slot_of(join, span_id)]; part;
	     part = part->next_in_slot) {
		if (part->is_taken || memcmp(part->span_id, span_id, 8) ||
		    memcmp(part->trace_id, trace_id, 16))
			continue;
		part->is_taken = true;
		chain_by_time(&chain, part);
	}
	return chain;
}

struct sonde__part *sonde__join_oldest(const struct sonde__join *join)
{
	struct sonde__part *part = join->oldest;

	while (part && part->is_taken)
		part = part->newer;
	return part;
}

size_t sonde__join_remove(struct sonde__join *join, struct sonde__part *part)
{
	struct sonde__part **link = &join->slots[slot_of(join, part->span_id)];
	size_t size = sonde__part_size((size_t)part->low_size + part->fields_size +
				       part->name_size + part->description_size);

	while (*link != part)
		link = &(*link)->next_in_slot;
	*link = part->next_in_slot;
	if (part->older)
		part->older->newer = part->newer;
	else
		join->oldest = part->newer;
	if (part->newer)
		part->newer->older = part->older;
	else
		join->newest = part->older;
	join->n_parts--;
	free(part);
	return size;
}

uint64_t sonde__join_count(const struct sonde__join *join)
{
	uint64_t n = 0;

	for (const struct sonde__part *part = join->oldest; part; part = part->newer)
		n += part->is_counted;
	return n;
}

void sonde__join_remember(struct sonde__join *join, const uint8_t span_id[8])
{
	join->exported[slot_of(join, span_id)] = id_of(span_id);
}

bool sonde__join_is_exported(const struct sonde__join *join, const uint8_t span_id[8])
{
	return join->exported[slot_of(join, span_id)] == id_of(span_id) && id_of(span_id) != 0;
}
