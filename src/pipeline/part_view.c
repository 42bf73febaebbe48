/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part that found no span, as a log record with the span's ids: it came after the span had been
 * exported, or had to leave the table. The body says what it is; attributes keep their keys, the
 * first event or link gives its own attributes, and what was set on the span itself gets keys of
 * its own.
 */

#include <string.h>

#include "pipeline/state.h"
#include "pipeline/view.h"
#include "record/wire.h"

#define OWN_ATTRS_MAX 4

/* What was found in the part's fields. */
struct contents {
	uint8_t *at; /* Where the attributes are collected, as fields of a log. */
	size_t n_attributes;
	size_t n_events;
	size_t n_links;
	struct sonde_text event_name;
	uint64_t event_time; /* 0: none. */
	bool event_is_unix;
	char trace_id[33]; /* Of the first link. */
	char span_id[17];
};

static void put_attribute(struct contents *contents, struct sonde_bytes value)
{
	*contents->at++ = SONDE__TAG_LOG_ATTRIBUTE;
	contents->at = sonde__varint_put(contents->at, value.size);
	contents->at = sonde__bytes_put(contents->at, value.data, value.size);
}

static void read_event(struct contents *contents, struct sonde_bytes event)
{
	struct sonde__wire_field field;
	bool is_first = contents->n_events++ == 0;

	while (is_first && sonde__wire_next(&event, &field) == 1) {
		uint64_t tag = field.number << 3 | field.type;

		if (tag == SONDE__TAG_EVENT_NAME) {
			contents->event_name =
				(struct sonde_text){ field.bytes.data, field.bytes.size };
		} else if (tag == SONDE__TAG_EVENT_ATTRIBUTE) {
			put_attribute(contents, field.bytes);
		} else if (tag == SONDE__TAG_EVENT_TIME || tag == SONDE__TAG_EVENT_TICKS) {
			contents->event_time = field.value;
			contents->event_is_unix = tag == SONDE__TAG_EVENT_TIME;
		}
	}
}

static void put_hex(char *text, size_t size, struct sonde_bytes bytes)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = bytes.data;
	size_t n = 0;

	for (size_t i = 0; i < bytes.size && n + 2 < size; i++) {
		text[n++] = digits[from[i] >> 4];
		text[n++] = digits[from[i] & 15];
	}
	text[n] = '\0';
}

static void read_link(struct contents *contents, struct sonde_bytes link)
{
	struct sonde__wire_field field;
	bool is_first = contents->n_links++ == 0;

	while (is_first && sonde__wire_next(&link, &field) == 1) {
		switch (field.number << 3 | field.type) {
		case SONDE__TAG_LINK_TRACE_ID:
			put_hex(contents->trace_id, sizeof(contents->trace_id), field.bytes);
			break;
		case SONDE__TAG_LINK_SPAN_ID:
			put_hex(contents->span_id, sizeof(contents->span_id), field.bytes);
			break;
		case SONDE__TAG_LINK_ATTRIBUTE:
			put_attribute(contents, field.bytes);
			break;
		default:
			break;
		}
	}
}

static void read_fields(struct contents *contents, struct sonde_bytes fields)
{
	struct sonde__wire_field field;

	while (sonde__wire_next(&fields, &field) == 1) {
		switch (field.number << 3 | field.type) {
		case SONDE__TAG_SPAN_ATTRIBUTE:
			contents->n_attributes++;
			put_attribute(contents, field.bytes);
			break;
		case SONDE__TAG_SPAN_EVENT:
			read_event(contents, field.bytes);
			break;
		case SONDE__TAG_SPAN_LINK:
			read_link(contents, field.bytes);
			break;
		default:
			break;
		}
	}
}

static struct sonde_text body_of(const struct sonde__part *part, const struct contents *contents)
{
	const char *body = "the span's name was set";

	if (contents->n_events)
		body = "an event was added to the span";
	else if (contents->n_links)
		body = "a link was added to the span";
	else if (part->status == SONDE_SPAN_ERROR && part->description_size)
		return sonde__part_description(part);
	else if (part->status != SONDE_SPAN_UNSET)
		body = "the span's status was set";
	else if (contents->n_attributes)
		body = "attributes were set on the span";
	return (struct sonde_text){ body, strlen(body) };
}

static size_t own_attrs(const struct sonde__part *part, const struct contents *contents,
			struct sonde_attr attrs[OWN_ATTRS_MAX])
{
	struct sonde_text name = sonde__part_name(part);
	size_t n = 0;

	if (part->status != SONDE_SPAN_UNSET)
		attrs[n++] = sonde_str("sonde.span.status",
				       part->status == SONDE_SPAN_OK ? "ok" : "error");
	if (name.size)
		attrs[n++] = sonde_strn("sonde.span.name", name.data, name.size);
	if (contents->n_links) {
		attrs[n++] = sonde_str("sonde.link.trace_id", contents->trace_id);
		attrs[n++] = sonde_str("sonde.link.span_id", contents->span_id);
	}
	return n;
}

static void set_head(const struct sonde__view_maker *maker, const struct sonde__part *part,
		     const struct contents *contents, struct sonde_log_view *view)
{
	uint64_t unix_ns = sonde__view_time(maker, part->time, part->time_is_unix);

	*view = (struct sonde_log_view){
		.unix_ns = contents->event_time ? sonde__view_time(maker, contents->event_time,
								   contents->event_is_unix) :
						  unix_ns,
		.observed_unix_ns = unix_ns,
		.body = body_of(part, contents),
		.event_name = contents->event_name,
		.severity = part->status == SONDE_SPAN_ERROR ? SONDE_ERROR : SONDE_INFO,
		.trace_flags = part->trace_flags,
		.dropped_attributes = part->n_dropped_attributes,
	};
	memcpy(view->trace_id, part->trace_id, sizeof(view->trace_id));
	memcpy(view->span_id, part->span_id, sizeof(view->span_id));
}

int sonde__part_view_make(struct sonde__view_maker *maker, const struct sonde__part *part,
			  struct sonde_log_view *ret)
{
	size_t capacity = (size_t)part->low_size + part->fields_size;
	uint8_t *data = sonde__arena_take(maker->arena, capacity);
	struct contents contents = { .at = data };
	struct sonde_attr attrs[OWN_ATTRS_MAX];
	struct sonde_bytes low;
	int status;

	if (!data)
		return SONDE_E_NOMEM;
	/* What is copied is part of what is there, so it fits. */
	read_fields(&contents, sonde__part_low(part));
	read_fields(&contents, sonde__part_fields(part));
	set_head(maker, part, &contents, ret);
	status = sonde__mend_text(maker->pipeline->redactor, ret->event_name, maker->arena,
				  &maker->counts, &ret->event_name);
	if (status < 0)
		return status;
	status = sonde__view_encode(maker, attrs, own_attrs(part, &contents, attrs), &low);
	if (status < 0)
		return status;
	return sonde__view_finish_log(
		maker, low, (struct sonde_bytes){ data, (size_t)(contents.at - data) }, ret);
}
