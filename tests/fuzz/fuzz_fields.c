/* SPDX-License-Identifier: Apache-2.0 */
/* The public readers on any bytes: they end, and everything they show lies inside. */

#include <sonde/exporter.h>

#include "target.h"

static const uint8_t *low;
static const uint8_t *high;

static void check_inside(const void *data, size_t size)
{
	CHECK(!size || ((const uint8_t *)data >= low && (const uint8_t *)data + size <= high));
}

static void check_values(struct sonde_value_view value, unsigned depth)
{
	struct sonde_value_view element;

	if (value.type == SONDE_VALUE_STR)
		check_inside(value.as.string.data, value.as.string.size);
	if (value.type == SONDE_VALUE_BYTES || value.type == SONDE_VALUE_ARRAY)
		check_inside(value.as.bytes.data, value.as.bytes.size);
	while (depth && value.type == SONDE_VALUE_ARRAY &&
	       sonde_value_next(&value.as.array, &element))
		check_values(element, depth - 1);
}

static void check_items(enum sonde_fields type, struct sonde_bytes rest, unsigned depth)
{
	struct sonde_item_view item;
	size_t before = rest.size;

	while (sonde_item_next(type, &rest, &item)) {
		CHECK(rest.size < before);
		before = rest.size;
		check_inside(item.name.data, item.name.size);
		check_inside(item.trace_state.data, item.trace_state.size);
		check_values(item.value, /* depth= */ 4);
		if (item.type != SONDE_ITEM_ATTRIBUTE && depth)
			check_items(item.type == SONDE_ITEM_EVENT ? SONDE_FIELDS_EVENT
								  : SONDE_FIELDS_LINK,
				    item.attributes, depth - 1);
	}
	CHECK(rest.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = text_new(data, size);
	uint8_t *exact = malloc(size ? size : 1);

	CHECK(exact);
	memcpy(exact, copy, size);
	low = exact;
	high = exact + size;
	for (enum sonde_fields type = SONDE_FIELDS_SPAN; type <= SONDE_FIELDS_RESOURCE; type++)
		check_items(type, (struct sonde_bytes){ exact, size }, /* depth= */ 2);
	free(exact);
	free(copy);
	return 0;
}
