/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two steps, so that a flood costs no names. The key is a hash over what the record holds as it is,
 * addresses included, so it is good for this process alone; a small table leads from there to the
 * fingerprint, which is made of names (fingerprint_make.c) when an error is the first of its kind.
 * The table is emptied when a module that names came from is gone.
 */

#include "pipeline/fingerprint.h"

#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "pipeline/fingerprint_make.h"
#include "record/attribute.h"
#include "record/view.h"
#include "record/wire.h"
#include "stack/frame.h"

#define CARRIER "sonde.error.group"
#define CARRIER_SIZE (sizeof(CARRIER) - 1)
#define DEFAULT_MARK "{{ default }}"
#define TEXT_SEED UINT64_C(0x736f6e64652d7478)
#define KEY_SEED UINT64_C(0x736f6e64652d6b79)
/* So many errors between two looks at the modules, in one drain. */
#define UNCHECKED_MAX 4096

void sonde__fingerprinter_init(struct sonde__fingerprinter *fingerprinter,
			       sonde_fingerprint_fn *hook, void *user)
{
	memset(fingerprinter, 0, sizeof(*fingerprinter));
	sonde__fingerprint_hook_init(&fingerprinter->hook, hook, user);
}

void sonde__fingerprinter_refresh(struct sonde__fingerprinter *fingerprinter)
{
	fingerprinter->n_unchecked = UNCHECKED_MAX;
}

/* ---- What the caller said -------------------------------------------------------------------- */

/* The text of an AnyValue, if it is one. */
static bool any_text(struct sonde_bytes any, struct sonde_text *ret)
{
	struct sonde__wire_field field;

	if (sonde__wire_next(&any, &field) != 1 || field.number != SONDE__TAG_ANY_STRING >> 3 ||
	    field.type != SONDE__WIRE_BYTES)
		return false;
	*ret = (struct sonde_text){ field.bytes.data, field.bytes.size };
	return true;
}

/* The text of a KeyValue with our key. Keys are never empty, and come first. */
static bool carrier_text(struct sonde_bytes attribute, struct sonde_text *ret)
{
	struct sonde__wire_field field;

	if (attribute.size < CARRIER_SIZE + 4 ||
	    memcmp((const uint8_t *)attribute.data + 2, CARRIER, CARRIER_SIZE) != 0 ||
	    sonde__wire_next(&attribute, &field) != 1 || field.bytes.size != CARRIER_SIZE ||
	    sonde__wire_next(&attribute, &field) != 1 || field.type != SONDE__WIRE_BYTES)
		return false;
	return any_text(field.bytes, ret) && ret->size > 0;
}

bool sonde__fingerprint_text(const struct sonde__error_record *record, struct sonde_text *ret)
{
	struct sonde_bytes fields = sonde__error_record_fields(record);
	struct sonde__wire_field field;
	bool found = false;

	/* The last counts: the outermost error's. */
	while (sonde__wire_next(&fields, &field) == 1)
		if (field.type == SONDE__WIRE_BYTES && carrier_text(field.bytes, ret))
			found = true;
	return found;
}

static bool read_digits(struct sonde_text text, uint64_t *ret)
{
	uint64_t number = 0;

	if (text.size != 16)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c >= '0' && c <= '9')
			number = number << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*ret = number;
	return number != 0;
}

static bool has_default(struct sonde_text text)
{
	return memmem(text.data, text.size, DEFAULT_MARK, sizeof(DEFAULT_MARK) - 1) != NULL;
}

uint64_t sonde__fingerprint_of_text(struct sonde_text text, uint64_t otherwise)
{
	uint64_t fingerprint;

	if (read_digits(text, &fingerprint))
		return fingerprint;
	fingerprint = sonde__hash_bytes(TEXT_SEED, text.data, text.size);
	if (has_default(text))
		fingerprint = sonde__mix64(fingerprint ^ otherwise);
	return fingerprint ? fingerprint : 1;
}

/* ---- Errors that are alike ------------------------------------------------------------------- */

/* All but attributes and ids; messages if a hook may look at them. */
static uint64_t key_of(const struct sonde__error_record *record, bool with_messages)
{
	const uint8_t *at = (const uint8_t *)(record + 1);
	uint64_t key = sonde__hash_word(KEY_SEED ^ record->n_links ^ (uint64_t)with_messages << 32,
					record->format);

	for (unsigned i = 0; i < record->n_links; i++) {
		const struct sonde__error_link *link = (const void *)at;
		const char *texts = (const char *)(link + 1);

		key = sonde__hash_bytes(key ^ link->flags ^ (uint64_t)link->level << 8, texts,
					(size_t)link->type_size +
						(with_messages ? link->message_size : 0));
		texts += (size_t)link->type_size + link->message_size + link->detail_size;
		key = sonde__hash_bytes(key ^ link->line, texts,
					(size_t)link->file_size + link->function_size);
		at += sonde__error_link_size(link);
	}
	key = sonde__hash_bytes(key, at, record->n_frames * sizeof(uint64_t));
	return key ? key : 1;
}

void sonde__fingerprinter_check(struct sonde__fingerprinter *fingerprinter)
{
	uint64_t generation;

	if (++fingerprinter->n_unchecked <= UNCHECKED_MAX && fingerprinter->generation)
		return;
	generation = sonde__stack_generation();
	if (generation != fingerprinter->generation)
		memset(fingerprinter->cache, 0, sizeof(fingerprinter->cache));
	fingerprinter->generation = generation;
	fingerprinter->n_unchecked = 0;
}

/* The key's place in its set, or where it goes: the first of the set, and the others move on. */
static struct sonde__cached_fingerprint *cache_find(struct sonde__fingerprinter *fingerprinter,
						    uint64_t key)
{
	struct sonde__cached_fingerprint *set = fingerprinter->cache[key % SONDE__FINGERPRINT_SETS];

	for (size_t i = 0; i < SONDE__FINGERPRINT_WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	memmove(set + 1, set, (SONDE__FINGERPRINT_WAYS - 1) * sizeof(set[0]));
	set[0] = (struct sonde__cached_fingerprint){ 0 };
	return &set[0];
}

static uint64_t by_content(struct sonde__fingerprinter *fingerprinter,
			   const struct sonde__error_record *record)
{
	struct sonde__fingerprint_hook *hook = &fingerprinter->hook;
	bool is_shown = hook->call && !sonde__fingerprint_hook_is_own(hook, record);
	uint64_t key = key_of(record, /* with_messages= */ is_shown);
	struct sonde__cached_fingerprint *cached;

	sonde__fingerprinter_check(fingerprinter);
	cached = cache_find(fingerprinter, key);
	if (cached->key == key)
		return cached->fingerprint;
	cached->fingerprint = sonde__fingerprint_make(record);
	if (is_shown)
		cached->fingerprint =
			sonde__fingerprint_hook_ask(hook, record, cached->fingerprint);
	/* Without names, for once, is no fingerprint to keep. */
	cached->key = fingerprinter->generation && !fingerprinter->lacks_names ? key : 0;
	return cached->fingerprint;
}

uint64_t sonde__fingerprint_of(struct sonde__fingerprinter *fingerprinter,
			       const struct sonde__error_record *record)
{
	struct sonde_text text;

	if (SONDE__UNLIKELY(record->fields_size && sonde__fingerprint_text(record, &text)))
		return sonde__fingerprint_of_text(
			text, has_default(text) ? by_content(fingerprinter, record) : 0);
	return by_content(fingerprinter, record);
}
