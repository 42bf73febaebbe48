/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_SPAN_FIELDS_H
#define SONDE_CAPTURE_SPAN_FIELDS_H

/* The encoded fields in a span's memory. */

#include "capture/span.h"

/* Bytes for fields; none once a field went out as a part. */
static SONDE__ALWAYS_INLINE size_t sonde__span_fields_room(const struct sonde__span *span)
{
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_FIELDS_IN_PARTS))
		return 0;
	return (size_t)(SONDE__SPAN_BYTES - span->texts_size - span->fields_size);
}

static SONDE__ALWAYS_INLINE uint8_t *sonde__span_fields_end(struct sonde__span *span)
{
	return span->bytes + span->fields_size;
}

/* Takes what an encoder wrote; false where it wrote nothing. */
static SONDE__ALWAYS_INLINE bool sonde__span_fields_take(struct sonde__span *span, size_t size)
{
	span->fields_size = (uint16_t)(span->fields_size + size);
	return SONDE__LIKELY(size != 0);
}

/* From here on all fields go out as parts. */
static inline void sonde__span_fields_spill(struct sonde__span *span)
{
	span->own_flags |= SONDE__SPAN_FIELDS_IN_PARTS;
	span->record_flags |= SONDE__RECORD_HAS_PARTS;
}

#endif
