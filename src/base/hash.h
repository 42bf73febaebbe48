/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_HASH_H
#define SONDE_BASE_HASH_H

/*
 * A hash that is the same in every build and on every host, for what is stored and compared: eight
 * bytes at a step, then SplitMix64's finalizer. Not against somebody who looks for collisions.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/random.h"

static inline uint64_t sonde__hash_word(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Sizes count: "ab" then "c" is not "a" then "bc". */
static inline uint64_t sonde__hash_bytes(uint64_t seed, const void *data, size_t size)
{
	const uint8_t *at = data;
	uint64_t hash = sonde__hash_word(seed, size + 1);
	uint64_t word = 0;

	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = sonde__hash_word(hash, word);
	}
	word = 0;
	for (size_t i = 0; i < size; i++)
		word |= (uint64_t)at[i] << (8 * i);
	return sonde__mix64(sonde__hash_word(hash, word));
}

#endif
