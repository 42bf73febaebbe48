/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A word that counts readers, and a queue behind a guard for those who wait.
 *
 * As long as nobody waits, readers and writers come and go by one exchange. From the first who has
 * to wait on, whoever comes enters the queue behind him, and whoever lets go does so under the
 * guard and hands the lock to the first in the queue: one writer, or all readers up to the next
 * writer. So a writer waits for those alone who came before him, and readers for one writer.
 *
 * In the word queued changes under the guard alone, and says that the queue is not empty. While it
 * is set nobody else but who holds the guard adds to the word.
 */
#include "resilience/lock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/testpoint.h"

#define WRITER 1u
#define QUEUED 2u
#define READER 4u /* One of them; the rest of the word counts. */
#define HELD (~QUEUED)

struct rwlock {
	_Atomic uint32_t word;
	_Atomic uintptr_t owner; /* The writer; 0: there is none, or it is just changing. */
	const char *_Atomic place; /* Where it was taken last. */
	pthread_mutex_t guard; /* All zero is initialised. Held for a few instructions. */
	struct sonde__lock_queue queue;
	struct sonde__lock_settings settings;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct rwlock) <= sizeof(struct sonde_rwlock), "a lock fits");
_Static_assert(_Alignof(struct rwlock) <= _Alignof(struct sonde_rwlock), "and is aligned");

/* The two ways to take it. */
struct way {
	const char *kind;
	uint32_t adds;
	uint32_t excludes; /* Of what is held already. */
};

static const struct way reading = { "read lock", READER, WRITER };
static const struct way writing = { "write lock", WRITER, HELD };

static struct rwlock *rwlock_of(struct sonde_rwlock *rwlock)
{
	return (struct rwlock *)rwlock;
}

int sonde_rwlock_init(struct sonde_rwlock *sonde_rwlock, const struct sonde_lock_options *options)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock)
		return SONDE_E_INVALID;
	memset(rwlock, 0, sizeof(*sonde_rwlock));
	pthread_mutex_init(&rwlock->guard, /* attributes= */ NULL);
	sonde__lock_settings_init(&rwlock->settings, options);
	return SONDE_OK;
}

void sonde_rwlock_deinit(struct sonde_rwlock *sonde_rwlock)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock)
		return;
	/* Whoever let it go before may still be on his way out. */
	pthread_mutex_lock(&rwlock->guard);
	pthread_mutex_unlock(&rwlock->guard);
	pthread_mutex_destroy(&rwlock->guard);
}

/* Relaxed, here and below: the thread's own number is there if it wrote it, and no other one is. */
static bool is_mine(const struct rwlock *rwlock)
{
	return atomic_load_explicit(&rwlock->owner, memory_order_relaxed) == sonde__lock_self();
}

static void own(struct rwlock *rwlock, const struct way *way, const char *place)
{
	if (way == &writing)
		atomic_store_explicit(&rwlock->owner, sonde__lock_self(), memory_order_relaxed);
	/* Relaxed: for people; a static text. */
	atomic_store_explicit(&rwlock->place, place, memory_order_relaxed);
}

static const char *place_of(const struct rwlock *rwlock)
{
	return atomic_load_explicit(&rwlock->place, memory_order_relaxed);
}

/* ---- Taking and letting go ------------------------------------------------------------------- */

static bool may_take(uint32_t word, const struct way *way)
{
	/* The last count is left free: what is added to it would be a writer. */
	return !(word & way->excludes) && word < UINT32_MAX - READER;
}

/* Past nobody who waits. */
static bool try_take(struct rwlock *rwlock, const struct way *way)
{
	/* Relaxed: the exchange decides. */
	uint32_t word = atomic_load_explicit(&rwlock->word, memory_order_relaxed);

	while (!(word & QUEUED) && may_take(word, way))
		/* Acquire, A1, partners R1 and R2: sees what was done under the lock. */
		if (atomic_compare_exchange_weak_explicit(&rwlock->word, &word, word + way->adds,
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

/* As it, under the guard; not taken: whoever comes or goes does so under the guard from now on. */
static bool take_or_queue(struct rwlock *rwlock, const struct way *way)
{
	uint32_t word = atomic_load_explicit(&rwlock->word, memory_order_relaxed);

	for (;;) {
		bool takes = !(word & QUEUED) && may_take(word, way);
		uint32_t next = takes ? word + way->adds : word | QUEUED;

		/* Acquire, A2, partners as A1's. */
		if (atomic_compare_exchange_weak_explicit(&rwlock->word, &word, next,
							  memory_order_acquire,
							  memory_order_relaxed))
			return takes;
	}
}

/* Hands it to all who may have it, from the first on; under the guard. */
static void hand_over(struct rwlock *rwlock)
{
	struct sonde__waiters *waiters = &rwlock->queue.waiters;

	while (waiters->first) {
		const struct sonde__lock_waiter *first =
			(struct sonde__lock_waiter *)waiters->first;
		const struct way *way = first->is_writer ? &writing : &reading;

		/* Relaxed: nobody adds to it but under the guard. */
		if (!may_take(atomic_load_explicit(&rwlock->word, memory_order_relaxed), way))
			return;
		/*
		 * Acquire, A3, partners R1 and R2; and whoever it is handed to comes by the guard
		 * after this.
		 */
		atomic_fetch_add_explicit(&rwlock->word, way->adds, memory_order_acquire);
		(void)sonde__waiters_grant(waiters);
	}
	/* Relaxed: as above. */
	atomic_fetch_and_explicit(&rwlock->word, ~QUEUED, memory_order_relaxed);
}

static void let_go(struct rwlock *rwlock, const struct way *way)
{
	uint32_t word = atomic_load_explicit(&rwlock->word, memory_order_relaxed);

	while (!(word & QUEUED))
		/* Release, R1, partners A1 to A3. The lock is not touched after it. */
		if (atomic_compare_exchange_weak_explicit(&rwlock->word, &word, word - way->adds,
							  memory_order_release,
							  memory_order_relaxed))
			return;
	pthread_mutex_lock(&rwlock->guard);
	/* Release, R2, partners as R1's. */
	atomic_fetch_sub_explicit(&rwlock->word, way->adds, memory_order_release);
	hand_over(rwlock);
	pthread_mutex_unlock(&rwlock->guard);
}

/* ---- The queue: all under the guard ---------------------------------------------------------- */

/* Who leaves may have been what held up those behind him. */
static void queue_leave(struct rwlock *rwlock, struct sonde__lock_waiter *waiter)
{
	sonde__waiters_remove(&rwlock->queue.waiters, &waiter->waiter);
	hand_over(rwlock);
}

/* Out of the queue, so that the observer may take the lock, and back to the same place. */
static void stall(struct rwlock *rwlock, struct sonde__lock_waiter *waiter,
		  struct sonde__lock_wait *wait)
{
	queue_leave(rwlock, waiter);
	pthread_mutex_unlock(&rwlock->guard);
	sonde__lock_wait_stall(wait, place_of(rwlock));
	pthread_mutex_lock(&rwlock->guard);
	sonde__lock_queue_return(&rwlock->queue, waiter);
	/* Relaxed: from here on who lets go comes by the guard; who did before is seen below. */
	atomic_fetch_or_explicit(&rwlock->word, QUEUED, memory_order_relaxed);
	hand_over(rwlock);
}

static bool queue_through(struct rwlock *rwlock, const struct way *way,
			  struct sonde__lock_wait *wait, enum sonde__lock_woken *ret_why)
{
	struct sonde__lock_waiter waiter = { .is_writer = way == &writing };

	sonde__waiter_init(&waiter.waiter);
	sonde__lock_queue_enter(&rwlock->queue, &waiter);
	for (;;) {
		pthread_mutex_unlock(&rwlock->guard);
		*ret_why = sonde__lock_wait_park(wait, &waiter.waiter.parker);
		SONDE__TESTPOINT("rwlock-leaving");
		pthread_mutex_lock(&rwlock->guard);
		if (waiter.waiter.is_granted)
			return true;
		if (*ret_why != SONDE__LOCK_SLOW) {
			queue_leave(rwlock, &waiter);
			return false;
		}
		/* Nobody wakes it yet: it was not granted, and is not in the queue then. */
		sonde__parker_init(&waiter.waiter.parker);
		stall(rwlock, &waiter, wait);
	}
}

/* NULL: it is the caller's. */
static SONDE__COLD struct sonde_error *lock_slowly(struct rwlock *rwlock, const struct way *way,
						   const struct sonde__lock_limits *limits,
						   const char *place)
{
	enum sonde__lock_woken why = SONDE__LOCK_WOKEN;
	struct sonde__lock_wait wait;
	bool is_taken;

	pthread_mutex_lock(&rwlock->guard);
	if (take_or_queue(rwlock, way)) {
		pthread_mutex_unlock(&rwlock->guard);
		own(rwlock, way, place);
		return NULL;
	}
	sonde__lock_wait_begin(&wait, &rwlock->settings, way->kind, limits, SONDE__SLOW_WAIT_MS);
	is_taken = queue_through(rwlock, way, &wait, &why);
	pthread_mutex_unlock(&rwlock->guard);
	if (!is_taken)
		return sonde__lock_wait_refused(&wait, why, place_of(rwlock));
	own(rwlock, way, place);
	sonde__lock_wait_granted(&wait);
	return NULL;
}

/* ---- The calls ------------------------------------------------------------------------------- */

static bool lock_try(struct sonde_rwlock *sonde_rwlock, const struct way *way, const char *place)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock || !try_take(rwlock, way))
		return false;
	own(rwlock, way, place);
	return true;
}

static void lock(struct sonde_rwlock *sonde_rwlock, const struct way *way, const char *place)
{
	const struct sonde__lock_limits none = { .limit_ns = SONDE__NEVER, .past_deadline = true };
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (lock_try(sonde_rwlock, way, place) || !rwlock)
		return;
	if (is_mine(rwlock))
		sonde__lock_misuse_say(&rwlock->settings, way->kind,
				       "asked for by the thread that writes, which waits for ever",
				       place_of(rwlock));
	(void)lock_slowly(rwlock, way, &none, place);
}

static struct sonde_error *lock_within(struct sonde_rwlock *sonde_rwlock, const struct way *way,
				       const struct sonde__lock_limits *limits, const char *place)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock)
		return sonde_error_raise(&sonde_internal, "there is no read-write lock to lock");
	if (lock_try(sonde_rwlock, way, place))
		return NULL;
	if (is_mine(rwlock))
		return sonde__lock_misuse(&rwlock->settings, way->kind,
					  "asked for by the thread that writes", place_of(rwlock));
	return lock_slowly(rwlock, way, limits, place);
}

bool sonde_rwlock_read_try_lock_at(struct sonde_rwlock *rwlock, const char *place)
{
	return lock_try(rwlock, &reading, place);
}

bool sonde_rwlock_write_try_lock_at(struct sonde_rwlock *rwlock, const char *place)
{
	return lock_try(rwlock, &writing, place);
}

void sonde_rwlock_read_lock_at(struct sonde_rwlock *rwlock, const char *place)
{
	lock(rwlock, &reading, place);
}

void sonde_rwlock_write_lock_at(struct sonde_rwlock *rwlock, const char *place)
{
	lock(rwlock, &writing, place);
}

struct sonde_error *sonde_rwlock_read_lock_within_at(struct sonde_rwlock *rwlock, uint64_t limit_ms,
						     struct sonde_cancel *cancel, const char *place)
{
	const struct sonde__lock_limits limits = { .limit_ns = sonde__ms_to_ns(limit_ms),
						   .cancel = cancel };

	return lock_within(rwlock, &reading, &limits, place);
}

struct sonde_error *sonde_rwlock_write_lock_within_at(struct sonde_rwlock *rwlock,
						      uint64_t limit_ms,
						      struct sonde_cancel *cancel,
						      const char *place)
{
	const struct sonde__lock_limits limits = { .limit_ns = sonde__ms_to_ns(limit_ms),
						   .cancel = cancel };

	return lock_within(rwlock, &writing, &limits, place);
}

void sonde_rwlock_read_unlock(struct sonde_rwlock *sonde_rwlock)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock)
		return;
	/* Relaxed: a reader that is there stays in the word. */
	if (SONDE__UNLIKELY(atomic_load_explicit(&rwlock->word, memory_order_relaxed) < READER)) {
		sonde__lock_misuse_say(&rwlock->settings, reading.kind,
				       "let go while nobody read", place_of(rwlock));
		return;
	}
	let_go(rwlock, &reading);
}

void sonde_rwlock_write_unlock(struct sonde_rwlock *sonde_rwlock)
{
	struct rwlock *rwlock = rwlock_of(sonde_rwlock);

	if (!rwlock)
		return;
	if (SONDE__UNLIKELY(!is_mine(rwlock))) {
		sonde__lock_misuse_say(&rwlock->settings, writing.kind,
				       "let go by a thread that does not write", place_of(rwlock));
		return;
	}
	atomic_store_explicit(&rwlock->owner, 0, memory_order_relaxed);
	let_go(rwlock, &writing);
}
