/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of <sonde/exporter.h>. Exporters may be handed anything (a test's own bytes, another
 * version's records), so these follow protobuf's rules and not our own writer's: any order, unknown
 * fields passed over, the last of a repeated field counts. Where the bytes end in the middle of a
 * field, the walk ends.
 */

#include <sonde/exporter.h>

#include "record/wire.h"

enum { UNKNOWN_ITEM = 0 };

static bool value_read(struct sonde_bytes any, struct sonde_value_view *ret)
{
	struct sonde__wire_field field;
	int r;

	memset(ret, 0, sizeof(*ret));
	while ((r = sonde__wire_next(&any, &field)) > 0) {
		struct sonde_value_view value = { .type = SONDE_VALUE_EMPTY };

		if (field.number == 1 && field.type == SONDE__WIRE_BYTES) {
			value.type = SONDE_VALUE_STR;
			value.as.string = (struct sonde_text){ field.bytes.data, field.bytes.size };
		} else if (field.number == 2 && field.type == SONDE__WIRE_VARINT) {
			value.type = SONDE_VALUE_BOOL;
			value.as.boolean = field.value != 0;
		} else if (field.number == 3 && field.type == SONDE__WIRE_VARINT) {
			value.type = SONDE_VALUE_INT;
			value.as.integer = (int64_t)field.value;
		} else if (field.number == 4 && field.type == SONDE__WIRE_FIXED64) {
			value.type = SONDE_VALUE_DOUBLE;
			memcpy(&value.as.real, &field.value, sizeof(value.as.real));
		} else if (field.number == 5 && field.type == SONDE__WIRE_BYTES) {
			value.type = SONDE_VALUE_ARRAY;
			value.as.array = field.bytes;
		} else if (field.number == 7 && field.type == SONDE__WIRE_BYTES) {
			value.type = SONDE_VALUE_BYTES;
			value.as.bytes = field.bytes;
		} else {
			continue;
		}
		*ret = value;
	}
	return r == 0;
}

static bool attribute_read(struct sonde_bytes body, struct sonde_item_view *ret)
{
	struct sonde__wire_field field;
	int r;

	while ((r = sonde__wire_next(&body, &field)) > 0) {
		if (field.type != SONDE__WIRE_BYTES)
			continue;
		if (field.number == 1)
			ret->name = (struct sonde_text){ field.bytes.data, field.bytes.size };
		else if (field.number == 2 && !value_read(field.bytes, &ret->value))
			return false;
	}
	return r == 0;
}

static bool event_read(struct sonde_bytes body, struct sonde_item_view *ret)
{
	struct sonde__wire_field field;
	int r;

	ret->attributes = body;
	while ((r = sonde__wire_next(&body, &field)) > 0) {
		if (field.number == 1 && field.type == SONDE__WIRE_FIXED64)
			ret->unix_ns = field.value;
		else if (field.number == 2 && field.type == SONDE__WIRE_BYTES)
			ret->name = (struct sonde_text){ field.bytes.data, field.bytes.size };
		else if (field.number == 4 && field.type == SONDE__WIRE_VARINT)
			ret->dropped_attributes = (uint32_t)field.value;
	}
	return r == 0;
}

/* Ids of another length are no ids. */
static void id_read(struct sonde_bytes id, uint8_t *ret, size_t size)
{
	if (id.size == size)
		memcpy(ret, id.data, size);
}

static bool link_read(struct sonde_bytes body, struct sonde_item_view *ret)
{
	struct sonde__wire_field field;
	int r;

	ret->attributes = body;
	while ((r = sonde__wire_next(&body, &field)) > 0) {
		if (field.number == 1 && field.type == SONDE__WIRE_BYTES)
			id_read(field.bytes, ret->trace_id, sizeof(ret->trace_id));
		else if (field.number == 2 && field.type == SONDE__WIRE_BYTES)
			id_read(field.bytes, ret->span_id, sizeof(ret->span_id));
		else if (field.number == 3 && field.type == SONDE__WIRE_BYTES)
			ret->trace_state =
				(struct sonde_text){ field.bytes.data, field.bytes.size };
		else if (field.number == 5 && field.type == SONDE__WIRE_VARINT)
			ret->dropped_attributes = (uint32_t)field.value;
	}
	return r == 0;
}

/* Which item a field number means in which message; opentelemetry-proto's numbers. */
static int item_type(enum sonde_fields fields, uint64_t number)
{
	static const struct {
		enum sonde_fields fields;
		uint64_t number;
		enum sonde_item_type type;
	} items[] = {
		{ SONDE_FIELDS_SPAN, 9, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_SPAN, 11, SONDE_ITEM_EVENT },
		{ SONDE_FIELDS_SPAN, 13, SONDE_ITEM_LINK },
		{ SONDE_FIELDS_LOG, 6, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_EVENT, 3, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_LINK, 4, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_RESOURCE, 1, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_POINT, 7, SONDE_ITEM_ATTRIBUTE },
		{ SONDE_FIELDS_HISTOGRAM_POINT, 1, SONDE_ITEM_ATTRIBUTE },
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(items); i++)
		if (items[i].fields == fields && items[i].number == number)
			return (int)items[i].type;
	return UNKNOWN_ITEM;
}

static bool item_read(int type, struct sonde_bytes body, struct sonde_item_view *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->type = (enum sonde_item_type)type;
	if (type == SONDE_ITEM_EVENT)
		return event_read(body, ret);
	if (type == SONDE_ITEM_LINK)
		return link_read(body, ret);
	return attribute_read(body, ret);
}

SONDE_API bool sonde_item_next(enum sonde_fields fields, struct sonde_bytes *rest,
			       struct sonde_item_view *ret)
{
	struct sonde__wire_field field;
	struct sonde_item_view item;

	if (!rest || !ret)
		return false;
	while (sonde__wire_next(rest, &field) > 0) {
		int type = item_type(fields, field.number);

		if (type == UNKNOWN_ITEM || field.type != SONDE__WIRE_BYTES)
			continue;
		if (!item_read(type, field.bytes, &item))
			break;
		*ret = item;
		return true;
	}
	rest->size = 0;
	return false;
}

SONDE_API bool sonde_value_next(struct sonde_bytes *rest, struct sonde_value_view *ret)
{
	struct sonde__wire_field field;
	struct sonde_value_view value;

	if (!rest || !ret)
		return false;
	while (sonde__wire_next(rest, &field) > 0) {
		if (field.number != 1 || field.type != SONDE__WIRE_BYTES)
			continue;
		if (!value_read(field.bytes, &value))
			break;
		*ret = value;
		return true;
	}
	rest->size = 0;
	return false;
}
