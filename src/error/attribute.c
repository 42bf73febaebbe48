/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is added to an error after it was raised. Attributes are encoded at once into its own buffer
 * as fields of the LogRecord that it may become. Setting a key again takes the old field out, so
 * that a loop that sets one key does not fill the buffer.
 */

#include "error/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <sonde/error_errno.h>
#include <sonde/exporter.h>

#include "base/utf8.h"
#include "error/object.h"
#include "error/text.h"
#include "record/attribute.h"
#include "stack/stack.h"

#define FINGERPRINT_MAX 128
#define FIELD_NAME_MAX 96
#define ERRNO_TEXT_SIZE 128

/* One encoded field: tag, length, then the key's tag, length and bytes. */
struct field {
	uint8_t *start;
	size_t size; /* 0: none. */
};

static uint8_t *attributes_of(struct sonde_error *error)
{
	return (uint8_t *)error->bytes + error->attributes_at;
}

static void count_dropped(struct sonde_error *error)
{
	if (error->n_dropped < UINT16_MAX)
		error->n_dropped++;
}

/* Finds the field with this key. The bytes are our own encoder's. */
static struct field field_find(struct sonde_error *error, const char *key, size_t key_size)
{
	uint8_t *attributes = attributes_of(error);
	const uint8_t *end = attributes + error->attributes_size;
	const uint8_t *at = attributes;

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
			return (struct field){ attributes + (start - attributes),
					       (size_t)(body_end - start) };
		at = body_end;
	}
	return (struct field){ 0 };
}

static void field_remove(struct sonde_error *error, const struct field *field)
{
	uint8_t *end = attributes_of(error) + error->attributes_size;

	if (!field->size)
		return;
	memmove(field->start, field->start + field->size,
		(size_t)(end - field->start) - field->size);
	error->attributes_size = (uint16_t)(error->attributes_size - field->size);
}

void sonde_error_set(struct sonde_error *error, struct sonde_attr attr)
{
	const char *key = attr.key ? attr.key : "";
	struct field old;
	size_t size;

	if (!sonde__error_is_writable(error))
		return;
	size = sonde__attr_size(&attr);
	old = field_find(error, key, strlen(key));
	if (size == 0 || size > sonde__error_room(error) + old.size) {
		count_dropped(error);
		return;
	}
	field_remove(error, &old);
	size = sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attr,
				  attributes_of(error) + error->attributes_size,
				  sonde__error_room(error));
	error->attributes_size = (uint16_t)(error->attributes_size + size);
}

void sonde_error_set_fingerprint(struct sonde_error *error, const char *text)
{
	char kept[FINGERPRINT_MAX + 1];
	size_t size = sonde__error_text_copy(kept, sizeof(kept), text);

	sonde_error_set(error, sonde_strn("sonde.error.group", text ? kept : NULL, size));
}

struct sonde_error *sonde_error_with(struct sonde_error *error, const struct sonde_attr *attrs,
				     size_t n_attrs)
{
	for (size_t i = 0; attrs && i < n_attrs; i++)
		sonde_error_set(error, attrs[i]);
	return error;
}

void sonde_error_set_detail(struct sonde_error *error, const char *format, ...)
{
	char text[ERROR_DETAIL_SIZE];
	int saved_errno = errno;
	va_list arguments;
	size_t room;
	size_t size;

	if (!sonde__error_is_writable(error))
		return;
	va_start(arguments, format);
	size = sonde__error_text_format(text, sizeof(text), format, arguments) + 1;
	va_end(arguments);
	errno = saved_errno;
	error->detail_at = ERROR_BYTES_SIZE;
	room = sonde__error_room(error);
	if (room <= sizeof(ERROR_CUT_MARK)) {
		count_dropped(error);
		return;
	}
	if (size > room)
		size = room;
	error->detail_at = (uint16_t)(ERROR_BYTES_SIZE - size);
	sonde__error_text_copy(error->bytes + error->detail_at, size, text);
}

/* The text of a string attribute that is there; empty where it is another kind of value. */
static struct sonde_text field_text(const struct field *field)
{
	struct sonde_bytes rest = { field->start, field->size };
	struct sonde_item_view item;

	if (!field->size || !sonde_item_next(SONDE_FIELDS_LOG, &rest, &item) ||
	    item.value.type != SONDE_VALUE_STR)
		return (struct sonde_text){ "", 0 };
	return item.value.as.string;
}

void sonde_error_add_field(struct sonde_error *error, const char *field, const char *format, ...)
{
	char key[sizeof(SONDE__ERROR_FIELD_PREFIX) + FIELD_NAME_MAX];
	char text[2 * SONDE_ERROR_MESSAGE_SIZE];
	int saved_errno = errno;
	struct sonde_text earlier;
	struct field old;
	va_list arguments;
	size_t size = 0;

	if (!sonde__error_is_writable(error))
		return;
	memcpy(key, SONDE__ERROR_FIELD_PREFIX, sizeof(SONDE__ERROR_FIELD_PREFIX) - 1);
	(void)sonde__error_text_copy(key + sizeof(SONDE__ERROR_FIELD_PREFIX) - 1,
				     FIELD_NAME_MAX + 1, field);
	old = field_find(error, key, strlen(key));
	earlier = field_text(&old);
	if (earlier.size && earlier.size < SONDE_ERROR_MESSAGE_SIZE - 2) {
		memcpy(text, earlier.data, earlier.size);
		memcpy(text + earlier.size, "; ", 2);
		size = earlier.size + 2;
	}
	va_start(arguments, format);
	size += sonde__error_text_format(text + size, SONDE_ERROR_MESSAGE_SIZE, format, arguments);
	va_end(arguments);
	errno = saved_errno;
	sonde_error_set(error, sonde_strn(key, text, size));
}

void sonde_error_set_errno(struct sonde_error *error, int number)
{
	if (!sonde__error_is_writable(error))
		return;
	error->errno_value = number;
	if (number)
		error->flags |= ERROR_ERRNO_COUNTS;
	else
		error->flags &= (uint8_t)~ERROR_ERRNO_COUNTS;
}

struct sonde_error *sonde_error_note_errno(struct sonde_error *error, int number)
{
	char text[ERRNO_TEXT_SIZE];
	int saved_errno = errno;

	sonde_error_set_errno(error, number);
	sonde_error_set_detail(error, "%s", strerror_r(number, text, sizeof(text)));
	errno = saved_errno;
	return error;
}

void sonde_error_add_stack(struct sonde_error *error)
{
	if (sonde__error_is_writable(error) && !error->n_frames)
		error->n_frames = (uint8_t)sonde__stack_walk(error->frames, SONDE_ERROR_FRAMES);
}

void sonde__error_set_stack(struct sonde_error *error, const uint64_t *frames, size_t n_frames)
{
	if (!sonde__error_is_writable(error))
		return;
	n_frames = n_frames < SONDE_ERROR_FRAMES ? n_frames : SONDE_ERROR_FRAMES;
	memcpy(error->frames, frames, n_frames * sizeof(*frames));
	error->n_frames = (uint8_t)n_frames;
}

struct sonde_bytes sonde__error_attributes(const struct sonde_error *error, uint16_t *ret_n_dropped)
{
	struct sonde_bytes bytes = { 0 };

	if (!error)
		return bytes;
	bytes.data = error->bytes + error->attributes_at;
	bytes.size = error->attributes_size;
	*ret_n_dropped = error->n_dropped;
	return bytes;
}
