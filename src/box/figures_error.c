/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact counts of captured errors, by type and place. An error's place is a site like a span's,
 * named by the type, and its count is the errors of that site's figures, which has no calls: so
 * these counts lie in the box, are sharded by CPU, and are read from outside like all figures.
 *
 * Errors are no macro with static memory for an id, and neither their texts' addresses nor their
 * types' last: an error may come from a plugin that is loaded where another one was. So an error
 * finds its site by content each time. `recent` remembers the answers, by a hash that is quicker
 * than the table's; what it says is held against the site's texts before it is believed. That there
 * is no room for a site is remembered as well, by 54 bits of the hash: a table that is full is not
 * searched to the end for each error of a flood.
 */

#include "box/figures.h"

#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "base/text.h"
#include "box/box.h"
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

static uint32_t site_of(const struct sonde__site_view *place)
{
	uint64_t hash = text_mix(text_mix(text_mix(place->line, place->function), place->name),
				 place->file);
	/* Relaxed: a hint. The table behind the id is reached by the acquire in sonde__site_get. */
	uint64_t word = atomic_load_explicit(&recent[hash % RECENT], memory_order_relaxed);

	if (SONDE__UNLIKELY((word ^ hash) & ~ID_MASK))
		return site_find(place, hash);
	if (SONDE__UNLIKELY((word & ID_MASK) == ID_MASK))
		return 0;
	if (SONDE__UNLIKELY(!is_site((uint32_t)(word & ID_MASK), place)))
		return site_find(place, hash);
	return (uint32_t)(word & ID_MASK);
}

/* ---- Counting -------------------------------------------------------------------------------- */

static SONDE__COLD void count_common(const struct sonde__box *box, uint32_t site, uint32_t own)
{
	struct sonde__figures_entry *entry =
		site ? sonde__figures_entry_find(box, /* shard= */ 0, site) : NULL;
	uint64_t n;

	/* Relaxed, both: counts that order nothing. */
	if (!entry) {
		atomic_fetch_add_explicit(&sonde__figures_head(box)->n_errors_misplaced, 1,
					  memory_order_relaxed);
		return;
	}
	n = atomic_fetch_add_explicit(&entry->errors, 1, memory_order_relaxed) + 1;
	if (n % SONDE__FIGURES_UNTIL_SHARDED == 0 && own)
		(void)sonde__figures_entry_find(box, own, site);
}

void sonde__errors_count(const struct sonde__site_view *place)
{
	const struct sonde__box *box = sonde__box_get();
	struct sonde__figures_entry *entry = NULL;
	uint32_t site;
	uint32_t own;

	if (!box)
		return;
	site = site_of(place);
	own = sonde__figures_shard_of(box, sonde__cpu_number(box));
	if (site && own)
		entry = sonde__figures_entry_in(box, own, site);
	/* Relaxed: a count that orders nothing. */
	if (SONDE__LIKELY(entry != NULL))
		atomic_fetch_add_explicit(&entry->errors, 1, memory_order_relaxed);
	else
		count_common(box, site, own);
}

uint64_t sonde__errors_misplaced(void)
{
	const struct sonde__box *box = sonde__box_get();

	/* Relaxed: a count that orders nothing. */
	return box ? atomic_load_explicit(&sonde__figures_head(box)->n_errors_misplaced,
					  memory_order_relaxed) :
		     0;
}
