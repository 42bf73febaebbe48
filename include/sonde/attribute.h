/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ATTRIBUTE_H
#define SONDE_ATTRIBUTE_H

/*
 * Attributes as values, for events, links, logs and errors. A span's own attributes are set one by
 * one, see <sonde/span.h>. Follows the OpenTelemetry common attribute rules: keys are not empty and
 * unique, setting a key again overwrites, empty values are meaningful.
 *
 *	sonde_log(SONDE_INFO, "order placed", SONDE_ATTRS(sonde_int("order.items", 3),
 *							  sonde_str("order.currency", "EUR")));
 *
 * In C++, which has no compound literals, pass an array and its count.
 */

#include <string.h>

#include <sonde/base.h>

SONDE_BEGIN_DECLS

enum sonde_attr_type {
	SONDE_ATTR_EMPTY = 0,
	SONDE_ATTR_STR = 1,
	SONDE_ATTR_BOOL = 2,
	SONDE_ATTR_INT = 3,
	SONDE_ATTR_DOUBLE = 4,
	SONDE_ATTR_BYTES = 7,
	SONDE_ATTR_STR_ARRAY = 8,
	SONDE_ATTR_BOOL_ARRAY = 9,
	SONDE_ATTR_INT_ARRAY = 10,
	SONDE_ATTR_DOUBLE_ARRAY = 11,
};

/* Borrows everything it points to until the call that takes it returns. */
struct sonde_attr {
	const char *key;
	enum sonde_attr_type type;
	uint32_t key_size; /* In bytes; 0: the key ends with a zero. */
	size_t size; /* Bytes of a string or byte value, elements of an array. */
	union {
		const char *string; /* Need not be terminated: `size` counts. */
		const void *bytes;
		bool boolean;
		int64_t integer;
		double real;
		const char *const *strings; /* Each terminated; NULL counts as "". */
		const bool *booleans;
		const int64_t *integers;
		const double *reals;
	} value;
};

#define SONDE_ATTRS(...) \
	((const struct sonde_attr[]){ __VA_ARGS__ }), \
		(sizeof((const struct sonde_attr[]){ __VA_ARGS__ }) / sizeof(struct sonde_attr))

/* No attributes, where a call takes an array and its count. */
#define SONDE_NO_ATTRS ((const struct sonde_attr *)0), ((size_t)0)

static inline struct sonde_attr sonde__attr(const char *key, enum sonde_attr_type type, size_t size)
{
	struct sonde_attr attr;

	attr.key = key;
	attr.type = type;
	attr.key_size = (uint32_t)(key ? strlen(key) : 0);
	attr.size = size;
	attr.value.integer = 0;
	return attr;
}

/* A string of `size` bytes; a NULL value is the empty string. */
static inline struct sonde_attr sonde_strn(const char *key, const char *value, size_t size)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_STR, value ? size : 0);

	attr.value.string = value;
	return attr;
}

static inline struct sonde_attr sonde_str(const char *key, const char *value)
{
	return sonde_strn(key, value, value ? strlen(value) : 0);
}

static inline struct sonde_attr sonde_int(const char *key, int64_t value)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_INT, 0);

	attr.value.integer = value;
	return attr;
}

static inline struct sonde_attr sonde_double(const char *key, double value)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_DOUBLE, 0);

	attr.value.real = value;
	return attr;
}

static inline struct sonde_attr sonde_bool(const char *key, bool value)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_BOOL, 0);

	attr.value.boolean = value;
	return attr;
}

static inline struct sonde_attr sonde_bytes(const char *key, const void *value, size_t size)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_BYTES, value ? size : 0);

	attr.value.bytes = value;
	return attr;
}

static inline struct sonde_attr sonde_str_array(const char *key, const char *const *values,
						size_t n)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_STR_ARRAY, values ? n : 0);

	attr.value.strings = values;
	return attr;
}

static inline struct sonde_attr sonde_bool_array(const char *key, const bool *values, size_t n)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_BOOL_ARRAY, values ? n : 0);

	attr.value.booleans = values;
	return attr;
}

static inline struct sonde_attr sonde_int_array(const char *key, const int64_t *values, size_t n)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_INT_ARRAY, values ? n : 0);

	attr.value.integers = values;
	return attr;
}

static inline struct sonde_attr sonde_double_array(const char *key, const double *values, size_t n)
{
	struct sonde_attr attr = sonde__attr(key, SONDE_ATTR_DOUBLE_ARRAY, values ? n : 0);

	attr.value.reals = values;
	return attr;
}

SONDE_END_DECLS

#endif
