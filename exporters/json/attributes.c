/* SPDX-License-Identifier: Apache-2.0 */
#include "json/attributes.h"

#define ARRAY_DEPTH_MAX 8

static void put_value(struct sonde__json *json, const struct sonde_value_view *value, int depth);

/* Deeper than what can be captured, an array is empty. */
static void put_array(struct sonde__json *json, struct sonde_bytes elements, int depth)
{
	struct sonde_value_view element;
	const char *separator = "";

	sonde__json_raw(json, "{\"arrayValue\":{\"values\":[");
	while (depth < ARRAY_DEPTH_MAX && sonde_value_next(&elements, &element)) {
		sonde__json_raw(json, separator);
		put_value(json, &element, depth + 1);
		separator = ",";
	}
	sonde__json_raw(json, "]}");
}

static void put_value(struct sonde__json *json, const struct sonde_value_view *value, int depth)
{
	switch (value->type) {
	case SONDE_VALUE_STR:
		sonde__json_raw(json, "{\"stringValue\":");
		sonde__json_text(json, value->as.string);
		break;
	case SONDE_VALUE_BOOL:
		sonde__json_raw(json, value->as.boolean ? "{\"boolValue\":true" : "{\"boolValue\":false");
		break;
	case SONDE_VALUE_INT:
		sonde__json_raw(json, "{\"intValue\":");
		sonde__json_i64(json, value->as.integer);
		break;
	case SONDE_VALUE_DOUBLE:
		sonde__json_raw(json, "{\"doubleValue\":");
		sonde__json_double(json, value->as.real);
		break;
	case SONDE_VALUE_BYTES:
		sonde__json_raw(json, "{\"bytesValue\":");
		sonde__json_base64(json, value->as.bytes);
		break;
	case SONDE_VALUE_ARRAY:
		put_array(json, value->as.array, depth);
		break;
	case SONDE_VALUE_EMPTY:
		sonde__json_raw(json, "{");
		break;
	}
	sonde__json_raw(json, "}");
}

static void put_attribute(struct sonde__json *json, const struct sonde_item_view *item)
{
	sonde__json_raw(json, "{\"key\":");
	sonde__json_text(json, item->name);
	sonde__json_raw(json, ",\"value\":");
	put_value(json, &item->value, 0);
	sonde__json_raw(json, "}");
}

void sonde__json_attributes(struct sonde__json *json, enum sonde_fields fields,
			    const struct sonde_bytes *pieces, size_t n_pieces)
{
	struct sonde_item_view item;
	size_t n = 0;

	for (size_t i = 0; i < n_pieces; i++) {
		struct sonde_bytes rest = pieces[i];

		while (sonde_item_next(fields, &rest, &item)) {
			if (item.type != SONDE_ITEM_ATTRIBUTE)
				continue;
			sonde__json_raw(json, n++ ? "," : ",\"attributes\":[");
			put_attribute(json, &item);
		}
	}
	if (n)
		sonde__json_raw(json, "]");
}
