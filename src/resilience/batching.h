/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BATCHING_H
#define SONDE_RESILIENCE_BATCHING_H

/*
 * Items that wait, gathered into batches by key: which are due, and when the next will be. A state
 * machine over a time that is passed in; one owner, no lock. docs/design/batcher.md argues it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/batcher.h>

struct sonde__ticket;

struct sonde__batching_entry {
	struct sonde_batcher_item item;
	struct sonde__ticket *ticket; /* NULL: nobody asks. */
	struct sonde__gathering *gathering; /* It is in. */
	struct sonde__batching_entry *next; /* In that; or of the free ones. */
	struct sonde__batching_entry *previous;
	struct sonde__batching_entry *newer; /* Among all that wait. */
	struct sonde__batching_entry *older;
};

/* A batch that is being gathered, or is due. Never empty. */
struct sonde__gathering {
	struct sonde__gathering *next; /* By the time of beginning; due ones, of becoming due. */
	struct sonde__gathering *previous;
	struct sonde__gathering *next_in_bucket;
	struct sonde__batching_entry *first;
	struct sonde__batching_entry *last;
	uint64_t key;
	uint64_t n_bytes;
	uint64_t due_ns;
	size_t n_items;
	enum sonde_batcher_reason reason;
	bool is_due;
};

struct sonde__gatherings {
	struct sonde__gathering *first;
	struct sonde__gathering *last;
};

struct sonde__batching {
	/* As options say, all set. */
	size_t max_items;
	size_t max_waiting;
	size_t max_keys;
	uint64_t max_bytes; /* UINT64_MAX: no limit. */
	uint64_t delay_ns;

	struct sonde__gatherings open;
	struct sonde__gatherings due;
	struct sonde__batching_entry *oldest;
	struct sonde__batching_entry *newest;
	size_t n_open;
	size_t n_waiting;
	struct sonde__batching_entry *free_entry;
	struct sonde__gathering *free_gathering;
	struct sonde__gathering **buckets; /* Open ones by key. */
	size_t bucket_mask;
	struct sonde__batching_entry *entries; /* Their memory. */
	struct sonde__gathering *gatherings;
};

/* From options that are in their limits. SONDE_E_NOMEM. */
int sonde__batching_init(struct sonde__batching *batching,
			 const struct sonde_batcher_options *options);
void sonde__batching_deinit(struct sonde__batching *batching);

static inline bool sonde__batching_has_room(const struct sonde__batching *batching)
{
	return batching->n_waiting < batching->max_waiting;
}

/* Whether the item begins a batch: then, and only then, the time counts. */
bool sonde__batching_begins(const struct sonde__batching *batching,
			    const struct sonde_batcher_item *item);

/* There is room. */
struct sonde__batching_entry *sonde__batching_add(struct sonde__batching *batching,
						  const struct sonde_batcher_item *item,
						  uint64_t now_ns);

/* Takes one out that waits, for good; the caller has read it. */
void sonde__batching_remove(struct sonde__batching *batching, struct sonde__batching_entry *entry);

/*
 * What was begun long enough ago is due; everything is; what was begun first is, if nothing else.
 */
void sonde__batching_tick(struct sonde__batching *batching, uint64_t now_ns);
void sonde__batching_flush(struct sonde__batching *batching);
void sonde__batching_press(struct sonde__batching *batching, uint64_t now_ns);

/* When the next one that is not due yet will be; SONDE__NEVER: there is none. */
uint64_t sonde__batching_due_ns(const struct sonde__batching *batching);

#endif
