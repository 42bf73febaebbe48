/* SPDX-License-Identifier: Apache-2.0 */
#include "floor.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "measure.h"

#define RINGS 64
#define RING_SIZE ((size_t)1 << 20)
#define RECORD_MAX 4096

static struct {
	_Alignas(64) _Atomic uint64_t word;
	uint8_t bytes[RING_SIZE + RECORD_MAX];
} rings[RINGS];

static uint64_t reserve(_Atomic uint64_t *word, size_t bytes)
{
	/* As a ring does it; nobody reads what is published here. */
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(word, &old, old + bytes, memory_order_acq_rel,
						      memory_order_relaxed))
		;
	return old;
}

static inline __attribute__((always_inline)) void floor_parts(size_t n, size_t bytes,
							      size_t processor, int parts)
{
	static _Thread_local uint8_t from[RECORD_MAX];
	uint64_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = parts & FLOOR_CLOCK ? measure_ticks() : i;
		uint64_t end = parts & FLOOR_CLOCK ? measure_ticks() : i;

		if (parts & FLOOR_RESERVE)
			at = reserve(&rings[processor % RINGS].word, bytes);
		else
			at += bytes;
		memcpy(from, &start, sizeof(start));
		memcpy(from + sizeof(start), &end, sizeof(end));
		if (parts & FLOOR_COPY)
			memcpy(rings[processor % RINGS].bytes + at % RING_SIZE, from, bytes);
		__asm__ volatile("" ::: "memory");
	}
}

void floor_run(size_t n, size_t bytes, size_t processor, enum floor_part parts)
{
	if (bytes > RECORD_MAX)
		bytes = RECORD_MAX;
	switch (parts) {
	case FLOOR_CLOCK:
		floor_parts(n, bytes, processor, FLOOR_CLOCK);
		break;
	case FLOOR_RESERVE:
		floor_parts(n, bytes, processor, FLOOR_RESERVE);
		break;
	case FLOOR_COPY:
		floor_parts(n, bytes, processor, FLOOR_COPY);
		break;
	case FLOOR_ALL:
		floor_parts(n, bytes, processor, FLOOR_ALL);
		break;
	}
}
