/* SPDX-License-Identifier: Apache-2.0 */
/* Entries in their order, and a hash index over them that is never more than half full. */

#include "record/key_list.h"

#include "base/utf8.h"
#include "record/attribute.h"
#include "record/hide.h"
#include "record/scan.h"

int sonde__key_list_init(const struct sonde__mender *mender, struct sonde__arena *arena,
			 size_t n_max, uint32_t limit, struct sonde__key_list *ret)
{
	uint32_t n_slots = 16;

	while (n_slots < 2 * n_max)
		n_slots *= 2;
	memset(ret, 0, sizeof(*ret));
	ret->entries = sonde__arena_take(arena, n_max * sizeof(*ret->entries));
	ret->index = sonde__arena_take(arena, n_slots * sizeof(*ret->index));
	if (!ret->entries || !ret->index)
		return SONDE_E_NOMEM;
	memset(ret->index, 0, n_slots * sizeof(*ret->index));
	ret->mask = n_slots - 1;
	ret->limit = limit;
	ret->mender = mender;
	return SONDE_OK;
}

static int key_redact(struct sonde__key_list *list, struct sonde__arena *arena,
		      struct sonde_bytes *key)
{
	const struct sonde_text text = { key->data, key->size };
	size_t size;
	char *redacted;

	if (!sonde__hide_measure(list->mender, SONDE__KEY_PLAIN, *key, &size))
		return SONDE_OK;
	redacted = sonde__arena_take(arena, size);
	if (!redacted)
		return SONDE_E_NOMEM;
	(void)sonde__redact_write(list->mender->redactor, text, SONDE__KEY_PLAIN, redacted,
				  &list->redacted);
	*key = (struct sonde_bytes){ redacted, size };
	return SONDE_OK;
}

static int key_mend(struct sonde__key_list *list, struct sonde__arena *arena,
		    struct sonde_bytes *key)
{
	size_t size;
	char *repaired;

	if (sonde__utf8_is_valid(key->data, key->size))
		return SONDE_OK;
	repaired = sonde__arena_take(arena, 3 * key->size);
	if (!repaired)
		return SONDE_E_NOMEM;
	size = sonde__utf8_repair(key->data, key->size, repaired);
	sonde__arena_trim(arena, repaired + size);
	list->n_repaired++;
	*key = (struct sonde_bytes){ repaired, size };
	return SONDE_OK;
}

static void list_put(struct sonde__key_list *list, const struct sonde__key_entry *new_entry)
{
	const struct sonde_bytes key = new_entry->key;
	uint32_t i = sonde__key_hash(key.data, key.size) & list->mask;

	for (; list->index[i]; i = (i + 1) & list->mask) {
		struct sonde__key_entry *entry = &list->entries[list->index[i] - 1];

		if (entry->key.size == key.size &&
		    memcmp(entry->key.data, key.data, key.size) == 0) {
			*entry = *new_entry;
			return;
		}
	}
	if (list->n >= list->limit) {
		list->n_dropped++;
		return;
	}
	list->entries[list->n++] = *new_entry;
	list->index[i] = list->n;
}

int sonde__key_list_add(struct sonde__key_list *list, struct sonde__arena *arena,
			struct sonde__cursor attribute)
{
	struct sonde__cursor key_cursor;
	struct sonde__key_entry entry;
	bool tells;
	int r;

	if (!sonde__tag_take(&attribute, SONDE__TAG_KEY) ||
	    !sonde__bytes_take(&attribute, &key_cursor) ||
	    !sonde__tag_take(&attribute, SONDE__TAG_VALUE) ||
	    !sonde__bytes_take(&attribute, &entry.value))
		return SONDE_E_MALFORMED;
	entry.key = sonde__cursor_bytes(&key_cursor);
	if (!entry.key.size) {
		list->n_dropped++;
		return SONDE_OK;
	}
	entry.verdict = sonde__hide_key(list->mender, entry.key, &tells);
	r = tells ? key_redact(list, arena, &entry.key) : SONDE_OK;
	if (r == SONDE_OK)
		r = key_mend(list, arena, &entry.key);
	if (r == SONDE_OK)
		list_put(list, &entry);
	return r;
}
