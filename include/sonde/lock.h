/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_LOCK_H
#define SONDE_LOCK_H

/*
 * A mutex, a read-write lock and a condition that say how long was waited for them, whose waits end
 * at the context's deadline and by a token, and that name the place that holds a lock for too long.
 *
 *	{
 *		SONDE_LOCK_SCOPE(&table->mutex);
 *		…
 *	}
 *
 * A lock that is free is taken by one instruction, whatever the deadline and the token say: no
 * clock, no call into the system, nothing observed. A wait that was granted is observed as WAIT,
 * one that was not as REJECTION. One that takes longer than the slow-wait limit is observed as
 * STALL while it goes on, with an error that names the lock and where it was taken last, and as
 * RECOVERY when it ends.
 *
 * A lock belongs to the thread that took it, and to one process. None of it is for signal handlers.
 * In a forked child a lock that another thread of the parent held is held for ever: the child
 * initialises it anew.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

struct sonde_lock_options {
	const char *name; /* Told with what is observed; NULL is "". */
	/*
	 * After which a wait is told as a stall; 0: 1000, of a condition never; UINT64_MAX: never.
	 */
	uint64_t slow_wait_ms;
	const struct sonde_clock *clock; /* NULL: CLOCK_MONOTONIC. */
	const struct sonde_observer *observer; /* NULL: the process's alone. */
};

/* Where the calls below stand, "file:line": one word to keep. */
#define SONDE__PLACE_TEXT_(line) #line
#define SONDE__PLACE_TEXT(line) SONDE__PLACE_TEXT_(line)
#define SONDE__PLACE __FILE__ ":" SONDE__PLACE_TEXT(__LINE__)

/* ---- Mutex ----------------------------------------------------------------------------------- */

/* Caller's memory; nothing in it is to be read. SONDE_MUTEX_INIT is one with every default. */
struct sonde_mutex {
	uint64_t opaque[24];
};

#define SONDE_MUTEX_INIT { { 0 } }

/* `options` may be NULL. SONDE_E_INVALID: no mutex. */
SONDE_API int sonde_mutex_init(struct sonde_mutex *mutex, const struct sonde_lock_options *options);

/* Nobody holds it nor waits for it. Right after one's own last unlock is late enough. */
SONDE_API void sonde_mutex_deinit(struct sonde_mutex *mutex);

/*
 * Waits for as long as it takes, past any deadline: for short sections, and for what has to be done
 * in any case. First come, first served, but that the one who comes as it is free may take it
 * before one who is just waking up, for a millisecond at most. A thread that holds it already waits
 * for ever, which is said: an error of type sonde_internal is observed as ORPHAN. May block; no
 * allocation.
 */
#define sonde_mutex_lock(mutex) sonde_mutex_lock_at(mutex, SONDE__PLACE)
SONDE_API void sonde_mutex_lock_at(struct sonde_mutex *mutex, const char *place);

/*
 * As it, for `limit_ms` at most (UINT64_MAX: no limit), until the context's deadline, and while
 * `cancel`, which may be NULL, is not fired. NULL: the caller has it. Else it has not, and the
 * error is a sonde_timeout or sonde_cancelled; sonde_internal where the caller holds it already.
 */
#define sonde_mutex_lock_within(mutex, limit_ms, cancel) \
	sonde_mutex_lock_within_at(mutex, limit_ms, cancel, SONDE__PLACE)
SONDE_API struct sonde_error *sonde_mutex_lock_within_at(struct sonde_mutex *mutex,
							 uint64_t limit_ms,
							 struct sonde_cancel *cancel,
							 const char *place)
	__attribute__((warn_unused_result));

/* Never waits. Lock-free. */
#define sonde_mutex_try_lock(mutex) sonde_mutex_try_lock_at(mutex, SONDE__PLACE)
SONDE_API bool sonde_mutex_try_lock_at(struct sonde_mutex *mutex, const char *place)
	__attribute__((warn_unused_result));

/*
 * By the thread that holds it; another's unlock does nothing but say so: an error of type
 * sonde_internal is observed as ORPHAN. Never waits for a holder.
 */
SONDE_API void sonde_mutex_unlock(struct sonde_mutex *mutex);

/* ---- Read-write lock ------------------------------------------------------------------------- */

struct sonde_rwlock {
	uint64_t opaque[24];
};

#define SONDE_RWLOCK_INIT { { 0 } }

/* As those of the mutex. */
SONDE_API int sonde_rwlock_init(struct sonde_rwlock *rwlock,
				const struct sonde_lock_options *options);
SONDE_API void sonde_rwlock_deinit(struct sonde_rwlock *rwlock);

/*
 * Readers share it. First come, first served: a reader waits behind a writer who waits, so that
 * neither starves the other; hence a thread that reads and takes it again, or wants to write, may
 * wait for itself. For the rest as those of the mutex.
 */
#define sonde_rwlock_read_lock(rwlock) sonde_rwlock_read_lock_at(rwlock, SONDE__PLACE)
#define sonde_rwlock_read_lock_within(rwlock, limit_ms, cancel) \
	sonde_rwlock_read_lock_within_at(rwlock, limit_ms, cancel, SONDE__PLACE)
#define sonde_rwlock_read_try_lock(rwlock) sonde_rwlock_read_try_lock_at(rwlock, SONDE__PLACE)
SONDE_API void sonde_rwlock_read_lock_at(struct sonde_rwlock *rwlock, const char *place);
SONDE_API struct sonde_error *sonde_rwlock_read_lock_within_at(struct sonde_rwlock *rwlock,
							       uint64_t limit_ms,
							       struct sonde_cancel *cancel,
							       const char *place)
	__attribute__((warn_unused_result));
SONDE_API bool sonde_rwlock_read_try_lock_at(struct sonde_rwlock *rwlock, const char *place)
	__attribute__((warn_unused_result));
SONDE_API void sonde_rwlock_read_unlock(struct sonde_rwlock *rwlock);

#define sonde_rwlock_write_lock(rwlock) sonde_rwlock_write_lock_at(rwlock, SONDE__PLACE)
#define sonde_rwlock_write_lock_within(rwlock, limit_ms, cancel) \
	sonde_rwlock_write_lock_within_at(rwlock, limit_ms, cancel, SONDE__PLACE)
#define sonde_rwlock_write_try_lock(rwlock) sonde_rwlock_write_try_lock_at(rwlock, SONDE__PLACE)
SONDE_API void sonde_rwlock_write_lock_at(struct sonde_rwlock *rwlock, const char *place);
SONDE_API struct sonde_error *sonde_rwlock_write_lock_within_at(struct sonde_rwlock *rwlock,
								uint64_t limit_ms,
								struct sonde_cancel *cancel,
								const char *place)
	__attribute__((warn_unused_result));
SONDE_API bool sonde_rwlock_write_try_lock_at(struct sonde_rwlock *rwlock, const char *place)
	__attribute__((warn_unused_result));
SONDE_API void sonde_rwlock_write_unlock(struct sonde_rwlock *rwlock);

/* ---- Condition ------------------------------------------------------------------------------- */

struct sonde_condition {
	uint64_t opaque[24];
};

#define SONDE_CONDITION_INIT { { 0 } }

/*
 * As those of the mutex. To wait for work is not slow: a stall is told only where asked for. Right
 * after one's own last signal is late enough for the deinit, which waits for those who were woken.
 */
SONDE_API int sonde_condition_init(struct sonde_condition *condition,
				   const struct sonde_lock_options *options);
SONDE_API void sonde_condition_deinit(struct sonde_condition *condition);

/*
 * With the mutex held: lets it go, waits for a signal, and has the mutex again in any case, however
 * long that takes. Limits as those of sonde_mutex_lock_within. NULL: signalled, which says nothing
 * about what it was waited for: to be called in a loop that looks.
 */
#define sonde_condition_wait(condition, mutex, limit_ms, cancel) \
	sonde_condition_wait_at(condition, mutex, limit_ms, cancel, SONDE__PLACE)
SONDE_API struct sonde_error *sonde_condition_wait_at(struct sonde_condition *condition,
						      struct sonde_mutex *mutex, uint64_t limit_ms,
						      struct sonde_cancel *cancel,
						      const char *place)
	__attribute__((warn_unused_result));

/*
 * That loop: waits until `is_so`, called with the mutex held, says true; once more after a limit.
 * NULL: it is so. `limit_ms` is for all of it.
 */
typedef bool sonde_condition_fn(void *user);
#define sonde_condition_wait_for(condition, mutex, is_so, user, limit_ms, cancel) \
	sonde_condition_wait_for_at(condition, mutex, is_so, user, limit_ms, cancel, SONDE__PLACE)
SONDE_API struct sonde_error *
sonde_condition_wait_for_at(struct sonde_condition *condition, struct sonde_mutex *mutex,
			    sonde_condition_fn *is_so, void *user, uint64_t limit_ms,
			    struct sonde_cancel *cancel, const char *place)
	__attribute__((warn_unused_result));

/* Wakes the one who waits longest; all. With the mutex held or not. Nobody waiting: nothing. */
SONDE_API void sonde_condition_signal(struct sonde_condition *condition);
SONDE_API void sonde_condition_broadcast(struct sonde_condition *condition);

/* ---- Scopes ---------------------------------------------------------------------------------- */

/* Held for the rest of the enclosing block. The pointer is not NULL. */
#define SONDE_LOCK_SCOPE(mutex) \
	SONDE__LOCK_SCOPE(SONDE__CAT(sonde__mutex_, __COUNTER__), sonde_mutex, mutex, \
			  sonde_mutex_lock_at, sonde__mutex_leave)
#define SONDE_READ_SCOPE(rwlock) \
	SONDE__LOCK_SCOPE(SONDE__CAT(sonde__reading_, __COUNTER__), sonde_rwlock, rwlock, \
			  sonde_rwlock_read_lock_at, sonde__rwlock_read_leave)
#define SONDE_WRITE_SCOPE(rwlock) \
	SONDE__LOCK_SCOPE(SONDE__CAT(sonde__writing_, __COUNTER__), sonde_rwlock, rwlock, \
			  sonde_rwlock_write_lock_at, sonde__rwlock_write_leave)

#define SONDE__LOCK_SCOPE(variable, type, lock, take, leave) \
	struct type *variable __attribute__((cleanup(leave), unused)) = (lock); \
	take(variable, SONDE__PLACE)

static inline void sonde__mutex_leave(struct sonde_mutex **mutex)
{
	sonde_mutex_unlock(*mutex);
}

static inline void sonde__rwlock_read_leave(struct sonde_rwlock **rwlock)
{
	sonde_rwlock_read_unlock(*rwlock);
}

static inline void sonde__rwlock_write_leave(struct sonde_rwlock **rwlock)
{
	sonde_rwlock_write_unlock(*rwlock);
}

/* Ends at the end of the block: SONDE_MUTEX_AUTODEINIT struct sonde_mutex mutex; */
#define SONDE_MUTEX_AUTODEINIT SONDE_CLEANUP(sonde_mutex_deinit)
#define SONDE_RWLOCK_AUTODEINIT SONDE_CLEANUP(sonde_rwlock_deinit)
#define SONDE_CONDITION_AUTODEINIT SONDE_CLEANUP(sonde_condition_deinit)

SONDE_END_DECLS

#endif
