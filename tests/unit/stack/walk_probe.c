/* SPDX-License-Identifier: Apache-2.0 */

/* A library with a stack walker of its own, to be loaded late and by any thread. */

#include "stack/stack.h"

__attribute__((visibility("default"))) size_t probe_walk(uint64_t *frames, size_t capacity);

static __attribute__((noinline)) size_t probe_level(uint64_t *frames, size_t capacity, size_t level)
{
	size_t n = level ? probe_level(frames, capacity, level - 1)
			 : sonde__stack_walk(frames, capacity);

	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
	return n;
}

size_t probe_walk(uint64_t *frames, size_t capacity)
{
	return probe_level(frames, capacity, 3);
}
