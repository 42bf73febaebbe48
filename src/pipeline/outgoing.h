/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_OUTGOING_H
#define SONDE_PIPELINE_OUTGOING_H

/* An item as a hook is shown it: a view, and the arena that changes are made in. */

#include <sonde/hooks.h>

#include "base/arena.h"
#include "record/wire.h"

struct sonde_outgoing {
	enum sonde_signal signal;
	struct sonde_span_view *span; /* One of the two. */
	struct sonde_log_view *log;
	struct sonde__arena *arena;
	size_t event; /* Selected, or SONDE_OUTGOING_SELF. */
	uint64_t n_changes;
	bool is_dropped;
};

/* A field, by its place. */
struct sonde__place {
	size_t piece;
	size_t from; /* With its tag; */
	size_t content; /* past tag and length; */
	size_t to;
};


const struct sonde_bytes *sonde__outgoing_pieces(const struct sonde_outgoing *item, size_t *ret_n);
/* Of the attributes that are selected. */
uint8_t sonde__outgoing_tag(const struct sonde_outgoing *item);
/* What is selected: the n-th piece, or for 0 the event. */
bool sonde__outgoing_list(const struct sonde_outgoing *item, size_t n, struct sonde_bytes *ret);
/* The n-th event among all pieces. */
bool sonde__outgoing_event(const struct sonde_outgoing *item, size_t n, struct sonde__place *ret);
/* The attribute with the key, in which list and where there. */
bool sonde__outgoing_find(const struct sonde_outgoing *item, const char *key, size_t *ret_list,
			  struct sonde__place *ret);

/* The next field of the bytes from `at` on; false at the end. */
static inline bool sonde__field_next(struct sonde_bytes bytes, size_t at,
				     struct sonde__wire_field *field, struct sonde__place *ret)
{
	const uint8_t *data = bytes.data;
	struct sonde_bytes rest = { data + at, bytes.size - at };

	if (at >= bytes.size || sonde__wire_next(&rest, field) != 1)
		return false;
	ret->from = at;
	ret->to = bytes.size - rest.size;
	ret->content = field->type == SONDE__WIRE_BYTES ? ret->to - field->bytes.size : ret->to;
	return true;
}

static inline bool sonde__field_has_tag(const struct sonde__wire_field *field, uint8_t tag)
{
	return (field->number << 3 | field->type) == tag;
}

#endif
