/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_WIRE_H
#define SONDE_RECORD_WIRE_H

/* Walks the fields of any protobuf message, with bounds. */

#include <sonde/base.h>

#include "record/varint.h"

struct sonde__wire_field {
	uint64_t number;
	unsigned type; /* SONDE__WIRE_… */
	uint64_t value; /* Of the numeric types. */
	struct sonde_bytes bytes; /* Of SONDE__WIRE_BYTES. */
};

static inline int sonde__wire_value(const uint8_t **at, const uint8_t *end,
				    struct sonde__wire_field *ret)
{
	size_t left = (size_t)(end - *at);
	uint32_t word;

	switch (ret->type) {
	case SONDE__WIRE_VARINT:
		return sonde__varint_get(at, end, &ret->value) ? 1 : SONDE_E_MALFORMED;
	case SONDE__WIRE_FIXED64:
		if (left < sizeof(ret->value))
			return SONDE_E_MALFORMED;
		ret->value = sonde__fixed64_get(*at);
		*at += sizeof(ret->value);
		return 1;
	case SONDE__WIRE_FIXED32:
		if (left < sizeof(word))
			return SONDE_E_MALFORMED;
		memcpy(&word, *at, sizeof(word));
		ret->value = word;
		*at += sizeof(word);
		return 1;
	case SONDE__WIRE_BYTES:
		if (!sonde__varint_get(at, end, &ret->value) || ret->value > (size_t)(end - *at))
			return SONDE_E_MALFORMED;
		ret->bytes = (struct sonde_bytes){ *at, (size_t)ret->value };
		*at += ret->value;
		return 1;
	default:
		return SONDE_E_MALFORMED;
	}
}

/* 1: a field, and *rest is past it; 0: the end; SONDE_E_MALFORMED, and *rest is untouched. */
static inline int sonde__wire_next(struct sonde_bytes *rest, struct sonde__wire_field *ret)
{
	const uint8_t *at = rest->data;
	const uint8_t *end;
	uint64_t tag;
	int r;

	if (!rest->size)
		return 0;
	ret->bytes = (struct sonde_bytes){ NULL, 0 };
	end = at + rest->size;
	if (!sonde__varint_get(&at, end, &tag) || tag >> 3 == 0)
		return SONDE_E_MALFORMED;
	ret->number = tag >> 3;
	ret->type = tag & 7;
	r = sonde__wire_value(&at, end, ret);
	if (r == 1)
		*rest = (struct sonde_bytes){ at, (size_t)(end - at) };
	return r;
}

#endif
