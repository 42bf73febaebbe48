/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_SHARED_PERMITS_H
#define SONDE_RESILIENCE_SHARED_PERMITS_H

/*
 * Permits of several processes, in memory that they inherit. What a process held when it was killed
 * comes back. docs/design/bulkhead.md argues it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <sonde/resilience.h>

#include "base/compiler.h"
#include "resilience/permits.h"

/* How often it is looked who still lives: by whoever finds no permit, and by those who wait. */
#define SONDE__SHARED_SWEEP_NS (UINT64_C(100) * 1000 * 1000)

/* Of all processes. */
struct sonde__shared_memory {
	_Atomic uint64_t limit;
	_Atomic uint64_t swept_ns; /* 0: never. */
	uint32_t n_permits; /* Words for permits, then for places; never changed. */
	uint32_t n_places;
	SONDE__CACHE_ALIGNED _Atomic uint32_t bell; /* What is slept on. */
	_Atomic uint32_t has_sleepers;
	SONDE__CACHE_ALIGNED _Atomic uint64_t words[];
};

/* Of each process; all zero in a forked child. */
struct sonde__shared_own {
	struct sonde__permits
		turn; /* To be the one who sleeps: one permit, from its first use on. */
	_Atomic uint32_t n_taken; /* Never more than words are signed by this process. */
};

struct sonde__shared_permits {
	struct sonde__shared_memory *memory;
	struct sonde__shared_own *own;
	const struct sonde_clock *clock;
	_Atomic uint64_t n_reclaimed; /* By this process. */
};

/* `limit` of `max_limit` permits, and places for `max_queue` that wait. SONDE_E_SYSTEM. */
int sonde__shared_permits_init(struct sonde__shared_permits *permits, uint32_t limit,
			       uint32_t max_limit, uint32_t max_queue);
void sonde__shared_permits_deinit(struct sonde__shared_permits *permits);

/* Where there is a permit and nobody of this process waits. Lock-free, both. */
bool sonde__shared_permits_try(struct sonde__shared_permits *permits);
/* False: this process has taken none, and nothing has changed. */
bool sonde__shared_permits_release(struct sonde__shared_permits *permits);

enum sonde__shared_answer {
	SONDE__SHARED_GRANTED = 0,
	SONDE__SHARED_FULL = 1, /* No place to wait in. */
	SONDE__SHARED_LATE = 2,
	SONDE__SHARED_CANCELLED = 3,
};

/* Waits until a moment of the clock; `cancel` may be NULL. */
enum sonde__shared_answer sonde__shared_permits_wait(struct sonde__shared_permits *permits,
						     uint64_t until_ns,
						     struct sonde_cancel *cancel);

/* ---- Between shared_permits.c and shared_wait.c ---------------------------------------------- */

/* Changes the first of `n` words from `from` on, round about, that is `was`. `n`: there is none. */
uint32_t sonde__shared_words_change(_Atomic uint64_t *words, uint32_t n, uint32_t from,
				    uint64_t was, uint64_t key);

/* Where there is a permit: for who has the turn. */
bool sonde__shared_permits_take(struct sonde__shared_permits *permits);

/* Takes back what the dead hold, once in a period of all processes. Whether it was permits. */
bool sonde__shared_permits_sweep(struct sonde__shared_permits *permits);

/* Wakes whoever sleeps on the bell. Async-signal-safe. */
void sonde__shared_bell_ring(struct sonde__shared_memory *memory);

/* ---- At run time ----------------------------------------------------------------------------- */

/* False: past what there are words for. */
bool sonde__shared_permits_set_limit(struct sonde__shared_permits *permits, uint32_t limit);

uint32_t sonde__shared_permits_limit(const struct sonde__shared_permits *permits);
uint32_t sonde__shared_permits_taken(const struct sonde__shared_permits *permits);
uint32_t sonde__shared_permits_waiting(const struct sonde__shared_permits *permits);

#endif
