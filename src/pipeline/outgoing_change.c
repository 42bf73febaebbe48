/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every change of attributes is a splice: a piece is copied with some of its bytes replaced, into
 * the arena, and takes the old one's place. A change of an event replaces the whole event by a
 * spliced one. Nothing is changed where it was captured.
 */

#include "pipeline/outgoing.h"

#include <string.h>

#include "record/attribute.h"

/* The bytes with [from, to) replaced, in the arena. */
static int splice(struct sonde_outgoing *item, struct sonde_bytes bytes, size_t from, size_t to,
		  struct sonde_bytes by, struct sonde_bytes *ret)
{
	const uint8_t *data = bytes.data;
	size_t size = bytes.size - (to - from) + by.size;
	uint8_t *copy = sonde__arena_take(item->arena, size);
	uint8_t *at = copy;

	if (!copy)
		return SONDE_E_NOMEM;
	at = sonde__bytes_put(at, data, from);
	at = sonde__bytes_put(at, by.data, by.size);
	(void)sonde__bytes_put(at, data + to, bytes.size - to);
	*ret = (struct sonde_bytes){ copy, size };
	return SONDE_OK;
}

/* Puts a piece in the n-th's place, or behind the last. */
static int piece_put(struct sonde_outgoing *item, size_t n, struct sonde_bytes piece)
{
	size_t n_pieces;
	const struct sonde_bytes *pieces = sonde__outgoing_pieces(item, &n_pieces);
	size_t n_after = n < n_pieces ? n_pieces : n_pieces + 1;
	struct sonde_bytes *copy = sonde__arena_take(item->arena, n_after * sizeof(*copy));

	if (!copy)
		return SONDE_E_NOMEM;
	if (n_pieces)
		memcpy(copy, pieces, n_pieces * sizeof(*copy));
	copy[n] = piece;
	if (item->span) {
		item->span->pieces = copy;
		item->span->n_pieces = n_after;
	} else {
		item->log->pieces = copy;
		item->log->n_pieces = n_after;
	}
	item->n_changes++;
	return SONDE_OK;
}

/* Replaces the selected event's content. */
static int event_put(struct sonde_outgoing *item, struct sonde_bytes content)
{
	struct sonde_bytes piece;
	struct sonde__place place;
	uint8_t head[1 + SONDE__VARINT_MAX_SIZE] = { SONDE__TAG_SPAN_EVENT };
	size_t n_pieces;
	int r;

	if (!sonde__outgoing_event(item, item->event, &place))
		return SONDE_E_NOT_FOUND;
	piece = sonde__outgoing_pieces(item, &n_pieces)[place.piece];
	r = splice(item, piece, place.content, place.to, content, &piece);
	if (r == SONDE_OK)
		r = splice(item, piece, place.from, place.content,
			   (struct sonde_bytes){
				   head,
				   (size_t)(sonde__varint_put(head + 1, content.size) - head) },
			   &piece);
	return r == SONDE_OK ? piece_put(item, place.piece, piece) : r;
}

/* Splices the list, which is the n-th piece or the selected event. */
static int list_splice(struct sonde_outgoing *item, size_t n, const struct sonde__place *place,
		       struct sonde_bytes by)
{
	struct sonde_bytes list;
	int r;

	if (!sonde__outgoing_list(item, n, &list))
		return piece_put(item, n, by);
	r = splice(item, list, place->from, place->to, by, &list);
	if (r < 0)
		return r;
	return item->event == SONDE_OUTGOING_SELF ? piece_put(item, n, list) :
						    event_put(item, list);
}

/* Any change happens as a whole or not at all. */
static int keep_or_undo(struct sonde_outgoing *item, size_t used, int status)
{
	if (status < 0)
		item->arena->used = used;
	return status;
}

/* Where a new attribute goes: behind the last one of the last piece, or behind an event's name. */
static size_t place_for_new(const struct sonde_outgoing *item, struct sonde__place *ret)
{
	struct sonde__wire_field field;
	struct sonde_bytes list;
	struct sonde__place place;
	size_t n;

	*ret = (struct sonde__place){ 0 };
	(void)sonde__outgoing_pieces(item, &n);
	if (item->event == SONDE_OUTGOING_SELF) {
		if (n && sonde__outgoing_list(item, n - 1, &list))
			ret->from = ret->to = list.size;
		return n ? n - 1 : 0;
	}
	if (sonde__outgoing_list(item, 0, &list)) {
		for (size_t at = 0; sonde__field_next(list, at, &field, &place); at = place.to) {
			if (!sonde__field_has_tag(&field, SONDE__TAG_EVENT_DROPPED))
				ret->from = ret->to = place.to;
		}
	}
	return 0;
}

int sonde_outgoing_set(struct sonde_outgoing *item, struct sonde_attr attr)
{
	const size_t used = item->arena->used;
	struct sonde__place place;
	struct sonde_bytes by;
	size_t size;
	size_t n;
	uint8_t *encoded;

	if (!attr.key || !attr.key[0])
		return SONDE_E_INVALID;
	size = sonde__attr_size(&attr);
	encoded = sonde__arena_take(item->arena, size);
	if (!encoded)
		return SONDE_E_NOMEM;
	by = (struct sonde_bytes){ encoded, sonde__attr_encode(sonde__outgoing_tag(item), &attr,
							       encoded, size) };
	if (!by.size)
		return keep_or_undo(item, used, SONDE_E_INVALID);
	if (!sonde__outgoing_find(item, attr.key, &n, &place))
		n = place_for_new(item, &place);
	return keep_or_undo(item, used, list_splice(item, n, &place, by));
}

int sonde_outgoing_remove(struct sonde_outgoing *item, const char *key)
{
	const size_t used = item->arena->used;
	struct sonde__place place;
	size_t n;

	if (!key || !sonde__outgoing_find(item, key, &n, &place))
		return SONDE_E_NOT_FOUND;
	return keep_or_undo(item, used,
			    list_splice(item, n, &place, (struct sonde_bytes){ NULL, 0 }));
}

static int text_put(struct sonde_outgoing *item, const char *text, struct sonde_text *ret)
{
	size_t size = strlen(text);
	char *copy;

	if (size > SONDE__TEXT_MAX_SIZE)
		return SONDE_E_NOMEM;
	copy = sonde__arena_take(item->arena, size);
	if (!copy)
		return SONDE_E_NOMEM;
	memcpy(copy, text, size);
	*ret = (struct sonde_text){ copy, size };
	item->n_changes++;
	return SONDE_OK;
}

static int event_set_name(struct sonde_outgoing *item, const char *name)
{
	const size_t used = item->arena->used;
	const size_t size = strlen(name);
	uint8_t *head = size > SONDE__TEXT_MAX_SIZE ?
				NULL :
				sonde__arena_take(item->arena, sonde__field_size(size));
	struct sonde__wire_field field;
	struct sonde_bytes list;
	struct sonde__place place;
	uint8_t *at = head;

	if (!head)
		return SONDE_E_NOMEM;
	*at++ = SONDE__TAG_EVENT_NAME;
	at = sonde__varint_put(at, size);
	at = sonde__bytes_put(at, name, size);
	if (!sonde__outgoing_list(item, 0, &list))
		return keep_or_undo(item, used, SONDE_E_NOT_FOUND);
	for (size_t from = 0; sonde__field_next(list, from, &field, &place); from = place.to) {
		struct sonde_bytes by = { head, (size_t)(at - head) };

		if (sonde__field_has_tag(&field, SONDE__TAG_EVENT_NAME))
			return keep_or_undo(item, used, list_splice(item, 0, &place, by));
	}
	return keep_or_undo(item, used, SONDE_E_NOT_FOUND);
}

int sonde_outgoing_set_name(struct sonde_outgoing *item, const char *name)
{
	if (!item->span)
		return SONDE_E_UNSUPPORTED;
	if (!name || !name[0])
		return SONDE_E_INVALID;
	return item->event == SONDE_OUTGOING_SELF ? text_put(item, name, &item->span->name) :
						    event_set_name(item, name);
}

int sonde_outgoing_set_body(struct sonde_outgoing *item, const char *body)
{
	if (!body)
		return SONDE_E_INVALID;
	return text_put(item, body,
			item->span ? &item->span->status_description : &item->log->body);
}

int sonde_outgoing_select(struct sonde_outgoing *item, size_t event)
{
	struct sonde__place place;

	if (event != SONDE_OUTGOING_SELF && !sonde__outgoing_event(item, event, &place))
		return SONDE_E_NOT_FOUND;
	item->event = event;
	/* Cursors are about what was selected before. */
	item->n_changes++;
	return SONDE_OK;
}

void sonde_outgoing_drop(struct sonde_outgoing *item)
{
	item->is_dropped = true;
}
