/* SPDX-License-Identifier: Apache-2.0 */

/* Attributes of an error, encoded at once into its own buffer as fields of the LogRecord it may become. */

#include "error/error.h"

#include "error/object.h"

void sonde_error_set(struct sonde_error *error, struct sonde_attr attr)
{
	(void)attr;
	/* Relaxed: an error belongs to one thread at a time. */
	if (!error || atomic_load_explicit(&error->state, memory_order_relaxed) == SONDE__ERROR_STATIC)
		return;
	if (error->n_dropped < UINT16_MAX)
		error->n_dropped++;
}

struct sonde_bytes sonde__error_attributes(const struct sonde_error *error, uint16_t *ret_n_dropped)
{
	struct sonde_bytes bytes = { 0 };

	if (!error)
		return bytes;
	bytes.data = error->attributes;
	bytes.size = error->attributes_size;
	*ret_n_dropped = error->n_dropped;
	return bytes;
}
