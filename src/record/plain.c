/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Most spans are attributes with short keys and values that are no lists, and a few events. For
 * these one walk finds out everything: that the bytes are what capture writes, that texts are
 * UTF-8, that no key comes twice, that no limit is passed, that nothing looks as if it had to be
 * redacted; and it puts the times in. Whatever else
 * there is, from a link to a lie about a length, makes it give up, and the thorough ways decide: so
 * it may be wrong in one direction only, and is short.
 *
 * Keys are compared by 64 bits of hash, and those that seem equal count as equal: to give up is
 * always right. What the thorough ways would do must be left to them; a test compares the two on
 * random and on damaged fields.
 */

#include "record/plain.h"

#include "base/utf8.h"
#include "record/attribute.h"
#include "record/cursor.h"
#include "redact/suspect.h"

/* More keys than this in one list, and it gives up. */
#define KEYS_MAX 32
/* A text's last bytes may be read as a whole chunk, past the end of the copy. */
#define SLACK SONDE__PLAIN_SLACK
#define HIGH_BITS UINT64_C(0x8080808080808080)

struct keys {
	uint64_t bits; /* One for each key there is, at a place that its hash says. */
	uint32_t n;
	uint32_t limit;
	uint64_t hashes[KEYS_MAX];
};

/* Of the list as it is now; the hashes need no clearing. */
static SONDE__ALWAYS_INLINE void keys_begin(struct keys *keys, uint32_t limit)
{
	keys->bits = 0;
	keys->n = 0;
	keys->limit = limit < KEYS_MAX ? limit : KEYS_MAX;
}

/* False: it may be there already, or is one too many. */
static SONDE__ALWAYS_INLINE bool keys_add(struct keys *keys, uint64_t hash)
{
	uint64_t bit = UINT64_C(1) << (hash >> 58);

	if (keys->n == keys->limit)
		return false;
	if (keys->bits & bit)
		for (uint32_t i = 0; i < keys->n; i++)
			if (keys->hashes[i] == hash)
				return false;
	keys->bits |= bit;
	keys->hashes[keys->n++] = hash;
	return true;
}

/* Whether the text is UTF-8; its hash on the way, which is sonde__key_hash64. */
static SONDE__ALWAYS_INLINE bool text_read(const struct sonde__cursor *text, uint64_t *ret_hash)
{
	size_t size = sonde__cursor_left(text);
	uint64_t hash = size;
	uint64_t high = 0;
	uint64_t word;

	for (size_t i = 0; i + sizeof(word) < size; i += sizeof(word)) {
		word = sonde__fixed64_get(text->at + i);
		high |= word;
		hash = sonde__key_step(hash, word);
	}
	if (size >= sizeof(word))
		word = sonde__fixed64_get(text->end - sizeof(word));
	else
		word = sonde__fixed64_get(text->at) & ((UINT64_C(1) << 8 * size) - 1);
	high |= word;
	*ret_hash = sonde__key_step(hash, word);
	return SONDE__LIKELY(!(high & HIGH_BITS)) || sonde__utf8_is_valid(text->at, size);
}

/* sonde__bytes_take for lengths that mostly take one byte. */
static SONDE__ALWAYS_INLINE bool bytes_take(struct sonde__cursor *cursor, struct sonde__cursor *ret)
{
	size_t left = sonde__cursor_left(cursor);

	if (SONDE__UNLIKELY(!left || *cursor->at >= 0x80))
		return sonde__bytes_take(cursor, ret);
	if (SONDE__UNLIKELY(*cursor->at >= left))
		return false;
	ret->at = cursor->at + 1;
	ret->end = ret->at + *cursor->at;
	cursor->at = ret->end;
	return true;
}

_Static_assert(SLACK >= SONDE__SUSPECT_SLACK, "a chunk is read");

/* Whether there is nothing in a text that is suspected. */
static bool is_acquitted(const struct sonde__redactor *redactor, const struct sonde__cursor *text)
{
	const struct sonde_text view = { (const char *)text->at, sonde__cursor_left(text) };
	struct sonde__match match = { 0 };

	return !sonde__redact_next(redactor, view, SONDE__KEY_PLAIN, /* from= */ 0, &match);
}

/* Whether there is nothing in it to redact. */
static SONDE__ALWAYS_INLINE bool text_is_innocent(const struct sonde__mender *mender,
						  const struct sonde__cursor *text)
{
	return !mender->redactor || !mender->redactor->detectors ||
	       SONDE__LIKELY(!sonde__suspect_with_slack(text->at, sonde__cursor_left(text))) ||
	       is_acquitted(mender->redactor, text);
}

static SONDE__ALWAYS_INLINE bool number_is_innocent(const struct sonde__mender *mender,
						    uint64_t number)
{
	return SONDE__LIKELY(number < SONDE__CARD_NUMBER_MIN) || !mender->redactor ||
	       !sonde__redact_number(mender->redactor, (int64_t)number);
}

static bool key_is_acquitted(struct sonde__redactor *redactor, const struct sonde__cursor *key,
			     uint64_t hash)
{
	bool tells;

	return sonde__redact_key_learn(redactor, key->at, sonde__cursor_left(key), hash, &tells) !=
		       SONDE__KEY_SECRET &&
	       !tells;
}

static SONDE__ALWAYS_INLINE bool key_is_innocent(const struct sonde__mender *mender,
						 const struct sonde__cursor *key, uint64_t hash)
{
	return !mender->redactor ||
	       SONDE__LIKELY(sonde__redact_knows_key(mender->redactor, hash)) ||
	       key_is_acquitted(mender->redactor, key, hash);
}

static SONDE__ALWAYS_INLINE bool value_read(const struct sonde__mender *mender,
					    struct sonde__cursor value)
{
	const uint32_t limit = mender->limits.value_length;
	struct sonde__cursor text;
	uint64_t number;

	if (SONDE__UNLIKELY(value.at == value.end))
		return true;
	switch (*value.at++) {
	case SONDE__TAG_ANY_STRING:
		return bytes_take(&value, &text) && sonde__cursor_left(&text) <= limit &&
		       text_read(&text, &number) && text_is_innocent(mender, &text) &&
		       value.at == value.end;
	case SONDE__TAG_ANY_BYTES:
		return bytes_take(&value, &text) && sonde__cursor_left(&text) <= limit &&
		       text_is_innocent(mender, &text) && value.at == value.end;
	case SONDE__TAG_ANY_BOOL:
		return sonde__varint_take(&value, /* max= */ 1, &number) && value.at == value.end;
	case SONDE__TAG_ANY_INT:
		return sonde__varint_take(&value, UINT64_MAX, &number) &&
		       number_is_innocent(mender, number) && value.at == value.end;
	case SONDE__TAG_ANY_DOUBLE:
		return sonde__cursor_left(&value) == sizeof(double);
	default:
		return false;
	}
}

static SONDE__ALWAYS_INLINE bool attribute_read(const struct sonde__mender *mender,
						struct sonde__cursor attribute, struct keys *keys)
{
	struct sonde__cursor key;
	struct sonde__cursor value;
	uint64_t hash;

	return sonde__tag_take(&attribute, SONDE__TAG_KEY) && bytes_take(&attribute, &key) &&
	       key.at != key.end && text_read(&key, &hash) && keys_add(keys, hash) &&
	       key_is_innocent(mender, &key, hash) &&
	       sonde__tag_take(&attribute, SONDE__TAG_VALUE) && bytes_take(&attribute, &value) &&
	       attribute.at == attribute.end && value_read(mender, value);
}

/* An event's time, at its place in the copy. */
static void ticks_replace(const struct sonde__clock *clock, uint8_t *time)
{
	time[-1] = SONDE__TAG_EVENT_TIME;
	sonde__fixed64_put(time, sonde__clock_unix_ns(clock, sonde__fixed64_get(time)));
}

static bool event_read(const struct sonde__mender *mender, struct sonde__cursor event,
		       struct keys *keys, uint8_t **ret_ticks)
{
	struct sonde__cursor name;
	struct sonde__cursor attribute;
	uint64_t number;

	*ret_ticks = NULL;
	if (sonde__tag_take(&event, SONDE__TAG_EVENT_TICKS))
		*ret_ticks = (uint8_t *)(uintptr_t)event.at;
	else if (!sonde__tag_take(&event, SONDE__TAG_EVENT_TIME))
		return false;
	if (!sonde__fixed_take(&event, sizeof(uint64_t)) ||
	    !sonde__tag_take(&event, SONDE__TAG_EVENT_NAME) || !bytes_take(&event, &name) ||
	    !text_read(&name, &number) || !text_is_innocent(mender, &name))
		return false;
	keys_begin(keys, mender->limits.event_attributes);
	while (sonde__tag_take(&event, SONDE__TAG_EVENT_ATTRIBUTE))
		if (!bytes_take(&event, &attribute) ||
		    !attribute_read(mender, attribute, keys))
			return false;
	if (sonde__tag_take(&event, SONDE__TAG_EVENT_DROPPED) &&
	    !sonde__varint_take(&event, UINT32_MAX, &number))
		return false;
	return event.at == event.end;
}

static bool fields_read(const struct sonde__mender *mender, struct sonde__cursor fields)
{
	struct sonde__cursor body;
	struct keys event_keys;
	struct keys keys;
	uint32_t n_events = 0;
	uint8_t *ticks;

	keys_begin(&keys, mender->limits.attributes);
	while (fields.at != fields.end) {
		uint8_t tag = *fields.at++;

		if (!bytes_take(&fields, &body))
			return false;
		if (tag == SONDE__TAG_SPAN_ATTRIBUTE) {
			if (!attribute_read(mender, body, &keys))
				return false;
			continue;
		}
		if (tag != SONDE__TAG_SPAN_EVENT || n_events++ == mender->limits.events ||
		    !event_read(mender, body, &event_keys, &ticks))
			return false;
		if (ticks)
			ticks_replace(mender->clock, ticks);
	}
	return true;
}

bool sonde__plain_copy(const struct sonde__mender *mender, struct sonde_bytes fields,
		       struct sonde__arena *arena, struct sonde_bytes *ret)
{
	const size_t used = arena->used;
	uint8_t *copy = sonde__arena_take(arena, fields.size + SLACK);

	if (!copy)
		return false;
	if (fields.size)
		memcpy(copy, fields.data, fields.size);
	/* The slack decides nothing, but is to be defined. */
	memset(copy + fields.size, 0, SLACK);
	if (!fields_read(mender, (struct sonde__cursor){ copy, copy + fields.size })) {
		arena->used = used;
		return false;
	}
	sonde__arena_trim(arena, copy + fields.size);
	*ret = (struct sonde_bytes){ copy, fields.size };
	return true;
}
