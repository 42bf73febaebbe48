/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_SIPHASH_H
#define SONDE_BASE_SIPHASH_H

/*
 * SipHash-1-3 (Aumasson, Bernstein, 2012, with the rounds that Rust's and Python's tables have): a
 * hash under a secret key, for tables whose keys come from outside. Who does not know the key finds
 * no two texts with one hash.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sonde__siphash_key {
	uint64_t words[2];
};

struct sonde__siphash {
	uint64_t v[4];
};

static inline uint64_t sonde__siphash_turn(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static inline void sonde__siphash_round(struct sonde__siphash *state)
{
	uint64_t *v = state->v;

	v[0] += v[1];
	v[2] += v[3];
	v[1] = sonde__siphash_turn(v[1], 13) ^ v[0];
	v[3] = sonde__siphash_turn(v[3], 16) ^ v[2];
	v[0] = sonde__siphash_turn(v[0], 32) + v[3];
	v[2] += v[1];
	v[1] = sonde__siphash_turn(v[1], 17) ^ v[2];
	v[3] = sonde__siphash_turn(v[3], 21) ^ v[0];
	v[2] = sonde__siphash_turn(v[2], 32);
}

static inline void sonde__siphash_add(struct sonde__siphash *state, uint64_t word)
{
	state->v[3] ^= word;
	sonde__siphash_round(state);
	state->v[0] ^= word;
}

/* The last word: the bytes that are left, and the size in its highest byte. */
static inline uint64_t sonde__siphash_tail(const uint8_t *at, size_t n_left, size_t size)
{
	uint64_t word = (uint64_t)(size & 0xff) << 56;

	for (size_t i = 0; i < n_left; i++)
		word |= (uint64_t)at[i] << (8 * i);
	return word;
}

/* Words are read as they lie: on little-endian systems alone, as all of sonde. */
static inline uint64_t sonde__siphash(const struct sonde__siphash_key *key, const void *data,
				      size_t size)
{
	const uint8_t *at = data;
	size_t n_left = size;
	struct sonde__siphash state = { {
		key->words[0] ^ UINT64_C(0x736f6d6570736575),
		key->words[1] ^ UINT64_C(0x646f72616e646f6d),
		key->words[0] ^ UINT64_C(0x6c7967656e657261),
		key->words[1] ^ UINT64_C(0x7465646279746573),
	} };

	for (; n_left >= sizeof(uint64_t); n_left -= sizeof(uint64_t), at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		sonde__siphash_add(&state, word);
	}
	sonde__siphash_add(&state, sonde__siphash_tail(at, n_left, size));
	state.v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sonde__siphash_round(&state);
	return state.v[0] ^ state.v[1] ^ state.v[2] ^ state.v[3];
}

#endif
