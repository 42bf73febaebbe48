/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The catalogue, and walking up from a type.
 *
 * Types are objects of whoever declared them, perhaps compiled against another version of the
 * header: a field past a type's own `size` reads as zero, which is "as the parent has it". The walk
 * is bounded, so that a cycle, which a mistaken initialiser can make, ends.
 */

#include "error/types.h"

#include <string.h>

#include "base/hash.h"
#include "base/random.h"

#define SONDE__DEFINE_ERROR_TYPE(type_name, type_parent, type_code, status, level, retry, shown) \
	const struct sonde_error_type type_name = { \
		.size = sizeof(struct sonde_error_type), \
		.name = #type_name, \
		.parent = type_parent, \
		.code = type_code, \
		.http_status = status, \
		.severity = level, \
		.retryable = retry, \
		.public_message = shown, \
	};
SONDE_ERROR_TYPE_MAP(SONDE__DEFINE_ERROR_TYPE)
#undef SONDE__DEFINE_ERROR_TYPE

/* Written by hand without a size: as large as the first version of the struct. */
#define FIRST_VERSION_SIZE (offsetof(struct sonde_error_type, public_message) + 1)

#define FIELD(type, field) \
	(type_size(type) >= offsetof(struct sonde_error_type, field) + sizeof((type)->field) \
		 ? (type)->field \
		 : 0)

static size_t type_size(const struct sonde_error_type *type)
{
	return type->size ? type->size : FIRST_VERSION_SIZE;
}

static const struct sonde_error_type *type_or_base(const struct sonde_error_type *type)
{
	return type ? type : &sonde_error_base;
}

/* One step up; NULL above the base. */
static const struct sonde_error_type *type_parent(const struct sonde_error_type *type)
{
	return type == &sonde_error_base ? NULL : type_or_base(FIELD(type, parent));
}

struct sonde__type_traits sonde__type_resolve(const struct sonde_error_type *type)
{
	struct sonde__type_traits traits = { 0 };
	uint8_t retryable = SONDE_INHERIT;
	uint8_t public_message = SONDE_INHERIT;
	uint8_t stack = SONDE_INHERIT;
	size_t depth = 0;

	for (type = type_or_base(type); type; type = type_parent(type)) {
		/* The base says everything, and ends a walk that would go on for ever. */
		if (depth++ == SONDE__TYPE_DEPTH_MAX)
			type = &sonde_error_base;
		if (!traits.http_status)
			traits.http_status = FIELD(type, http_status);
		if (!traits.severity)
			traits.severity = FIELD(type, severity);
		if (retryable == SONDE_INHERIT)
			retryable = FIELD(type, retryable);
		if (public_message == SONDE_INHERIT)
			public_message = FIELD(type, public_message);
		if (stack == SONDE_INHERIT)
			stack = FIELD(type, stack);
		if (!traits.code)
			traits.code = FIELD(type, code);
	}
	traits.is_retryable = retryable == SONDE_YES;
	traits.has_public_message = public_message == SONDE_YES;
	traits.has_stack = stack != SONDE_NO;
	return traits;
}

/* Less than a word's bytes, lowest first. */
static uint64_t word_of_rest(const char *text, size_t size)
{
	uint64_t word = 0;

	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)(unsigned char)text[i] << 8 * i;
	return word;
}

/* By words, of which the last may overlap the one before: lengths are part of the hash. */
static uint64_t text_hash(const char *text, uint64_t seed)
{
	size_t size = text ? strlen(text) : 0;
	uint64_t hash = sonde__hash_word(seed, size + 1);
	uint64_t word;

	if (size < sizeof(word))
		return sonde__hash_word(hash, word_of_rest(text, size));
	for (size_t at = 0; at + sizeof(word) < size; at += sizeof(word)) {
		memcpy(&word, text + at, sizeof(word));
		hash = sonde__hash_word(hash, word);
	}
	memcpy(&word, text + size - sizeof(word), sizeof(word));
	return sonde__hash_word(hash, word);
}

size_t sonde__type_identify(const struct sonde_error_type *type, uint32_t *ret, size_t capacity)
{
	const struct sonde_error_type *lineage[SONDE__TYPE_DEPTH_MAX];
	uint64_t identity = 0;
	size_t n = 0;

	for (type = type_or_base(type); type != &sonde_error_base; type = type_parent(type)) {
		if (n == SONDE__TYPE_DEPTH_MAX)
			break;
		lineage[n++] = type;
	}
	for (size_t i = n; i-- > 0;) {
		identity = text_hash(FIELD(lineage[i], code),
				     text_hash(FIELD(lineage[i], name), identity));
		if (i < capacity)
			ret[i] = (uint32_t)sonde__mix64(identity);
	}
	return n;
}

bool sonde_error_type_is(const struct sonde_error_type *type,
			 const struct sonde_error_type *ancestor)
{
	uint32_t identities[SONDE__TYPE_DEPTH_MAX];
	uint32_t wanted;
	size_t n;

	if (type_or_base(type) == type_or_base(ancestor))
		return true;
	if (sonde__type_identify(ancestor, &wanted, 1) == 0)
		return true;
	n = sonde__type_identify(type, identities, SONDE__TYPE_DEPTH_MAX);
	for (size_t i = 0; i < n; i++)
		if (identities[i] == wanted)
			return true;
	return false;
}

int sonde_error_type_http_status(const struct sonde_error_type *type)
{
	return sonde__type_resolve(type).http_status;
}

enum sonde_level sonde_error_type_severity(const struct sonde_error_type *type)
{
	return (enum sonde_level)sonde__type_resolve(type).severity;
}

bool sonde_error_type_is_retryable(const struct sonde_error_type *type)
{
	return sonde__type_resolve(type).is_retryable;
}

bool sonde_error_type_has_public_message(const struct sonde_error_type *type)
{
	return sonde__type_resolve(type).has_public_message;
}
