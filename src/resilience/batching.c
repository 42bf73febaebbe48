/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An entry stands in two lists: its batch's, and that of all that wait, by age, so that the oldest
 * is at hand. A batch stands in one of two: those that are being gathered, which is in the order in
 * which they are due because all have the same delay, and those that are due. Batches are never
 * empty, so there are never more than entries.
 */

#include "resilience/batching.h"

#include <stdlib.h>

#include "base/random.h"
#include "resilience/clock.h"

int sonde__batching_init(struct sonde__batching *batching,
			 const struct sonde_batcher_options *options)
{
	size_t n_buckets = 1;

	*batching = (struct sonde__batching){
		.max_items = options->max_items,
		.max_waiting = options->max_waiting,
		.max_keys = options->max_keys,
		.max_bytes = options->max_bytes ? options->max_bytes : UINT64_MAX,
		.delay_ns = sonde__ms_to_ns(options->delay_ms),
	};
	while (n_buckets < options->max_keys)
		n_buckets *= 2;
	batching->bucket_mask = n_buckets - 1;
	batching->buckets = calloc(n_buckets, sizeof(struct sonde__gathering *));
	batching->entries = calloc(options->max_waiting, sizeof(*batching->entries));
	batching->gatherings = calloc(options->max_waiting, sizeof(*batching->gatherings));
	if (!batching->buckets || !batching->entries || !batching->gatherings) {
		sonde__batching_deinit(batching);
		return SONDE_E_NOMEM;
	}
	for (size_t i = options->max_waiting; i-- > 0;) {
		batching->entries[i].next = batching->free_entry;
		batching->free_entry = &batching->entries[i];
		batching->gatherings[i].next = batching->free_gathering;
		batching->free_gathering = &batching->gatherings[i];
	}
	return SONDE_OK;
}

void sonde__batching_deinit(struct sonde__batching *batching)
{
	free(batching->buckets);
	free(batching->entries);
	free(batching->gatherings);
	*batching = (struct sonde__batching){ 0 };
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void list_push(struct sonde__gatherings *list, struct sonde__gathering *gathering)
{
	gathering->next = NULL;
	gathering->previous = list->last;
	if (list->last)
		list->last->next = gathering;
	else
		list->first = gathering;
	list->last = gathering;
}

static void list_remove(struct sonde__gatherings *list, struct sonde__gathering *gathering)
{
	if (gathering->previous)
		gathering->previous->next = gathering->next;
	else
		list->first = gathering->next;
	if (gathering->next)
		gathering->next->previous = gathering->previous;
	else
		list->last = gathering->previous;
}

static struct sonde__gathering **bucket_of(const struct sonde__batching *batching, uint64_t key)
{
	return &batching->buckets[sonde__mix64(key) & batching->bucket_mask];
}

static struct sonde__gathering *open_find(const struct sonde__batching *batching, uint64_t key)
{
	struct sonde__gathering *gathering = *bucket_of(batching, key);

	while (gathering && gathering->key != key)
		gathering = gathering->next_in_bucket;
	return gathering;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void open_remove(struct sonde__batching *batching, struct sonde__gathering *gathering)
{
	struct sonde__gathering **at = bucket_of(batching, gathering->key);

	while (*at != gathering)
		at = &(*at)->next_in_bucket;
	*at = gathering->next_in_bucket;
	list_remove(&batching->open, gathering);
	batching->n_open--;
}

static void make_due(struct sonde__batching *batching, struct sonde__gathering *gathering,
		     enum sonde_batcher_reason reason)
{
	open_remove(batching, gathering);
	gathering->reason = reason;
	gathering->is_due = true;
	list_push(&batching->due, gathering);
}

static struct sonde__gathering *open_begin(struct sonde__batching *batching, uint64_t key,
					   uint64_t now_ns)
{
	struct sonde__gathering *gathering = batching->free_gathering;
	struct sonde__gathering **bucket = bucket_of(batching, key);

	if (batching->n_open == batching->max_keys)
		make_due(batching, batching->open.first, SONDE_BATCHER_KEYS);
	batching->free_gathering = gathering->next;
	*gathering = (struct sonde__gathering){
		.key = key,
		.due_ns = sonde__moment_after(now_ns, batching->delay_ns),
		.next_in_bucket = *bucket,
	};
	*bucket = gathering;
	list_push(&batching->open, gathering);
	batching->n_open++;
	return gathering;
}

/* Of the one that is being gathered. */
static bool item_fits(const struct sonde__batching *batching,
		      const struct sonde__gathering *gathering,
		      const struct sonde_batcher_item *item)
{
	return item->n_bytes <= batching->max_bytes &&
	       gathering->n_bytes <= batching->max_bytes - item->n_bytes;
}

bool sonde__batching_begins(const struct sonde__batching *batching,
			    const struct sonde_batcher_item *item)
{
	const struct sonde__gathering *gathering = open_find(batching, item->key);

	return !gathering || !item_fits(batching, gathering, item);
}

/* ---- Items ----------------------------------------------------------------------------------- */

static void entry_link(struct sonde__batching *batching, struct sonde__gathering *gathering,
		       struct sonde__batching_entry *entry)
{
	entry->gathering = gathering;
	entry->next = NULL;
	entry->previous = gathering->last;
	if (gathering->last)
		gathering->last->next = entry;
	else
		gathering->first = entry;
	gathering->last = entry;
	gathering->n_items++;
	gathering->n_bytes += entry->item.n_bytes;
	entry->newer = NULL;
	entry->older = batching->newest;
	if (batching->newest)
		batching->newest->newer = entry;
	else
		batching->oldest = entry;
	batching->newest = entry;
	batching->n_waiting++;
}

struct sonde__batching_entry *sonde__batching_add(struct sonde__batching *batching,
						  const struct sonde_batcher_item *item,
						  uint64_t now_ns)
{
	struct sonde__batching_entry *entry = batching->free_entry;
	struct sonde__gathering *gathering;

	if (sonde__batching_begins(batching, item))
		sonde__batching_tick(batching, now_ns);
	gathering = open_find(batching, item->key);
	if (gathering && !item_fits(batching, gathering, item)) {
		make_due(batching, gathering, SONDE_BATCHER_BYTES);
		gathering = NULL;
	}
	if (!gathering)
		gathering = open_begin(batching, item->key, now_ns);
	batching->free_entry = entry->next;
	entry->item = *item;
	entry->ticket = NULL;
	entry_link(batching, gathering, entry);
	if (gathering->n_items == batching->max_items)
		make_due(batching, gathering, SONDE_BATCHER_FULL);
	else if (gathering->n_bytes >= batching->max_bytes)
		make_due(batching, gathering, SONDE_BATCHER_BYTES);
	return entry;
}

static void entry_unlink(struct sonde__batching *batching, struct sonde__gathering *gathering,
			 struct sonde__batching_entry *entry)
{
	if (entry->previous)
		entry->previous->next = entry->next;
	else
		gathering->first = entry->next;
	if (entry->next)
		entry->next->previous = entry->previous;
	else
		gathering->last = entry->previous;
	gathering->n_items--;
	gathering->n_bytes -= entry->item.n_bytes;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		batching->oldest = entry->newer;
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		batching->newest = entry->older;
	batching->n_waiting--;
}

void sonde__batching_remove(struct sonde__batching *batching, struct sonde__batching_entry *entry)
{
	struct sonde__gathering *gathering = entry->gathering;

	entry_unlink(batching, gathering, entry);
	entry->next = batching->free_entry;
	batching->free_entry = entry;
	if (gathering->n_items)
		return;
	if (gathering->is_due)
		list_remove(&batching->due, gathering);
	else
		open_remove(batching, gathering);
	gathering->next = batching->free_gathering;
	batching->free_gathering = gathering;
}

/* ---- Becoming due ---------------------------------------------------------------------------- */

void sonde__batching_tick(struct sonde__batching *batching, uint64_t now_ns)
{
	while (batching->open.first && batching->open.first->due_ns <= now_ns)
		make_due(batching, batching->open.first, SONDE_BATCHER_DELAY);
}

void sonde__batching_flush(struct sonde__batching *batching)
{
	while (batching->open.first)
		make_due(batching, batching->open.first, SONDE_BATCHER_FLUSH);
}

void sonde__batching_press(struct sonde__batching *batching, uint64_t now_ns)
{
	sonde__batching_tick(batching, now_ns);
	if (!batching->due.first && batching->open.first)
		make_due(batching, batching->open.first, SONDE_BATCHER_PRESSURE);
}

uint64_t sonde__batching_due_ns(const struct sonde__batching *batching)
{
	return batching->open.first ? batching->open.first->due_ns : SONDE__NEVER;
}
