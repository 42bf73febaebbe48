/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Taking a batch and saying how it went.
 *
 * An error has one owner. One that the handler gave an item goes to who asked for that item, or is
 * an orphan. One that it returned is everybody's: who asked has a copy each, and if there was an
 * item that nobody asked for, the error itself is an orphan, once.
 */

#include "resilience/batcher.h"
#include "resilience/observe.h"

/* ---- Taking, under the lock ------------------------------------------------------------------ */

static bool key_is_running(const struct sonde__batcher *batcher, uint64_t key)
{
	for (size_t i = 0; batcher->n_slots_used && i < batcher->options.concurrency; i++)
		if (batcher->slots[i].is_used && batcher->slots[i].batch.key == key)
			return true;
	return false;
}

/* The first that is due and may run. */
static struct sonde__gathering *due_find(const struct sonde__batcher *batcher)
{
	struct sonde__gathering *gathering = batcher->batching.due.first;

	if (batcher->n_slots_used == batcher->options.concurrency)
		return NULL;
	while (gathering && key_is_running(batcher, gathering->key))
		gathering = gathering->next;
	return gathering;
}

uint64_t sonde__batcher_due_ns(const struct sonde__batcher *batcher)
{
	if (batcher->n_slots_used == batcher->options.concurrency)
		return SONDE__NEVER;
	return due_find(batcher) ? 0 : sonde__batching_due_ns(&batcher->batching);
}

/* Moves the items of `gathering` to the slot. */
static void slot_fill(struct sonde__batcher *batcher, struct sonde__batcher_slot *slot,
		      struct sonde__gathering *gathering)
{
	struct sonde__batching_entry *entry = gathering->first;
	size_t n_items = gathering->n_items;

	slot->batch.key = gathering->key;
	slot->batch.n_items = n_items;
	slot->batch.n_bytes = gathering->n_bytes;
	slot->batch.reason = gathering->reason;
	for (size_t i = 0; i < n_items; i++) {
		struct sonde__batching_entry *next = entry->next;
		struct sonde__ticket *ticket = entry->ticket;

		slot->batch.items[i] = entry->item;
		slot->tickets[i] = ticket;
		if (ticket) {
			ticket->at.place = &slot->tickets[i];
			/* Relaxed: not done yet is all that is read without the lock. */
			atomic_store_explicit(&ticket->state, SONDE__TICKET_RUNNING,
					      memory_order_relaxed);
		}
		sonde__batching_remove(&batcher->batching, entry);
		entry = next;
	}
	batcher->figures.n_running += n_items;
	if (sonde__is_observed(batcher->options.observer))
		slot->taken_ns = sonde__batcher_now_ns(batcher);
	slot->is_used = true;
	batcher->n_slots_used++;
}

struct sonde__batcher_slot *sonde__batcher_take_slot(struct sonde__batcher *batcher)
{
	struct sonde__batcher_slot *slot = batcher->slots;
	struct sonde__gathering *gathering;

	if (batcher->n_slots_used == batcher->options.concurrency)
		return NULL;
	if (batcher->batching.open.first)
		sonde__batching_tick(&batcher->batching, sonde__batcher_now_ns(batcher));
	gathering = due_find(batcher);
	if (!gathering)
		return NULL;
	while (slot->is_used)
		slot++;
	slot_fill(batcher, slot, gathering);
	sonde__batcher_admit(batcher);
	return slot;
}

uint64_t sonde_batcher_next_due_ns(struct sonde_batcher *public)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);
	uint64_t due_ns;

	if (!public)
		return SONDE__NEVER;
	pthread_mutex_lock(&batcher->lock);
	due_ns = sonde__batcher_due_ns(batcher);
	pthread_mutex_unlock(&batcher->lock);
	return due_ns;
}

struct sonde_batcher_batch *sonde_batcher_take(struct sonde_batcher *public)
{
	struct sonde__batcher *batcher = sonde__batcher_of(public);
	struct sonde__batcher_slot *slot;

	if (!public)
		return NULL;
	pthread_mutex_lock(&batcher->lock);
	slot = sonde__batcher_take_slot(batcher);
	pthread_mutex_unlock(&batcher->lock);
	return slot ? &slot->batch : NULL;
}

/* ---- Reporting ------------------------------------------------------------------------------- */

struct report {
	struct sonde__batcher *batcher;
	struct sonde__batcher_slot *slot;
	struct sonde_error *error; /* Everybody's; or NULL. */
	size_t n_failed;
	size_t n_unasked; /* Have everybody's error, and nobody asks; */
	size_t first_unasked; /* from this one on. */
};

static void observe_run(const struct report *report)
{
	const struct sonde_batcher_batch *batch = &report->slot->batch;
	const struct sonde_error *error = report->error;

	for (size_t i = 0; !error && i < batch->n_items; i++)
		error = batch->items[i].error;
	sonde__batcher_observe(report->batcher, SONDE_OBSERVED_RUN,
			       sonde__time_until(sonde__batcher_now_ns(report->batcher),
						 report->slot->taken_ns),
			       batch->n_items, error);
}

/*
 * Gives each item that has none and was asked for its copy of everybody's error. One that stops
 * being asked for before it is delivered is an orphan, as any error that nobody took.
 */
static void errors_copy(struct report *report)
{
	struct sonde_batcher_batch *batch = &report->slot->batch;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct sonde_batcher_item *item = &batch->items[i];

		report->n_failed += item->error || report->error;
		if (item->error || !report->error)
			continue;
		if (report->slot->is_asked[i])
			item->error = sonde_error_copy(report->error);
		else if (!report->n_unasked++)
			report->first_unasked = i;
	}
}

static void asked_mark(struct report *report)
{
	pthread_mutex_lock(&report->batcher->lock);
	for (size_t i = 0; i < report->slot->batch.n_items; i++)
		report->slot->is_asked[i] = report->slot->tickets[i];
	pthread_mutex_unlock(&report->batcher->lock);
}

/* Who asked has the outcome; what is left in the items is nobody's. Under the lock. */
static void outcomes_deliver(struct report *report)
{
	struct sonde_batcher_batch *batch = &report->slot->batch;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct sonde_batcher_item *item = &batch->items[i];

		if (!report->slot->tickets[i])
			continue;
		sonde__ticket_settle(report->slot->tickets[i], item->error, item->result);
		report->slot->tickets[i] = NULL;
		item->error = NULL;
	}
}

/* As part of the work that added the item. */
static void orphan_tell(const struct report *report, const struct sonde_context *context,
			uint64_t count, const struct sonde_error *error)
{
	SONDE_CONTEXT_SCOPE(context);

	sonde__batcher_observe(report->batcher, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0, count,
			       error);
}

static void orphans_tell(struct report *report)
{
	struct sonde_batcher_batch *batch = &report->slot->batch;

	for (size_t i = 0; i < batch->n_items; i++) {
		struct sonde_error *error = batch->items[i].error;

		if (!error)
			continue;
		orphan_tell(report, &batch->items[i].context, /* count= */ 1, error);
		batch->items[i].error = sonde_error_free(error);
	}
	/* Told once: as part of the work of the first that did not ask. */
	if (report->n_unasked)
		orphan_tell(report, &batch->items[report->first_unasked].context,
			    report->n_unasked, report->error);
	sonde_error_free(report->error);
}

/* Under the lock. */
static void slot_free(struct report *report)
{
	struct sonde__batcher *batcher = report->batcher;
	size_t n_items = report->slot->batch.n_items;

	report->slot->is_used = false;
	batcher->n_slots_used--;
	batcher->figures.n_running -= n_items;
	batcher->figures.n_handled += n_items;
	batcher->figures.n_failed += report->n_failed;
	batcher->figures.n_batches++;
	if (batcher->batching.n_waiting || batcher->is_closed)
		sonde__batcher_rouse(batcher);
	sonde__batcher_settle_stop(batcher);
}

void sonde_batcher_report(struct sonde_batcher *public, struct sonde_batcher_batch *batch,
			  struct sonde_error *error)
{
	struct report report = {
		.batcher = sonde__batcher_of(public),
		.slot = (struct sonde__batcher_slot *)(void *)batch,
		.error = error,
	};

	if (!public || !batch || !report.slot->is_used) {
		sonde_error_free(error);
		return;
	}
	if (sonde__is_observed(report.batcher->options.observer))
		observe_run(&report);
	if (error)
		asked_mark(&report);
	errors_copy(&report);
	pthread_mutex_lock(&report.batcher->lock);
	outcomes_deliver(&report);
	pthread_mutex_unlock(&report.batcher->lock);
	orphans_tell(&report);
	pthread_mutex_lock(&report.batcher->lock);
	slot_free(&report);
	pthread_mutex_unlock(&report.batcher->lock);
}
