/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes mended fields anew. A message's length stands before its content and is not known until
 * the content is written, so room for the longest length is left and the content moved up behind
 * the real one.
 *
 * Three times the input is always room enough: a byte that is not UTF-8 becomes three, a length of
 * n bytes grows by one at most, a dropped count (six bytes) comes only in the place of an attribute
 * that was dropped (six bytes or more), and nothing else grows. With redaction it is four times: of
 * what is replaced in texts the shortest are `k=v;` (4 bytes, 13 then) and `://b@` (5 and 12), and
 * of values under a secret key an integer (an attribute of 9 bytes, 19 then).
 */

#include "record/rewrite.h"

#include "base/utf8.h"
#include "record/attribute.h"
#include "record/cursor.h"
#include "record/hide.h"
#include "record/key_list.h"

/* 28 bits of length. */
#define LENGTH_ROOM 4
#define INPUT_MAX SONDE__TEXT_MAX_SIZE
#define GROWTH 3
#define GROWTH_REDACTED 4
/* For the length rooms that are open at one time. */
#define SLACK 64

struct rewriter {
	const struct sonde__mender *mender;
	struct sonde__arena *arena;
	struct sonde__mend_counts *counts;
	uint8_t *at;
};

/* ---- Writing --------------------------------------------------------------------------------- */

static uint8_t *message_begin(struct rewriter *rewriter, uint8_t tag)
{
	*rewriter->at++ = tag;
	rewriter->at += LENGTH_ROOM;
	return rewriter->at;
}

static void message_end(struct rewriter *rewriter, uint8_t *content)
{
	size_t size = (size_t)(rewriter->at - content);
	uint8_t *moved = sonde__varint_put(content - LENGTH_ROOM, size);

	memmove(moved, content, size);
	rewriter->at = moved + size;
}

static void bytes_write(struct rewriter *rewriter, uint8_t tag, struct sonde_bytes bytes)
{
	*rewriter->at++ = tag;
	rewriter->at = sonde__varint_put(rewriter->at, bytes.size);
	rewriter->at = sonde__bytes_put(rewriter->at, bytes.data, bytes.size);
}

/* Repairs on the way. */
static void text_write(struct rewriter *rewriter, uint8_t tag, struct sonde_bytes text)
{
	uint8_t *content;

	if (sonde__utf8_is_valid(text.data, text.size)) {
		bytes_write(rewriter, tag, text);
		return;
	}
	content = message_begin(rewriter, tag);
	rewriter->at += sonde__utf8_repair(text.data, text.size, (char *)rewriter->at);
	message_end(rewriter, content);
	rewriter->counts->invalid_utf8++;
}

/*
 * Replaces in the text what is to be redacted: *text is in the arena then, until the caller gives
 * it back.
 */
static int text_redact(struct rewriter *rewriter, enum sonde__key_verdict verdict,
		       struct sonde_bytes *text)
{
	size_t size;
	char *redacted;

	if (!sonde__hide_measure(rewriter->mender, verdict, *text, &size))
		return SONDE_OK;
	redacted = sonde__arena_take(rewriter->arena, size);
	if (!redacted)
		return SONDE_E_NOMEM;
	(void)sonde__redact_write(rewriter->mender->redactor,
				  (struct sonde_text){ text->data, text->size }, verdict, redacted,
				  &rewriter->counts->redacted);
	*text = (struct sonde_bytes){ redacted, size };
	return SONDE_OK;
}

static void rest_write(struct rewriter *rewriter, const struct sonde__cursor *rest)
{
	rewriter->at = sonde__bytes_put(rewriter->at, rest->at, sonde__cursor_left(rest));
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* In place of a value. */
static void replacement_write(struct rewriter *rewriter, enum sonde_redaction kind)
{
	static const char by[] = SONDE__REDACTED;
	uint32_t limit = rewriter->mender->limits.value_length;
	size_t size = sizeof(by) - 1;

	bytes_write(rewriter, SONDE__TAG_ANY_STRING,
		    (struct sonde_bytes){ by, size < limit ? size : limit });
	rewriter->counts->redacted.n[kind]++;
}

/* Redacts, then cuts; sets *ret_cut when it had to. */
static int content_write(struct rewriter *rewriter, enum sonde__key_verdict verdict,
			 struct sonde_bytes bytes, bool is_text, bool *ret_cut)
{
	const uint32_t limit = rewriter->mender->limits.value_length;
	const size_t before = rewriter->arena->used;
	size_t size;
	int r = text_redact(rewriter, verdict, &bytes);

	if (r < 0)
		return r;
	size = bytes.size;
	if (is_text)
		bytes.size = sonde__utf8_cut_characters(bytes.data, bytes.size, limit);
	else if (bytes.size > limit)
		bytes.size = limit;
	if (bytes.size < size)
		*ret_cut = true;
	if (is_text)
		text_write(rewriter, SONDE__TAG_ANY_STRING, bytes);
	else
		bytes_write(rewriter, SONDE__TAG_ANY_BYTES, bytes);
	rewriter->arena->used = before;
	return SONDE_OK;
}

/* Sets *ret_cut when it had to shorten. */
static int scalar_write(struct rewriter *rewriter, enum sonde__key_verdict verdict,
			struct sonde__cursor any, bool *ret_cut)
{
	struct sonde__cursor content;
	enum sonde_redaction kind;
	bool is_text = any.at != any.end && *any.at == SONDE__TAG_ANY_STRING;

	if (sonde__hide_value(rewriter->mender, verdict, any, &kind)) {
		replacement_write(rewriter, kind);
		return SONDE_OK;
	}
	if (!is_text && (any.at == any.end || *any.at != SONDE__TAG_ANY_BYTES)) {
		rest_write(rewriter, &any);
		return SONDE_OK;
	}
	any.at++;
	if (!sonde__bytes_take(&any, &content))
		return SONDE_E_MALFORMED;
	return content_write(rewriter, verdict, sonde__cursor_bytes(&content), is_text, ret_cut);
}

static int array_write(struct rewriter *rewriter, enum sonde__key_verdict verdict,
		       struct sonde__cursor any, bool *ret_cut)
{
	uint8_t *content = message_begin(rewriter, SONDE__TAG_ANY_ARRAY);
	struct sonde__cursor elements;
	struct sonde__cursor element;

	if (!sonde__bytes_take(&any, &elements))
		return SONDE_E_MALFORMED;
	while (elements.at != elements.end) {
		uint8_t *element_content;
		int r;

		if (!sonde__tag_take(&elements, SONDE__TAG_ARRAY_VALUE) ||
		    !sonde__bytes_take(&elements, &element))
			return SONDE_E_MALFORMED;
		element_content = message_begin(rewriter, SONDE__TAG_ARRAY_VALUE);
		r = scalar_write(rewriter, verdict, element, ret_cut);
		if (r < 0)
			return r;
		message_end(rewriter, element_content);
	}
	message_end(rewriter, content);
	return SONDE_OK;
}

static int value_write(struct rewriter *rewriter, enum sonde__key_verdict verdict,
		       struct sonde__cursor any)
{
	uint8_t *content = message_begin(rewriter, SONDE__TAG_VALUE);
	bool is_cut = false;
	int r;

	if (verdict != SONDE__KEY_SECRET && sonde__tag_take(&any, SONDE__TAG_ANY_ARRAY))
		r = array_write(rewriter, verdict, any, &is_cut);
	else
		r = scalar_write(rewriter, verdict, any, &is_cut);
	if (r < 0)
		return r;
	message_end(rewriter, content);
	rewriter->counts->cut_values += is_cut;
	return SONDE_OK;
}

static void counts_add(struct sonde__redact_counts *counts, const struct sonde__redact_counts *more)
{
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		counts->n[kind] += more->n[kind];
}

/* ---- Events and links ------------------------------------------------------------------------ */

static int list_write(struct rewriter *rewriter, const struct sonde__key_list *list, uint8_t tag)
{
	for (uint32_t i = 0; i < list->n; i++) {
		const struct sonde__key_entry *entry = &list->entries[i];
		uint8_t *content = message_begin(rewriter, tag);
		int r;

		bytes_write(rewriter, SONDE__TAG_KEY, entry->key);
		r = value_write(rewriter, entry->verdict, entry->value);
		if (r < 0)
			return r;
		message_end(rewriter, content);
	}
	return SONDE_OK;
}

static size_t fields_count(struct sonde__cursor fields, uint8_t wanted)
{
	struct sonde__cursor body;
	size_t n = 0;

	while (fields.at != fields.end) {
		n += *fields.at++ == wanted;
		if (!sonde__bytes_take(&fields, &body))
			break;
	}
	return n;
}

/* What events and links end with. */
struct tail {
	uint8_t attribute_tag;
	uint8_t dropped_tag;
	uint32_t limit;
};

/* The count may come before or after what this process drops: it is read first and written last. */
static int tail_write(struct rewriter *rewriter, struct sonde__cursor rest, const struct tail *tail)
{
	size_t before = rewriter->arena->used;
	struct sonde__cursor attribute;
	uint64_t n_dropped = 0;
	struct sonde__key_list list;
	int r = sonde__key_list_init(rewriter->mender, rewriter->arena,
				     fields_count(rest, tail->attribute_tag), tail->limit, &list);

	while (r == SONDE_OK && sonde__tag_take(&rest, tail->attribute_tag))
		r = sonde__bytes_take(&rest, &attribute)
			    ? sonde__key_list_add(&list, rewriter->arena, attribute)
			    : SONDE_E_MALFORMED;
	if (r < 0)
		return r;
	if (sonde__tag_take(&rest, tail->dropped_tag) &&
	    !sonde__varint_take(&rest, UINT32_MAX, &n_dropped))
		return SONDE_E_MALFORMED;
	r = list_write(rewriter, &list, tail->attribute_tag);
	if (r < 0)
		return r;
	rewriter->counts->dropped_nested += list.n_dropped;
	rewriter->counts->invalid_utf8 += list.n_repaired;
	counts_add(&rewriter->counts->redacted, &list.redacted);
	n_dropped += list.n_dropped;
	if (n_dropped) {
		*rewriter->at++ = tail->dropped_tag;
		rewriter->at = sonde__varint_put(rewriter->at,
						 n_dropped < UINT32_MAX ? n_dropped : UINT32_MAX);
	}
	rewriter->arena->used = before;
	return SONDE_OK;
}

static int event_write(struct rewriter *rewriter, struct sonde__cursor event)
{
	const struct tail tail = { SONDE__TAG_EVENT_ATTRIBUTE, SONDE__TAG_EVENT_DROPPED,
				   rewriter->mender->limits.event_attributes };
	uint8_t *content = message_begin(rewriter, SONDE__TAG_SPAN_EVENT);
	bool is_ticks = sonde__tag_take(&event, SONDE__TAG_EVENT_TICKS);
	const size_t before = rewriter->arena->used;
	struct sonde__cursor name;
	struct sonde_bytes text;
	uint64_t time;
	int r;

	if ((!is_ticks && !sonde__tag_take(&event, SONDE__TAG_EVENT_TIME)) ||
	    !sonde__fixed_take(&event, sizeof(time)))
		return SONDE_E_MALFORMED;
	time = sonde__fixed64_get(event.at - sizeof(time));
	if (!sonde__tag_take(&event, SONDE__TAG_EVENT_NAME) || !sonde__bytes_take(&event, &name))
		return SONDE_E_MALFORMED;
	*rewriter->at++ = SONDE__TAG_EVENT_TIME;
	rewriter->at = sonde__fixed64_put(
		rewriter->at,
		is_ticks ? sonde__clock_unix_ns(rewriter->mender->clock, time) : time);
	text = sonde__cursor_bytes(&name);
	r = text_redact(rewriter, SONDE__KEY_PLAIN, &text);
	if (r < 0)
		return r;
	text_write(rewriter, SONDE__TAG_EVENT_NAME, text);
	rewriter->arena->used = before;
	r = tail_write(rewriter, event, &tail);
	if (r == SONDE_OK)
		message_end(rewriter, content);
	return r;
}

static int link_write(struct rewriter *rewriter, struct sonde__cursor link)
{
	const struct tail tail = { SONDE__TAG_LINK_ATTRIBUTE, SONDE__TAG_LINK_DROPPED,
				   rewriter->mender->limits.link_attributes };
	uint8_t *content = message_begin(rewriter, SONDE__TAG_SPAN_LINK);
	struct sonde_bytes trace_state;
	struct sonde__cursor text;
	int r;

	if (!sonde__tag_take(&link, SONDE__TAG_LINK_TRACE_ID) || !sonde__bytes_take(&link, &text))
		return SONDE_E_MALFORMED;
	bytes_write(rewriter, SONDE__TAG_LINK_TRACE_ID, sonde__cursor_bytes(&text));
	if (!sonde__tag_take(&link, SONDE__TAG_LINK_SPAN_ID) || !sonde__bytes_take(&link, &text))
		return SONDE_E_MALFORMED;
	bytes_write(rewriter, SONDE__TAG_LINK_SPAN_ID, sonde__cursor_bytes(&text));
	if (sonde__tag_take(&link, SONDE__TAG_LINK_TRACE_STATE)) {
		const size_t before = rewriter->arena->used;
		int status;

		if (!sonde__bytes_take(&link, &text))
			return SONDE_E_MALFORMED;
		trace_state = sonde__cursor_bytes(&text);
		status = text_redact(rewriter, SONDE__KEY_PLAIN, &trace_state);
		if (status < 0)
			return status;
		text_write(rewriter, SONDE__TAG_LINK_TRACE_STATE, trace_state);
		rewriter->arena->used = before;
	}
	if (!sonde__tag_take(&link, SONDE__TAG_LINK_FLAGS) ||
	    !sonde__fixed_take(&link, sizeof(uint32_t)))
		return SONDE_E_MALFORMED;
	*rewriter->at++ = SONDE__TAG_LINK_FLAGS;
	rewriter->at = sonde__bytes_put(rewriter->at, link.at - sizeof(uint32_t), sizeof(uint32_t));
	r = tail_write(rewriter, link, &tail);
	if (r == SONDE_OK)
		message_end(rewriter, content);
	return r;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static int attributes_rewrite(struct rewriter *rewriter, uint8_t tag,
			      const struct sonde_bytes *pieces, size_t n_pieces)
{
	size_t before = rewriter->arena->used;
	struct sonde__cursor body;
	struct sonde__key_list list;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < n_pieces; i++)
		n += fields_count(sonde__cursor_of(pieces[i]), tag);
	r = sonde__key_list_init(rewriter->mender, rewriter->arena, n,
				 rewriter->mender->limits.attributes, &list);
	for (size_t i = 0; r == SONDE_OK && i < n_pieces; i++) {
		struct sonde__cursor fields = sonde__cursor_of(pieces[i]);

		while (r == SONDE_OK && fields.at != fields.end) {
			bool is_attribute = *fields.at++ == tag;

			if (!sonde__bytes_take(&fields, &body))
				r = SONDE_E_MALFORMED;
			else if (is_attribute)
				r = sonde__key_list_add(&list, rewriter->arena, body);
		}
	}
	if (r == SONDE_OK)
		r = list_write(rewriter, &list, tag);
	rewriter->counts->dropped_attributes += list.n_dropped;
	rewriter->counts->invalid_utf8 += list.n_repaired;
	counts_add(&rewriter->counts->redacted, &list.redacted);
	rewriter->arena->used = before;
	return r;
}

static int others_rewrite(struct rewriter *rewriter, struct sonde__cursor fields,
			  uint32_t *n_events, uint32_t *n_links)
{
	const struct sonde__mend_limits *limits = &rewriter->mender->limits;
	struct sonde__cursor body;
	int r = SONDE_OK;

	while (r == SONDE_OK && fields.at != fields.end) {
		uint8_t tag = *fields.at++;

		if (!sonde__bytes_take(&fields, &body))
			return SONDE_E_MALFORMED;
		if (tag == SONDE__TAG_SPAN_EVENT && *n_events >= limits->events) {
			rewriter->counts->dropped_events++;
		} else if (tag == SONDE__TAG_SPAN_EVENT) {
			++*n_events;
			r = event_write(rewriter, body);
		} else if (tag == SONDE__TAG_SPAN_LINK && *n_links >= limits->links) {
			rewriter->counts->dropped_links++;
		} else if (tag == SONDE__TAG_SPAN_LINK) {
			++*n_links;
			r = link_write(rewriter, body);
		}
	}
	return r;
}

int sonde__rewrite_pieces(const struct sonde__mender *mender, enum sonde_fields type,
			  const struct sonde_bytes *pieces, size_t n_pieces,
			  struct sonde__arena *arena, struct sonde__mend_counts *counts,
			  struct sonde_bytes *ret)
{
	uint8_t tag =
		type == SONDE_FIELDS_LOG ? SONDE__TAG_LOG_ATTRIBUTE : SONDE__TAG_SPAN_ATTRIBUTE;
	struct rewriter rewriter = { mender, arena, counts, NULL };
	uint32_t n_events = 0;
	uint32_t n_links = 0;
	size_t size = 0;
	uint8_t *output;
	int r;

	for (size_t i = 0; i < n_pieces; i++) {
		if (pieces[i].size > INPUT_MAX - size)
			return SONDE_E_NOMEM;
		size += pieces[i].size;
	}
	output = sonde__arena_take(arena,
				   (mender->redactor ? GROWTH_REDACTED : GROWTH) * size + SLACK);
	if (!output)
		return SONDE_E_NOMEM;
	rewriter.at = output;
	r = attributes_rewrite(&rewriter, tag, pieces, n_pieces);
	for (size_t i = 0; r == SONDE_OK && type == SONDE_FIELDS_SPAN && i < n_pieces; i++)
		r = others_rewrite(&rewriter, sonde__cursor_of(pieces[i]), &n_events, &n_links);
	if (r < 0)
		return r;
	sonde__arena_trim(arena, rewriter.at);
	*ret = (struct sonde_bytes){ output, (size_t)(rewriter.at - output) };
	return SONDE_OK;
}
