/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_QUEUE_STATE_H
#define SONDE_RESILIENCE_QUEUE_STATE_H

/* What a queue is made of, for its own sources alone: queue.c decides, queue_call.c tells. */

#include <pthread.h>

#include "base/compiler.h"
#include "resilience/park.h"
#include "resilience/queue.h"

struct sonde__queue {
	pthread_mutex_t lock;
	void **slots;
	size_t capacity;
	size_t first; /* The oldest item's slot. */
	size_t n_items;
	struct sonde__waiters pushers;
	struct sonde__waiters poppers;
	int fd; /* -1: nobody asked for it yet. */
	bool is_readable; /* The fd. */
	bool is_closed;
	bool has_own_slots;
	bool is_open; /* Between init and deinit. */
	enum sonde_queue_policy policy;
	void (*drop)(void *user, void *item);
	void *drop_user;
	uint64_t slow_ns;
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__queue) <= sizeof(struct sonde_queue), "a queue fits");
_Static_assert(_Alignof(struct sonde__queue) <= _Alignof(struct sonde_queue), "and is aligned");

static inline struct sonde__queue *sonde__queue_of(struct sonde_queue *queue)
{
	return (struct sonde__queue *)queue;
}

void sonde__queue_tell(const struct sonde__queue *queue, enum sonde_observed what,
		       uint64_t duration_ns, uint64_t count, const struct sonde_error *error);

#endif
