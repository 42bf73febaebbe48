/* SPDX-License-Identifier: Apache-2.0 */
/* The growing buffer that exporters encode into: doubles, up to its limit. */

#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>

#define FIRST_CAPACITY 4096

static int buffer_grow(struct sonde_buffer *buffer, size_t needed)
{
	size_t capacity = buffer->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buffer->capacity;
	uint8_t *data;

	while (capacity < needed && capacity <= SIZE_MAX / 2)
		capacity *= 2;
	if (capacity < needed || capacity > buffer->limit)
		capacity = buffer->limit;
	data = realloc(buffer->data, capacity);
	if (!data)
		return SONDE_E_NOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return SONDE_OK;
}

SONDE_API uint8_t *sonde_buffer_reserve(struct sonde_buffer *buffer, size_t size)
{
	if (!buffer || buffer->size > buffer->limit || size > buffer->limit - buffer->size)
		return NULL;
	if (size > buffer->capacity - buffer->size || !buffer->data)
		if (buffer_grow(buffer, buffer->size + size) < 0)
			return NULL;
	return buffer->data + buffer->size;
}

SONDE_API int sonde_buffer_append(struct sonde_buffer *buffer, const void *data, size_t size)
{
	uint8_t *room;

	if (!size)
		return buffer ? SONDE_OK : SONDE_E_INVALID;
	room = sonde_buffer_reserve(buffer, size);
	if (!room)
		return SONDE_E_NOMEM;
	memcpy(room, data, size);
	buffer->size += size;
	return SONDE_OK;
}
