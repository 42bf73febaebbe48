/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring under a lock, and two lines of waiters. Always, while the lock is free:
 *
 *	somebody waits to pop	=> the ring is empty and not closed
 *	somebody waits to push	=> the ring is full and not closed
 *
 * So an item goes straight to the one who has waited longest, space goes to the item of the one who
 * has, and whoever is woken has what it waited for and needs no second look. docs/design/queue.md
 * says why a lock.
 */

#include "resilience/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/compiler.h"
#include "resilience/clock.h"
#include "resilience/queue_state.h"

#define DEFAULT_CAPACITY 1024
#define CAPACITY_MAX (UINT32_C(1) << 24)
#define DEFAULT_SLOW_MS 10

/* In the stack of whoever waits; under the lock until it is granted. */
struct place {
	struct sonde__waiter waiter; /* The first member: the lines hold these. */
	void *item; /* To be pushed, or what was popped. */
	bool was_closed;
};

static struct place *place_of(struct sonde__waiter *waiter)
{
	return (struct place *)waiter;
}

/* ---- Life ------------------------------------------------------------------------------------ */

int sonde_queue_init(struct sonde_queue *public, const struct sonde_queue_options *options)
{
	static const struct sonde_queue_options defaults;
	struct sonde__queue *queue = sonde__queue_of(public);
	const struct sonde_queue_options *given = options ? options : &defaults;
	size_t capacity = given->capacity ? given->capacity : DEFAULT_CAPACITY;
	void **slots = given->slots;

	if (!public)
		return SONDE_E_INVALID;
	/* Nothing to end, where this fails. */
	memset(queue, 0, sizeof(*queue));
	if (capacity > CAPACITY_MAX || (unsigned int)given->policy > SONDE_QUEUE_DROP_OLDEST)
		return SONDE_E_INVALID;
	if (!slots)
		slots = calloc(capacity, sizeof(*slots));
	if (!slots)
		return SONDE_E_NOMEM;
	pthread_mutex_init(&queue->lock, /* attributes= */ NULL);
	queue->slots = slots;
	queue->has_own_slots = !given->slots;
	queue->capacity = capacity;
	queue->fd = -1;
	queue->policy = given->policy;
	queue->drop = given->drop;
	queue->drop_user = given->drop_user;
	queue->slow_ns = sonde__ms_to_ns(given->slow_ms ? given->slow_ms : DEFAULT_SLOW_MS);
	queue->name = given->name;
	queue->clock = given->clock;
	queue->observer = given->observer;
	queue->is_open = true;
	return SONDE_OK;
}

/* ---- The ring: under the lock ---------------------------------------------------------------- */

static void ring_put(struct sonde__queue *queue, void *item)
{
	size_t at = queue->first + queue->n_items++;

	queue->slots[at < queue->capacity ? at : at - queue->capacity] = item;
}

static void *ring_take(struct sonde__queue *queue)
{
	void *item = queue->slots[queue->first];

	if (++queue->first == queue->capacity)
		queue->first = 0;
	queue->n_items--;
	return item;
}

/* Cannot fail: what is written is written only while it is not readable, and read while it is. */
static SONDE__COLD void turn_fd(struct sonde__queue *queue)
{
	uint64_t count = 1;
	int number = errno;

	queue->is_readable = !queue->is_readable;
	if (queue->is_readable)
		(void)!write(queue->fd, &count, sizeof(count));
	else
		(void)!read(queue->fd, &count, sizeof(count));
	errno = number;
}

static void unlock(struct sonde__queue *queue)
{
	if (SONDE__UNLIKELY(queue->fd >= 0) &&
	    queue->is_readable != (queue->n_items > 0 || queue->is_closed))
		turn_fd(queue);
	pthread_mutex_unlock(&queue->lock);
}

/* FULL: there is neither space nor somebody who waits for the item. */
static enum sonde__queue_end put(struct sonde__queue *queue, void *item)
{
	if (queue->is_closed)
		return SONDE__QUEUE_CLOSED;
	if (queue->poppers.first) {
		place_of(queue->poppers.first)->item = item;
		sonde__waiters_grant(&queue->poppers);
	} else if (queue->n_items < queue->capacity) {
		ring_put(queue, item);
	} else {
		return SONDE__QUEUE_FULL;
	}
	return SONDE__QUEUE_DONE;
}

/* LATE: there is nothing yet. */
static enum sonde__queue_end take(struct sonde__queue *queue, void **ret_item)
{
	if (!queue->n_items)
		return queue->is_closed ? SONDE__QUEUE_CLOSED : SONDE__QUEUE_LATE;
	*ret_item = ring_take(queue);
	if (queue->pushers.first) {
		ring_put(queue, place_of(queue->pushers.first)->item);
		sonde__waiters_grant(&queue->pushers);
	}
	return SONDE__QUEUE_DONE;
}

static SONDE__COLD void drop(struct sonde__queue *queue, void *item)
{
	if (queue->drop)
		queue->drop(queue->drop_user, item);
	sonde__queue_tell(queue, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, /* count= */ 1,
			  /* error= */ NULL);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Enters the line, with the lock held; leaves it without the lock. */
static enum sonde__queue_end wait_in(struct sonde__queue *queue, struct sonde__waiters *line,
				     struct place *place, uint64_t until_ns,
				     struct sonde_cancel *cancel)
{
	enum sonde__woken woken;
	bool is_granted;

	sonde__waiter_init(&place->waiter);
	place->was_closed = false;
	sonde__waiters_push(line, &place->waiter);
	pthread_mutex_unlock(&queue->lock);
	woken = sonde__park(&place->waiter.parker, queue->clock, until_ns, cancel);
	/* Woken: the waker has done everything, and no longer knows of us. */
	if (woken != SONDE__WOKEN) {
		pthread_mutex_lock(&queue->lock);
		is_granted = place->waiter.is_granted;
		if (!is_granted)
			sonde__waiters_remove(line, &place->waiter);
		pthread_mutex_unlock(&queue->lock);
		if (!is_granted)
			return woken == SONDE__WOKEN_LATE ? SONDE__QUEUE_LATE
							  : SONDE__QUEUE_CANCELLED;
	}
	return place->was_closed ? SONDE__QUEUE_CLOSED : SONDE__QUEUE_DONE;
}

static SONDE__COLD enum sonde__queue_end push_slowly(struct sonde__queue *queue, void *item,
						     uint64_t until_ns, struct sonde_cancel *cancel)
{
	struct place place = { .item = item };
	uint64_t begun_ns = sonde__now_ns(queue->clock);
	enum sonde__queue_end end = wait_in(queue, &queue->pushers, &place, until_ns, cancel);
	uint64_t waited_ns = sonde__now_ns(queue->clock) - begun_ns;

	if (end == SONDE__QUEUE_DONE && waited_ns >= queue->slow_ns)
		sonde__queue_tell(queue, SONDE_OBSERVED_WAIT, waited_ns, /* count= */ 0,
				  /* error= */ NULL);
	return end;
}

/* With the lock held, which it gives back. */
static enum sonde__queue_end push_full(struct sonde__queue *queue, void *item, uint64_t until_ns,
				       struct sonde_cancel *cancel)
{
	void *oldest;

	if (queue->policy == SONDE_QUEUE_WAIT && until_ns)
		return push_slowly(queue, item, until_ns, cancel);
	if (queue->policy != SONDE_QUEUE_DROP_OLDEST) {
		unlock(queue);
		return SONDE__QUEUE_FULL;
	}
	oldest = ring_take(queue);
	ring_put(queue, item);
	unlock(queue);
	drop(queue, oldest);
	return SONDE__QUEUE_DONE;
}

/* A moment of 0: does not wait. */
static SONDE__ALWAYS_INLINE enum sonde__queue_end push(struct sonde__queue *queue, void *item,
						       uint64_t until_ns,
						       struct sonde_cancel *cancel)
{
	enum sonde__queue_end end;

	pthread_mutex_lock(&queue->lock);
	end = put(queue, item);
	if (SONDE__UNLIKELY(end == SONDE__QUEUE_FULL))
		return push_full(queue, item, until_ns, cancel);
	unlock(queue);
	return end;
}

enum sonde__queue_end sonde__queue_push_until(struct sonde_queue *queue, void *item,
					      uint64_t until_ns, struct sonde_cancel *cancel)
{
	if (sonde_cancel_is_fired(cancel))
		return SONDE__QUEUE_CANCELLED;
	return push(sonde__queue_of(queue), item, until_ns, cancel);
}

enum sonde__queue_end sonde__queue_pop_until(struct sonde_queue *public, uint64_t until_ns,
					     struct sonde_cancel *cancel, void **ret_item)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	struct place place = { .item = NULL };
	enum sonde__queue_end end;

	if (sonde_cancel_is_fired(cancel))
		return SONDE__QUEUE_CANCELLED;
	pthread_mutex_lock(&queue->lock);
	end = take(queue, ret_item);
	if (end != SONDE__QUEUE_LATE || !until_ns) {
		unlock(queue);
		return end;
	}
	end = wait_in(queue, &queue->poppers, &place, until_ns, cancel);
	if (end == SONDE__QUEUE_DONE)
		*ret_item = place.item;
	return end;
}

/* ---- What is called -------------------------------------------------------------------------- */

int sonde_queue_try_pop(struct sonde_queue *public, void **ret_item)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	enum sonde__queue_end end;

	if (SONDE__UNLIKELY(!public || !ret_item))
		return SONDE_E_INVALID;
	pthread_mutex_lock(&queue->lock);
	end = take(queue, ret_item);
	unlock(queue);
	if (SONDE__LIKELY(end == SONDE__QUEUE_DONE))
		return SONDE_OK;
	return end == SONDE__QUEUE_CLOSED ? SONDE_E_CLOSED : SONDE_E_NOT_FOUND;
}

static void close_line(struct sonde__waiters *line)
{
	while (line->first) {
		place_of(line->first)->was_closed = true;
		sonde__waiters_grant(line);
	}
}

void sonde_queue_close(struct sonde_queue *public)
{
	struct sonde__queue *queue = sonde__queue_of(public);

	if (!public)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->is_closed = true;
	close_line(&queue->pushers);
	close_line(&queue->poppers);
	unlock(queue);
}

bool sonde_queue_is_closed(struct sonde_queue *public)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	bool is_closed;

	if (!public)
		return true;
	pthread_mutex_lock(&queue->lock);
	is_closed = queue->is_closed;
	pthread_mutex_unlock(&queue->lock);
	return is_closed;
}

size_t sonde_queue_length(struct sonde_queue *public)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	size_t length;

	if (!public)
		return 0;
	pthread_mutex_lock(&queue->lock);
	length = queue->n_items;
	pthread_mutex_unlock(&queue->lock);
	return length;
}

int sonde_queue_fd(struct sonde_queue *public)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	int fd;

	if (!public)
		return SONDE_E_INVALID;
	pthread_mutex_lock(&queue->lock);
	if (queue->fd < 0)
		queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd = queue->fd;
	unlock(queue);
	return fd >= 0 ? fd : SONDE_E_SYSTEM;
}

void sonde_queue_deinit(struct sonde_queue *public)
{
	struct sonde__queue *queue = sonde__queue_of(public);
	size_t n_left;

	if (!public || !queue->is_open)
		return;
	/* Who was given an item, or told of the close, may be here before the giver has gone. */
	pthread_mutex_lock(&queue->lock);
	pthread_mutex_unlock(&queue->lock);
	n_left = queue->n_items;
	while (queue->n_items) {
		void *item = ring_take(queue);

		if (queue->drop)
			queue->drop(queue->drop_user, item);
	}
	if (n_left)
		sonde__queue_tell(queue, SONDE_OBSERVED_DROP, /* duration_ns= */ 0, n_left,
				  /* error= */ NULL);
	if (queue->fd >= 0)
		close(queue->fd);
	if (queue->has_own_slots)
		free(queue->slots);
	pthread_mutex_destroy(&queue->lock);
	queue->is_open = false;
}
