/* SPDX-License-Identifier: Apache-2.0 */
/* One block and an offset. The block is touched only as far as it is used. */

#include "base/arena.h"

#include <stdlib.h>

#include <sonde/base.h>

#define ALIGNMENT 8

int sonde__arena_init(struct sonde__arena *arena, size_t capacity)
{
	uint8_t *memory = malloc(capacity ? capacity : 1);

	if (!memory)
		return SONDE_E_NOMEM;
	arena->memory = memory;
	arena->used = 0;
	arena->capacity = capacity;
	return SONDE_OK;
}

void sonde__arena_deinit(struct sonde__arena *arena)
{
	if (!arena)
		return;
	free(arena->memory);
	arena->memory = NULL;
	arena->used = 0;
	arena->capacity = 0;
}

void *sonde__arena_take(struct sonde__arena *arena, size_t size)
{
	size_t start = (arena->used + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

	if (start > arena->capacity || size > arena->capacity - start)
		return NULL;
	arena->used = start + size;
	return arena->memory + start;
}

void sonde__arena_trim(struct sonde__arena *arena, const void *end)
{
	arena->used = (size_t)((const uint8_t *)end - arena->memory);
}

void sonde__arena_reset(struct sonde__arena *arena)
{
	arena->used = 0;
}
