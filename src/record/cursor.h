/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_CURSOR_H
#define SONDE_RECORD_CURSOR_H

/*
 * What is left of one message whose fields come in a known order. Taking what is not there returns
 * false; the cursor is of no use then.
 */

#include <sonde/base.h>

#include "record/varint.h"

struct sonde__cursor {
	const uint8_t *at;
	const uint8_t *end;
};

static inline struct sonde__cursor sonde__cursor_of(struct sonde_bytes bytes)
{
	/* An empty run may come without a pointer, and NULL + 0 is not defined. */
	const uint8_t *data = bytes.size ? bytes.data : (const uint8_t *)"";

	return (struct sonde__cursor){ data, data + bytes.size };
}

static inline size_t sonde__cursor_left(const struct sonde__cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

static inline struct sonde_bytes sonde__cursor_bytes(const struct sonde__cursor *cursor)
{
	return (struct sonde_bytes){ cursor->at, sonde__cursor_left(cursor) };
}

static inline bool sonde__tag_take(struct sonde__cursor *cursor, uint8_t tag)
{
	if (cursor->at == cursor->end || *cursor->at != tag)
		return false;
	cursor->at++;
	return true;
}

static inline bool sonde__fixed_take(struct sonde__cursor *cursor, size_t size)
{
	if (sonde__cursor_left(cursor) < size)
		return false;
	cursor->at += size;
	return true;
}

static inline bool sonde__varint_take(struct sonde__cursor *cursor, uint64_t max, uint64_t *ret)
{
	return sonde__varint_get(&cursor->at, cursor->end, ret) && *ret <= max;
}

/* A length and as many bytes. */
static inline bool sonde__bytes_take(struct sonde__cursor *cursor, struct sonde__cursor *ret)
{
	uint64_t size;

	if (!sonde__varint_get(&cursor->at, cursor->end, &size) ||
	    size > sonde__cursor_left(cursor))
		return false;
	ret->at = cursor->at;
	ret->end = cursor->at + size;
	cursor->at = ret->end;
	return true;
}

#endif
