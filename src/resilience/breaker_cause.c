/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/breaker_cause.h"

#include "base/hash.h"
#include "base/testpoint.h"
#include "resilience/circuit.h"

static uint64_t hash_of(uint32_t generation, size_t n_errors, const uint64_t *image)
{
	return sonde__hash_bytes(generation | (uint64_t)n_errors << 32, image,
				 n_errors * SONDE__ERROR_IMAGE_SIZE);
}

void sonde__breaker_cause_write(struct sonde__breaker_cause *cause, uint32_t generation,
				const struct sonde_error *error, bool is_shared)
{
	uint64_t image[2 * SONDE__BREAKER_CAUSE_WORDS] = { 0 };
	const struct sonde_error *root = sonde__error_root(error);
	size_t n_errors = root == error ? 1 : 2;

	sonde__error_save(error, is_shared, image);
	if (root != error)
		sonde__error_save(root, is_shared, image + SONDE__BREAKER_CAUSE_WORDS);
	/* Relaxed, all: that they belong together is what the hash says. */
	for (size_t i = 0; i < n_errors * SONDE__BREAKER_CAUSE_WORDS; i++) {
		atomic_store_explicit(&cause->words[i], image[i], memory_order_relaxed);
		if (i == SONDE__BREAKER_CAUSE_WORDS / 2)
			SONDE__TESTPOINT("circuit:cause");
	}
	atomic_store_explicit(&cause->n_errors, n_errors, memory_order_relaxed);
	atomic_store_explicit(&cause->hash, hash_of(generation, n_errors, image),
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
	uint64_t image[2 * SONDE__BREAKER_CAUSE_WORDS];
	uint32_t generation = opening_of(word);
	uint64_t n_errors;
	uint64_t hash;

	/* Relaxed, all: see the writer. */
	if (atomic_load_explicit(&cause->generation, memory_order_relaxed) != generation)
		return NULL;
	hash = atomic_load_explicit(&cause->hash, memory_order_relaxed);
	n_errors = atomic_load_explicit(&cause->n_errors, memory_order_relaxed);
	if (n_errors < 1 || n_errors > 2)
		return NULL;
	for (size_t i = 0; i < n_errors * SONDE__BREAKER_CAUSE_WORDS; i++)
		image[i] = atomic_load_explicit(&cause->words[i], memory_order_relaxed);
	if (hash_of(generation, n_errors, image) != hash)
		return NULL;
	if (n_errors == 1)
		return sonde__error_restore(image);
	return sonde__error_caused_by(sonde__error_restore(image),
				      sonde__error_restore(image + SONDE__BREAKER_CAUSE_WORDS));
}
