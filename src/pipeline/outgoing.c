/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook sees of an item, and where in its pieces that lies. */

#include "pipeline/outgoing.h"

#include <string.h>

#include "record/attribute.h"

const struct sonde_bytes *sonde__outgoing_pieces(const struct sonde_outgoing *item, size_t *ret_n)
{
	*ret_n = item->span ? item->span->n_pieces : item->log->n_pieces;
	return item->span ? item->span->pieces : item->log->pieces;
}

/* ---- Looking --------------------------------------------------------------------------------- */

enum sonde_signal sonde_outgoing_signal(const struct sonde_outgoing *item)
{
	return item->signal;
}

bool sonde_outgoing_is_error(const struct sonde_outgoing *item)
{
	static const char name[] = "exception";

	return item->log && item->log->event_name.size == sizeof(name) - 1 &&
	       memcmp(item->log->event_name.data, name, sizeof(name) - 1) == 0;
}

struct sonde_context sonde_outgoing_context(const struct sonde_outgoing *item)
{
	struct sonde_context context = SONDE_CONTEXT_INIT;
	const uint8_t *trace_id = item->span ? item->span->trace_id : item->log->trace_id;
	const uint8_t *span_id = item->span ? item->span->span_id : item->log->span_id;

	memcpy(context.trace_id, trace_id, sizeof(context.trace_id));
	memcpy(context.span_id, span_id, sizeof(context.span_id));
	context.trace_flags = item->span ? (uint8_t)item->span->flags : item->log->trace_flags;
	return context;
}

uint64_t sonde_outgoing_unix_ns(const struct sonde_outgoing *item)
{
	return item->span ? item->span->start_unix_ns : item->log->unix_ns;
}

uint64_t sonde_outgoing_duration_ns(const struct sonde_outgoing *item)
{
	return item->span ? item->span->end_unix_ns - item->span->start_unix_ns : 0;
}

uint8_t sonde_outgoing_severity(const struct sonde_outgoing *item)
{
	return item->log ? item->log->severity : 0;
}

uint8_t sonde_outgoing_status(const struct sonde_outgoing *item)
{
	return item->span ? item->span->status : 0;
}

struct sonde_text sonde_outgoing_body(const struct sonde_outgoing *item)
{
	return item->span ? item->span->status_description : item->log->body;
}

/* ---- Finding fields -------------------------------------------------------------------------- */

uint8_t sonde__outgoing_tag(const struct sonde_outgoing *item)
{
	if (item->event != SONDE_OUTGOING_SELF)
		return SONDE__TAG_EVENT_ATTRIBUTE;
	return item->span ? SONDE__TAG_SPAN_ATTRIBUTE : SONDE__TAG_LOG_ATTRIBUTE;
}

/* The n-th event among all pieces. */
bool sonde__outgoing_event(const struct sonde_outgoing *item, size_t n, struct sonde__place *ret)
{
	size_t n_pieces;
	const struct sonde_bytes *pieces = sonde__outgoing_pieces(item, &n_pieces);
	struct sonde__wire_field field;

	for (size_t i = 0; item->span && i < n_pieces; i++) {
		for (size_t at = 0; sonde__field_next(pieces[i], at, &field, ret); at = ret->to) {
			ret->piece = i;
			if (sonde__field_has_tag(&field, SONDE__TAG_SPAN_EVENT) && n-- == 0)
				return true;
		}
	}
	return false;
}

static struct sonde_bytes content_of(const struct sonde_outgoing *item,
				     const struct sonde__place *place)
{
	size_t n;
	const struct sonde_bytes *piece = &sonde__outgoing_pieces(item, &n)[place->piece];

	return (struct sonde_bytes){ (const uint8_t *)piece->data + place->content,
				     place->to - place->content };
}

/* Where the attribute with the key lies in the bytes. */
static bool key_find(struct sonde_bytes bytes, uint8_t tag, const char *key,
		     struct sonde__place *ret)
{
	const size_t size = strlen(key);
	struct sonde__wire_field field;
	struct sonde__wire_field inner;

	for (size_t at = 0; sonde__field_next(bytes, at, &field, ret); at = ret->to) {
		struct sonde_bytes attribute = field.bytes;

		if (sonde__field_has_tag(&field, tag) &&
		    sonde__wire_next(&attribute, &inner) == 1 &&
		    sonde__field_has_tag(&inner, SONDE__TAG_KEY) && inner.bytes.size == size &&
		    memcmp(inner.bytes.data, key, size) == 0)
			return true;
	}
	return false;
}

/* The selected event, or the n-th piece. */
bool sonde__outgoing_list(const struct sonde_outgoing *item, size_t n, struct sonde_bytes *ret)
{
	struct sonde__place place;
	size_t n_pieces;
	const struct sonde_bytes *pieces = sonde__outgoing_pieces(item, &n_pieces);

	if (item->event == SONDE_OUTGOING_SELF) {
		if (n >= n_pieces)
			return false;
		*ret = pieces[n];
		return true;
	}
	if (n > 0 || !sonde__outgoing_event(item, item->event, &place))
		return false;
	*ret = content_of(item, &place);
	return true;
}

bool sonde__outgoing_find(const struct sonde_outgoing *item, const char *key, size_t *ret_list,
			   struct sonde__place *ret)
{
	struct sonde_bytes list;

	for (size_t n = 0; sonde__outgoing_list(item, n, &list); n++) {
		if (key_find(list, sonde__outgoing_tag(item), key, ret)) {
			*ret_list = n;
			return true;
		}
	}
	return false;
}

bool sonde_outgoing_next(const struct sonde_outgoing *item, struct sonde_outgoing_cursor *cursor,
			 struct sonde_item_view *ret)
{
	enum sonde_fields fields = item->span ? SONDE_FIELDS_SPAN : SONDE_FIELDS_LOG;

	if (item->event != SONDE_OUTGOING_SELF)
		fields = SONDE_FIELDS_EVENT;
	if (cursor->piece == 0)
		cursor->n_changes = item->n_changes;
	if (cursor->n_changes != item->n_changes)
		return false;
	while (!sonde_item_next(fields, &cursor->rest, ret)) {
		if (!sonde__outgoing_list(item, cursor->piece, &cursor->rest))
			return false;
		cursor->piece++;
	}
	return true;
}

bool sonde_outgoing_get(const struct sonde_outgoing *item, const char *key,
			struct sonde_value_view *ret)
{
	struct sonde_outgoing_cursor cursor = { 0, { NULL, 0 }, 0 };
	const size_t size = key ? strlen(key) : 0;
	struct sonde_item_view found;

	while (key && sonde_outgoing_next(item, &cursor, &found)) {
		if (found.type == SONDE_ITEM_ATTRIBUTE && found.name.size == size &&
		    memcmp(found.name.data, key, size) == 0) {
			*ret = found.value;
			return true;
		}
	}
	return false;
}

struct sonde_text sonde_outgoing_name(const struct sonde_outgoing *item)
{
	struct sonde_text name = { NULL, 0 };
	struct sonde__wire_field field;
	struct sonde_bytes event;

	if (item->event == SONDE_OUTGOING_SELF)
		return item->span ? item->span->name : item->log->event_name;
	if (!sonde__outgoing_list(item, 0, &event))
		return name;
	while (sonde__wire_next(&event, &field) == 1) {
		if (sonde__field_has_tag(&field, SONDE__TAG_EVENT_NAME))
			name = (struct sonde_text){ field.bytes.data, field.bytes.size };
	}
	return name;
}
