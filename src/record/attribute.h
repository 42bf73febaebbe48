/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_ATTRIBUTE_H
#define SONDE_RECORD_ATTRIBUTE_H

/*
 * Attributes as protobuf fields, written straight into bounded memory at capture.
 *
 * Every writer either writes the whole field and returns its length, or writes nothing that counts
 * and returns 0 because it does not fit. All are wait-free and async-signal-safe and keep errno.
 * The `tag` says which message the field goes to: SONDE__TAG_SPAN_ATTRIBUTE,
 * SONDE__TAG_LOG_ATTRIBUTE, SONDE__TAG_EVENT_ATTRIBUTE, SONDE__TAG_LINK_ATTRIBUTE.
 *
 * An attribute's field is a KeyValue: tag, length, 0x0a, key's length, key, 0x12, value's length,
 * AnyValue. The inline writers are for the hot path: with a key of constant length they fold to a
 * few stores.
 */

#include <sonde/attribute.h>

#include "record/layout.h"
#include "record/varint.h"

/* No key, value or name longer than this is even tried, so that no sum of lengths can overflow. */
#define SONDE__TEXT_MAX_SIZE ((size_t)1 << 24)

/* Tags inside KeyValue, AnyValue and ArrayValue. */
#define SONDE__TAG_KEY 0x0a
#define SONDE__TAG_VALUE 0x12
#define SONDE__TAG_ANY_STRING 0x0a
#define SONDE__TAG_ANY_BOOL 0x10
#define SONDE__TAG_ANY_INT 0x18
#define SONDE__TAG_ANY_DOUBLE 0x21
#define SONDE__TAG_ANY_ARRAY 0x2a
#define SONDE__TAG_ANY_BYTES 0x3a
#define SONDE__TAG_ARRAY_VALUE 0x0a

/* ---- The hot path ---------------------------------------------------------------------------- */

/* Bytes of a length-delimited field with a one-byte tag. */
static SONDE__ALWAYS_INLINE size_t sonde__field_size(size_t size)
{
	return 1 + sonde__varint_size(size) + size;
}

static SONDE__ALWAYS_INLINE void sonde__four_put(uint8_t *at, size_t a, size_t b, size_t c,
						 size_t d)
{
	const uint32_t word = (uint32_t)(a | b << 8 | c << 16 | d << 24);

	memcpy(at, &word, sizeof(word));
}

/*
 * Writes everything up to the AnyValue of `value_size` bytes, two at least, and of that the tag and
 * the `next` byte, which the caller may write again. Returns what comes after the AnyValue's tag.
 * For keys up to SONDE__SHORT_MAX and bodies below 128, where there is room.
 */
static SONDE__ALWAYS_INLINE uint8_t *sonde__attr_begin_short(uint8_t tag, const char *key,
							     size_t key_size, uint8_t any_tag,
							     size_t value_size, uint8_t next,
							     uint8_t *buffer)
{
	sonde__four_put(buffer, tag, 4 + key_size + value_size, SONDE__TAG_KEY, key_size);
	buffer = sonde__short_put(buffer + 4, key, key_size);
	sonde__four_put(buffer, SONDE__TAG_VALUE, value_size, any_tag, next);
	return buffer + 3;
}

/* The same for any sizes, but for the `next` byte; NULL where the whole does not fit. */
uint8_t *sonde__attr_begin_long(uint8_t tag, const char *key, size_t key_size, uint8_t any_tag,
				size_t value_size, uint8_t *buffer, size_t capacity);

/* Bytes of tags and lengths around key and AnyValue while each length takes one byte. */
#define SONDE__ATTR_FRAME 6

static SONDE__ALWAYS_INLINE bool sonde__attr_is_short(size_t key_size, size_t value_size)
{
	return key_size <= SONDE__SHORT_MAX && value_size < 0x80 &&
	       SONDE__ATTR_FRAME - 2 + key_size + value_size < 0x80;
}

static SONDE__ALWAYS_INLINE uint8_t *sonde__attr_begin(uint8_t tag, const char *key,
						       size_t key_size, uint8_t any_tag,
						       size_t value_size, uint8_t next,
						       uint8_t *buffer, size_t capacity)
{
	if (SONDE__UNLIKELY(!sonde__attr_is_short(key_size, value_size)))
		return sonde__attr_begin_long(tag, key, key_size, any_tag, value_size, buffer,
					      capacity);
	if (SONDE__UNLIKELY(SONDE__ATTR_FRAME + key_size + value_size > capacity))
		return NULL;
	return sonde__attr_begin_short(tag, key, key_size, any_tag, value_size, next, buffer);
}

static SONDE__ALWAYS_INLINE size_t sonde__attr_put_int(uint8_t tag, const char *key,
						       size_t key_size, int64_t value,
						       uint8_t *buffer, size_t capacity)
{
	uint8_t *at = sonde__attr_begin(tag, key, key_size, SONDE__TAG_ANY_INT,
					1 + sonde__varint_size((uint64_t)value), /* next= */ 0,
					buffer, capacity);

	return at ? (size_t)(sonde__varint_put(at, (uint64_t)value) - buffer) : 0;
}

static SONDE__ALWAYS_INLINE size_t sonde__attr_put_bool(uint8_t tag, const char *key,
							size_t key_size, bool value,
							uint8_t *buffer, size_t capacity)
{
	uint8_t *at = sonde__attr_begin(tag, key, key_size, SONDE__TAG_ANY_BOOL,
					/* value_size= */ 2, value, buffer, capacity);

	if (!at)
		return 0;
	*at++ = value;
	return (size_t)(at - buffer);
}

static SONDE__ALWAYS_INLINE size_t sonde__attr_put_double(uint8_t tag, const char *key,
							  size_t key_size, double value,
							  uint8_t *buffer, size_t capacity)
{
	uint8_t *at = sonde__attr_begin(tag, key, key_size, SONDE__TAG_ANY_DOUBLE,
					1 + sizeof(value), /* next= */ 0, buffer, capacity);

	if (!at)
		return 0;
	memcpy(at, &value, sizeof(value));
	return (size_t)(at + sizeof(value) - buffer);
}

static SONDE__ALWAYS_INLINE size_t sonde__attr_put_str(uint8_t tag, const char *key,
						       size_t key_size, const char *value,
						       size_t size, uint8_t *buffer,
						       size_t capacity)
{
	uint8_t *at;

	if (SONDE__UNLIKELY(size > SONDE__TEXT_MAX_SIZE))
		return 0;
	at = sonde__attr_begin(tag, key, key_size, SONDE__TAG_ANY_STRING, sonde__field_size(size),
			       (uint8_t)size, buffer, capacity);
	if (!at)
		return 0;
	at = sonde__varint_put(at, size);
	return (size_t)(sonde__bytes_put(at, value, size) - buffer);
}

/* ---- Any attribute --------------------------------------------------------------------------- */

static SONDE__ALWAYS_INLINE size_t sonde__attr_key_size(const struct sonde_attr *attr)
{
	if (!attr->key)
		return 0;
	return attr->key_size ? attr->key_size : strlen(attr->key);
}

/* Bytes that the attribute's field takes; 0 for one that is too big for any record. */
size_t sonde__attr_size(const struct sonde_attr *attr);

/* A NULL key counts as the empty one, which the pipeline drops and counts. */
size_t sonde__attr_encode(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			  size_t capacity);

/*
 * As sonde__attr_encode, but cuts what does not fit: a string before a character, bytes anywhere,
 * an array after an element. Sets *ret_cut when it did, else leaves it. 0 where not even an empty
 * value fits.
 */
size_t sonde__attr_encode_cut(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			      size_t capacity, bool *ret_cut);

#endif
