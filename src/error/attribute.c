/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Attributes of an error, encoded at once into its own buffer as fields of the LogRecord that it
 * may become. Setting a key again takes the old field out, so that a loop that sets one key does
 * not fill the buffer.
 */

#include "error/error.h"

#include <string.h>

#include "base/utf8.h"
#include "error/object.h"
#include "record/attribute.h"

#define FINGERPRINT_MAX 128

/* One encoded field: tag, length, then the key's tag, length and bytes. */
struct field {
	uint8_t *start;
	size_t size; /* 0: none. */
};

/* Finds the field with this key. The bytes are our own encoder's. */
static struct field field_find(struct sonde_error *error, const char *key, size_t key_size)
{
	const uint8_t *end = error->attributes + error->attributes_size;
	const uint8_t *at = error->attributes;

	while (at < end) {
		const uint8_t *start = at++;
		const uint8_t *body_end;
		uint64_t size;

		if (!sonde__varint_get(&at, end, &size) || size > (size_t)(end - at))
			break;
		body_end = at + size;
		if (at < body_end && *at++ == SONDE__TAG_KEY &&
		    sonde__varint_get(&at, body_end, &size) && size == key_size &&
		    size <= (size_t)(body_end - at) && memcmp(at, key, key_size) == 0)
			return (struct field){ error->attributes + (start - error->attributes),
					       (size_t)(body_end - start) };
		at = body_end;
	}
	return (struct field){ 0 };
}

static void field_remove(struct sonde_error *error, const struct field *field)
{
	uint8_t *end = error->attributes + error->attributes_size;

	if (!field->size)
		return;
	memmove(field->start, field->start + field->size,
		(size_t)(end - field->start) - field->size);
	error->attributes_size = (uint16_t)(error->attributes_size - field->size);
}

static bool is_writable(const struct sonde_error *error)
{
	/* Relaxed: an error belongs to one thread at a time. */
	uint32_t state = error ? atomic_load_explicit(&error->state, memory_order_relaxed)
			       : SONDE__ERROR_STATIC;

	return state == SONDE__ERROR_LIVE || state == SONDE__ERROR_OWNED;
}

void sonde_error_set(struct sonde_error *error, struct sonde_attr attr)
{
	const char *key = attr.key ? attr.key : "";
	struct field old;
	size_t size;

	if (!is_writable(error))
		return;
	size = sonde__attr_size(&attr);
	old = field_find(error, key, strlen(key));
	if (size == 0 || error->attributes_size - old.size + size > sizeof(error->attributes)) {
		if (error->n_dropped < UINT16_MAX)
			error->n_dropped++;
		return;
	}
	field_remove(error, &old);
	size = sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attr,
				  error->attributes + error->attributes_size,
				  sizeof(error->attributes) - error->attributes_size);
	error->attributes_size = (uint16_t)(error->attributes_size + size);
}

void sonde_error_set_fingerprint(struct sonde_error *error, const char *text)
{
	size_t size = text ? strnlen(text, FINGERPRINT_MAX + 4) : 0;

	sonde_error_set(error, sonde_strn("sonde.error.group", text,
					  sonde__utf8_cut(text, size, FINGERPRINT_MAX)));
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
