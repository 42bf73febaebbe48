/* SPDX-License-Identifier: Apache-2.0 */
#include "support/records.h"

#include <string.h>

#include <sonde/context.h>

#include "base/clock.h"
#include "box/box.h"
#include "record/event.h"
#include "record/view.h"

#define FIELDS_SIZE 12000

void id_bytes(uint64_t number, uint8_t *ret, size_t size)
{
	memset(ret, number ? 1 : 0, size);
	for (size_t i = 0; number && i < 8; i++)
		ret[size - 1 - i] = (uint8_t)(number >> 8 * i);
}

static uint16_t text_size(const char *text)
{
	return text ? (uint16_t)strlen(text) : 0;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
	if (text)
		memcpy(at, text, strlen(text));
	return at + text_size(text);
}

static size_t encode_attrs(const struct record_spec *spec, uint8_t tag, uint8_t *fields)
{
	size_t size = 0;

	for (size_t i = 0; i < spec->n_attrs; i++)
		size += sonde__attr_encode(tag, &spec->attrs[i], fields + size, FIELDS_SIZE - size);
	return size;
}

static size_t encode_span_fields(const struct record_spec *spec, uint8_t *fields)
{
	size_t size = encode_attrs(spec, SONDE__TAG_SPAN_ATTRIBUTE, fields);
	struct sonde__event event = {
		.name = spec->event,
		.name_size = text_size(spec->event),
		.time = spec->time ? spec->time : sonde__ticks(),
		.time_is_unix = spec->flags & SONDE__RECORD_TIME_IS_UNIX,
		.attrs = spec->event_attrs,
		.n_attrs = spec->n_event_attrs,
	};
	struct sonde__link link = { .flags = 0x101 };

	if (spec->event)
		size += sonde__event_encode(&event, fields + size, FIELDS_SIZE - size);
	if (spec->link) {
		id_bytes(99, link.trace_id, sizeof(link.trace_id));
		id_bytes(spec->link, link.span_id, sizeof(link.span_id));
		link.trace_state = spec->trace_state;
		link.trace_state_size = text_size(spec->trace_state);
		size += sonde__link_encode(&link, fields + size, FIELDS_SIZE - size);
	}
	if (spec->is_damaged)
		fields[1] = 0x7f;
	return size;
}

static void fill_head(const struct record_spec *spec, uint8_t type, size_t size,
		      struct sonde__record *head)
{
	*head = (struct sonde__record){
		.size = (uint32_t)size,
		.type = type,
		.flags = spec->flags,
		.n_dropped_attributes = spec->n_dropped_attributes,
		.time = spec->time ? spec->time : sonde__ticks(),
	};
}

bool record_span(const struct record_spec *spec)
{
	uint8_t fields[FIELDS_SIZE];
	size_t fields_size = encode_span_fields(spec, fields);
	size_t size = sizeof(struct sonde__span_record) + text_size(spec->name) +
		      text_size(spec->trace_state) + text_size(spec->description) + fields_size;
	struct sonde__span_record *record;
	struct sonde__slot slot;

	if (!sonde__box_reserve(size, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot))
		return false;
	record = slot.record;
	*record = (struct sonde__span_record){
		.start = spec->start ? spec->start : sonde__ticks(),
		.site = spec->site,
		.kind = spec->kind ? spec->kind : 1,
		.status = spec->status,
		.trace_flags = spec->trace_flags,
		.name_size = text_size(spec->name),
		.trace_state_size = text_size(spec->trace_state),
		.description_size = text_size(spec->description),
		.fields_size = (uint16_t)fields_size,
	};
	fill_head(spec, SONDE__RECORD_SPAN, size, &record->head);
	id_bytes(spec->trace, record->trace_id, sizeof(record->trace_id));
	id_bytes(spec->span, record->span_id, sizeof(record->span_id));
	id_bytes(spec->parent, record->parent_id, sizeof(record->parent_id));
	memcpy(put_text(put_text(put_text((uint8_t *)(record + 1), spec->name), spec->trace_state),
			spec->description),
	       fields, fields_size);
	sonde__box_commit(&slot);
	return true;
}

bool record_part(const struct record_spec *spec)
{
	uint8_t fields[FIELDS_SIZE];
	size_t fields_size = encode_span_fields(spec, fields);
	size_t size = sizeof(struct sonde__part_record) + text_size(spec->name) +
		      text_size(spec->description) + fields_size;
	struct sonde__part_record *record;
	struct sonde__slot slot;

	if (!sonde__box_reserve(size, SONDE_SIGNAL_PART, /* urgent= */ false, &slot))
		return false;
	record = slot.record;
	*record = (struct sonde__part_record){
		.status = spec->status,
		.trace_flags = spec->trace_flags,
		.name_size = text_size(spec->name),
		.description_size = text_size(spec->description),
		.fields_size = (uint16_t)fields_size,
	};
	fill_head(spec, SONDE__RECORD_PART, size, &record->head);
	id_bytes(spec->trace, record->trace_id, sizeof(record->trace_id));
	id_bytes(spec->span, record->span_id, sizeof(record->span_id));
	memcpy(put_text(put_text((uint8_t *)(record + 1), spec->name), spec->description), fields,
	       fields_size);
	sonde__box_commit(&slot);
	return true;
}

bool record_log(const struct record_spec *spec)
{
	uint8_t fields[FIELDS_SIZE];
	size_t fields_size = encode_attrs(spec, SONDE__TAG_LOG_ATTRIBUTE, fields);
	size_t size = sizeof(struct sonde__log_record) + text_size(spec->name) + fields_size;
	struct sonde__log_record *record;
	struct sonde__slot slot;

	if (!sonde__box_reserve(size, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot))
		return false;
	record = slot.record;
	*record = (struct sonde__log_record){
		.site = spec->site,
		.severity = spec->severity ? spec->severity : SONDE_INFO,
		.trace_flags = spec->trace_flags,
		.body_size = text_size(spec->name),
		.fields_size = (uint16_t)fields_size,
	};
	fill_head(spec, SONDE__RECORD_LOG, size, &record->head);
	id_bytes(spec->trace, record->trace_id, sizeof(record->trace_id));
	id_bytes(spec->span, record->span_id, sizeof(record->span_id));
	memcpy(put_text((uint8_t *)(record + 1), spec->name), fields, fields_size);
	sonde__box_commit(&slot);
	return true;
}

#define PLACE_FILE "shop.c"
#define PLACE_FUNCTION "charge"

static size_t link_size(const struct error_spec *spec, size_t i)
{
	size_t size = sizeof(struct sonde__error_link) + text_size(spec->types[i]) +
		      text_size(spec->messages[i]) + text_size(spec->details[i]) +
		      strlen(PLACE_FILE) + strlen(PLACE_FUNCTION);

	return (size + 7) / 8 * 8;
}

static uint8_t *put_link(const struct error_spec *spec, size_t i, uint8_t *at)
{
	struct sonde__error_link *link = (struct sonde__error_link *)at;

	memset(at, 0, link_size(spec, i));
	link->line = 41 + (uint32_t)i;
	link->type_size = text_size(spec->types[i]);
	link->message_size = text_size(spec->messages[i]);
	link->detail_size = text_size(spec->details[i]);
	link->errno_value = spec->errnos[i];
	link->n_omitted = spec->n_omitted[i];
	link->level = spec->levels[i];
	link->flags = spec->link_flags[i];
	link->file_size = (uint16_t)strlen(PLACE_FILE);
	link->function_size = (uint16_t)strlen(PLACE_FUNCTION);
	at = put_text((uint8_t *)(link + 1), spec->types[i]);
	at = put_text(at, spec->messages[i]);
	at = put_text(at, spec->details[i]);
	put_text(put_text(at, PLACE_FILE), PLACE_FUNCTION);
	return (uint8_t *)link + link_size(spec, i);
}

/* The breadcrumbs in `at`, all of now; their size. */
static size_t put_crumbs(const struct error_spec *spec, uint8_t *at)
{
	size_t size = 0;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(spec->crumbs) && spec->crumbs[i]; i++) {
		struct sonde__crumb crumb = { .ticks = sonde__ticks(),
					      .level = SONDE_INFO,
					      .category_size = 4,
					      .message_size = (uint8_t)strlen(spec->crumbs[i]) };

		memset(at + size, 0, sonde__crumb_size(&crumb));
		memcpy(at + size, &crumb, sizeof(crumb));
		memcpy(at + size + sizeof(crumb), "test", 4);
		memcpy(at + size + sizeof(crumb) + 4, spec->crumbs[i], crumb.message_size);
		size += sonde__crumb_size(&crumb);
	}
	return size;
}

bool record_error(const struct error_spec *spec)
{
	uint8_t crumbs[FIELDS_SIZE];
	size_t crumbs_size = put_crumbs(spec, crumbs);
	uint8_t fields[FIELDS_SIZE];
	size_t fields_size = encode_attrs(&spec->record, SONDE__TAG_LOG_ATTRIBUTE, fields);
	size_t size = sizeof(struct sonde__error_record) + spec->n_frames * sizeof(uint64_t) +
		      fields_size;
	struct sonde__error_record *record;
	struct sonde__slot slot;
	uint8_t n_links = 0;
	uint8_t *at;

	for (; n_links < 4 && spec->types[n_links]; n_links++)
		size += link_size(spec, n_links);
	if (crumbs_size)
		size = ((size + 7) & ~(size_t)7) + crumbs_size;
	if (!sonde__box_reserve(size, spec->is_again ? SONDE_SIGNAL_PART : SONDE_SIGNAL_LOG,
				/* urgent= */ !spec->is_again, &slot))
		return false;
	record = slot.record;
	*record = (struct sonde__error_record){
		.crumbs_size = (uint16_t)crumbs_size,
		.event_id = spec->event_id,
		.severity = spec->record.severity ? spec->record.severity : SONDE_ERROR,
		.n_links = n_links,
		.n_frames = spec->n_frames,
		.fields_size = (uint16_t)fields_size,
	};
	fill_head(&spec->record, spec->is_again ? SONDE__RECORD_AGAIN : SONDE__RECORD_ERROR, size,
		  &record->head);
	id_bytes(spec->record.trace, record->trace_id, sizeof(record->trace_id));
	id_bytes(spec->record.span, record->span_id, sizeof(record->span_id));
	if (spec->context) {
		memcpy(record->trace_id, spec->context->trace_id, sizeof(record->trace_id));
		memcpy(record->span_id, spec->context->span_id, sizeof(record->span_id));
	}
	at = (uint8_t *)(record + 1);
	for (size_t i = 0; i < n_links; i++)
		at = put_link(spec, i, at);
	memcpy(at, spec->frames, spec->n_frames * sizeof(uint64_t));
	memcpy(at + spec->n_frames * sizeof(uint64_t), fields, fields_size);
	memcpy((uint8_t *)record + size - crumbs_size, crumbs, crumbs_size);
	sonde__box_commit(&slot);
	return true;
}

bool record_garbage(uint32_t size, uint8_t type, enum sonde_signal signal)
{
	struct sonde__record *record;
	struct sonde__slot slot;

	if (!sonde__box_reserve(size, signal, /* urgent= */ false, &slot))
		return false;
	record = slot.record;
	memset(record, 0xee, size);
	record->size = size;
	record->type = type;
	sonde__box_commit(&slot);
	return true;
}
