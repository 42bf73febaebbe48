/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_REDACT_SUSPECT_H
#define SONDE_REDACT_SUSPECT_H

/*
 * The one look that most texts get: whether they hold a byte that something to redact cannot be
 * without. Sixteen bytes at a time, a few instructions each. What is found has
 *
 *	cards		thirteen digits
 *	tokens		a blank after an r, c or N (Bearer, Basic, BEGIN … KEY), or the J of eyJ
 *	URLs		an '@', or an '='
 *	pairs		an '=', or a ':'
 *	e-mail		an '@'
 *	half a card's	the last byte of "…", which marks a cut
 *
 * and nothing is found at a text's first byte, which is looked at only as what stands before the
 * second. A text that is suspected goes to the detectors, and most are found innocent: so a yes may
 * be wrong, a no never is. A test holds the two against each other.
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

/* The bytes that make a text suspicious, each with the one before it. */
static SONDE__ALWAYS_INLINE sonde__chunk sonde__chunk_suspects(sonde__chunk before, sonde__chunk c)
{
	const sonde__chunk folded = before | 0x20;

	return (sonde__chunk)((c == ':') | (c == '=') | (c == '@') | (c == 'J') |
			      (c == 0xa6) |
			      ((c == ' ') &
			       ((folded == 'r') | (folded == 'c') | (folded == 'n'))));
}

static SONDE__ALWAYS_INLINE sonde__chunk sonde__chunk_digits(sonde__chunk c)
{
	return (sonde__chunk)((sonde__chunk)(c - '0') < 10);
}

/* Of more than sixteen bytes. */
static SONDE__ALWAYS_INLINE bool sonde__suspect_long(const uint8_t *text, size_t size)
{
	unsigned n_digits = text[0] >= '0' && text[0] <= '9';
	sonde__chunk suspects = { 0 };
	size_t i = 1;

	/* The last chunk may overlap the one before: its digits count twice then. */
	for (;;) {
		const sonde__chunk chunk = sonde__chunk_load(text + i);

		suspects |= sonde__chunk_suspects(sonde__chunk_load(text + i - 1), chunk);
		n_digits += sonde__chunk_count(sonde__chunk_digits(chunk));
		if (i + SONDE__CHUNK == size)
			break;
		i += SONDE__CHUNK;
		if (i + SONDE__CHUNK > size)
			i = size - SONDE__CHUNK;
	}
	return sonde__chunk_is_any(suspects) || n_digits >= SONDE__CARD_DIGITS_MIN;
}

/* Of up to sixteen bytes, for a text after which as many more may be read. */
static SONDE__ALWAYS_INLINE bool sonde__suspect_short(const uint8_t *text, size_t size)
{
	static const uint8_t masks[2 * SONDE__CHUNK] = { 255, 255, 255, 255, 255, 255, 255, 255,
							 255, 255, 255, 255, 255, 255, 255, 255 };
	const sonde__chunk mask = sonde__chunk_load(masks + SONDE__CHUNK - size);
	const sonde__chunk before = sonde__chunk_load(text) & mask;
	/* What comes after the text's end comes after a byte of it, and is to be none. */
	const sonde__chunk after_mask = sonde__chunk_load(masks + SONDE__CHUNK - size + (size > 0));
	const sonde__chunk chunk = sonde__chunk_load(text + 1) & after_mask;

	return sonde__chunk_is_any(sonde__chunk_suspects(before, chunk)) ||
	       (size >= SONDE__CARD_DIGITS_MIN &&
		sonde__chunk_count(sonde__chunk_digits(before)) >= SONDE__CARD_DIGITS_MIN);
}

/* For a text after which seventeen bytes more may be read. */
#define SONDE__SUSPECT_SLACK (SONDE__CHUNK + 1)

static SONDE__ALWAYS_INLINE bool sonde__suspect_with_slack(const uint8_t *text, size_t size)
{
	return size > SONDE__CHUNK ? sonde__suspect_long(text, size) :
				     sonde__suspect_short(text, size);
}

static SONDE__ALWAYS_INLINE bool sonde__suspect(const void *text, size_t size)
{
	uint8_t padded[SONDE__CHUNK + SONDE__SUSPECT_SLACK] = { 0 };

	if (size > SONDE__CHUNK)
		return sonde__suspect_long(text, size);
	if (size)
		memcpy(padded, text, size);
	return sonde__suspect_short(padded, size);
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
