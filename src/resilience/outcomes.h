/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_OUTCOMES_H
#define SONDE_RESILIENCE_OUTCOMES_H

/*
 * The outcomes of the last so many calls, or of the last while, and whether too many of them were
 * bad. Atomics without pointers, as in resilience/circuit.h. Each generation begins with none.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/breaker.h>

#define SONDE__OUTCOMES_CALLS_MAX SONDE_BREAKER_WINDOW_CALLS_MAX
/* A window of time goes on by tenths. */
#define SONDE__OUTCOMES_BUCKETS 10

struct sonde__tally {
	uint32_t n;
	uint32_t n_failed;
	uint32_t n_slow;
};

struct sonde__outcomes {
	enum sonde_breaker_mode mode;
	uint32_t calls; /* Of the window, where calls are counted. */
	uint64_t window_ns; /* Of the window, where time is. */
	uint32_t minimum; /* Of fewer calls nothing is concluded. */
	double failure_rate; /* From this share on it is too many. */
	double slow_rate;
	_Atomic uint64_t *words; /* Zero at first. */
};

/* How many words it takes; 0: none, where failures in a row are counted. */
size_t sonde__outcomes_n_words(const struct sonde__outcomes *outcomes);

/* Whether so many bad ones of `n` are too many, however few `n` are. */
bool sonde__outcomes_are_bad(const struct sonde__outcomes *outcomes,
			     const struct sonde__tally *tally, uint32_t n);

/* Adds one; whether there are too many bad ones now. Times are since any moment. Lock-free. */
bool sonde__outcomes_add(const struct sonde__outcomes *outcomes, uint32_t generation,
			 uint64_t time_ns, bool is_failed, bool is_slow);

struct sonde__tally sonde__outcomes_sum(const struct sonde__outcomes *outcomes, uint32_t generation,
					uint64_t time_ns);

#endif
