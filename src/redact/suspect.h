/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_REDACT_SUSPECT_H
#define SONDE_REDACT_SUSPECT_H

/*
 * The one look that most texts get: whether they hold a byte that something to redact cannot be
 * without. Sixteen bytes at a time, a few instructions each. What is found has
 *
 *	cards		thirteen digits
 *	tokens		a blank (Bearer, Basic, BEGIN … KEY), or the J of eyJ
 *	URLs		an '@', or an '='
 *	pairs		an '=', or a ':'
 *	e-mail		an '@'
 *
 * A text that is suspected goes to the detectors, and most are found innocent: so a yes may be
 * wrong, a no never is. A test holds the two against each other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "redact/redact.h"

#define SONDE__CHUNK 16
#define SONDE__CARD_DIGITS_MIN 13

typedef uint8_t sonde__chunk __attribute__((vector_size(SONDE__CHUNK)));
typedef uint64_t sonde__chunk_words __attribute__((vector_size(SONDE__CHUNK)));

static SONDE__ALWAYS_INLINE sonde__chunk sonde__chunk_load(const uint8_t *at)
{
	sonde__chunk chunk;

	memcpy(&chunk, at, sizeof(chunk));
	return chunk;
}

static SONDE__ALWAYS_INLINE bool sonde__chunk_is_any(sonde__chunk mask)
{
	const sonde__chunk_words words = (sonde__chunk_words)mask;

	return (words[0] | words[1]) != 0;
}

/* How many bytes of the mask are set. */
static SONDE__ALWAYS_INLINE unsigned sonde__chunk_count(sonde__chunk mask)
{
	const sonde__chunk_words words = (sonde__chunk_words)mask;
	const uint64_t ones = UINT64_C(0x0101010101010101);

	return (unsigned)(((words[0] & ones) + (words[1] & ones)) * ones >> 56);
}

/* The bytes that make a text suspicious by themselves. */
static SONDE__ALWAYS_INLINE sonde__chunk sonde__chunk_suspects(sonde__chunk c)
{
	return (sonde__chunk)((c == ' ') | (c == ':') | (c == '=') | (c == '@') | (c == 'J'));
}

static SONDE__ALWAYS_INLINE sonde__chunk sonde__chunk_digits(sonde__chunk c)
{
	return (sonde__chunk)((sonde__chunk)(c - '0') < 10);
}

static SONDE__ALWAYS_INLINE bool sonde__suspect_long(const uint8_t *text, size_t size)
{
	sonde__chunk suspects = { 0 };
	unsigned n_digits = 0;
	size_t i = 0;

	/* The last chunk may overlap the one before: its digits count twice then. */
	for (;;) {
		const sonde__chunk chunk = sonde__chunk_load(text + i);

		suspects |= sonde__chunk_suspects(chunk);
		n_digits += sonde__chunk_count(sonde__chunk_digits(chunk));
		if (i + SONDE__CHUNK == size)
			break;
		i += SONDE__CHUNK;
		if (i + SONDE__CHUNK > size)
			i = size - SONDE__CHUNK;
	}
	return sonde__chunk_is_any(suspects) || n_digits >= SONDE__CARD_DIGITS_MIN;
}

/* `chunk` holds all of the text, and zeroes after it. */
static SONDE__ALWAYS_INLINE bool sonde__suspect_short(sonde__chunk chunk, size_t size)
{
	return sonde__chunk_is_any(sonde__chunk_suspects(chunk)) ||
	       (size >= SONDE__CARD_DIGITS_MIN &&
		sonde__chunk_count(sonde__chunk_digits(chunk)) >= SONDE__CARD_DIGITS_MIN);
}

static SONDE__ALWAYS_INLINE bool sonde__suspect(const void *text, size_t size)
{
	sonde__chunk chunk = { 0 };

	if (size >= SONDE__CHUNK)
		return sonde__suspect_long(text, size);
	if (size)
		memcpy(&chunk, text, size);
	return sonde__suspect_short(chunk, size);
}

/* As sonde__suspect, for a text after which sixteen bytes more may be read. */
static SONDE__ALWAYS_INLINE bool sonde__suspect_with_slack(const uint8_t *text, size_t size)
{
	static const uint8_t masks[2 * SONDE__CHUNK] = { 255, 255, 255, 255, 255, 255, 255, 255,
							 255, 255, 255, 255, 255, 255, 255, 255 };

	if (size >= SONDE__CHUNK)
		return sonde__suspect_long(text, size);
	return sonde__suspect_short(sonde__chunk_load(text) &
					    sonde__chunk_load(masks + SONDE__CHUNK - size),
				    size);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* A step of a key's hash, for each eight bytes and then the last eight, or all there are. */
static SONDE__ALWAYS_INLINE uint64_t sonde__key_step(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static SONDE__ALWAYS_INLINE uint64_t sonde__key_hash64(const uint8_t *key, size_t size)
{
	uint64_t hash = size;
	uint64_t word = 0;

	for (size_t i = 0; i + sizeof(word) < size; i += sizeof(word)) {
		memcpy(&word, key + i, sizeof(word));
		hash = sonde__key_step(hash, word);
	}
	word = 0;
	if (size >= sizeof(word))
		memcpy(&word, key + size - sizeof(word), sizeof(word));
	else if (size)
		memcpy(&word, key, size);
	return sonde__key_step(hash, word);
}

/*
 * Whether what stands under the key is no secret, as is known of nearly every key after its first
 * appearance. Keys are known by their hash: two of them with the same 64 bits would count as one,
 * and of a million keys no two have.
 */
static SONDE__ALWAYS_INLINE bool sonde__redact_knows_key(const struct sonde__redactor *redactor,
							 uint64_t hash)
{
	return redactor->known[hash >> 54] == (hash | 1);
}
#endif
