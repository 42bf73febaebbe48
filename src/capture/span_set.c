/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span's attributes. The usual one, with a short key and a short value, on a span with room, is
 * written by a function that calls no other and so saves no registers. All others take the way of
 * sonde__span_set, which knows every type, every length and every reason to refuse.
 */

#include <string.h>

#include <sonde/span.h>

#include "capture/part.h"
#include "capture/span.h"
#include "capture/span_fields.h"
#include "record/attribute.h"

/* Of an int's and of a double's AnyValue. */
#define INT_MAX_SIZE (1 + SONDE__VARINT_MAX_SIZE)
#define DOUBLE_SIZE (1 + sizeof(double))

/* ---- Any attribute --------------------------------------------------------------------------- */

/* Whether the span takes one more attribute. */
static bool attribute_count(struct sonde__span *span, size_t key_size)
{
	if (!key_size || span->n_attributes >= SONDE__SETTING(max_attributes)) {
		sonde__count_up(&span->n_dropped_attributes);
		return false;
	}
	sonde__count_up(&span->n_attributes);
	return true;
}

void sonde__span_set(struct sonde_span *memory, const struct sonde_attr *attr)
{
	struct sonde__span *span = sonde__span_recording(memory);
	struct sonde__part part = { .attrs = attr, .n_attrs = 1 };

	if (!span || !attr || !attribute_count(span, sonde__attr_key_size(attr)))
		return;
	if (sonde__span_fields_take(span, sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, attr,
							     sonde__span_fields_end(span),
							     sonde__span_fields_room(span))))
		return;
	sonde__span_fields_spill(span);
	part.context = &span->context;
	sonde__part_write(&part);
}

/* ---- The usual ones -------------------------------------------------------------------------- */

/*
 * The span, if an attribute with a key and an AnyValue of these sizes is one of the usual ones. The
 * memory may be a parent process's or an earlier agent's span: that is found at its end.
 */
static SONDE__ALWAYS_INLINE struct sonde__span *usual_span(struct sonde_span *memory,
							   size_t key_size, size_t value_size)
{
	struct sonde__span *span = (struct sonde__span *)memory;

	if (SONDE__LIKELY(span && sonde__memento_is_recording(span->memento, SONDE__MAGIC_SPAN) &&
			  key_size && sonde__attr_is_short(key_size, value_size) &&
			  span->n_attributes < SONDE__SETTING(max_attributes) &&
			  SONDE__ATTR_FRAME + key_size + value_size <=
				  sonde__span_fields_room(span)))
		return span;
	return NULL;
}

/* The field ends at `at`. */
static SONDE__ALWAYS_INLINE void usual_take(struct sonde__span *span, const uint8_t *at)
{
	span->n_attributes++;
	span->fields_size = (uint16_t)(at - span->bytes);
}

static __attribute__((noinline)) void set_any_strn(struct sonde_span *memory, const char *key,
						   const char *value, size_t size)
{
	struct sonde_attr attr = sonde_strn(key, value, size);

	sonde__span_set(memory, &attr);
}

void sonde__span_set_strn(struct sonde_span *memory, const char *key, size_t key_size,
			  const char *value, size_t size)
{
	struct sonde__span *span = usual_span(memory, key_size, 2 + size);
	uint8_t *at;

	if (SONDE__UNLIKELY(!span || !value || size > SONDE__SHORT_MAX)) {
		set_any_strn(memory, key, value, size);
		return;
	}
	at = sonde__attr_begin_short(SONDE__TAG_SPAN_ATTRIBUTE, key, key_size,
				     SONDE__TAG_ANY_STRING, 2 + size, (uint8_t)size,
				     sonde__span_fields_end(span));
	usual_take(span, sonde__short_put(at + 1, value, size));
}

static __attribute__((noinline)) void set_any_int(struct sonde_span *memory, const char *key,
						  int64_t value)
{
	struct sonde_attr attr = sonde_int(key, value);

	sonde__span_set(memory, &attr);
}

void sonde__span_set_int(struct sonde_span *memory, const char *key, size_t key_size, int64_t value)
{
	struct sonde__span *span = usual_span(memory, key_size, INT_MAX_SIZE);
	uint8_t *at;

	if (SONDE__UNLIKELY(!span)) {
		set_any_int(memory, key, value);
		return;
	}
	at = sonde__attr_begin_short(SONDE__TAG_SPAN_ATTRIBUTE, key, key_size, SONDE__TAG_ANY_INT,
				     1 + sonde__varint_size((uint64_t)value), /* next= */ 0,
				     sonde__span_fields_end(span));
	usual_take(span, sonde__varint_put(at, (uint64_t)value));
}

static __attribute__((noinline)) void set_any_double(struct sonde_span *memory, const char *key,
						     double value)
{
	struct sonde_attr attr = sonde_double(key, value);

	sonde__span_set(memory, &attr);
}

void sonde__span_set_double(struct sonde_span *memory, const char *key, size_t key_size,
			    double value)
{
	struct sonde__span *span = usual_span(memory, key_size, DOUBLE_SIZE);
	uint8_t *at;

	if (SONDE__UNLIKELY(!span)) {
		set_any_double(memory, key, value);
		return;
	}
	at = sonde__attr_begin_short(SONDE__TAG_SPAN_ATTRIBUTE, key, key_size,
				     SONDE__TAG_ANY_DOUBLE, DOUBLE_SIZE, /* next= */ 0,
				     sonde__span_fields_end(span));
	memcpy(at, &value, sizeof(value));
	usual_take(span, at + sizeof(value));
}

static __attribute__((noinline)) void set_any_bool(struct sonde_span *memory, const char *key,
						   bool value)
{
	struct sonde_attr attr = sonde_bool(key, value);

	sonde__span_set(memory, &attr);
}

void sonde__span_set_bool(struct sonde_span *memory, const char *key, size_t key_size, bool value)
{
	struct sonde__span *span = usual_span(memory, key_size, /* value_size= */ 2);

	if (SONDE__UNLIKELY(!span)) {
		set_any_bool(memory, key, value);
		return;
	}
	usual_take(span, 1 + sonde__attr_begin_short(SONDE__TAG_SPAN_ATTRIBUTE, key, key_size,
						     SONDE__TAG_ANY_BOOL, /* value_size= */ 2,
						     value, sonde__span_fields_end(span)));
}
