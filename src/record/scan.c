/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass that every exported span goes through, so it is short: each text is looked at once,
 * eight bytes at a time, and each key is put into a table that needs no clearing, because a slot
 * counts only when it carries the number of the current list. Attributes come first and events and
 * links in a second walk, since one table serves one list at a time.
 */

#include "record/scan.h"

#include "base/utf8.h"
#include "record/attribute.h"
#include "record/cursor.h"
#include "record/hide.h"

/* More keys than this and the table would be crowded: the thorough way decides. */
#define KEYS_MAX (SONDE__MEND_SLOTS / 2)

/* Of one list of attributes. */
struct seen_keys {
	uint32_t n;
	uint32_t limit;
};

uint32_t sonde__key_hash(const uint8_t *key, size_t size)
{
	uint64_t hash = size * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t word;
	size_t i = 0;

	for (; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, key + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, key + i, size - i);
	hash = (hash ^ word) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(hash >> 32);
}

static struct seen_keys list_begin(struct sonde__mender *mender, uint32_t limit)
{
	if (++mender->round == 0) {
		memset(mender->slots, 0, sizeof(mender->slots));
		mender->round = 1;
	}
	return (struct seen_keys){ 0, limit };
}

/* False: the key is in the list already. */
static bool key_add(struct sonde__mender *mender, const uint8_t *key, size_t size)
{
	uint32_t hash = sonde__key_hash(key, size);
	uint32_t i = hash % SONDE__MEND_SLOTS;
	struct sonde__mend_slot *slot = &mender->slots[i];

	while (slot->round == mender->round) {
		if (slot->hash == hash && slot->key_size == size &&
		    memcmp(slot->key, key, size) == 0)
			return false;
		i = (i + 1) % SONDE__MEND_SLOTS;
		slot = &mender->slots[i];
	}
	*slot = (struct sonde__mend_slot){ mender->round, hash, key, size };
	return true;
}

static bool text_is_clean(const struct sonde__mender *mender, enum sonde__key_verdict verdict,
			  const struct sonde__cursor *text)
{
	const uint32_t limit = mender->limits.value_length;
	size_t size = sonde__cursor_left(text);
	size_t redacted;

	if (!sonde__utf8_is_valid(text->at, size) ||
	    sonde__hide_measure(mender, verdict, sonde__cursor_bytes(text), &redacted))
		return false;
	return size <= limit ||
	       sonde__utf8_cut_characters((const char *)text->at, size, limit) == size;
}

/* 1: clean; 0: dirty; SONDE_E_MALFORMED. `any` is an AnyValue but a list. */
static int scalar_scan(const struct sonde__mender *mender, enum sonde__key_verdict verdict,
		       struct sonde__cursor any)
{
	enum sonde_redaction kind;
	struct sonde__cursor content;
	size_t redacted;

	if (sonde__hide_value(mender, verdict, any, &kind))
		return 0;
	if (sonde__tag_take(&any, SONDE__TAG_ANY_STRING))
		return sonde__bytes_take(&any, &content) ? text_is_clean(mender, verdict, &content)
							 : SONDE_E_MALFORMED;
	if (!sonde__tag_take(&any, SONDE__TAG_ANY_BYTES))
		return 1;
	if (!sonde__bytes_take(&any, &content))
		return SONDE_E_MALFORMED;
	return sonde__cursor_left(&content) <= mender->limits.value_length &&
	       !sonde__hide_measure(mender, verdict, sonde__cursor_bytes(&content), &redacted);
}

static int value_scan(const struct sonde__mender *mender, enum sonde__key_verdict verdict,
		      struct sonde__cursor any)
{
	struct sonde__cursor elements;
	struct sonde__cursor element;
	int r = 1;

	if (verdict == SONDE__KEY_SECRET || !sonde__tag_take(&any, SONDE__TAG_ANY_ARRAY))
		return scalar_scan(mender, verdict, any);
	if (!sonde__bytes_take(&any, &elements))
		return SONDE_E_MALFORMED;
	while (r > 0 && elements.at != elements.end) {
		if (!sonde__tag_take(&elements, SONDE__TAG_ARRAY_VALUE) ||
		    !sonde__bytes_take(&elements, &element))
			return SONDE_E_MALFORMED;
		r = scalar_scan(mender, verdict, element);
	}
	return r;
}

static int attribute_scan(struct sonde__mender *mender, struct seen_keys *list,
			  struct sonde__cursor attribute)
{
	struct sonde__cursor key;
	struct sonde__cursor value;
	enum sonde__key_verdict verdict;
	size_t key_size;
	bool tells;

	if (!sonde__tag_take(&attribute, SONDE__TAG_KEY) || !sonde__bytes_take(&attribute, &key) ||
	    !sonde__tag_take(&attribute, SONDE__TAG_VALUE) ||
	    !sonde__bytes_take(&attribute, &value))
		return SONDE_E_MALFORMED;
	key_size = sonde__cursor_left(&key);
	if (!key_size || list->n >= list->limit || list->n >= KEYS_MAX)
		return 0;
	list->n++;
	if (!sonde__utf8_is_valid(key.at, key_size) || !key_add(mender, key.at, key_size))
		return 0;
	verdict = sonde__hide_key(mender, sonde__cursor_bytes(&key), &tells);
	return tells ? 0 : value_scan(mender, verdict, value);
}

/* The attributes of an event or link, up to its end or its dropped count. */
static int nested_scan(struct sonde__mender *mender, uint8_t tag, uint32_t limit,
		       struct sonde__cursor rest)
{
	struct seen_keys list = list_begin(mender, limit);
	struct sonde__cursor attribute;
	int r = 1;

	while (r > 0 && sonde__tag_take(&rest, tag)) {
		if (!sonde__bytes_take(&rest, &attribute))
			return SONDE_E_MALFORMED;
		r = attribute_scan(mender, &list, attribute);
	}
	return r;
}

static int event_scan(struct sonde__mender *mender, struct sonde__cursor event, bool *ret_has_ticks)
{
	struct sonde__cursor name;
	size_t redacted;

	if (sonde__tag_take(&event, SONDE__TAG_EVENT_TICKS))
		*ret_has_ticks = true;
	else if (!sonde__tag_take(&event, SONDE__TAG_EVENT_TIME))
		return SONDE_E_MALFORMED;
	if (!sonde__fixed_take(&event, sizeof(uint64_t)) ||
	    !sonde__tag_take(&event, SONDE__TAG_EVENT_NAME) || !sonde__bytes_take(&event, &name))
		return SONDE_E_MALFORMED;
	if (!sonde__utf8_is_valid(name.at, sonde__cursor_left(&name)) ||
	    sonde__hide_measure(mender, SONDE__KEY_PLAIN, sonde__cursor_bytes(&name), &redacted))
		return 0;
	return nested_scan(mender, SONDE__TAG_EVENT_ATTRIBUTE, mender->limits.event_attributes,
			   event);
}

static int link_scan(struct sonde__mender *mender, struct sonde__cursor link)
{
	struct sonde__cursor text;
	size_t redacted;

	if (!sonde__tag_take(&link, SONDE__TAG_LINK_TRACE_ID) || !sonde__bytes_take(&link, &text) ||
	    !sonde__tag_take(&link, SONDE__TAG_LINK_SPAN_ID) || !sonde__bytes_take(&link, &text))
		return SONDE_E_MALFORMED;
	if (sonde__tag_take(&link, SONDE__TAG_LINK_TRACE_STATE)) {
		if (!sonde__bytes_take(&link, &text))
			return SONDE_E_MALFORMED;
		if (!sonde__utf8_is_valid(text.at, sonde__cursor_left(&text)) ||
		    sonde__hide_measure(mender, SONDE__KEY_PLAIN, sonde__cursor_bytes(&text),
					&redacted))
			return 0;
	}
	if (!sonde__tag_take(&link, SONDE__TAG_LINK_FLAGS) ||
	    !sonde__fixed_take(&link, sizeof(uint32_t)))
		return SONDE_E_MALFORMED;
	return nested_scan(mender, SONDE__TAG_LINK_ATTRIBUTE, mender->limits.link_attributes, link);
}

/* First walk: attributes; counts the rest. */
static int attributes_scan(struct sonde__mender *mender, uint8_t attribute_tag,
			   struct seen_keys *list, struct sonde__cursor fields, uint32_t *n_others)
{
	struct sonde__cursor body;
	int r = 1;

	while (r > 0 && fields.at != fields.end) {
		uint8_t tag = *fields.at++;

		if (!sonde__bytes_take(&fields, &body))
			return SONDE_E_MALFORMED;
		if (tag == attribute_tag)
			r = attribute_scan(mender, list, body);
		else if (attribute_tag == SONDE__TAG_SPAN_ATTRIBUTE &&
			 (tag == SONDE__TAG_SPAN_EVENT || tag == SONDE__TAG_SPAN_LINK))
			++*n_others;
		else
			return SONDE_E_MALFORMED;
	}
	return r;
}

/* Second walk: events and links. */
static int others_scan(struct sonde__mender *mender, struct sonde__cursor fields,
		       uint32_t *n_events, uint32_t *n_links, bool *ret_has_ticks)
{
	struct sonde__cursor body;
	int r = 1;

	while (r > 0 && fields.at != fields.end) {
		uint8_t tag = *fields.at++;

		if (!sonde__bytes_take(&fields, &body))
			return SONDE_E_MALFORMED;
		if (tag == SONDE__TAG_SPAN_EVENT)
			r = ++*n_events > mender->limits.events
				    ? 0
				    : event_scan(mender, body, ret_has_ticks);
		else if (tag == SONDE__TAG_SPAN_LINK)
			r = ++*n_links > mender->limits.links ? 0 : link_scan(mender, body);
	}
	return r;
}

int sonde__scan_pieces(struct sonde__mender *mender, enum sonde_fields type,
		       const struct sonde_bytes *pieces, size_t n_pieces, struct sonde__scan *ret)
{
	uint8_t tag =
		type == SONDE_FIELDS_LOG ? SONDE__TAG_LOG_ATTRIBUTE : SONDE__TAG_SPAN_ATTRIBUTE;
	struct seen_keys list = list_begin(mender, mender->limits.attributes);
	struct sonde__scan scan = { false, false };
	uint32_t n_others = 0;
	uint32_t n_events = 0;
	uint32_t n_links = 0;
	int r = 1;

	for (size_t i = 0; r > 0 && i < n_pieces; i++)
		r = attributes_scan(mender, tag, &list, sonde__cursor_of(pieces[i]), &n_others);
	for (size_t i = 0; r > 0 && n_others && i < n_pieces; i++)
		r = others_scan(mender, sonde__cursor_of(pieces[i]), &n_events, &n_links,
				&scan.has_ticks);
	if (r < 0)
		return r;
	scan.is_dirty = r == 0;
	*ret = scan;
	return SONDE_OK;
}
