/* SPDX-License-Identifier: Apache-2.0 */
#include "adapter.h"

#include "support.h"

#include <inttypes.h>

#include <sonde/exporter.h>

static bool attribute_find(const struct sonde_error *error, const char *key, char *ret, size_t size)
{
	uint16_t n_dropped;
	struct sonde_bytes rest = sonde__error_attributes(error, &n_dropped);
	struct sonde_item_view item;

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		if (item.name.size != strlen(key) ||
		    memcmp(item.name.data, key, item.name.size) != 0)
			continue;
		if (item.value.type == SONDE_VALUE_STR)
			snprintf(ret, size, "%.*s", (int)item.value.as.string.size,
				 item.value.as.string.data);
		else
			snprintf(ret, size, "%" PRId64, item.value.as.integer);
		return true;
	}
	return false;
}

void adapter_assert_attribute(const struct sonde_error *error, const char *key, const char *wanted)
{
	char found[512];

	if (!attribute_find(error, key, found, sizeof(found)))
		fail_msg("there is no attribute %s", key);
	assert_string_equal(found, wanted);
}

bool adapter_has_attribute(const struct sonde_error *error, const char *key)
{
	char found[512];

	return attribute_find(error, key, found, sizeof(found));
}
