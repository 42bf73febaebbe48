/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting at places that are no static memory with an id in it: captured errors by type and place,
 * and what the toolkit says by who says it. Neither their texts' addresses nor what they are of
 * last, an error may come from a plugin that is loaded where another one was. So a place finds its
 * site by content each time. `recent` remembers the answers, by a hash that is quicker than the
 * table's; what it says is held against the site's texts before it is believed. That there is no
 * room for a site is remembered as well, by 54 bits of the hash: a table that is full is not
 * searched to the end for each error of a flood.
 *
 * The count is the errors of that site's figures: so these counts lie in the box, are sharded by
 * CPU, and are read from outside like all figures.
 */

#include "box/figures_place.h"

#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "base/text.h"
#include "box/cpu.h"
#include "box/figures_inline.h"

#define RECENT 1024u
#define ID_BITS 11 /* Of a word of `recent`; above them its hash's upper bits. */
#define ID_MASK ((UINT64_C(1) << ID_BITS) - 1)

_Static_assert(SONDE__SITES_MAX <= ID_MASK - 1, "an id fits, and one number stays for none");
_Static_assert(RECENT < ID_MASK, "the bits of the hash that a word has not are its place");

static _Atomic uint64_t recent[RECENT];

/* ---- Finding the site ------------------------------------------------------------------------ */

static SONDE__ALWAYS_INLINE uint64_t word_at(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

static SONDE__ALWAYS_INLINE uint64_t text_mix(uint64_t hash, struct sonde_text text)
{
	uint64_t tail = 0;
	size_t i = 0;

	for (; i + sizeof(tail) <= text.size; i += sizeof(tail))
		hash = sonde__hash_word(hash, word_at(text.data + i));
	/* The last eight bytes once more, or what is less than eight. */
	if (text.size >= sizeof(tail))
		return sonde__hash_word(hash, word_at(text.data + text.size - sizeof(tail)) ^
						      text.size);
	for (; i < text.size; i++)
		tail = tail << 8 | (uint8_t)text.data[i];
	return sonde__hash_word(hash, tail ^ text.size << 56);
}

static bool is_site(uint32_t id, const struct sonde__site_view *place)
{
	struct sonde__site_view site;

	return sonde__site_get(id, &site) && site.kind == place->kind && site.line == place->line &&
	       sonde__text_equal(site.function, place->function) &&
	       sonde__text_equal(site.name, place->name) &&
	       sonde__text_equal(site.file, place->file);
}

static SONDE__COLD uint32_t site_find(const struct sonde__site_view *place, uint64_t hash)
{
	uint32_t id = sonde__site_find(place);

	/* Relaxed: a hint. */
	atomic_store_explicit(&recent[hash % RECENT], (hash & ~ID_MASK) | (id ? id : ID_MASK),
			      memory_order_relaxed);
	return id;
}

uint32_t sonde__place_site(const struct sonde__site_view *place)
{
	uint64_t hash = place->line ^ (uint64_t)place->kind << 32;
	uint64_t word;

	hash = text_mix(text_mix(text_mix(hash, place->function), place->name), place->file);
	/* Relaxed: a hint. The table behind the id is reached by the acquire in sonde__site_get. */
	word = atomic_load_explicit(&recent[hash % RECENT], memory_order_relaxed);
	if (SONDE__UNLIKELY((word ^ hash) & ~ID_MASK))
		return site_find(place, hash);
	if (SONDE__UNLIKELY((word & ID_MASK) == ID_MASK))
		return 0;
	if (SONDE__UNLIKELY(!is_site((uint32_t)(word & ID_MASK), place)))
		return site_find(place, hash);
	return (uint32_t)(word & ID_MASK);
}

/* ---- Counting -------------------------------------------------------------------------------- */

static SONDE__COLD bool add_common(const struct sonde__box *box, uint32_t site, uint32_t own,
				   uint64_t n)
{
	struct sonde__figures_entry *entry =
		site ? sonde__figures_entry_find(box, /* shard= */ 0, site) : NULL;
	uint64_t before;

	if (!entry)
		return false;
	/* Relaxed: a count that orders nothing. */
	before = atomic_fetch_add_explicit(&entry->errors, n, memory_order_relaxed);
	if (before / SONDE__FIGURES_UNTIL_SHARDED != (before + n) / SONDE__FIGURES_UNTIL_SHARDED &&
	    own)
		(void)sonde__figures_entry_find(box, own, site);
	return true;
}

bool sonde__place_add(const struct sonde__box *box, const struct sonde__site_view *place,
		      uint64_t n)
{
	struct sonde__figures_entry *entry = NULL;
	uint32_t site = sonde__place_site(place);
	uint32_t own = sonde__figures_shard_of(box, sonde__cpu_number(box));

	if (site && own)
		entry = sonde__figures_entry_in(box, own, site);
	if (SONDE__UNLIKELY(!entry))
		return add_common(box, site, own, n);
	/* Relaxed: a count that orders nothing. */
	atomic_fetch_add_explicit(&entry->errors, n, memory_order_relaxed);
	return true;
}
