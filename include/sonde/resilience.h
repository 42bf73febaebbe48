/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_H
#define SONDE_RESILIENCE_H

/*
 * What the whole toolkit shares: how time and chance come in, and how what it decides goes out.
 *
 * Every part is a struct in the caller's memory with an init and a deinit, and an options struct in
 * which zero is the default. It works with no agent, and comes in two forms: ask and report, which
 * never blocks and suits an event loop, and run, which waits on the calling thread. A failure is a
 * typed error that the caller owns; where a real error came before it, that is its cause.
 *
 * An object stays where it was initialised until its deinit: it must not be copied or moved. What
 * it was given by pointer (names, clocks, observers, tokens) lives at least as long. After an init
 * that failed there is nothing to end, and a deinit does no harm.
 */

#include <sonde/base.h>
#include <sonde/error.h>

SONDE_BEGIN_DECLS

/*
 * Something that is tried, run or submitted. NULL: it went well; else the error, which whoever
 * called it owns.
 */
typedef struct sonde_error *sonde_operation_fn(void *argument);

/* ---- Time and chance ------------------------------------------------------------------------- */

/*
 * Where an object takes its time from; NULL in options is CLOCK_MONOTONIC. All that wait for each
 * other, and the deadlines they meet, have the same one.
 */
struct sonde_clock {
	/* Nanoseconds since any moment, never back, never UINT64_MAX. On any thread. */
	uint64_t (*now_ns)(void *user);
	/*
	 * In place of a real wait: has the time pass, until `until_ns` (UINT64_MAX: nothing but a
	 * wake-up would end it) or less. Called on the waiting thread, without locks. NULL: really
	 * waits.
	 */
	void (*wait)(void *user, uint64_t until_ns);
	void *user;
};

/* Uniform in [0, 1). NULL in options: the kernel's random numbers. */
typedef double sonde_random_fn(void *user);

/* ---- Observation ----------------------------------------------------------------------------- */

/* Who says it. The number is part of the ABI; new ones are appended. */
#define SONDE_PATTERN_MAP(X) \
	X(SONDE_PATTERN_RETRY, 0, "retry") \
	X(SONDE_PATTERN_BREAKER, 1, "breaker") \
	X(SONDE_PATTERN_DEADLINE, 2, "deadline") \
	X(SONDE_PATTERN_BULKHEAD, 3, "bulkhead") \
	X(SONDE_PATTERN_LIMITER, 4, "limiter") \
	X(SONDE_PATTERN_POOL, 5, "pool") \
	X(SONDE_PATTERN_GROUP, 6, "group") \
	X(SONDE_PATTERN_BATCHER, 7, "batcher") \
	X(SONDE_PATTERN_EMITTER, 8, "emitter") \
	X(SONDE_PATTERN_QUEUE, 9, "queue") \
	X(SONDE_PATTERN_LOCK, 10, "lock") \
	X(SONDE_PATTERN_STREAM, 11, "stream") \
	X(SONDE_PATTERN_POLICY, 12, "policy") \
	X(SONDE_PATTERN_CLEANUP, 13, "cleanup") \
	X(SONDE_PATTERN_WATCHDOG, 14, "watchdog")

enum sonde_pattern {
#define SONDE__PATTERN(name, number, key) name = number,
	SONDE_PATTERN_MAP(SONDE__PATTERN)
#undef SONDE__PATTERN
};
#define SONDE_PATTERN_COUNT 15

/* What happened; in brackets the fields that say more. */
#define SONDE_OBSERVED_MAP(X) \
	/* An attempt ended [attempt, duration_ns, error; delay_ns to the next, or is_last]. */ \
	X(SONDE_OBSERVED_ATTEMPT, 0, "attempt") \
	/* Something is in another state now [from, to; error that brought it about]. */ \
	X(SONDE_OBSERVED_STATE, 1, "state") \
	/* Somebody was turned away [error; duration_ns that he had waited]. */ \
	X(SONDE_OBSERVED_REJECTION, 2, "rejection") \
	/* A wait is over, and it was granted [duration_ns]. */ \
	X(SONDE_OBSERVED_WAIT, 3, "wait") \
	/* A task, handler or batch has run [duration_ns, count of items, error]. */ \
	X(SONDE_OBSERVED_RUN, 4, "run") \
	/* An error that nobody will be given [error]. The agent captures it. */ \
	X(SONDE_OBSERVED_ORPHAN, 5, "orphan") \
	/* What was accepted will never run or arrive [count]. */ \
	X(SONDE_OBSERVED_DROP, 6, "drop") \
	/* It has taken longer than it should, and goes on [duration_ns, error]. */ \
	X(SONDE_OBSERVED_STALL, 7, "stall") \
	/* The stall is over [duration_ns]. */ \
	X(SONDE_OBSERVED_RECOVERY, 8, "recovery")

enum sonde_observed {
#define SONDE__OBSERVED(name, number, key) name = number,
	SONDE_OBSERVED_MAP(SONDE__OBSERVED)
#undef SONDE__OBSERVED
};
#define SONDE_OBSERVED_COUNT 9

/* "breaker" and "rejection"; never NULL. Async-signal-safe. */
SONDE_API const char *sonde_pattern_name(enum sonde_pattern pattern);
SONDE_API const char *sonde_observed_name(enum sonde_observed what);

/* Valid during the call alone. */
struct sonde_observation {
	enum sonde_pattern pattern;
	enum sonde_observed what;
	const char *name; /* The object's, as in its options; never NULL, perhaps empty. */
	const char *from; /* States are static words: "closed", "open". */
	const char *to;
	uint32_t attempt; /* From 1 on. */
	bool is_last;
	uint64_t duration_ns;
	uint64_t delay_ns;
	uint64_t count;
	const struct sonde_error *error; /* Borrowed; or NULL. */
};

/*
 * Hears of it on the thread on which it happened, with none of the object's locks held, so that it
 * may call the object. It must return soon and by return alone. Across processes, each hears of
 * what itself has done.
 */
typedef void sonde_observer_fn(void *user, const struct sonde_observation *observation);

/* NULL in options: the process's observer alone, which is the agent's while one runs. */
struct sonde_observer {
	sonde_observer_fn *observe;
	void *user;
};

SONDE_END_DECLS

#endif
