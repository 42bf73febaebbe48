/* SPDX-License-Identifier: Apache-2.0 */
/* A stack of spare buffers, so that the one used last, which is still in the caches, goes first. */

#include "pipeline/blob.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64
/* A blob below this part of a buffer costs little to copy. */
#define SMALL_PART 16

static size_t stride_of(size_t capacity)
{
	return (sonde__blob_footprint(capacity) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void push(struct sonde__blob_store *store, struct sonde__blob *blob)
{
	blob->next = store->spares;
	store->spares = blob;
}

static struct sonde__blob *pop(struct sonde__blob_store *store)
{
	struct sonde__blob *blob = store->spares;

	store->spares = blob->next;
	return blob;
}

size_t sonde__blobs_memory(size_t n_buffers, size_t capacity)
{
	return n_buffers * stride_of(capacity);
}

int sonde__blobs_init(struct sonde__blob_store *store, size_t n_buffers, size_t capacity)
{
	size_t stride = stride_of(capacity);

	*store = (struct sonde__blob_store){ .memory = malloc(n_buffers * stride),
					     .capacity = capacity };
	if (!store->memory)
		return SONDE_E_NOMEM;
	for (size_t i = n_buffers; i > 0; i--)
		push(store, (struct sonde__blob *)(void *)(store->memory + (i - 1) * stride));
	store->open = pop(store);
	return SONDE_OK;
}

void sonde__blobs_deinit(struct sonde__blob_store *store)
{
	free(store->memory);
	*store = (struct sonde__blob_store){ 0 };
}

struct sonde_buffer sonde__blobs_buffer(const struct sonde__blob_store *store)
{
	return (struct sonde_buffer){ .data = store->open->bytes,
				      .capacity = store->capacity,
				      .limit = store->capacity };
}

static struct sonde__blob *copy_open(const struct sonde__blob_store *store, size_t size)
{
	struct sonde__blob *blob = malloc(sonde__blob_footprint(size));

	if (blob)
		memcpy(blob->bytes, store->open->bytes, size);
	return blob;
}

static bool is_copied(const struct sonde__blob_store *store, const struct sonde__budget *budget,
		      size_t size)
{
	return !sonde__blobs_has_spare(store) ||
	       (size < store->capacity / SMALL_PART &&
		sonde__budget_has_room(budget, sonde__blob_footprint(size)));
}

struct sonde__blob *sonde__blobs_keep(struct sonde__blob_store *store,
				      struct sonde__budget *budget, size_t size, size_t n_items)
{
	struct sonde__blob *copy = is_copied(store, budget, size) ? copy_open(store, size) : NULL;
	bool is_buffer = !copy && sonde__blobs_has_spare(store);
	struct sonde__blob *blob = is_buffer ? store->open : copy;

	if (!blob)
		return NULL;
	if (is_buffer)
		store->open = pop(store);
	else
		budget->blobs += sonde__blob_footprint(size);
	blob->next = NULL;
	blob->serial = 0;
	blob->n_items = n_items;
	blob->size = size;
	blob->is_buffer = is_buffer;
	return blob;
}

void sonde__blobs_free(struct sonde__blob_store *store, struct sonde__budget *budget,
		       struct sonde__blob *blob)
{
	if (blob->is_buffer) {
		push(store, blob);
		return;
	}
	budget->blobs -= sonde__blob_footprint(blob->size);
	free(blob);
}
