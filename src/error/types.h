/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_TYPES_H
#define SONDE_ERROR_TYPES_H

/* Inside the error layer: what a type says, read in one walk up. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/error.h>

/* No type has more ancestors; a cycle ends here too. */
#define SONDE__TYPE_DEPTH_MAX 64

struct sonde__type_traits {
	uint16_t http_status;
	uint8_t severity;
	bool is_retryable;
	bool has_public_message;
	bool has_stack;
	const char *code; /* The type's own text; "" where none has one. */
};

/* Everything inherited, resolved. NULL is sonde_error_base. */
struct sonde__type_traits sonde__type_resolve(const struct sonde_error_type *type);

/*
 * Numbers that stand for the type and its ancestors, nearest first, sonde_error_base left out. Two
 * objects are the same type when name, code and ancestors are: a type that is declared in a header
 * is an object in every file that includes it. Returns how many there are, at most
 * SONDE__TYPE_DEPTH_MAX; stores the first `capacity`.
 */
size_t sonde__type_identify(const struct sonde_error_type *type, uint32_t *ret, size_t capacity);

#endif
