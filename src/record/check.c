/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check follows the grammar of what capture writes, not the whole of protobuf: fields in their
 * order, lists one level deep, nothing unknown. So there is no recursion that an enemy could
 * deepen, and whoever reads a checked record meets no case that capture cannot produce.
 */

#include "record/check.h"

#include "record/attribute.h"
#include "record/cursor.h"

/* An AnyValue but a list. */
static bool scalar_is_valid(struct sonde__cursor value)
{
	struct sonde__cursor text;
	uint64_t number;

	if (value.at == value.end)
		return true;
	switch (*value.at++) {
	case SONDE__TAG_ANY_STRING:
	case SONDE__TAG_ANY_BYTES:
		return sonde__bytes_take(&value, &text) && value.at == value.end;
	case SONDE__TAG_ANY_BOOL:
		return sonde__varint_take(&value, /* max= */ 1, &number) && value.at == value.end;
	case SONDE__TAG_ANY_INT:
		return sonde__varint_take(&value, UINT64_MAX, &number) && value.at == value.end;
	case SONDE__TAG_ANY_DOUBLE:
		return sonde__fixed_take(&value, sizeof(double)) && value.at == value.end;
	default:
		return false;
	}
}

static bool value_is_valid(struct sonde__cursor value)
{
	struct sonde__cursor elements;
	struct sonde__cursor element;

	if (!sonde__tag_take(&value, SONDE__TAG_ANY_ARRAY))
		return scalar_is_valid(value);
	if (!sonde__bytes_take(&value, &elements) || value.at != value.end)
		return false;
	while (elements.at != elements.end)
		if (!sonde__tag_take(&elements, SONDE__TAG_ARRAY_VALUE) ||
		    !sonde__bytes_take(&elements, &element) || !scalar_is_valid(element))
			return false;
	return true;
}

static bool attribute_is_valid(struct sonde__cursor attribute)
{
	struct sonde__cursor key;
	struct sonde__cursor value;

	return sonde__tag_take(&attribute, SONDE__TAG_KEY) && sonde__bytes_take(&attribute, &key) &&
	       sonde__tag_take(&attribute, SONDE__TAG_VALUE) &&
	       sonde__bytes_take(&attribute, &value) && (attribute.at == attribute.end) &&
	       value_is_valid(value);
}

/* The end of an event or link: attributes, then perhaps a count. */
static bool attributes_are_valid(struct sonde__cursor *rest, uint8_t attribute_tag,
				 uint8_t dropped_tag)
{
	struct sonde__cursor attribute;
	uint64_t n_dropped;

	while (sonde__tag_take(rest, attribute_tag))
		if (!sonde__bytes_take(rest, &attribute) || !attribute_is_valid(attribute))
			return false;
	if (dropped_tag && sonde__tag_take(rest, dropped_tag) &&
	    !sonde__varint_take(rest, UINT32_MAX, &n_dropped))
		return false;
	return rest->at == rest->end;
}

static bool event_is_valid(struct sonde__cursor event)
{
	struct sonde__cursor name;

	if (!sonde__tag_take(&event, SONDE__TAG_EVENT_TICKS) &&
	    !sonde__tag_take(&event, SONDE__TAG_EVENT_TIME))
		return false;
	return sonde__fixed_take(&event, sizeof(uint64_t)) &&
	       sonde__tag_take(&event, SONDE__TAG_EVENT_NAME) && sonde__bytes_take(&event, &name) &&
	       attributes_are_valid(&event, SONDE__TAG_EVENT_ATTRIBUTE, SONDE__TAG_EVENT_DROPPED);
}

static bool id_take(struct sonde__cursor *cursor, uint8_t tag, ptrdiff_t size)
{
	struct sonde__cursor id;

	return sonde__tag_take(cursor, tag) && sonde__bytes_take(cursor, &id) &&
	       id.end - id.at == size;
}

static bool link_is_valid(struct sonde__cursor link)
{
	struct sonde__cursor trace_state;

	if (!id_take(&link, SONDE__TAG_LINK_TRACE_ID, 16) ||
	    !id_take(&link, SONDE__TAG_LINK_SPAN_ID, 8))
		return false;
	if (sonde__tag_take(&link, SONDE__TAG_LINK_TRACE_STATE) &&
	    !sonde__bytes_take(&link, &trace_state))
		return false;
	return sonde__tag_take(&link, SONDE__TAG_LINK_FLAGS) &&
	       sonde__fixed_take(&link, sizeof(uint32_t)) &&
	       attributes_are_valid(&link, SONDE__TAG_LINK_ATTRIBUTE, SONDE__TAG_LINK_DROPPED);
}

static bool span_fields_are_valid(struct sonde__cursor fields)
{
	struct sonde__cursor body;
	bool is_valid = true;

	while (is_valid && fields.at != fields.end) {
		uint8_t tag = *fields.at++;

		if (!sonde__bytes_take(&fields, &body))
			return false;
		if (tag == SONDE__TAG_SPAN_ATTRIBUTE)
			is_valid = attribute_is_valid(body);
		else if (tag == SONDE__TAG_SPAN_EVENT)
			is_valid = event_is_valid(body);
		else
			is_valid = tag == SONDE__TAG_SPAN_LINK && link_is_valid(body);
	}
	return is_valid;
}

bool sonde__fields_are_valid(enum sonde_fields type, struct sonde_bytes fields)
{
	struct sonde__cursor cursor = sonde__cursor_of(fields);

	switch (type) {
	case SONDE_FIELDS_SPAN:
		return span_fields_are_valid(cursor);
	case SONDE_FIELDS_LOG:
		return attributes_are_valid(&cursor, SONDE__TAG_LOG_ATTRIBUTE,
					    /* dropped_tag= */ 0);
	case SONDE_FIELDS_EVENT:
		return event_is_valid(cursor);
	case SONDE_FIELDS_LINK:
		return link_is_valid(cursor);
	default:
		return false;
	}
}

static bool is_zero(const uint8_t *id, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= id[i];
	return !any;
}

static bool span_head_is_valid(const struct sonde__span_record *span)
{
	size_t size = sizeof(*span) + span->name_size + span->trace_state_size +
		      span->description_size + (size_t)span->fields_size;

	return size <= span->head.size && span->kind <= 5 && span->status <= 2 &&
	       !is_zero(span->trace_id, sizeof(span->trace_id)) &&
	       !is_zero(span->span_id, sizeof(span->span_id));
}

static bool span_is_valid(const struct sonde__span_record *span)
{
	return span_head_is_valid(span) &&
	       sonde__fields_are_valid(SONDE_FIELDS_SPAN, sonde__span_record_fields(span));
}

static bool part_is_valid(const struct sonde__part_record *part)
{
	size_t size = sizeof(*part) + part->name_size + part->description_size +
		      (size_t)part->fields_size;

	return size <= part->head.size && part->status <= 2 &&
	       !is_zero(part->trace_id, sizeof(part->trace_id)) &&
	       !is_zero(part->span_id, sizeof(part->span_id)) &&
	       sonde__fields_are_valid(SONDE_FIELDS_SPAN, sonde__part_record_fields(part));
}

static bool log_is_valid(const struct sonde__log_record *log)
{
	size_t size = sizeof(*log) + log->body_size + (size_t)log->fields_size;

	return size <= log->head.size && log->severity <= 24 &&
	       sonde__fields_are_valid(SONDE_FIELDS_LOG, sonde__log_record_fields(log));
}

/* Where links may be left out for want of room, a level may be more than one above the last. */
static bool error_link_is_valid(const struct sonde__error_link *link)
{
	return link->level <= SONDE__LINK_LEVEL_MAX &&
	       !(link->flags & ~(SONDE__LINK_JOINED | SONDE__LINK_HAS_FRAMES));
}

/* Breadcrumbs, and perhaps zeros behind them. */
static bool crumbs_are_valid(const struct sonde__error_record *error, size_t done)
{
	const uint8_t *bytes = (const uint8_t *)error;
	const size_t end = done + error->crumbs_size;

	if (end > error->head.size || error->crumbs_size % 8)
		return false;
	while (done < end) {
		const struct sonde__crumb *crumb = (const void *)(bytes + done);

		if (end - done < sizeof(*crumb) || !crumb->level)
			return is_zero(bytes + done, end - done);
		if (crumb->level > 24 || sonde__crumb_size(crumb) > end - done)
			return false;
		done += sonde__crumb_size(crumb);
	}
	return true;
}

static bool error_is_valid(const struct sonde__error_record *error)
{
	const uint8_t *bytes = (const uint8_t *)error;
	size_t done = sizeof(*error);

	if (!error->n_links || error->severity > 24)
		return false;
	for (unsigned i = 0; i < error->n_links; i++) {
		const struct sonde__error_link *link = (const void *)(bytes + done);

		if (error->head.size - done < sizeof(*link))
			return false;
		done += sonde__error_link_size(link);
		if (done > error->head.size || !error_link_is_valid(link))
			return false;
	}
	done += error->n_frames * sizeof(uint64_t) + error->fields_size;
	if (done > error->head.size)
		return false;
	if (error->crumbs_size && !crumbs_are_valid(error, (done + 7) & ~(size_t)7))
		return false;
	return sonde__fields_are_valid(SONDE_FIELDS_LOG, sonde__error_record_fields(error));
}

static bool lies_within(const struct sonde__record *record, size_t available)
{
	return (uintptr_t)record % 8 == 0 && available >= sizeof(*record) &&
	       record->size <= available;
}

bool sonde__span_head_is_valid(const struct sonde__record *record, size_t available)
{
	return lies_within(record, available) && record->type == SONDE__RECORD_SPAN &&
	       record->size >= sizeof(struct sonde__span_record) &&
	       span_head_is_valid((const void *)record);
}

bool sonde__record_is_valid(const struct sonde__record *record, size_t available)
{
	static const size_t fixed_sizes[] = {
		[SONDE__RECORD_SPAN] = sizeof(struct sonde__span_record),
		[SONDE__RECORD_PART] = sizeof(struct sonde__part_record),
		[SONDE__RECORD_LOG] = sizeof(struct sonde__log_record),
		[SONDE__RECORD_ERROR] = sizeof(struct sonde__error_record),
		[SONDE__RECORD_AGAIN] = sizeof(struct sonde__error_record),
	};
	const void *typed = record;

	if (!lies_within(record, available))
		return false;
	if (record->type >= SONDE__ARRAY_SIZE(fixed_sizes) || !fixed_sizes[record->type] ||
	    record->size < fixed_sizes[record->type])
		return false;
	switch (record->type) {
	case SONDE__RECORD_SPAN:
		return span_is_valid(typed);
	case SONDE__RECORD_PART:
		return part_is_valid(typed);
	case SONDE__RECORD_LOG:
		return log_is_valid(typed);
	default:
		return error_is_valid(typed);
	}
}
