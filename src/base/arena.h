/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_ARENA_H
#define SONDE_BASE_ARENA_H

/*
 * Memory for one batch: taken from one block by moving a pointer, given back all at once. Never
 * grows past its capacity; an allocation that does not fit returns NULL.
 */

#include <stddef.h>
#include <stdint.h>

struct sonde__arena {
	uint8_t *memory;
	size_t used;
	size_t capacity;
};

int sonde__arena_init(struct sonde__arena *arena, size_t capacity);
void sonde__arena_deinit(struct sonde__arena *arena);
void *sonde__arena_take(struct sonde__arena *arena, size_t size); /* Aligned to 8. */
/* Gives back what of the last allocation lies at and past `end`. */
void sonde__arena_trim(struct sonde__arena *arena, const void *end);
void sonde__arena_reset(struct sonde__arena *arena);

#endif
