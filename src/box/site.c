/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sites: each place in the source that records, by a small number. Ids are the
 * process's, because callers keep them in static memory: they must stay the same when the box is
 * made anew. So the table itself is private memory, and every box gets a copy.
 *
 * The table is a hash table without deletion. A slot holds where the site's text record begins, 0
 * for none; an id is a slot's number plus one. A site is added by writing its text into memory that
 * was taken by moving `texts_used` on, and then publishing it in an empty slot by compare-and-swap.
 * Whoever loses that race compares itself with the winner and goes on; the text it wrote is given
 * back if it was the last, else wasted. No step waits for another thread, so a signal handler may
 * interrupt any of them with the same call.
 *
 * Adding while the box is replaced (a restart): the adder publishes, then touches `epoch`, then
 * writes into the box; the opener maps the new box, then touches `epoch`, then copies what is
 * published. The two touches are read-modify-writes of one word, so one comes first: the adder's,
 * then the opener sees the site and copies it; or the opener's, then the adder writes into the new
 * box. Either or both write the same bytes.
 */

#include "box/site.h"

#include <string.h>

#include "base/compiler.h"
#include "base/process.h"
#include "base/random.h"
#include "base/text.h"

#define TEXT_UNIT 8u
#define TEXT_PART_MAX 512u
#define ID_NONE UINT32_MAX /* Kept in a caller's site: the table was full, do not ask again. */

static _Atomic uint32_t slots[SONDE__SITES_MAX]; /* In units of 8 bytes. */
static _Alignas(TEXT_UNIT) uint8_t texts[SONDE__TEXTS_MAX];
static _Atomic uint32_t texts_used = TEXT_UNIT;
static _Atomic uint32_t texts_limit = SONDE__TEXTS_MAX;
static _Atomic uint32_t epoch;

/* What others than spans may have of sites and texts, and have. */
struct share {
	uint32_t divisor;
	_Atomic uint32_t n_sites;
	_Atomic uint32_t texts_used;
};

static struct share error_share = { .divisor = SONDE__SITES_MAX / SONDE__ERROR_SITES_MAX };
static struct share event_share = { .divisor = SONDE__SITES_MAX / SONDE__EVENT_SITES_MAX };

struct content {
	struct sonde_text name;
	struct sonde_text file;
	struct sonde_text function;
	uint32_t line;
	uint32_t hash;
	enum sonde__site_kind kind;
};

/* ---- Content --------------------------------------------------------------------------------- */

static struct sonde_text text_bounded(struct sonde_text text)
{
	if (text.size > TEXT_PART_MAX)
		text.size = sonde__utf8_cut(text.data, text.size, TEXT_PART_MAX);
	return text;
}

static struct sonde_text text_of(const char *data)
{
	struct sonde_text text = { .data = data ? data : "", .size = 0 };

	text.size = strnlen(text.data, TEXT_PART_MAX + 1);
	return text;
}

static uint64_t text_hash(uint64_t hash, struct sonde_text text)
{
	for (size_t i = 0; i < text.size; i++)
		hash = (hash ^ (uint8_t)text.data[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
	return sonde__mix64(hash ^ text.size);
}

static struct content content_of(const struct sonde__site_view *site)
{
	struct content content = {
		.name = text_bounded(site->name),
		.file = text_bounded(site->file),
		.function = text_bounded(site->function),
		.line = site->line,
		.kind = site->kind,
	};
	uint64_t hash = site->line ^ (uint64_t)site->kind << 32;

	hash = text_hash(hash, content.name);
	hash = text_hash(hash, content.file);
	content.hash = (uint32_t)text_hash(hash, content.function);
	return content;
}

static const struct sonde__site_text *text_at(uint32_t slot_value)
{
	return (const struct sonde__site_text *)(texts + (size_t)slot_value * TEXT_UNIT);
}

static struct sonde__site_view view_of(const struct sonde__site_text *text)
{
	const char *bytes = (const char *)(text + 1);
	struct sonde__site_view view = {
		.name = { bytes, text->name_size },
		.file = { bytes + text->name_size, text->file_size },
		.function = { bytes + text->name_size + text->file_size, text->function_size },
		.line = text->line,
		.kind = (enum sonde__site_kind)text->kind,
	};

	return view;
}

static bool content_equal(const struct content *content, const struct sonde__site_text *text)
{
	struct sonde__site_view view = view_of(text);

	return content->hash == text->hash && content->line == text->line &&
	       content->kind == view.kind && sonde__text_equal(content->name, view.name) &&
	       sonde__text_equal(content->file, view.file) &&
	       sonde__text_equal(content->function, view.function);
}

static uint32_t text_size(size_t n_bytes)
{
	return (uint32_t)((sizeof(struct sonde__site_text) + n_bytes + TEXT_UNIT - 1) / TEXT_UNIT *
			  TEXT_UNIT);
}

static uint32_t content_size(const struct content *content)
{
	return text_size(content->name.size + content->file.size + content->function.size);
}

/* ---- Text memory ----------------------------------------------------------------------------- */

/* A new text record; what a slot is to hold for it, or 0 where there is no room. */
static uint32_t text_add(const struct content *content)
{
	uint32_t size = content_size(content);
	/* Relaxed: the memory taken is read by nobody before its slot is published. */
	uint32_t limit = atomic_load_explicit(&texts_limit, memory_order_relaxed);
	uint32_t at = atomic_load_explicit(&texts_used, memory_order_relaxed);
	struct sonde__site_text *text;
	char *bytes;

	do {
		if (size > limit || at > limit - size)
			return 0;
		/*
		 * Acquire, partner the release in text_return: the last owner of this memory is
		 * done with it.
		 */
	} while (!atomic_compare_exchange_weak_explicit(
		&texts_used, &at, at + size, memory_order_acquire, memory_order_relaxed));
	text = (struct sonde__site_text *)(texts + at);
	memset(text, 0, size);
	text->hash = content->hash;
	text->line = content->line;
	text->name_size = (uint16_t)content->name.size;
	text->file_size = (uint16_t)content->file.size;
	text->function_size = (uint16_t)content->function.size;
	text->kind = (uint16_t)content->kind;
	bytes = (char *)(text + 1);
	memcpy(bytes, content->name.data, content->name.size);
	memcpy(bytes + content->name.size, content->file.data, content->file.size);
	memcpy(bytes + content->name.size + content->file.size, content->function.data,
	       content->function.size);
	return at / TEXT_UNIT;
}

/* Gives back a text that was not published, if nothing was added behind it. */
static void text_return(uint32_t slot_value)
{
	const struct sonde__site_text *text = text_at(slot_value);
	uint32_t at = slot_value * TEXT_UNIT;
	uint32_t end = at +
		       text_size((size_t)text->name_size + text->file_size + text->function_size);

	atomic_compare_exchange_strong_explicit(&texts_used, &end, at, memory_order_release,
						memory_order_relaxed);
}

/* ---- The copy in the box --------------------------------------------------------------------- */

static void slot_copy(const struct sonde__box *box, uint32_t slot, uint32_t value)
{
	const struct sonde__site_text *text = text_at(value);
	size_t at = (size_t)value * TEXT_UNIT;
	size_t size = text_size((size_t)text->name_size + text->file_size + text->function_size);

	if (at + size > box->site_texts_size)
		return;
	/* Atomic and relaxed: another thread may be writing the same. */
	for (size_t i = 0; i < size; i += TEXT_UNIT)
		__atomic_store_n((uint64_t *)(box->site_texts + at + i),
				 *(const uint64_t *)(texts + at + i), __ATOMIC_RELAXED);
	/* Release, for readers in other processes: the text is there. */
	atomic_store_explicit(&box->site_ids[slot], value, memory_order_release);
}

static void slot_mirror(uint32_t slot, uint32_t value)
{
	const struct sonde__box *box;

	/* See the head of this file; acquire and release: both sides of the word's order. */
	atomic_fetch_add_explicit(&epoch, 1, memory_order_acq_rel);
	box = sonde__box_get();
	if (box && sonde__process_is_known())
		slot_copy(box, slot, value);
}

void sonde__sites_copy(const struct sonde__box *box)
{
	atomic_fetch_add_explicit(&epoch, 1, memory_order_acq_rel);
	for (uint32_t slot = 0; slot < SONDE__SITES_MAX; slot++) {
		uint32_t value = atomic_load_explicit(&slots[slot], memory_order_acquire); /* A7 */

		if (value)
			slot_copy(box, slot, value);
	}
}

void sonde__sites_limit(uint32_t texts_size)
{
	/* Relaxed: before the first site. */
	atomic_store_explicit(&texts_limit, texts_size, memory_order_relaxed);
}

/* ---- Shares ---------------------------------------------------------------------------------- */

/*
 * Spans' sites are as many as the source has; errors come with types, and the toolkit's objects
 * with names, that somebody may make up.
 */
static struct share *share_of(const struct content *content)
{
	switch (content->kind) {
	case SONDE__SITE_CALL:
		return NULL;
	case SONDE__SITE_ERROR:
		return &error_share;
	case SONDE__SITE_EVENT:
	case SONDE__SITE_ITEM:
		break;
	}
	return &event_share;
}

static bool share_has_room(const struct share *share, const struct content *content)
{
	uint32_t limit;

	if (!share)
		return true;
	/* Relaxed, all: sums, and two that are added at once may exceed them by one. */
	limit = atomic_load_explicit(&texts_limit, memory_order_relaxed) / share->divisor;
	return atomic_load_explicit(&share->n_sites, memory_order_relaxed) <
		       SONDE__SITES_MAX / share->divisor &&
	       atomic_load_explicit(&share->texts_used, memory_order_relaxed) +
			       content_size(content) <=
		       limit;
}

static void share_take(struct share *share, const struct content *content)
{
	if (!share)
		return;
	/* Relaxed, both: as above. */
	atomic_fetch_add_explicit(&share->n_sites, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&share->texts_used, content_size(content), memory_order_relaxed);
}

/* ---- Finding and adding ---------------------------------------------------------------------- */

static uint32_t content_find_or_add(const struct content *content)
{
	struct share *share = share_of(content);
	uint32_t own = 0;
	uint32_t id = 0;

	for (uint32_t i = 0; i < SONDE__SITES_MAX && !id; i++) {
		uint32_t slot = (content->hash + i) % SONDE__SITES_MAX;
		/* A7, partner R7: the text is there. */
		uint32_t value = atomic_load_explicit(&slots[slot], memory_order_acquire);

		if (!value) {
			if (!own && share_has_room(share, content))
				own = text_add(content);
			if (!own)
				return 0;
			/* R7, partner A7; acquire on failure: A7. */
			if (atomic_compare_exchange_strong_explicit(&slots[slot], &value, own,
								    memory_order_release,
								    memory_order_acquire)) {
				slot_mirror(slot, own);
				share_take(share, content);
				return slot + 1;
			}
		}
		if (content_equal(content, text_at(value)))
			id = slot + 1;
	}
	if (own)
		text_return(own);
	return id;
}

uint32_t sonde__site_find(const struct sonde__site_view *view)
{
	struct content content = content_of(view);

	return content_find_or_add(&content);
}

static SONDE__COLD uint32_t site_add(struct sonde_site *site)
{
	const struct sonde__site_view view = {
		.name = text_of(site->name),
		.file = text_of(site->file),
		.function = text_of(site->function),
		.line = site->line,
	};
	uint32_t id = sonde__site_find(&view);

	/* Relaxed: the number is all there is to it; the table behind it is reached by A7. */
	__atomic_store_n(&site->id, id ? id : ID_NONE, __ATOMIC_RELAXED);
	return id;
}

uint32_t sonde__site_id(struct sonde_site *site)
{
	/* Relaxed: as above. */
	uint32_t id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);

	if (SONDE__UNLIKELY(id == 0))
		return site_add(site);
	return id != ID_NONE ? id : 0;
}

bool sonde__site_get(uint32_t id, struct sonde__site_view *ret)
{
	uint32_t value;

	if (id == 0 || id > SONDE__SITES_MAX)
		return false;
	value = atomic_load_explicit(&slots[id - 1], memory_order_acquire); /* A7 */
	if (!value)
		return false;
	*ret = view_of(text_at(value));
	return true;
}
