/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A word that is taken and let go by one exchange, and a queue behind a guard for those who wait.
 *
 * Who lets it go wakes the first in the queue, who then takes part in the race for the word: as
 * long as he has not run, whoever runs already may take it, so that short sections do not wait for
 * the scheduler. He stays the first; once he has waited for a millisecond and loses again he asks
 * for it to be handed over, and the next unlock gives it to him without its ever being free.
 *
 * In the word queued, woken and hand over change under the guard alone, and what they say then:
 *
 *	queued		the queue is not empty, or somebody with the guard is about to enter it
 *	woken		one waiter in the queue has is_woken; until he has the guard, an unlock need not
 *			wake anybody
 *	hand over	the next unlock gives it to the first, and lets nobody in
 */
#include "resilience/lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/testpoint.h"

#define LOCKED 1u
#define QUEUED 2u
#define WOKEN 4u
#define HAND_OVER 8u

#define STARVING_NS SONDE__NS_PER_MS

struct mutex {
	_Atomic uint32_t word;
	_Atomic uintptr_t owner; /* Who holds it; 0: nobody, or it is just changing. */
	const char *_Atomic place; /* Where it was taken last. */
	pthread_mutex_t guard; /* All zero is initialised. Held for a few instructions. */
	struct sonde__lock_queue queue;
	struct sonde__lock_settings settings;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct mutex) <= sizeof(struct sonde_mutex), "a mutex fits");
_Static_assert(_Alignof(struct mutex) <= _Alignof(struct sonde_mutex), "and is aligned");

static struct mutex *mutex_of(struct sonde_mutex *mutex)
{
	return (struct mutex *)mutex;
}

int sonde_mutex_init(struct sonde_mutex *sonde_mutex, const struct sonde_lock_options *options)
{
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (!mutex)
		return SONDE_E_INVALID;
	memset(mutex, 0, sizeof(*sonde_mutex));
	pthread_mutex_init(&mutex->guard, /* attributes= */ NULL);
	sonde__lock_settings_init(&mutex->settings, options);
	return SONDE_OK;
}

void sonde_mutex_deinit(struct sonde_mutex *sonde_mutex)
{
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (!mutex)
		return;
	/* Whoever let it go before may still be on his way out. */
	pthread_mutex_lock(&mutex->guard);
	pthread_mutex_unlock(&mutex->guard);
	pthread_mutex_destroy(&mutex->guard);
}

/* Relaxed, here and below: the thread's own number is there if it wrote it, and no other one is. */
static bool is_mine(const struct mutex *mutex)
{
	return atomic_load_explicit(&mutex->owner, memory_order_relaxed) == sonde__lock_self();
}

static void own(struct mutex *mutex, const char *place)
{
	atomic_store_explicit(&mutex->owner, sonde__lock_self(), memory_order_relaxed);
	/* Relaxed: for people; a static text. */
	atomic_store_explicit(&mutex->place, place, memory_order_relaxed);
}

static const char *place_of(const struct mutex *mutex)
{
	return atomic_load_explicit(&mutex->place, memory_order_relaxed);
}

/* ---- The race -------------------------------------------------------------------------------- */

/* Takes it if it is free, whoever is on his way. */
static bool try_take(struct mutex *mutex)
{
	/* Relaxed: the exchange decides. */
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);

	while (!(word & LOCKED))
		/* Acquire, A1, partners R1 and R2: sees what was done under the lock. */
		if (atomic_compare_exchange_weak_explicit(&mutex->word, &word, word | LOCKED,
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/*
 * As it, under the guard. Not taken: whoever holds it has to come by the guard from now on, because
 * the same exchange says that somebody waits and that `waiter`, which may be NULL, has run.
 */
static bool take_or_queue(struct mutex *mutex, struct sonde__lock_waiter *waiter)
{
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);
	uint32_t ran = waiter && waiter->is_woken ? WOKEN : 0;

	/* Acquire, A2, partners as A1's. */
	while (!atomic_compare_exchange_weak_explicit(&mutex->word, &word,
						      (word | LOCKED | QUEUED) & ~ran,
						      memory_order_acquire, memory_order_relaxed))
		;
	if (waiter)
		waiter->is_woken = false;
	return !(word & LOCKED);
}

static void bits_clear(struct mutex *mutex, uint32_t bits)
{
	/* Relaxed: what goes with them is under the guard. */
	atomic_fetch_and_explicit(&mutex->word, ~bits, memory_order_relaxed);
}

/* False: somebody has to be woken first. */
static bool let_go_at_once(struct mutex *mutex)
{
	uint32_t word = atomic_load_explicit(&mutex->word, memory_order_relaxed);

	while (!(word & HAND_OVER) && (word & (QUEUED | WOKEN)) != QUEUED)
		/* Release, R1, partners A1 and A2. The mutex is not touched after it. */
		if (atomic_compare_exchange_weak_explicit(&mutex->word, &word, word & ~LOCKED,
							  memory_order_release,
							  memory_order_relaxed))
			return true;
	return false;
}

/* Wakes the first, or gives it to him. The guard keeps him and the mutex there. */
static void pass_on(struct mutex *mutex)
{
	struct sonde__waiters *waiters = &mutex->queue.waiters;
	struct sonde__lock_waiter *first;

	pthread_mutex_lock(&mutex->guard);
	first = (struct sonde__lock_waiter *)waiters->first;
	if (atomic_load_explicit(&mutex->word, memory_order_relaxed) & HAND_OVER) {
		bits_clear(mutex, HAND_OVER | (waiters->n_waiters == 1 ? QUEUED : 0));
		(void)sonde__waiters_grant(waiters);
	} else {
		if (first) {
			first->is_woken = true;
			atomic_fetch_or_explicit(&mutex->word, WOKEN, memory_order_relaxed);
		}
		/* Release, R2, partners A1 and A2. */
		atomic_fetch_and_explicit(&mutex->word, ~LOCKED, memory_order_release);
		if (first)
			sonde__unpark(&first->waiter.parker);
	}
	pthread_mutex_unlock(&mutex->guard);
}

/* ---- The queue: all under the guard ---------------------------------------------------------- */

static void queue_tidy(struct mutex *mutex)
{
	if (!mutex->queue.waiters.first)
		bits_clear(mutex, QUEUED | HAND_OVER);
}

static void queue_leave(struct mutex *mutex, struct sonde__lock_waiter *waiter)
{
	sonde__waiters_remove(&mutex->queue.waiters, &waiter->waiter);
	queue_tidy(mutex);
}

/* True: it is the caller's, who is not in the queue any more. */
static bool queue_wait(struct mutex *mutex, struct sonde__lock_waiter *waiter,
		       struct sonde__lock_wait *wait, enum sonde__lock_woken *ret_why)
{
	bool was_woken;

	sonde__parker_init(&waiter->waiter.parker);
	pthread_mutex_unlock(&mutex->guard);
	*ret_why = sonde__lock_wait_park(wait, &waiter->waiter.parker);
	SONDE__TESTPOINT("mutex-leaving");
	pthread_mutex_lock(&mutex->guard);
	was_woken = waiter->is_woken;
	if (waiter->waiter.is_granted)
		return true;
	if (take_or_queue(mutex, waiter)) {
		queue_leave(mutex, waiter);
		return true;
	}
	if (was_woken && sonde__lock_wait_ns(wait) >= STARVING_NS)
		atomic_fetch_or_explicit(&mutex->word, HAND_OVER, memory_order_relaxed);
	return false;
}

/* Out of the queue, so that the observer may take the mutex, and back to the same place. */
static bool stall(struct mutex *mutex, struct sonde__lock_waiter *waiter,
		  struct sonde__lock_wait *wait)
{
	queue_leave(mutex, waiter);
	pthread_mutex_unlock(&mutex->guard);
	sonde__lock_wait_stall(wait, place_of(mutex));
	pthread_mutex_lock(&mutex->guard);
	if (take_or_queue(mutex, waiter)) {
		queue_tidy(mutex);
		return true;
	}
	sonde__lock_queue_return(&mutex->queue, waiter);
	return false;
}

static bool queue_through(struct mutex *mutex, struct sonde__lock_wait *wait,
			  enum sonde__lock_woken *ret_why)
{
	struct sonde__lock_waiter waiter = { .number = 0 };

	sonde__waiter_init(&waiter.waiter);
	sonde__lock_queue_enter(&mutex->queue, &waiter);
	for (;;) {
		if (queue_wait(mutex, &waiter, wait, ret_why))
			return true;
		if (*ret_why == SONDE__LOCK_SLOW) {
			if (stall(mutex, &waiter, wait))
				return true;
		} else if (*ret_why != SONDE__LOCK_WOKEN) {
			queue_leave(mutex, &waiter);
			return false;
		}
	}
}

/* NULL: it is the caller's. */
static SONDE__COLD struct sonde_error *lock_slowly(struct mutex *mutex,
						   const struct sonde__lock_limits *limits,
						   const char *place)
{
	enum sonde__lock_woken why = SONDE__LOCK_WOKEN;
	struct sonde__lock_wait wait;
	bool is_taken;

	pthread_mutex_lock(&mutex->guard);
	if (take_or_queue(mutex, /* waiter= */ NULL)) {
		queue_tidy(mutex);
		pthread_mutex_unlock(&mutex->guard);
		own(mutex, place);
		return NULL;
	}
	sonde__lock_wait_begin(&wait, &mutex->settings, "mutex", limits, SONDE__SLOW_WAIT_MS);
	is_taken = queue_through(mutex, &wait, &why);
	pthread_mutex_unlock(&mutex->guard);
	if (!is_taken)
		return sonde__lock_wait_refused(&wait, why, place_of(mutex));
	own(mutex, place);
	sonde__lock_wait_granted(&wait);
	return NULL;
}

/* ---- The calls ------------------------------------------------------------------------------- */

bool sonde_mutex_try_lock_at(struct sonde_mutex *sonde_mutex, const char *place)
{
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (!mutex || !try_take(mutex))
		return false;
	own(mutex, place);
	return true;
}

void sonde_mutex_lock_at(struct sonde_mutex *sonde_mutex, const char *place)
{
	const struct sonde__lock_limits none = { .limit_ns = SONDE__NEVER, .past_deadline = true };
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (sonde_mutex_try_lock_at(sonde_mutex, place) || !mutex)
		return;
	if (is_mine(mutex))
		sonde__lock_misuse_say(&mutex->settings, "mutex",
				       "locked again by the thread that holds it, which waits for ever",
				       place_of(mutex));
	(void)lock_slowly(mutex, &none, place);
}

struct sonde_error *sonde_mutex_lock_within_at(struct sonde_mutex *sonde_mutex, uint64_t limit_ms,
					       struct sonde_cancel *cancel, const char *place)
{
	const struct sonde__lock_limits limits = { .limit_ns = sonde__ms_to_ns(limit_ms),
						   .cancel = cancel };
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (!mutex)
		return sonde_error_raise(&sonde_internal, "there is no mutex to lock");
	if (sonde_mutex_try_lock_at(sonde_mutex, place))
		return NULL;
	if (is_mine(mutex))
		return sonde__lock_misuse(&mutex->settings, "mutex",
					  "locked again by the thread that holds it",
					  place_of(mutex));
	return lock_slowly(mutex, &limits, place);
}

void sonde_mutex_unlock(struct sonde_mutex *sonde_mutex)
{
	struct mutex *mutex = mutex_of(sonde_mutex);

	if (!mutex)
		return;
	if (SONDE__UNLIKELY(!is_mine(mutex))) {
		sonde__lock_misuse_say(&mutex->settings, "mutex",
				       "unlocked by a thread that does not hold it",
				       place_of(mutex));
		return;
	}
	atomic_store_explicit(&mutex->owner, 0, memory_order_relaxed);
	if (!let_go_at_once(mutex))
		pass_on(mutex);
}
