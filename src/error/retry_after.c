/* SPDX-License-Identifier: Apache-2.0 */

/* How long somebody asked us to wait: an attribute, so that it is seen where the error is. */

#include <string.h>

#include <sonde/exporter.h>

#include "error/error.h"

#define NS_PER_SECOND 1e9
#define NONE UINT64_MAX

void sonde_error_set_retry_after(struct sonde_error *error, uint64_t delay_ns)
{
	sonde_error_set(error,
			sonde_double(SONDE__ERROR_RETRY_AFTER, (double)delay_ns / NS_PER_SECOND));
}

static uint64_t own_delay(const struct sonde_error *error)
{
	const size_t key_size = sizeof(SONDE__ERROR_RETRY_AFTER) - 1;
	struct sonde_item_view item;
	uint16_t n_dropped;
	struct sonde_bytes rest = sonde__error_attributes(error, &n_dropped);

	while (sonde_item_next(SONDE_FIELDS_LOG, &rest, &item)) {
		double delay_ns;

		if (item.type != SONDE_ITEM_ATTRIBUTE || item.name.size != key_size ||
		    memcmp(item.name.data, SONDE__ERROR_RETRY_AFTER, key_size) != 0 ||
		    item.value.type != SONDE_VALUE_DOUBLE)
			continue;
		delay_ns = item.value.as.real * NS_PER_SECOND + 0.5;
		/* Somebody may have set the attribute by hand. */
		if (delay_ns >= 0 && delay_ns < 0x1p63)
			return (uint64_t)delay_ns;
		return delay_ns >= 0x1p63 ? NONE - 1 : NONE;
	}
	return NONE;
}

uint64_t sonde_error_retry_after_ns(const struct sonde_error *error)
{
	struct sonde__error_walk walk = { .next = error };
	uint64_t longest_ns = 0;
	bool is_known = false;
	uint8_t found_level = UINT8_MAX;

	while ((error = sonde__error_walk(&walk)) != NULL) {
		uint64_t delay_ns;

		/* What is below an error that said it has nothing to add; what is beside it may. */
		if (walk.level > found_level || (walk.level == found_level && !walk.is_joined))
			continue;
		found_level = UINT8_MAX;
		delay_ns = own_delay(error);
		if (delay_ns == NONE)
			continue;
		found_level = walk.level;
		is_known = true;
		if (delay_ns > longest_ns)
			longest_ns = delay_ns;
	}
	return is_known ? longest_ns : NONE;
}
