/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of any type: sized first, then written, so that every length stands before its content
 * without moving anything. Arrays are walked twice for that.
 */

#include "record/attribute.h"

#include "base/utf8.h"

/* No array has more elements than a record has bytes. */
#define ARRAY_MAX 65536

/* Everything up to the AnyValue, with lengths of any size; NULL where the whole does not fit. */
static uint8_t *head_put(uint8_t tag, const char *key, size_t key_size, size_t value_size,
			 uint8_t *buffer, size_t capacity)
{
	size_t body_size;

	if (key_size > SONDE__TEXT_MAX_SIZE || value_size > 2 * SONDE__TEXT_MAX_SIZE)
		return NULL;
	body_size = sonde__field_size(key_size) + sonde__field_size(value_size);
	if (sonde__field_size(body_size) > capacity)
		return NULL;
	*buffer++ = tag;
	buffer = sonde__varint_put(buffer, body_size);
	*buffer++ = SONDE__TAG_KEY;
	buffer = sonde__varint_put(buffer, key_size);
	buffer = sonde__bytes_put(buffer, key, key_size);
	*buffer++ = SONDE__TAG_VALUE;
	return sonde__varint_put(buffer, value_size);
}

uint8_t *sonde__attr_begin_long(uint8_t tag, const char *key, size_t key_size, uint8_t any_tag,
				size_t value_size, uint8_t *buffer, size_t capacity)
{
	uint8_t *at = head_put(tag, key, key_size, value_size, buffer, capacity);

	if (!at)
		return NULL;
	*at++ = any_tag;
	return at;
}

/* Bytes or elements; a missing pointer is an empty value. */
static size_t content_size(const struct sonde_attr *attr)
{
	return attr->value.bytes ? attr->size : 0;
}

static const char *string_at(const struct sonde_attr *attr, size_t i)
{
	return attr->value.strings[i] ? attr->value.strings[i] : "";
}

static size_t element_size(const struct sonde_attr *attr, size_t i)
{
	switch (attr->type) {
	case SONDE_ATTR_STR_ARRAY:
		return sonde__field_size(sonde__field_size(strlen(string_at(attr, i))));
	case SONDE_ATTR_BOOL_ARRAY:
		return sonde__field_size(2);
	case SONDE_ATTR_INT_ARRAY:
		return sonde__field_size(1 + sonde__varint_size((uint64_t)attr->value.integers[i]));
	default:
		return sonde__field_size(9);
	}
}

static uint8_t *element_put(uint8_t *at, const struct sonde_attr *attr, size_t i)
{
	*at++ = SONDE__TAG_ARRAY_VALUE;
	switch (attr->type) {
	case SONDE_ATTR_STR_ARRAY: {
		size_t size = strlen(string_at(attr, i));

		at = sonde__varint_put(at, sonde__field_size(size));
		*at++ = SONDE__TAG_ANY_STRING;
		at = sonde__varint_put(at, size);
		return sonde__bytes_put(at, string_at(attr, i), size);
	}
	case SONDE_ATTR_BOOL_ARRAY:
		*at++ = 2;
		*at++ = SONDE__TAG_ANY_BOOL;
		*at++ = attr->value.booleans[i];
		return at;
	case SONDE_ATTR_INT_ARRAY:
		at = sonde__varint_put(at,
				       1 + sonde__varint_size((uint64_t)attr->value.integers[i]));
		*at++ = SONDE__TAG_ANY_INT;
		return sonde__varint_put(at, (uint64_t)attr->value.integers[i]);
	default:
		*at++ = 9;
		*at++ = SONDE__TAG_ANY_DOUBLE;
		memcpy(at, &attr->value.reals[i], sizeof(double));
		return at + sizeof(double);
	}
}

/* The first elements that fit into `room`: how many, and their bytes. */
static size_t elements_fitting(const struct sonde_attr *attr, size_t room, size_t *ret_size)
{
	size_t used = 0;
	size_t n = 0;

	while (n < content_size(attr) && n < ARRAY_MAX) {
		size_t size = element_size(attr, n);

		if (size > room - used)
			break;
		used += size;
		n++;
	}
	*ret_size = used;
	return n;
}

/* ArrayValue's bytes, or more than any room has. */
static size_t array_size(const struct sonde_attr *attr)
{
	size_t size;

	if (elements_fitting(attr, SONDE__TEXT_MAX_SIZE, &size) < content_size(attr))
		return SIZE_MAX;
	return size;
}

/* Bytes of the AnyValue; false: too big to be tried. */
static bool value_size(const struct sonde_attr *attr, size_t *ret)
{
	size_t size = content_size(attr);

	switch (attr->type) {
	case SONDE_ATTR_STR:
	case SONDE_ATTR_BYTES:
		break;
	case SONDE_ATTR_STR_ARRAY:
	case SONDE_ATTR_BOOL_ARRAY:
	case SONDE_ATTR_INT_ARRAY:
	case SONDE_ATTR_DOUBLE_ARRAY:
		size = array_size(attr);
		break;
	case SONDE_ATTR_BOOL:
		*ret = 2;
		return true;
	case SONDE_ATTR_INT:
		*ret = 1 + sonde__varint_size((uint64_t)attr->value.integer);
		return true;
	case SONDE_ATTR_DOUBLE:
		*ret = 9;
		return true;
	default:
		*ret = 0;
		return true;
	}
	if (size > SONDE__TEXT_MAX_SIZE)
		return false;
	*ret = sonde__field_size(size);
	return true;
}

static uint8_t any_tag_of(const struct sonde_attr *attr)
{
	return attr->type == SONDE_ATTR_BYTES ? SONDE__TAG_ANY_BYTES : SONDE__TAG_ANY_ARRAY;
}

/* Bytes and arrays, behind their tag. */
static uint8_t *value_put(uint8_t *at, const struct sonde_attr *attr)
{
	size_t size = content_size(attr);
	size_t n;

	if (attr->type == SONDE_ATTR_BYTES)
		return sonde__bytes_put(sonde__varint_put(at, size), attr->value.bytes, size);
	n = elements_fitting(attr, SONDE__TEXT_MAX_SIZE, &size);
	at = sonde__varint_put(at, size);
	for (size_t i = 0; i < n; i++)
		at = element_put(at, attr, i);
	return at;
}

size_t sonde__attr_size(const struct sonde_attr *attr)
{
	size_t size;

	if (!value_size(attr, &size) || sonde__attr_key_size(attr) > SONDE__TEXT_MAX_SIZE)
		return 0;
	return sonde__field_size(sonde__field_size(sonde__attr_key_size(attr)) +
				 sonde__field_size(size));
}

static size_t encode_sized(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			   size_t capacity)
{
	uint8_t *at;
	size_t size;

	if (!value_size(attr, &size))
		return 0;
	at = sonde__attr_begin(tag, attr->key, sonde__attr_key_size(attr), any_tag_of(attr), size,
			       /* next= */ 0, buffer, capacity);
	return at ? (size_t)(value_put(at, attr) - buffer) : 0;
}

/* An AnyValue with nothing in it. */
static size_t encode_empty(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			   size_t capacity)
{
	const uint8_t *at = head_put(tag, attr->key, sonde__attr_key_size(attr),
				     /* value_size= */ 0, buffer, capacity);

	return at ? (size_t)(at - buffer) : 0;
}

size_t sonde__attr_encode(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			  size_t capacity)
{
	switch (attr->type) {
	case SONDE_ATTR_STR:
		return sonde__attr_put_str(tag, attr->key, sonde__attr_key_size(attr),
					   attr->value.string, content_size(attr), buffer,
					   capacity);
	case SONDE_ATTR_INT:
		return sonde__attr_put_int(tag, attr->key, sonde__attr_key_size(attr),
					   attr->value.integer, buffer, capacity);
	case SONDE_ATTR_DOUBLE:
		return sonde__attr_put_double(tag, attr->key, sonde__attr_key_size(attr),
					      attr->value.real, buffer, capacity);
	case SONDE_ATTR_BOOL:
		return sonde__attr_put_bool(tag, attr->key, sonde__attr_key_size(attr),
					    attr->value.boolean, buffer, capacity);
	case SONDE_ATTR_BYTES:
	case SONDE_ATTR_STR_ARRAY:
	case SONDE_ATTR_BOOL_ARRAY:
	case SONDE_ATTR_INT_ARRAY:
	case SONDE_ATTR_DOUBLE_ARRAY:
		return encode_sized(tag, attr, buffer, capacity);
	default:
		return encode_empty(tag, attr, buffer, capacity);
	}
}

/* Shortens the value to what fits into `room` bytes of content. */
static void value_cut(struct sonde_attr *attr, size_t room)
{
	size_t used;

	attr->size = content_size(attr);
	switch (attr->type) {
	case SONDE_ATTR_STR:
		attr->size = sonde__utf8_cut(attr->value.string, attr->size, room);
		break;
	case SONDE_ATTR_BYTES:
		if (attr->size > room)
			attr->size = room;
		break;
	case SONDE_ATTR_STR_ARRAY:
	case SONDE_ATTR_BOOL_ARRAY:
	case SONDE_ATTR_INT_ARRAY:
	case SONDE_ATTR_DOUBLE_ARRAY:
		attr->size = elements_fitting(attr, room, &used);
		break;
	default:
		break;
	}
}

size_t sonde__attr_encode_cut(uint8_t tag, const struct sonde_attr *attr, uint8_t *buffer,
			      size_t capacity, bool *ret_cut)
{
	size_t written = sonde__attr_encode(tag, attr, buffer, capacity);
	struct sonde_attr cut = *attr;
	size_t lengths_size;
	size_t fixed_size;

	if (written || sonde__attr_key_size(attr) > SONDE__TEXT_MAX_SIZE)
		return written;
	if (capacity > SONDE__TEXT_MAX_SIZE)
		capacity = SONDE__TEXT_MAX_SIZE;
	/*
	 * Three tags with lengths stand around the value; none is longer than that of the whole
	 * room.
	 */
	lengths_size = 3 * (1 + sonde__varint_size(capacity));
	fixed_size = sonde__field_size(sonde__attr_key_size(attr)) + lengths_size;
	if (fixed_size >= capacity)
		return 0;
	value_cut(&cut, capacity - fixed_size);
	if (cut.size == attr->size)
		return 0;
	written = sonde__attr_encode(tag, &cut, buffer, capacity);
	if (written)
		*ret_cut = true;
	return written;
}
