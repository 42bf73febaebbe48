/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_BLOB_H
#define SONDE_PIPELINE_BLOB_H

/*
 * Encoded batches and the memory they are in. A batch is encoded into one of a few buffers that
 * were taken at the start. While another one is spare, the buffer becomes the blob as it stands:
 * nothing is copied, and memory that was touched once is used again. When all of them are in the
 * lanes, because a collector does not keep up or is away, a blob is a copy of its exact size. So is
 * a small one always, if the budget has room: an alert that waits for its receiver does not take a
 * buffer from those who have half a megabyte to send.
 */

#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "pipeline/budget.h"

/* An encoded batch. */
struct sonde__blob {
	struct sonde__blob *next;
	uint64_t serial; /* Counts up within the lane. */
	size_t n_items;
	size_t size;
	bool is_buffer; /* One of the buffers, and not a copy. */
	bool is_sent; /* For the audit: once at least; */
	uint64_t audited; /* its number there, 0 without one. */
	uint8_t bytes[];
};

struct sonde__blob_store {
	uint8_t *memory;
	size_t capacity; /* Of each buffer. */
	struct sonde__blob *open; /* The one that is encoded into; never NULL. */
	struct sonde__blob *spares;
};

static inline size_t sonde__blob_footprint(size_t size)
{
	return sizeof(struct sonde__blob) + size;
}

/* What the buffers take. */
size_t sonde__blobs_memory(size_t n_buffers, size_t capacity);
int sonde__blobs_init(struct sonde__blob_store *store, size_t n_buffers, size_t capacity);
void sonde__blobs_deinit(struct sonde__blob_store *store);

/* The open buffer, empty, for an exporter to encode into; it cannot grow. */
struct sonde_buffer sonde__blobs_buffer(const struct sonde__blob_store *store);

/* Whether the next blob needs no room in the budget. */
static inline bool sonde__blobs_has_spare(const struct sonde__blob_store *store)
{
	return store->spares != NULL;
}

/*
 * Makes a blob of the first `size` bytes of the open buffer; NULL: out of memory. Without a spare
 * the caller has seen that there is room in the budget.
 */
struct sonde__blob *sonde__blobs_keep(struct sonde__blob_store *store,
				      struct sonde__budget *budget, size_t size, size_t n_items);
void sonde__blobs_free(struct sonde__blob_store *store, struct sonde__budget *budget,
		       struct sonde__blob *blob);

#endif
