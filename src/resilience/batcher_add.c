/* SPDX-License-Identifier: Apache-2.0 */

/* Adding: there is room, or somebody makes some, or the one who adds waits or is refused. */

#include <string.h>

#include "resilience/batcher.h"
#include "resilience/name.h"
#include "resilience/observe.h"

void sonde__batcher_observe(const struct sonde__batcher *batcher, enum sonde_observed what,
			    uint64_t duration_ns, uint64_t count, const struct sonde_error *error)
{
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_BATCHER,
		.what = what,
		.name = batcher->options.name,
		.duration_ns = duration_ns,
		.count = count,
		.error = error,
	};

	sonde__observe(batcher->options.observer, &observation);
}

void sonde__batcher_release(const struct sonde__batcher *batcher, void *value,
			    struct sonde_error *why)
{
	if (batcher->options.release)
		batcher->options.release(batcher->options.user, value, why);
	sonde_error_free(why);
}

/* ---- Under the lock -------------------------------------------------------------------------- */

void sonde__batcher_insert(struct sonde__batcher *batcher, const struct sonde_batcher_item *item,
			   struct sonde__ticket *ticket)
{
	struct sonde__batching *batching = &batcher->batching;
	uint64_t now_ns = sonde__batching_begins(batching, item) ? sonde__batcher_now_ns(batcher)
								 : 0;
	bool has_earlier = batching->open.first;
	struct sonde__batching_entry *entry = sonde__batching_add(batching, item, now_ns);

	entry->item.result = NULL;
	entry->item.error = NULL;
	entry->ticket = ticket;
	if (ticket) {
		ticket->batcher = batcher;
		ticket->at.entry = entry;
		ticket->clock = batcher->options.clock;
		ticket->observer = batcher->options.observer;
		ticket->name = batcher->options.name;
		/* Relaxed: it is told under the lock that it is not there any more. */
		atomic_store_explicit(&ticket->state, SONDE__TICKET_WAITING, memory_order_relaxed);
	}
	batcher->figures.n_added++;
	if (batching->due.first || !has_earlier)
		sonde__batcher_rouse(batcher);
}

/* Somebody finds no room: what was begun first is to make some. */
static void press(struct sonde__batcher *batcher)
{
	sonde__batching_press(&batcher->batching, sonde__batcher_now_ns(batcher));
	sonde__batcher_rouse(batcher);
}

void sonde__batcher_admit(struct sonde__batcher *batcher)
{
	while (batcher->adders.first && sonde__batching_has_room(&batcher->batching)) {
		struct sonde__adder *adder = (void *)batcher->adders.first;

		sonde__batcher_insert(batcher, adder->item, adder->ticket);
		sonde__waiters_grant(&batcher->adders);
	}
	if (batcher->adders.first)
		press(batcher);
}

struct sonde__withdrawn sonde__batcher_withdraw(struct sonde__batcher *batcher,
						struct sonde__batching_entry *entry,
						const struct sonde_error_type *type,
						const char *text)
{
	struct sonde__withdrawn withdrawn = { .value = entry->item.value };
	struct sonde__ticket *ticket = entry->ticket;

	if (batcher->options.release)
		withdrawn.why = sonde_error_raise(type, "%s", text);
	if (ticket)
		sonde__ticket_settle(ticket, sonde_error_raise(type, "%s", text),
				     /* result= */ NULL);
	sonde__batching_remove(&batcher->batching, entry);
	return withdrawn;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

struct attempt {
	struct sonde__batcher *batcher;
	struct sonde_batcher_item item;
	struct sonde__ticket *ticket;
	struct sonde_cancel *cancel;
	bool waits;
};

static struct sonde_error *full_error(const struct sonde__batcher *batcher)
{
	const struct sonde__name name = sonde__name_of(batcher->options.name);

	return sonde_error_raise(&sonde_queue_full, "batcher%s%s has %u items waiting", name.space,
				 name.text, batcher->options.max_waiting);
}

static struct sonde_error *refuse(struct sonde__batcher *batcher, struct sonde_error *error,
				  uint64_t waited_ns)
{
	sonde__batcher_observe(batcher, SONDE_OBSERVED_REJECTION, waited_ns, /* count= */ 1, error);
	return error;
}

/* Under the lock, which it gives up. */
static struct sonde_error *refuse_full(struct sonde__batcher *batcher, uint64_t waited_ns)
{
	batcher->figures.n_added++;
	batcher->figures.n_rejected++;
	pthread_mutex_unlock(&batcher->lock);
	return refuse(batcher, full_error(batcher), waited_ns);
}

static struct sonde_error *refuse_closed(struct sonde__batcher *batcher, uint64_t waited_ns)
{
	const struct sonde__name name = sonde__name_of(batcher->options.name);

	batcher->figures.n_added++;
	batcher->figures.n_rejected++;
	pthread_mutex_unlock(&batcher->lock);
	return refuse(batcher,
		      sonde_error_raise(&sonde_closed, "batcher%s%s is closed", name.space,
					name.text),
		      waited_ns);
}

/* The wait ended with nothing, at `end_ns` or by the token. Under the lock, which it gives up. */
static struct sonde_error *refuse_late(const struct attempt *attempt, enum sonde__woken woken,
				       uint64_t end_ns, uint64_t waited_ns)
{
	struct sonde__batcher *batcher = attempt->batcher;
	const struct sonde__name name = sonde__name_of(batcher->options.name);

	if (woken != SONDE__WOKEN_CANCELLED && end_ns != sonde__deadline_current())
		return refuse_full(batcher, waited_ns);
	batcher->figures.n_added++;
	batcher->figures.n_rejected++;
	pthread_mutex_unlock(&batcher->lock);
	if (woken == SONDE__WOKEN_CANCELLED)
		return refuse(batcher, sonde_cancel_error(attempt->cancel), waited_ns);
	return refuse(batcher,
		      sonde_error_wrap(full_error(batcher), &sonde_timeout,
				       "no room in time in batcher%s%s", name.space, name.text),
		      waited_ns);
}

/* Under the lock, which it gives up. */
static struct sonde_error *wait_for_room(const struct attempt *attempt)
{
	struct sonde__batcher *batcher = attempt->batcher;
	struct sonde__adder adder = { .item = &attempt->item, .ticket = attempt->ticket };
	uint64_t began_ns = sonde__batcher_now_ns(batcher);
	uint64_t end_ns =
		sonde__wait_end(began_ns, sonde__ms_to_ns(batcher->options.wait_ms));
	uint64_t waited_ns;
	enum sonde__woken woken;

	sonde__waiter_init(&adder.waiter);
	sonde__waiters_push(&batcher->adders, &adder.waiter);
	press(batcher);
	pthread_mutex_unlock(&batcher->lock);
	woken = sonde__park(&adder.waiter.parker, batcher->options.clock, end_ns, attempt->cancel);
	waited_ns = sonde__time_until(sonde__batcher_now_ns(batcher), began_ns);
	pthread_mutex_lock(&batcher->lock);
	if (!adder.waiter.is_granted) {
		sonde__waiters_remove(&batcher->adders, &adder.waiter);
		return refuse_late(attempt, woken, end_ns, waited_ns);
	}
	if (adder.is_refused)
		return refuse_closed(batcher, waited_ns);
	pthread_mutex_unlock(&batcher->lock);
	sonde__batcher_observe(batcher, SONDE_OBSERVED_WAIT, waited_ns, /* count= */ 1,
			       /* error= */ NULL);
	return NULL;
}

/* Under the lock, which it gives up. */
static struct sonde_error *drop_oldest(const struct attempt *attempt)
{
	struct sonde__batcher *batcher = attempt->batcher;
	struct sonde__withdrawn dropped =
		sonde__batcher_withdraw(batcher, batcher->batching.oldest, &sonde_queue_full,
					"dropped for a newer item");

	batcher->figures.n_dropped++;
	sonde__batcher_insert(batcher, &attempt->item, attempt->ticket);
	pthread_mutex_unlock(&batcher->lock);
	sonde__batcher_release(batcher, dropped.value, dropped.why);
	sonde__batcher_observe(batcher, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, /* count= */ 1,
			       /* error= */ NULL);
	return NULL;
}

static struct sonde_error *add(const struct attempt *attempt)
{
	struct sonde__batcher *batcher = attempt->batcher;

	pthread_mutex_lock(&batcher->lock);
	if (batcher->is_closed)
		return refuse_closed(batcher, /* waited_ns= */ 0);
	if (sonde__batching_has_room(&batcher->batching) && !batcher->adders.first) {
		sonde__batcher_insert(batcher, &attempt->item, attempt->ticket);
		pthread_mutex_unlock(&batcher->lock);
		return NULL;
	}
	if (batcher->options.policy == SONDE_BATCHER_DROP_OLDEST)
		return drop_oldest(attempt);
	if (batcher->options.policy == SONDE_BATCHER_WAIT && attempt->waits)
		return wait_for_room(attempt);
	press(batcher);
	return refuse_full(batcher, /* waited_ns= */ 0);
}

static struct sonde_error *attempt_make(struct sonde_batcher *public,
					const struct sonde_batcher_item *item,
					struct sonde_batcher_ticket *ticket,
					struct sonde_cancel *cancel, bool waits)
{
	struct attempt attempt = {
		.batcher = sonde__batcher_of(public),
		.ticket = sonde__ticket_of(ticket),
		.cancel = cancel,
		.waits = waits,
	};

	if (ticket)
		memset(ticket, 0, sizeof(*ticket));
	if (!public || !item)
		return sonde_error_raise(&sonde_bad_request, "no batcher, or no item");
	attempt.item = *item;
	attempt.item.context = sonde_context_current();
	return add(&attempt);
}

struct sonde_error *sonde_batcher_add(struct sonde_batcher *batcher,
				      const struct sonde_batcher_item *item,
				      struct sonde_batcher_ticket *ticket,
				      struct sonde_cancel *cancel)
{
	return attempt_make(batcher, item, ticket, cancel, /* waits= */ true);
}

struct sonde_error *sonde_batcher_try_add(struct sonde_batcher *batcher,
					  const struct sonde_batcher_item *item,
					  struct sonde_batcher_ticket *ticket)
{
	return attempt_make(batcher, item, ticket, /* cancel= */ NULL, /* waits= */ false);
}
