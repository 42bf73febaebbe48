/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/breaker_cause.h"

#include "base/hash.h"
#include "base/testpoint.h"
#include "resilience/circuit.h"

void sonde__breaker_cause_write(struct sonde__breaker_cause *cause, uint32_t generation,
				const struct sonde_error *error, bool is_shared)
{
	uint64_t image[SONDE__BREAKER_CAUSE_WORDS] = { 0 };

	sonde__error_save(error, is_shared, image);
	/* Relaxed, all: that they belong together is what the hash says. */
	for (size_t i = 0; i < SONDE__BREAKER_CAUSE_WORDS; i++) {
		atomic_store_explicit(&cause->words[i], image[i], memory_order_relaxed);
		if (i == SONDE__BREAKER_CAUSE_WORDS / 2)
			SONDE__TESTPOINT("circuit:cause");
	}
	atomic_store_explicit(&cause->hash, sonde__hash_bytes(generation, image, sizeof(image)),
			      memory_order_relaxed);
	atomic_store_explicit(&cause->generation, generation, memory_order_relaxed);
}

/* The generation in which the circuit of `word` was opened. */
static uint32_t opening_of(uint64_t word)
{
	uint32_t generation = sonde__circuit_word_generation(word);

	if (sonde__circuit_word_state(word) != SONDE_BREAKER_HALF_OPEN)
		return generation;
	return generation > 1 ? generation - 1 : UINT32_MAX;
}

struct sonde_error *sonde__breaker_cause_read(const struct sonde__breaker_cause *cause,
					      uint64_t word)
{
	uint64_t image[SONDE__BREAKER_CAUSE_WORDS];
	uint32_t generation = opening_of(word);
	uint64_t hash;

	/* Relaxed, all: see the writer. */
	if (atomic_load_explicit(&cause->generation, memory_order_relaxed) != generation)
		return NULL;
	hash = atomic_load_explicit(&cause->hash, memory_order_relaxed);
	for (size_t i = 0; i < SONDE__BREAKER_CAUSE_WORDS; i++)
		image[i] = atomic_load_explicit(&cause->words[i], memory_order_relaxed);
	if (sonde__hash_bytes(generation, image, sizeof(image)) != hash)
		return NULL;
	return sonde__error_restore(image);
}
