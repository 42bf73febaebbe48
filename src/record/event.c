/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events and links: a fixed front, attributes, and a count of those left out. The content is
 * written first, behind room for a length of one byte, which is enough for most; a longer one moves
 * it. The cutting form leaves room for the longest length that the content could have.
 */

#include "record/event.h"

#include "base/utf8.h"

/* What events and links have in common. */
struct part {
	uint8_t tag;
	uint8_t attribute_tag;
	uint8_t dropped_tag;
	const struct sonde_attr *attrs;
	size_t n_attrs;
	uint32_t n_dropped;
};

static struct part event_part(const struct sonde__event *event)
{
	return (struct part){
		.tag = SONDE__TAG_SPAN_EVENT,
		.attribute_tag = SONDE__TAG_EVENT_ATTRIBUTE,
		.dropped_tag = SONDE__TAG_EVENT_DROPPED,
		.attrs = event->attrs,
		.n_attrs = event->attrs ? event->n_attrs : 0,
		.n_dropped = event->n_dropped,
	};
}

static struct part link_part(const struct sonde__link *link)
{
	return (struct part){
		.tag = SONDE__TAG_SPAN_LINK,
		.attribute_tag = SONDE__TAG_LINK_ATTRIBUTE,
		.dropped_tag = SONDE__TAG_LINK_DROPPED,
		.attrs = link->attrs,
		.n_attrs = link->attrs ? link->n_attrs : 0,
		.n_dropped = link->n_dropped,
	};
}

static size_t event_front_size(const struct sonde__event *event)
{
	return 1 + sizeof(uint64_t) + sonde__field_size(event->name_size);
}

static uint8_t *event_front_put(uint8_t *at, const struct sonde__event *event)
{
	*at++ = event->time_is_unix ? SONDE__TAG_EVENT_TIME : SONDE__TAG_EVENT_TICKS;
	at = sonde__fixed64_put(at, event->time);
	*at++ = SONDE__TAG_EVENT_NAME;
	at = sonde__varint_put(at, event->name_size);
	return sonde__bytes_put(at, event->name, event->name_size);
}

static size_t link_front_size(const struct sonde__link *link)
{
	size_t size = sonde__field_size(sizeof(link->trace_id)) +
		      sonde__field_size(sizeof(link->span_id)) + 1 + sizeof(link->flags);

	return link->trace_state_size ? size + sonde__field_size(link->trace_state_size) : size;
}

static uint8_t *link_front_put(uint8_t *at, const struct sonde__link *link)
{
	*at++ = SONDE__TAG_LINK_TRACE_ID;
	*at++ = sizeof(link->trace_id);
	at = sonde__bytes_put(at, link->trace_id, sizeof(link->trace_id));
	*at++ = SONDE__TAG_LINK_SPAN_ID;
	*at++ = sizeof(link->span_id);
	at = sonde__bytes_put(at, link->span_id, sizeof(link->span_id));
	if (link->trace_state_size) {
		*at++ = SONDE__TAG_LINK_TRACE_STATE;
		at = sonde__varint_put(at, link->trace_state_size);
		at = sonde__bytes_put(at, link->trace_state, link->trace_state_size);
	}
	*at++ = SONDE__TAG_LINK_FLAGS;
	memcpy(at, &link->flags, sizeof(link->flags));
	return at + sizeof(link->flags);
}

/* Everything behind the front; SIZE_MAX: too big to be tried. */
static size_t part_rest_size(const struct part *part)
{
	size_t size = part->n_dropped ? 1 + sonde__varint_size(part->n_dropped) : 0;

	for (size_t i = 0; i < part->n_attrs; i++) {
		size_t attr_size = sonde__attr_size(&part->attrs[i]);

		if (!attr_size || size > SONDE__TEXT_MAX_SIZE)
			return SIZE_MAX;
		size += attr_size;
	}
	return size;
}

static uint8_t *part_dropped_put(uint8_t *at, const struct part *part, uint32_t n_dropped)
{
	if (!n_dropped)
		return at;
	*at++ = part->dropped_tag;
	return sonde__varint_put(at, n_dropped);
}

/* Attributes and count behind the front; NULL where they do not fit before `end`. */
static SONDE__ALWAYS_INLINE uint8_t *part_rest_put(uint8_t *at, const struct part *part,
						   const uint8_t *end)
{
	for (size_t i = 0; i < part->n_attrs; i++) {
		size_t size = sonde__attr_encode(part->attribute_tag, &part->attrs[i], at,
						 (size_t)(end - at));

		if (!size)
			return NULL;
		at += size;
	}
	if (part->n_dropped && (size_t)(end - at) < 1 + sonde__varint_size(part->n_dropped))
		return NULL;
	return part_dropped_put(at, part, part->n_dropped);
}

/* The whole field's length, 0: too big to be tried. */
static size_t part_size(const struct part *part, size_t front_size)
{
	size_t rest_size = part_rest_size(part);

	return rest_size == SIZE_MAX ? 0 : sonde__field_size(front_size + rest_size);
}

/* Where the content of a field goes whose length takes one byte. */
#define HEAD_SIZE 2

/* Puts tag and length before the content, which ends at `at`; 0 where it does not fit. */
static SONDE__ALWAYS_INLINE size_t part_finish(uint8_t tag, uint8_t *buffer, const uint8_t *at,
					       size_t capacity)
{
	size_t content_size = (size_t)(at - buffer) - HEAD_SIZE;
	uint8_t *content = buffer + HEAD_SIZE;

	buffer[0] = tag;
	buffer[1] = (uint8_t)content_size;
	if (SONDE__LIKELY(content_size < 0x80))
		return HEAD_SIZE + content_size;
	if (sonde__field_size(content_size) > capacity)
		return 0;
	memmove(content + sonde__varint_size(content_size) - 1, content, content_size);
	sonde__varint_put(buffer + 1, content_size);
	return sonde__field_size(content_size);
}

size_t sonde__event_size(const struct sonde__event *event)
{
	struct part part = event_part(event);

	if (event->name_size > SONDE__TEXT_MAX_SIZE)
		return 0;
	return part_size(&part, event_front_size(event));
}

size_t sonde__event_encode(const struct sonde__event *event, uint8_t *buffer, size_t capacity)
{
	struct part part = event_part(event);
	uint8_t *at;

	if (event->name_size > SONDE__TEXT_MAX_SIZE ||
	    HEAD_SIZE + event_front_size(event) > capacity)
		return 0;
	at = part_rest_put(event_front_put(buffer + HEAD_SIZE, event), &part, buffer + capacity);
	return at ? part_finish(part.tag, buffer, at, capacity) : 0;
}

size_t sonde__link_size(const struct sonde__link *link)
{
	struct part part = link_part(link);

	if (link->trace_state_size > SONDE__TEXT_MAX_SIZE)
		return 0;
	return part_size(&part, link_front_size(link));
}

size_t sonde__link_encode(const struct sonde__link *link, uint8_t *buffer, size_t capacity)
{
	struct part part = link_part(link);
	uint8_t *at;

	if (link->trace_state_size > SONDE__TEXT_MAX_SIZE ||
	    HEAD_SIZE + link_front_size(link) > capacity)
		return 0;
	at = part_rest_put(link_front_put(buffer + HEAD_SIZE, link), &part, buffer + capacity);
	return at ? part_finish(part.tag, buffer, at, capacity) : 0;
}

/* ---- Cutting --------------------------------------------------------------------------------- */

/* Room kept for tag and length before the content and for the count behind it. */
static size_t part_reserve(size_t capacity)
{
	return sonde__varint_size(capacity) + 1 + 1 + sonde__varint_size(UINT32_MAX);
}

/*
 * As many attributes as fit between `at` and `end`, the count, and the field's head before
 * `content`.
 */
static size_t part_finish_cut(const struct part *part, uint8_t *buffer, uint8_t *content,
			      uint8_t *at, const uint8_t *end, bool *ret_cut)
{
	uint32_t n_dropped = part->n_dropped;
	size_t content_size;
	uint8_t *head;

	for (size_t i = 0; i < part->n_attrs; i++) {
		size_t size = sonde__attr_encode_cut(part->attribute_tag, &part->attrs[i], at,
						     (size_t)(end - at), ret_cut);

		at += size;
		n_dropped += !size;
	}
	at = part_dropped_put(at, part, n_dropped);
	content_size = (size_t)(at - content);
	buffer[0] = part->tag;
	head = sonde__varint_put(buffer + 1, content_size);
	memmove(head, content, content_size);
	return (size_t)(head - buffer) + content_size;
}

size_t sonde__event_encode_cut(const struct sonde__event *event, uint8_t *buffer, size_t capacity,
			       bool *ret_cut)
{
	size_t written = sonde__event_encode(event, buffer, capacity);
	struct part part = event_part(event);
	struct sonde__event cut = *event;
	size_t reserve;
	uint8_t *content;
	uint8_t *at;

	if (written)
		return written;
	if (capacity > SONDE__TEXT_MAX_SIZE)
		capacity = SONDE__TEXT_MAX_SIZE;
	reserve = part_reserve(capacity);
	cut.name_size = 0;
	/* The name's own length may take as many bytes as that of the whole. */
	if (capacity < reserve + event_front_size(&cut) + sonde__varint_size(capacity))
		return 0;
	cut.name_size = sonde__utf8_cut(event->name, event->name_size, capacity - reserve -
					event_front_size(&cut) - sonde__varint_size(capacity));
	if (cut.name_size < event->name_size)
		*ret_cut = true;
	content = buffer + 1 + sonde__varint_size(capacity);
	at = event_front_put(content, &cut);
	return part_finish_cut(&part, buffer, content, at,
			       buffer + capacity - 1 - sonde__varint_size(UINT32_MAX), ret_cut);
}

size_t sonde__link_encode_cut(const struct sonde__link *link, uint8_t *buffer, size_t capacity,
			      bool *ret_cut)
{
	size_t written = sonde__link_encode(link, buffer, capacity);
	struct part part = link_part(link);
	struct sonde__link cut = *link;
	size_t reserve;
	uint8_t *content;
	uint8_t *at;

	if (written)
		return written;
	if (capacity > SONDE__TEXT_MAX_SIZE)
		capacity = SONDE__TEXT_MAX_SIZE;
	reserve = part_reserve(capacity);
	if (link->trace_state_size > capacity || capacity < reserve + link_front_size(&cut)) {
		cut.trace_state_size = 0;
		if (capacity < reserve + link_front_size(&cut))
			return 0;
		*ret_cut = true;
	}
	content = buffer + 1 + sonde__varint_size(capacity);
	at = link_front_put(content, &cut);
	return part_finish_cut(&part, buffer, content, at,
			       buffer + capacity - 1 - sonde__varint_size(UINT32_MAX), ret_cut);
}
