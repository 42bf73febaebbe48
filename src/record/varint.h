/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_VARINT_H
#define SONDE_RECORD_VARINT_H

/* The protobuf wire format's smallest parts: base-128 numbers and fixed little-endian words. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

#define SONDE__VARINT_MAX_SIZE 10

/* Wire types, the low three bits of a tag. */
#define SONDE__WIRE_VARINT 0
#define SONDE__WIRE_FIXED64 1
#define SONDE__WIRE_BYTES 2
#define SONDE__WIRE_FIXED32 5

/* Seven bits a byte: 9/64 is near enough to 1/7 for every length there is. */
static SONDE__ALWAYS_INLINE size_t sonde__varint_size(uint64_t value)
{
	return ((unsigned)(63 - __builtin_clzll(value | 1)) * 9 + 73) / 64;
}

/* Writes sonde__varint_size(value) bytes and returns what comes after them. */
static SONDE__ALWAYS_INLINE uint8_t *sonde__varint_put(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

/* False where the bytes end early or go on past 64 bits; *at is untouched then. */
static inline bool sonde__varint_get(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *from = *at;
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && from < end; shift += 7) {
		uint8_t byte = *from++;

		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*at = from;
			*ret = value;
			return true;
		}
	}
	return false;
}

/* Little-endian, as protobuf and all machines sonde runs on have it. */
static SONDE__ALWAYS_INLINE uint8_t *sonde__fixed64_put(uint8_t *at, uint64_t value)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are copied as they are");
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static SONDE__ALWAYS_INLINE uint64_t sonde__fixed64_get(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* The first and the last `n` bytes of `size`, which meet or overlap: n <= size <= 2 * n. */
#define SONDE__COPY_ENDS(at, from, size, n) \
	do { \
		uint8_t ends[2][n]; \
		memcpy(ends[0], from, n); \
		memcpy(ends[1], (from) + (size) - (n), n); \
		memcpy(at, ends[0], n); \
		memcpy((at) + (size) - (n), ends[1], n); \
	} while (0)

/* Texts up to this are copied without a call. */
#define SONDE__SHORT_MAX 64

static SONDE__ALWAYS_INLINE uint8_t *sonde__short_put(uint8_t *at, const void *data, size_t size)
{
	const uint8_t *from = data;

	if (SONDE__LIKELY(size >= 8)) {
		if (size <= 16) {
			SONDE__COPY_ENDS(at, from, size, 8);
		} else {
			SONDE__COPY_ENDS(at, from, size, 16);
			if (size > 32)
				SONDE__COPY_ENDS(at + 16, from + 16, size - 32, 16);
		}
	} else if (size >= 4) {
		SONDE__COPY_ENDS(at, from, size, 4);
	} else if (size) {
		at[0] = from[0];
		at[size / 2] = from[size / 2];
		at[size - 1] = from[size - 1];
	}
	return at + size;
}

static SONDE__ALWAYS_INLINE uint8_t *sonde__bytes_put(uint8_t *at, const void *data, size_t size)
{
	if (SONDE__LIKELY(size <= SONDE__SHORT_MAX))
		return sonde__short_put(at, data, size);
	memcpy(at, data, size);
	return at + size;
}

#endif
