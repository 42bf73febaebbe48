/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BREAKER_CAUSE_H
#define SONDE_RESILIENCE_BREAKER_CAUSE_H

/*
 * The error that opened a breaker, and what it all began with where that is another one, in memory
 * that processes share: who is turned away is told of the refused connection, not only that three
 * attempts were given up. Written by the one who opened it; it names the generation, and its hash
 * tells whether it is whole: one whose writer was killed half way, or that two wrote at once, is
 * none.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error/error.h"

#define SONDE__BREAKER_CAUSE_WORDS (SONDE__ERROR_IMAGE_SIZE / sizeof(uint64_t))

struct sonde__breaker_cause {
	_Atomic uint64_t hash;
	_Atomic uint64_t generation;
	_Atomic uint64_t n_errors; /* 1, or 2 with the root. */
	_Atomic uint64_t words[2 * SONDE__BREAKER_CAUSE_WORDS];
};

/* Wait-free. */
void sonde__breaker_cause_write(struct sonde__breaker_cause *cause, uint32_t generation,
				const struct sonde_error *error, bool is_shared);

/* A new error; NULL: none opened the state of `word`, or it cannot be read now. */
struct sonde_error *sonde__breaker_cause_read(const struct sonde__breaker_cause *cause,
					      uint64_t word);

#endif
