/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BREAKER_H
#define SONDE_BREAKER_H

/*
 * A circuit breaker: stops asking somebody who does not answer, so that he is not asked to death
 * and nobody waits for him in vain, and finds out gently when he answers again.
 *
 *	static struct sonde_breaker prices; … sonde_breaker_init(&prices, NULL);
 *
 *	error = sonde_breaker_run(&prices, ask_for_prices, &request);
 *
 * or, where nothing may block, before the request and when its outcome is known:
 *
 *	struct sonde_breaker_ticket ticket;
 *
 *	error = sonde_breaker_try_acquire(&prices, &ticket);
 *	if (error)
 *		return error; (a sonde_circuit_open)
 *	…
 *	sonde_breaker_report(&prices, ticket, outcome);
 *
 * closed     everything passes; too many failures open it
 * open       nothing passes until the reset time is over, then it is half-open
 * half-open  some trials pass; they close it, or open it again
 *
 * One that is shared is the same for all processes forked after its init, in one pid namespace:
 * what one finds out, all know, and a process that dies, at whatever instruction, leaves nothing
 * stuck.
 */

#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* The number is part of the ABI. The last three are come to by sonde_breaker_force alone. */
#define SONDE_BREAKER_STATE_MAP(X) \
	X(SONDE_BREAKER_CLOSED, 0, "closed") \
	X(SONDE_BREAKER_OPEN, 1, "open") \
	X(SONDE_BREAKER_HALF_OPEN, 2, "half_open") \
	/* Isolated: nothing passes, for good. */ \
	X(SONDE_BREAKER_FORCED_OPEN, 3, "forced_open") \
	/* Everything passes and is counted, whatever comes of it. */ \
	X(SONDE_BREAKER_FORCED_CLOSED, 4, "forced_closed") \
	/* Everything passes, nothing is counted. */ \
	X(SONDE_BREAKER_DISABLED, 5, "disabled")

enum sonde_breaker_state {
#define SONDE__BREAKER_STATE(name, number, text) name = number,
	SONDE_BREAKER_STATE_MAP(SONDE__BREAKER_STATE)
#undef SONDE__BREAKER_STATE
};

/* "half_open"; never NULL. Async-signal-safe. */
SONDE_API const char *sonde_breaker_state_name(enum sonde_breaker_state state);

/* What opens it. */
enum sonde_breaker_mode {
	/* Failures in a row. */
	SONDE_BREAKER_CONSECUTIVE = 0,
	/* The share of failures, or of slow calls, of the last so many calls. */
	SONDE_BREAKER_COUNT_WINDOW = 1,
	/* The same of the last while, which goes on by tenths. */
	SONDE_BREAKER_TIME_WINDOW = 2,
};

/* What an outcome says of the one who was asked. */
enum sonde_breaker_verdict {
	SONDE_BREAKER_GOOD = 0, /* He answers, be it that the request was wrong. */
	SONDE_BREAKER_BAD = 1,
	SONDE_BREAKER_NEITHER = 2, /* He was not asked, or nobody knows what came of it. */
};

typedef enum sonde_breaker_verdict sonde_breaker_judge_fn(void *user,
							  const struct sonde_error *error);

/*
 * The default. GOOD: no error, and those whose HTTP status is below 500, as bad request, not found
 * and validation are. BAD: 500 and above. NEITHER: sonde_cancelled, sonde_circuit_open,
 * sonde_bulkhead_full, sonde_queue_full and sonde_rate_limited, with which the request did not get
 * through or was not waited for. Wait-free.
 */
SONDE_API enum sonde_breaker_verdict sonde_breaker_judge(const struct sonde_error *error);

#define SONDE_BREAKER_FAILURES_MAX 2000000
#define SONDE_BREAKER_HALF_OPEN_CALLS_MAX 1000
#define SONDE_BREAKER_TRIALS_AT_ONCE_MAX 16
#define SONDE_BREAKER_WINDOW_CALLS_MAX 4096

/* Zero in any field is the default named here. */
struct sonde_breaker_options {
	const char *name; /* ""; for telemetry and messages. */
	bool shared; /* No; with all processes forked from now on. */
	enum sonde_breaker_mode mode;

	uint32_t failures; /* 5 in a row; CONSECUTIVE alone. */

	/* These of the windows alone: */
	uint32_t window_calls; /* 100; COUNT_WINDOW alone. */
	uint64_t window_ms; /* 60000; TIME_WINDOW alone, at least 10. */
	uint32_t minimum_calls; /* 100, or window_calls where that is less. */
	double failure_rate; /* 0.5; from this share on it opens. */
	double slow_rate; /* 1.0 */
	uint64_t slow_call_ms; /* 60000; calls that take so long or longer are slow. */

	uint64_t reset_ms; /* 60000 from opening to the first trial; UINT64_MAX: never. */
	double reset_factor; /* 1.0; the reset time grows by it with each opening in a row. */
	uint64_t reset_max_ms; /* 600000, or reset_ms where that is more; before jitter. */
	double reset_jitter; /* 0.0; 0.1: 0.9 to 1.1 of it, at random. */

	/*
	 * 3 trials. Where rates decide, so many outcomes decide by the same shares; else so many
	 * successes close it, and the first failure opens it.
	 */
	uint32_t half_open_calls;
	uint32_t half_open_at_once; /* All of them, or 16: trials under way at a time. */
	/*
	 * 60000; a trial whose outcome was not reported by then, because it was forgotten or its
	 * process died, makes place for another. UINT64_MAX: never. The place of a process that is
	 * found dead is free at once.
	 */
	uint64_t trial_timeout_ms;

	/*
	 * What is BAD: errors of these types instead of those that sonde_breaker_judge says. What
	 * is NEITHER: errors of these types also. Both lists outlive the breaker.
	 */
	const struct sonde_error_type *const *failure_types;
	size_t n_failure_types;
	const struct sonde_error_type *const *ignored_types;
	size_t n_ignored_types;
	/* Decides alone, and must be as fast as it is called. Not asked where there is no error. */
	sonde_breaker_judge_fn *judge;
	void *judge_user;

	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	sonde_random_fn *random; /* Asked at an opening, where there is jitter. */
	void *random_user;
};

/* Caller's memory; nothing in it is to be read. */
struct sonde_breaker {
	uint64_t opaque[64];
};

/*
 * `options` is copied; NULL: all defaults. Allocates what it counts in; where it is shared, maps
 * it. SONDE_E_INVALID: no breaker, or an option is not valid, or of another mode. SONDE_E_NOMEM.
 * Takes a lock for a moment, as deinit does.
 */
SONDE_API int sonde_breaker_init(struct sonde_breaker *breaker,
				 const struct sonde_breaker_options *options);

/* Nobody uses it any more in this process. Harmless for NULL, and the second time. */
SONDE_API void sonde_breaker_deinit(struct sonde_breaker *breaker);

/* An attempt that was admitted. A value: it may be copied, and forgotten. All zero: of none. */
struct sonde_breaker_ticket {
	uint64_t started_ns; /* Of the breaker's clock; 0 where nobody needs it. */
	uint32_t generation; /* The state it was admitted in: each change begins another one. */
	uint32_t permit; /* Of a trial; else 0. */
};

/*
 * May an attempt be made now? NULL: yes, and its outcome is to be reported with *ret_ticket. Else
 * an error of type sonde_circuit_open, whose cause is a copy of the error that opened it, where
 * there was one, with its root cause, and which says how long to wait where that is known
 * (sonde_error_retry_after_ns); *ret_ticket is untouched. Lock-free; wait-free, without system
 * calls and allocation while closed.
 */
SONDE_API struct sonde_error *sonde_breaker_try_acquire(struct sonde_breaker *breaker,
							struct sonde_breaker_ticket *ret_ticket)
	__attribute__((warn_unused_result));

/*
 * How the attempt ended; NULL: well. `error` stays the caller's. Once for each ticket, by any
 * thread or process: a second time would count as another call while closed, and says nothing of a
 * trial. Nor does one that comes when the breaker has changed its state meanwhile. Lock-free.
 */
SONDE_API void sonde_breaker_report(struct sonde_breaker *breaker,
				    struct sonde_breaker_ticket ticket,
				    const struct sonde_error *error);

/* In place of a report: it is not known what came of it, or it was not made. Lock-free. */
SONDE_API void sonde_breaker_release(struct sonde_breaker *breaker,
				     struct sonde_breaker_ticket ticket);

/*
 * Acquires, calls `operation` on this thread, and reports. Returns its error, or the rejection,
 * which the caller owns; NULL: it went well.
 */
SONDE_API struct sonde_error *sonde_breaker_run(struct sonde_breaker *breaker,
						sonde_operation_fn *operation, void *argument)
	__attribute__((warn_unused_result));

/*
 * By hand, from whatever state it is in: CLOSED closes it and forgets what was counted; OPEN opens
 * it as failures would have, for a reset time; HALF_OPEN lets trials through; FORCED_OPEN isolates
 * it; FORCED_CLOSED and DISABLED take it out of the way. SONDE_E_INVALID: no such state. Lock-free.
 */
SONDE_API int sonde_breaker_force(struct sonde_breaker *breaker, enum sonde_breaker_state state);

/* Wait-free, async-signal-safe. */
SONDE_API enum sonde_breaker_state sonde_breaker_state_of(const struct sonde_breaker *breaker);

/* How long until a trial may pass; 0: now, or it is closed; UINT64_MAX: time will not do it. */
SONDE_API uint64_t sonde_breaker_wait_ns(const struct sonde_breaker *breaker);

/* What the present state goes by. */
struct sonde_breaker_counts {
	enum sonde_breaker_state state;
	uint32_t generation; /* Changes of state, and one. */
	uint32_t n_failures_in_a_row; /* CONSECUTIVE, while closed. */
	uint32_t n_openings_in_a_row; /* Since it was closed. */
	/* Of the window while closed; of the trials while half-open. */
	uint32_t n_calls;
	uint32_t n_failures;
	uint32_t n_slow;
	uint32_t n_trials; /* Under way, or forgotten. */
};

/* While others report, of no single moment. Wait-free. */
SONDE_API void sonde_breaker_counts(const struct sonde_breaker *breaker,
				    struct sonde_breaker_counts *ret);

/* Ends at the end of the block: SONDE_BREAKER_AUTODEINIT struct sonde_breaker breaker; */
#define SONDE_BREAKER_AUTODEINIT SONDE_CLEANUP(sonde_breaker_deinit)

SONDE_END_DECLS

#endif
