/* SPDX-License-Identifier: Apache-2.0 */

/* Emitting: the walk that emitter.c describes, and what becomes of the handlers' errors. */

#include "resilience/clock.h"
#include "resilience/emitter.h"
#include "resilience/observe.h"

static bool entry_wants(const struct sonde__emitter_entry *entry, const struct sonde_event *event,
			uint64_t hash)
{
	if (entry->what.is_for_all)
		return true;
	if (entry->hash != hash || !entry->what.event != !event->name)
		return false;
	return event->name ? strcmp(entry->what.event, event->name) == 0
			   : entry->what.number == event->number;
}

/* The first from `entry` on that wants it, is not over, and was there when the emit began. */
static struct sonde__emitter_entry *entry_find(struct sonde__emitter_entry *entry,
					       const struct sonde_event *event, uint64_t hash,
					       uint64_t sequence)
{
	while (entry && (entry->is_over || entry->id >> SONDE__EMITTER_INDEX_BITS > sequence ||
			 !entry_wants(entry, event, hash)))
		entry = entry->next;
	return entry;
}

/* What is done with the handlers' errors: NULL, each is an orphan. */
struct outcome {
	struct sonde_error **joined;
	size_t n_handlers;
};

static void observe(const struct sonde__emitter *emitter, enum sonde_observed what,
		    uint64_t duration_ns, const struct sonde_error *error)
{
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_EMITTER,
		.what = what,
		.name = emitter->name,
		.duration_ns = duration_ns,
		.count = 1,
		.error = error,
	};

	sonde__observe(emitter->observer, &observation);
}

static void error_settle(const struct sonde__emitter *emitter, struct outcome *outcome,
			 struct sonde_error *error)
{
	if (!error)
		return;
	if (outcome->joined) {
		*outcome->joined = sonde_error_join(*outcome->joined, error);
		return;
	}
	observe(emitter, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0, error);
	sonde_error_free(error);
}

static void handler_run(const struct sonde__emitter *emitter, const struct sonde_subscription *what,
			const struct sonde_event *event, struct outcome *outcome)
{
	bool is_observed = sonde__is_observed(emitter->observer);
	uint64_t began_ns = is_observed ? sonde__now_ns(emitter->clock) : 0;
	struct sonde_error *error = what->handle(what->user, event);

	if (is_observed)
		observe(emitter, SONDE_OBSERVED_RUN, sonde__now_ns(emitter->clock) - began_ns,
			error);
	outcome->n_handlers++;
	error_settle(emitter, outcome, error);
}

/* Under the lock, which it gives up while a handler runs. */
static void handlers_run(struct sonde__emitter *emitter, const struct sonde_event *event,
			 uint64_t hash, struct outcome *outcome)
{
	uint64_t sequence = emitter->sequence;
	struct sonde__emitter_entry *entry = entry_find(emitter->first, event, hash, sequence);

	while (entry) {
		entry->n_running++;
		if (entry->what.is_once)
			sonde__subscription_end(emitter, entry);
		pthread_mutex_unlock(&emitter->lock);
		handler_run(emitter, &entry->what, event, outcome);
		pthread_mutex_lock(&emitter->lock);
		entry = entry_find(sonde__subscription_let_go(emitter, entry), event, hash,
				   sequence);
	}
}

static void emit_refuse(const struct sonde__emitter *emitter, const struct sonde_event *event,
			struct outcome *outcome)
{
	struct sonde_error *error =
		sonde_error_raise(&sonde_exhausted,
				  "event %s is emitted by its own handlers, %u deep",
				  event->name ? event->name : "without a name", emitter->max_depth);

	observe(emitter, SONDE_OBSERVED_REJECTION, /* duration_ns= */ 0, error);
	error_settle(emitter, outcome, error);
}

static SONDE__COLD void emit(struct sonde__emitter *emitter, const struct sonde_event *event,
			     uint64_t hash, struct outcome *outcome)
{
	struct sonde__emit_frame frame;

	pthread_mutex_lock(&emitter->lock);
	if (sonde__emitter_depth(emitter) >= emitter->max_depth) {
		pthread_mutex_unlock(&emitter->lock);
		emit_refuse(emitter, event, outcome);
		return;
	}
	sonde__emit_frame_push(emitter, &frame);
	handlers_run(emitter, event, hash, outcome);
	sonde__emit_frame_pop(emitter, &frame);
	pthread_mutex_unlock(&emitter->lock);
}

static void emit_if_wanted(struct sonde__emitter *emitter, const struct sonde_event *event,
			   struct outcome *outcome)
{
	/* Relaxed: see above. */
	uint64_t mask = atomic_load_explicit(&emitter->mask, memory_order_relaxed);
	uint64_t hash;

	if (SONDE__LIKELY(!mask))
		return;
	hash = sonde__event_hash(event->name, event->number);
	if (mask & sonde__event_bit(hash))
		emit(emitter, event, hash, outcome);
}

size_t sonde_emitter_emit(struct sonde_emitter *public, const struct sonde_event *event)
{
	struct outcome outcome = { 0 };

	if (public && event)
		emit_if_wanted(sonde__emitter_of(public), event, &outcome);
	return outcome.n_handlers;
}

struct sonde_error *sonde_emitter_emit_joined(struct sonde_emitter *public,
					      const struct sonde_event *event)
{
	struct sonde_error *error = NULL;
	struct outcome outcome = { .joined = &error };

	if (public && event)
		emit_if_wanted(sonde__emitter_of(public), event, &outcome);
	return error;
}
