/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Subscriptions in one list, in the order in which they run, which is walked under the lock and
 * left while a handler runs.
 *
 *	   subscribe            an emit picks it: n_running + 1, unlocked, the handler, locked
 *	free ──▶ in the list ──────────────────────────────────────────────────┐
 *	 ▲            │ unsubscribe, or picked and only once                   │
 *	 │            ▼                                                        ▼
 *	 └───── over: nobody picks it any more ──n_running = 0, `end` called───┘
 *
 * A walk continues behind the subscription that it ran. That one cannot have left the list, because
 * what runs stays in it, over or not. What came after the walk began has a higher sequence than the
 * newest of then, and is passed by.
 *
 * Each emit has a frame in the emitting thread's stack. Frames say which thread runs what: so who
 * unsubscribes in a handler is known, and never waits, because the handler that it would wait for
 * may be waiting for it.
 *
 * A word of 64 bits, one for each remainder of the events' hashes, says that nobody has subscribed
 * to an event, without the lock. Who subscribed before an emit, by any order of the program's, is
 * seen by it: it is one word, so coherence is enough, and the list is read under the lock.
 */

#include "resilience/emitter.h"

#include <stdlib.h>
#include <unistd.h>

#include "resilience/clock.h"

int sonde_emitter_init(struct sonde_emitter *public, const struct sonde_emitter_options *options)
{
	static const struct sonde_emitter_options defaults;
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	uint32_t n;

	options = options ? options : &defaults;
	n = options->max_subscriptions ? options->max_subscriptions
				       : SONDE_EMITTER_SUBSCRIPTIONS_DEFAULT;
	if (!public)
		return SONDE_E_INVALID;
	/* Nothing to end, where this fails. */
	memset(emitter, 0, sizeof(*emitter));
	if (n > SONDE_EMITTER_SUBSCRIPTIONS_MAX)
		return SONDE_E_INVALID;
	emitter->entries = calloc(n, sizeof(*emitter->entries));
	if (!emitter->entries)
		return SONDE_E_NOMEM;
	for (uint32_t i = n; i-- > 0;) {
		emitter->entries[i].next = emitter->free;
		emitter->free = &emitter->entries[i];
	}
	emitter->name = options->name;
	emitter->clock = options->clock;
	emitter->observer = options->observer;
	emitter->max_entries = n;
	emitter->max_depth = options->max_depth ? options->max_depth : SONDE_EMITTER_DEPTH_DEFAULT;
	emitter->process = getpid();
	pthread_mutex_init(&emitter->lock, NULL);
	return SONDE_OK;
}

/* ---- Who is inside --------------------------------------------------------------------------- */

void sonde__emit_frame_push(struct sonde__emitter *emitter, struct sonde__emit_frame *frame,
			    bool is_emit)
{
	frame->is_emit = is_emit;
	frame->thread = pthread_self();
	frame->previous = NULL;
	frame->next = emitter->frames;
	if (frame->next)
		frame->next->previous = frame;
	emitter->frames = frame;
}

void sonde__emit_frame_pop(struct sonde__emitter *emitter, struct sonde__emit_frame *frame)
{
	if (frame->next)
		frame->next->previous = frame->previous;
	if (frame->previous)
		frame->previous->next = frame->next;
	else
		emitter->frames = frame->next;
}

bool sonde__emitter_is_inside(const struct sonde__emitter *emitter)
{
	const struct sonde__emit_frame *frame = emitter->frames;

	while (frame && !pthread_equal(frame->thread, pthread_self()))
		frame = frame->next;
	return frame != NULL;
}

uint32_t sonde__emitter_depth(const struct sonde__emitter *emitter)
{
	pthread_t self = pthread_self();
	uint32_t depth = 0;

	for (const struct sonde__emit_frame *frame = emitter->frames; frame; frame = frame->next)
		depth += frame->is_emit && pthread_equal(frame->thread, self);
	return depth;
}

/* ---- Coming and going ------------------------------------------------------------------------ */

static void mask_renew(struct sonde__emitter *emitter)
{
	uint64_t mask = 0;

	for (const struct sonde__emitter_entry *entry = emitter->first; entry; entry = entry->next)
		if (!entry->is_over)
			mask |= entry->what.is_for_all ? UINT64_MAX : sonde__event_bit(entry->hash);
	/* Relaxed: see above. */
	atomic_store_explicit(&emitter->mask, mask, memory_order_relaxed);
}

static void entry_link(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry)
{
	struct sonde__emitter_entry *before = emitter->last;

	while (before && before->what.priority < entry->what.priority)
		before = before->previous;
	entry->previous = before;
	entry->next = before ? before->next : emitter->first;
	if (entry->next)
		entry->next->previous = entry;
	else
		emitter->last = entry;
	if (before)
		before->next = entry;
	else
		emitter->first = entry;
}

static void entry_unlink(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry)
{
	if (entry->next)
		entry->next->previous = entry->previous;
	else
		emitter->last = entry->previous;
	if (entry->previous)
		entry->previous->next = entry->next;
	else
		emitter->first = entry->next;
	entry->id = 0;
	entry->next = emitter->free;
	emitter->free = entry;
}

void sonde__subscription_end(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry)
{
	entry->is_over = true;
	emitter->n_entries--;
	mask_renew(emitter);
}

struct sonde__emitter_entry *sonde__subscription_let_go(struct sonde__emitter *emitter,
							struct sonde__emitter_entry *entry)
{
	struct sonde__emitter_entry *next;
	struct sonde__emit_frame frame;

	if (entry->n_running == 1 && entry->is_over && entry->what.end) {
		sonde__emit_frame_push(emitter, &frame, /* is_emit= */ false);
		pthread_mutex_unlock(&emitter->lock);
		entry->what.end(entry->what.user);
		pthread_mutex_lock(&emitter->lock);
		sonde__emit_frame_pop(emitter, &frame);
	}
	next = entry->next;
	if (--entry->n_running == 0 && entry->is_over) {
		while (sonde__waiters_grant(&entry->waiters))
			;
		entry_unlink(emitter, entry);
	}
	return next;
}

int sonde_emitter_subscribe(struct sonde_emitter *public,
			    const struct sonde_subscription *subscription, uint64_t *ret_id)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	struct sonde__emitter_entry *entry;
	uint64_t id;

	if (!public || !subscription || !subscription->handle)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&emitter->lock);
	entry = emitter->free;
	if (!entry) {
		pthread_mutex_unlock(&emitter->lock);
		return SONDE_E_LIMITED;
	}
	emitter->free = entry->next;
	id = ++emitter->sequence << SONDE__EMITTER_INDEX_BITS |
	     (uint64_t)(entry - emitter->entries);
	*entry = (struct sonde__emitter_entry){
		.what = *subscription,
		.id = id,
		.hash = sonde__event_hash(subscription->event, subscription->number),
	};
	entry_link(emitter, entry);
	emitter->n_entries++;
	mask_renew(emitter);
	pthread_mutex_unlock(&emitter->lock);
	if (ret_id)
		*ret_id = id;
	return SONDE_OK;
}

/* Under the lock, which it gives up meanwhile. False: it still runs. */
static bool entry_wait(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry,
		       struct sonde_cancel *cancel)
{
	struct sonde__waiter waiter;
	uint64_t end_ns = sonde__deadline_current();

	if (sonde__emitter_is_inside(emitter))
		return false;
	sonde__waiter_init(&waiter);
	sonde__waiters_push(&entry->waiters, &waiter);
	pthread_mutex_unlock(&emitter->lock);
	sonde__park(&waiter.parker, emitter->clock, end_ns, cancel);
	pthread_mutex_lock(&emitter->lock);
	if (!waiter.is_granted)
		sonde__waiters_remove(&entry->waiters, &waiter);
	return waiter.is_granted;
}

static int unsubscribe(struct sonde__emitter *emitter, uint64_t id, bool waits,
		       struct sonde_cancel *cancel)
{
	uint64_t index = id & SONDE__EMITTER_INDEX_MASK;
	struct sonde__emitter_entry *entry = index < emitter->max_entries ? &emitter->entries[index]
									  : NULL;

	if (!id || !entry || entry->id != id)
		return SONDE_E_NOT_FOUND;
	if (!entry->is_over)
		sonde__subscription_end(emitter, entry);
	entry->is_left = true;
	if (entry->n_running)
		return waits && entry_wait(emitter, entry, cancel) ? SONDE_OK : SONDE_INCOMPLETE;
	entry->n_running = 1;
	sonde__subscription_let_go(emitter, entry);
	return SONDE_OK;
}

int sonde_emitter_unsubscribe(struct sonde_emitter *public, uint64_t id)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	int status;

	if (!public)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&emitter->lock);
	status = unsubscribe(emitter, id, /* waits= */ false, /* cancel= */ NULL);
	pthread_mutex_unlock(&emitter->lock);
	return status;
}

int sonde_emitter_unsubscribe_wait(struct sonde_emitter *public, uint64_t id,
				   struct sonde_cancel *cancel)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	int status;

	if (!public)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&emitter->lock);
	status = unsubscribe(emitter, id, /* waits= */ true, cancel);
	pthread_mutex_unlock(&emitter->lock);
	return status;
}

/* All are over, and nobody runs them any more. */
static void all_end(struct sonde__emitter *emitter)
{
	struct sonde__waiter waiter;

	pthread_mutex_lock(&emitter->lock);
	while (emitter->first) {
		struct sonde__emitter_entry *entry = emitter->first;

		if (unsubscribe(emitter, entry->id, /* waits= */ false, /* cancel= */ NULL) !=
		    SONDE_INCOMPLETE)
			continue;
		/* A pool has it. */
		sonde__waiter_init(&waiter);
		sonde__waiters_push(&entry->waiters, &waiter);
		pthread_mutex_unlock(&emitter->lock);
		sonde__park(&waiter.parker, /* clock= */ NULL, SONDE__NEVER, /* cancel= */ NULL);
		pthread_mutex_lock(&emitter->lock);
	}
	pthread_mutex_unlock(&emitter->lock);
	pthread_mutex_destroy(&emitter->lock);
}

void sonde_emitter_deinit(struct sonde_emitter *public)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);

	if (!public || !emitter->entries)
		return;
	if (emitter->process == getpid())
		all_end(emitter);
	else
		/* Who ran one, or had the lock, is not in this child. */
		for (struct sonde__emitter_entry *one = emitter->first; one; one = one->next)
			if (one->what.end)
				one->what.end(one->what.user);
	free(emitter->entries);
	emitter->entries = NULL;
}

uint32_t sonde_emitter_subscriptions(struct sonde_emitter *public)
{
	struct sonde__emitter *emitter = sonde__emitter_of(public);
	uint32_t n;

	if (!public)
		return 0;
	pthread_mutex_lock(&emitter->lock);
	n = emitter->n_entries;
	pthread_mutex_unlock(&emitter->lock);
	return n;
}

