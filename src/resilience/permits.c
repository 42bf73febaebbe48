/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One word says all: how many permits there are, how many are taken, and whether anybody waits.
 * While nobody does, taking and giving back is a compare-exchange of it. The first who has to wait
 * sets QUEUE, under the lock; from then on the word belongs to the lock, whoever comes queues
 * behind him, and who gives back settles: lets in those who came first. The last who waited clears
 * it.
 *
 *	QUEUE is set exactly while the queue is not empty, but for the moment within the lock.
 *	While it is set, after settling, as many are taken as there are permits, or more where
 *	the limit was lowered.
 */

#include "resilience/permits.h"


static uint64_t word_of(const struct sonde__permits *permits)
{
	/* Relaxed: what is done with it is decided by an exchange, or under the lock. */
	return atomic_load_explicit(&permits->word, memory_order_relaxed);
}

static uint64_t taken_of(uint64_t word)
{
	return word & SONDE__PERMITS_TAKEN;
}

static uint64_t limit_of(uint64_t word)
{
	return word >> SONDE__PERMITS_LIMIT_SHIFT;
}

static bool word_change(struct sonde__permits *permits, uint64_t *was, uint64_t word)
{
	/*
	 * Acquire and release, A1 and R1, each other's partner: who takes a permit sees what was
	 * done by those who gave it back. Failed: relaxed, it is tried again.
	 */
	return atomic_compare_exchange_weak_explicit(&permits->word, was, word,
						     memory_order_acq_rel, memory_order_relaxed);
}

void sonde__permits_init(struct sonde__permits *permits, uint32_t limit)
{
	/* Relaxed: it is nobody else's yet. */
	atomic_store_explicit(&permits->word, (uint64_t)limit << SONDE__PERMITS_LIMIT_SHIFT,
			      memory_order_relaxed);
	pthread_mutex_init(&permits->lock, NULL);
	permits->waiters = (struct sonde__waiters){ 0 };
}

void sonde__permits_deinit(struct sonde__permits *permits)
{
	pthread_mutex_destroy(&permits->lock);
}

bool sonde__permits_try(struct sonde__permits *permits)
{
	uint64_t word = word_of(permits);

	while (!(word & SONDE__PERMITS_QUEUE) && taken_of(word) < limit_of(word)) {
		if (word_change(permits, &word, word + 1))
			return true;
	}
	return false;
}

static void grant(struct sonde__waiters *waiters, void *teller)
{
	struct sonde__permit_waiter *first = (struct sonde__permit_waiter *)waiters->first;

	if (!first->granted) {
		sonde__waiters_grant(waiters);
		return;
	}
	sonde__waiters_remove(waiters, &first->waiter);
	first->waiter.is_granted = true;
	first->granted(first->user, teller);
}

/*
 * Under the lock, after permits came back or a place was left: lets in who can be. The word comes
 * first, because who was let in may give back before this returns.
 */
static void settle(struct sonde__permits *permits, void *teller)
{
	uint64_t word = word_of(permits);
	uint64_t n_free = limit_of(word) > taken_of(word) ? limit_of(word) - taken_of(word) : 0;
	uint64_t n = permits->waiters.n_waiters < n_free ? permits->waiters.n_waiters : n_free;

	if (!(word & SONDE__PERMITS_QUEUE))
		return;
	word += n;
	if (n == permits->waiters.n_waiters)
		word &= ~SONDE__PERMITS_QUEUE;
	/* R1, partner A1 in word_change: with QUEUE set nobody else changes it. */
	atomic_store_explicit(&permits->word, word, memory_order_release);
	while (n--)
		grant(&permits->waiters, teller);
}

static bool release_to_queue(struct sonde__permits *permits, void *teller)
{
	bool is_back = false;
	uint64_t word;

	pthread_mutex_lock(&permits->lock);
	word = word_of(permits);
	while (taken_of(word) && !is_back)
		is_back = word_change(permits, &word, word - 1);
	settle(permits, teller);
	pthread_mutex_unlock(&permits->lock);
	return is_back;
}

bool sonde__permits_release(struct sonde__permits *permits, void *teller)
{
	uint64_t word = word_of(permits);

	while (taken_of(word)) {
		if (word & SONDE__PERMITS_QUEUE)
			return release_to_queue(permits, teller);
		if (word_change(permits, &word, word - 1))
			return true;
	}
	return false;
}

enum sonde__permits_answer sonde__permits_ask(struct sonde__permits *permits,
					      struct sonde__permit_waiter *waiter,
					      uint32_t max_queue,
					      sonde__permits_granted_fn *granted, void *user)
{
	enum sonde__permits_answer answer = SONDE__PERMITS_QUEUED;
	uint64_t word;

	sonde__waiter_init(&waiter->waiter);
	waiter->granted = granted;
	waiter->user = user;
	pthread_mutex_lock(&permits->lock);
	word = word_of(permits);
	for (;;) {
		bool has_room = !(word & SONDE__PERMITS_QUEUE) && taken_of(word) < limit_of(word);

		if (!has_room && permits->waiters.n_waiters >= max_queue) {
			answer = SONDE__PERMITS_FULL;
			break;
		}
		if (!word_change(permits, &word, has_room ? word + 1 : word | SONDE__PERMITS_QUEUE))
			continue;
		if (has_room)
			answer = SONDE__PERMITS_GRANTED;
		else
			sonde__waiters_push(&permits->waiters, &waiter->waiter);
		break;
	}
	waiter->waiter.is_granted = answer == SONDE__PERMITS_GRANTED;
	waiter->permits = answer == SONDE__PERMITS_FULL ? NULL : permits;
	pthread_mutex_unlock(&permits->lock);
	return answer;
}

enum sonde__permits_left sonde__permits_leave(struct sonde__permits *permits,
					      struct sonde__permit_waiter *waiter)
{
	enum sonde__permits_left left = SONDE__PERMITS_NO_PLACE;

	pthread_mutex_lock(&permits->lock);
	if (waiter->permits == permits) {
		left = waiter->waiter.is_granted ? SONDE__PERMITS_HELD : SONDE__PERMITS_LEFT;
		waiter->permits = NULL;
	}
	if (left == SONDE__PERMITS_LEFT) {
		sonde__waiters_remove(&permits->waiters, &waiter->waiter);
		settle(permits, /* teller= */ NULL);
	}
	pthread_mutex_unlock(&permits->lock);
	return left;
}

bool sonde__permits_set_limit(struct sonde__permits *permits, uint32_t limit, void *teller)
{
	uint32_t next;
	uint64_t word;

	pthread_mutex_lock(&permits->lock);
	word = word_of(permits);
	do {
		uint64_t now = limit_of(word) > taken_of(word) ? limit_of(word) : taken_of(word);

		next = limit;
		if ((word & SONDE__PERMITS_QUEUE) && limit > now)
			next = (uint32_t)now + 1;
	} while (!word_change(permits, &word,
			      (word & UINT32_MAX) |
				      (uint64_t)next << SONDE__PERMITS_LIMIT_SHIFT));
	settle(permits, teller);
	pthread_mutex_unlock(&permits->lock);
	return next == limit;
}

uint32_t sonde__permits_limit(const struct sonde__permits *permits)
{
	return (uint32_t)limit_of(word_of(permits));
}

uint32_t sonde__permits_taken(const struct sonde__permits *permits)
{
	return (uint32_t)taken_of(word_of(permits));
}

uint32_t sonde__permits_waiting(struct sonde__permits *permits)
{
	size_t n_waiters;

	pthread_mutex_lock(&permits->lock);
	n_waiters = permits->waiters.n_waiters;
	pthread_mutex_unlock(&permits->lock);
	return (uint32_t)n_waiters;
}
