/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CONTEXT_VALUES_TABLE_H
#define SONDE_CONTEXT_VALUES_TABLE_H

/* The table's chunks one by one. All lock-free and async-signal-safe. */

#include "context/context.h"

/*
 * Writes a field of `n` words behind what the reference names. False: it is not the holder's to
 * write behind, or there is no room.
 */
bool sonde__values_append(uint64_t reference, const uint64_t *field, uint64_t n, uint64_t *ret);

/* Writes it into a chunk of its own, on top of `parent`. False: no chunk. */
bool sonde__values_begin(uint64_t parent, const uint64_t *field, uint64_t n, uint64_t *ret);

/* Words that its chunk has room for, behind what the reference names. */
size_t sonde__values_room(uint64_t reference);

/* What the reference's own chunk stands on; 0: nothing, or nobody knows any more. */
uint64_t sonde__values_parent(uint64_t reference);

/* Copies what the reference names in its own chunk; the size, 0 where it is gone. */
size_t sonde__values_copy(uint64_t reference, uint64_t ret[SONDE__VALUES_CHUNK_SIZE / 8]);

void sonde__values_lose(void);

#endif
