/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_WIRE_H
#define SONDE_OTLP_WIRE_H

/* Protobuf's encoding, as far as what is written by hand needs it. */

#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "sink.h"

/* A field's tag byte, of numbers below 16. */
#define VARINT(field) ((uint8_t)((field) << 3 | 0))
#define FIXED64(field) ((uint8_t)((field) << 3 | 1))
#define BYTES(field) ((uint8_t)((field) << 3 | 2))
#define FIXED32(field) ((uint8_t)((field) << 3 | 5))

#define FIXED64_SIZE 9

static inline size_t varint_size(uint64_t value)
{
	/* Seven bits a byte, and one byte for 0. */
	return ((size_t)(63 - __builtin_clzll(value | 1)) * 9 + 73) / 64;
}

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline uint8_t *put_fixed64(uint8_t *at, uint8_t tag, uint64_t value)
{
	*at++ = tag;
	for (int i = 0; i < 8; i++)
		*at++ = (uint8_t)(value >> 8 * i);
	return at;
}

/* A field with a length; nothing where that is 0. */
static inline size_t field_size(size_t size)
{
	return size ? 1 + varint_size(size) + size : 0;
}

static inline size_t text_size(struct sonde_text text)
{
	return field_size(text.size);
}

static inline void write_text(struct sonde__otlp_sink *sink, uint8_t tag, struct sonde_text text)
{
	uint8_t *at;

	if (!text.size)
		return;
	at = sonde__otlp_sink_room(sink, 11);
	*at++ = tag;
	sink->at = put_varint(at, text.size);
	sonde__otlp_sink_copy(sink, text.data, text.size);
}

#endif
