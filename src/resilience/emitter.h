/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_EMITTER_H
#define SONDE_RESILIENCE_EMITTER_H

/*
 * The emitter's insides: who has subscribed, and who is inside. docs/design/emitter.md argues it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <sonde/emitter.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "resilience/park.h"

#define SONDE__EMITTER_INDEX_BITS 16
#define SONDE__EMITTER_INDEX_MASK ((UINT64_C(1) << SONDE__EMITTER_INDEX_BITS) - 1)

_Static_assert(SONDE_EMITTER_SUBSCRIPTIONS_MAX <= SONDE__EMITTER_INDEX_MASK, "an id has room for the place");

struct sonde__emitter_entry {
	struct sonde_subscription what;
	struct sonde__emitter_entry *next; /* In the list; or in that of the free ones. */
	struct sonde__emitter_entry *previous;
	uint64_t id; /* sequence << SONDE__EMITTER_INDEX_BITS | place; 0: free. */
	uint64_t hash;
	uint32_t n_running; /* Handlers, and a call of `end`. */
	bool is_over;
	bool is_left; /* Over because somebody unsubscribed: what is queued is not run. */
	struct sonde__waiters waiters; /* For n_running to be 0. */
};

/* An emit that is under way, a handler on a pool's behalf, or a call of `end`. */
struct sonde__emit_frame {
	struct sonde__emit_frame *next;
	struct sonde__emit_frame *previous;
	pthread_t thread;
	bool is_emit;
};

struct sonde__emitter {
	_Atomic uint64_t mask; /* Bits of the events that somebody may want. */
	pthread_mutex_t lock; /* Of all below. */
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	struct sonde__emitter_entry *entries;
	struct sonde__emitter_entry *free;
	struct sonde__emitter_entry *first;
	struct sonde__emitter_entry *last;
	struct sonde__emit_frame *frames;
	uint64_t sequence; /* Of the newest. */
	uint32_t n_entries; /* That are in the list and not over. */
	uint32_t max_entries;
	uint32_t max_depth;
	pid_t process;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__emitter) <= sizeof(struct sonde_emitter), "an emitter fits");
_Static_assert(_Alignof(struct sonde__emitter) <= _Alignof(struct sonde_emitter), "and is aligned");

static inline struct sonde__emitter *sonde__emitter_of(const struct sonde_emitter *emitter)
{
	return (struct sonde__emitter *)(uintptr_t)emitter;
}

static inline uint64_t sonde__event_hash(const char *name, uint64_t number)
{
	return name ? sonde__hash_bytes(/* seed= */ 1, name, strlen(name)) : sonde__mix64(number);
}

static inline uint64_t sonde__event_bit(uint64_t hash)
{
	return UINT64_C(1) << (hash & 63);
}

/* All below under the lock. */

/* In the calling thread's stack, until it is popped. */
void sonde__emit_frame_push(struct sonde__emitter *emitter, struct sonde__emit_frame *frame,
			    bool is_emit);
void sonde__emit_frame_pop(struct sonde__emitter *emitter, struct sonde__emit_frame *frame);

/* Is the calling thread inside? In how many emits, one within the other? */
bool sonde__emitter_is_inside(const struct sonde__emitter *emitter);
uint32_t sonde__emitter_depth(const struct sonde__emitter *emitter);

/* No call of it begins any more. */
void sonde__subscription_end(struct sonde__emitter *emitter, struct sonde__emitter_entry *entry);

/*
 * Who ran it, or holds it, lets it go; returns the one behind it. The last one of what is over ends
 * it: without the lock, while it stays where it is.
 */
struct sonde__emitter_entry *sonde__subscription_let_go(struct sonde__emitter *emitter,
							struct sonde__emitter_entry *entry);

/* The first from `entry` on that wants it, is not over, and was there when the emit began. */
struct sonde__emitter_entry *sonde__subscription_find(struct sonde__emitter_entry *entry,
						      const struct sonde_event *event,
						      uint64_t hash, uint64_t sequence);

/* It runs now, or will: it stays in the list until it is let go. */
static inline void sonde__subscription_pick(struct sonde__emitter *emitter,
					    struct sonde__emitter_entry *entry)
{
	entry->n_running++;
	if (entry->what.is_once)
		sonde__subscription_end(emitter, entry);
}

/* ---- Without the lock ------------------------------------------------------------------------ */

/* Might anybody want it? */
static inline bool sonde__event_is_wanted(const struct sonde__emitter *emitter, uint64_t hash)
{
	/* Relaxed: see emitter.c. */
	return atomic_load_explicit(&emitter->mask, memory_order_relaxed) & sonde__event_bit(hash);
}

/* Runs and observes it. */
struct sonde_error *sonde__emit_handler_run(const struct sonde__emitter *emitter,
					    const struct sonde_subscription *what,
					    const struct sonde_event *event);

/* Nobody will be given it: takes it over. */
void sonde__emit_orphan(const struct sonde__emitter *emitter, struct sonde_error *error);

/*
 * Takes the lock, and puts the frame there; the newest sequence of now. False: too deep, the lock
 * is free again, and *ret_error says so.
 */
bool sonde__emit_begin(struct sonde__emitter *emitter, const struct sonde_event *event,
		       struct sonde__emit_frame *frame, struct sonde_error **ret_error);

#endif
