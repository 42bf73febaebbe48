/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tickets: an item and whoever asks for its outcome find each other under the batcher's lock, until
 * the outcome is there. From then on the ticket is its owner's alone, and the batcher may be gone.
 */

#include "resilience/batcher.h"
#include "resilience/name.h"
#include "resilience/observe.h"

/* Relaxed: whether there is an item is its owner's own doing; for the rest, under the lock. */
static uint32_t ticket_state(const struct sonde__ticket *ticket)
{
	return atomic_load_explicit(&ticket->state, memory_order_relaxed);
}

static bool is_done(struct sonde__ticket *ticket)
{
	return sonde__parker_is_woken(&ticket->done);
}

void sonde__ticket_settle(struct sonde__ticket *ticket, struct sonde_error *error, void *result)
{
	ticket->error = error;
	ticket->at.result = result;
	/* Relaxed: under the lock. */
	atomic_store_explicit(&ticket->state, SONDE__TICKET_DONE, memory_order_relaxed);
	/* With it the outcome is there, and the ticket's memory its owner's. */
	sonde__unpark(&ticket->done);
}

bool sonde_batcher_ticket_is_done(const struct sonde_batcher_ticket *public)
{
	return public && is_done(sonde__ticket_of(public));
}

static struct sonde_error *outcome_take(struct sonde__ticket *ticket, void **ret_result)
{
	struct sonde_error *error = ticket->error;

	ticket->error = NULL;
	if (ret_result && !error)
		*ret_result = ticket->at.result;
	return error;
}

struct sonde_error *sonde_batcher_ticket_wait(struct sonde_batcher_ticket *public,
					      struct sonde_cancel *cancel, void **ret_result)
{
	struct sonde__ticket *ticket = sonde__ticket_of(public);
	struct sonde__name name;
	enum sonde__woken woken;

	if (!public || ticket_state(ticket) == SONDE__TICKET_NONE)
		return NULL;
	sonde__parker_renew(&ticket->done);
	woken = sonde__park(&ticket->done, ticket->clock, sonde__deadline_current(), cancel);
	if (woken == SONDE__WOKEN)
		return outcome_take(ticket, ret_result);
	if (woken == SONDE__WOKEN_CANCELLED)
		return sonde_cancel_error(cancel);
	name = sonde__name_of(ticket->name);
	return sonde_error_raise(&sonde_timeout, "batcher%s%s did not handle it in time",
				 name.space, name.text);
}

bool sonde_batcher_ticket_cancel(struct sonde_batcher_ticket *public)
{
	struct sonde__ticket *ticket = sonde__ticket_of(public);
	struct sonde__withdrawn withdrawn;
	struct sonde__batcher *batcher;

	if (!public || ticket_state(ticket) == SONDE__TICKET_NONE || is_done(ticket))
		return false;
	batcher = ticket->batcher;
	pthread_mutex_lock(&batcher->lock);
	if (ticket_state(ticket) != SONDE__TICKET_WAITING) {
		pthread_mutex_unlock(&batcher->lock);
		return false;
	}
	withdrawn = sonde__batcher_withdraw(batcher, ticket->at.entry, &sonde_cancelled,
					    "taken back before it was handled");
	batcher->figures.n_cancelled++;
	sonde__batcher_admit(batcher);
	/* It may have been the last that was waited for. */
	if (batcher->is_closed)
		sonde__batcher_rouse(batcher);
	sonde__batcher_settle_stop(batcher);
	pthread_mutex_unlock(&batcher->lock);
	sonde__batcher_release(batcher, withdrawn.value, withdrawn.why);
	sonde__batcher_observe(batcher, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, /* count= */ 1,
			       /* error= */ NULL);
	return true;
}

/* Nobody asks any more. Under the lock. */
static void ticket_detach(struct sonde__ticket *ticket)
{
	uint32_t state = ticket_state(ticket);

	if (state == SONDE__TICKET_WAITING)
		ticket->at.entry->ticket = NULL;
	else if (state == SONDE__TICKET_RUNNING)
		*ticket->at.place = NULL;
}

void sonde_batcher_ticket_deinit(struct sonde_batcher_ticket *public)
{
	struct sonde__ticket *ticket = sonde__ticket_of(public);

	if (!public || ticket_state(ticket) == SONDE__TICKET_NONE)
		return;
	if (!is_done(ticket)) {
		struct sonde__batcher *batcher = ticket->batcher;

		pthread_mutex_lock(&batcher->lock);
		ticket_detach(ticket);
		pthread_mutex_unlock(&batcher->lock);
	}
	if (ticket->error) {
		const struct sonde_observation observation = {
			.pattern = SONDE_PATTERN_BATCHER,
			.what = SONDE_OBSERVED_ORPHAN,
			.name = ticket->name,
			.count = 1,
			.error = ticket->error,
		};

		sonde__observe(ticket->observer, &observation);
		ticket->error = sonde_error_free(ticket->error);
	}
	/* Relaxed: it is its owner's alone. */
	atomic_store_explicit(&ticket->state, SONDE__TICKET_NONE, memory_order_relaxed);
}

struct sonde_error *sonde_batcher_run(struct sonde_batcher *batcher,
				      const struct sonde_batcher_item *item,
				      struct sonde_cancel *cancel, void **ret_result)
{
	SONDE_BATCHER_TICKET_AUTODEINIT struct sonde_batcher_ticket ticket;
	struct sonde_error *error = sonde_batcher_add(batcher, item, &ticket, cancel);

	if (error)
		return error;
	error = sonde_batcher_ticket_wait(&ticket, cancel, ret_result);
	/* Ended early: taken back, what would be said of it is known. */
	if (error && sonde_batcher_ticket_cancel(&ticket))
		sonde_error_free(sonde_batcher_ticket_wait(&ticket, /* cancel= */ NULL,
							   /* ret_result= */ NULL));
	return error;
}
