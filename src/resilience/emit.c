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

struct sonde__emitter_entry *sonde__subscription_find(struct sonde__emitter_entry *entry,
					       const struct sonde_event *event, uint64_t hash,
					       uint64_t sequence)
{
	while (entry && (entry->is_over || entry->id >> SONDE__EMITTER_INDEX_BITS > sequence ||
			 !entry_wants(entry, event, hash)))
		entry = entry->next;
	return entry;
}

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

void sonde__emit_orphan(const struct sonde__emitter *emitter, struct sonde_error *error)
{
	if (!error)
		return;
	observe(emitter, SONDE_OBSERVED_ORPHAN, /* duration_ns= */ 0, error);
	sonde_error_free(error);
}

struct sonde_error *sonde__emit_handler_run(const struct sonde__emitter *emitter,
					    const struct sonde_subscription *what,
					    const struct sonde_event *event)
{
	bool is_observed = sonde__is_observed(emitter->observer);
	uint64_t began_ns = is_observed ? sonde__now_ns(emitter->clock) : 0;
	struct sonde_error *error = what->handle(what->user, event);

	if (is_observed)
		observe(emitter, SONDE_OBSERVED_RUN, sonde__now_ns(emitter->clock) - began_ns,
			error);
	return error;
}

bool sonde__emit_begin(struct sonde__emitter *emitter, const struct sonde_event *event,
		       struct sonde__emit_frame *frame, struct sonde_error **ret_error)
{
	pthread_mutex_lock(&emitter->lock);
	if (sonde__emitter_depth(emitter) < emitter->max_depth) {
		sonde__emit_frame_push(emitter, frame, /* is_emit= */ true);
		return true;
	}
	pthread_mutex_unlock(&emitter->lock);
	*ret_error = sonde_error_raise(&sonde_exhausted,
				       "event %s is emitted by its own handlers, %u deep",
				       event->name ? event->name : "without a name",
				       emitter->max_depth);
	observe(emitter, SONDE_OBSERVED_REJECTION, /* duration_ns= */ 0, *ret_error);
	return false;
}

/* ---- One after another ----------------------------------------------------------------------- */

/* What is done with the handlers' errors: NULL, each is an orphan. */
struct outcome {
	struct sonde_error **joined;
	size_t n_handlers;
};

static void error_settle(const struct sonde__emitter *emitter, struct outcome *outcome,
			 struct sonde_error *error)
{
	if (error && outcome->joined)
		*outcome->joined = sonde_error_join(*outcome->joined, error);
	else
		sonde__emit_orphan(emitter, error);
}

/* Under the lock, which it gives up while a handler runs. */
static void handlers_run(struct sonde__emitter *emitter, const struct sonde_event *event,
			 uint64_t hash, struct outcome *outcome)
{
	uint64_t sequence = emitter->sequence;
	struct sonde__emitter_entry *entry =
		sonde__subscription_find(emitter->first, event, hash, sequence);

	while (entry) {
		sonde__subscription_pick(emitter, entry);
		pthread_mutex_unlock(&emitter->lock);
		outcome->n_handlers++;
		error_settle(emitter, outcome,
			     sonde__emit_handler_run(emitter, &entry->what, event));
		pthread_mutex_lock(&emitter->lock);
		entry = sonde__subscription_find(sonde__subscription_let_go(emitter, entry), event,
						 hash, sequence);
	}
}

static SONDE__COLD void emit(struct sonde__emitter *emitter, const struct sonde_event *event,
			     uint64_t hash, struct outcome *outcome)
{
	struct sonde__emit_frame frame;
	struct sonde_error *error;

	if (!sonde__emit_begin(emitter, event, &frame, &error)) {
		error_settle(emitter, outcome, error);
		return;
	}
	handlers_run(emitter, event, hash, outcome);
	sonde__emit_frame_pop(emitter, &frame);
	pthread_mutex_unlock(&emitter->lock);
}

static void emit_if_wanted(struct sonde__emitter *emitter, const struct sonde_event *event,
			   struct outcome *outcome)
{
	uint64_t hash;

	/* Relaxed: see emitter.c. */
	if (SONDE__LIKELY(!atomic_load_explicit(&emitter->mask, memory_order_relaxed)))
		return;
	hash = sonde__event_hash(event->name, event->number);
	if (sonde__event_is_wanted(emitter, hash))
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
