/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RETRY_H
#define SONDE_RETRY_H

/*
 * Trying again what failed: how often, after which delay, and for which errors.
 *
 *	struct sonde_retry retry;
 *
 *	sonde_retry_init(&retry, &(struct sonde_retry_options){ .name = "price list" });
 *	error = sonde_retry_run(&retry, fetch_prices, &request, &cancel);
 *
 * or, in an event loop, which it never blocks:
 *
 *	sonde_retry_call_begin(&call, &retry);
 *	…an attempt failed…
 *	if (sonde_retry_call_report(&call, error, SONDE_RETRY_NO_WISH, &delay_ns))
 *		…arm a timer, then make the next attempt…
 *	else
 *		error = sonde_retry_call_end(&call);
 *
 * What the caller gets is the last real error: that the attempts are used up is said in a context
 * of the same type around it ("gave up after 3 attempts in 2.9 s"). Where the deadline ended it, it
 * is a sonde_timeout, and where the token did, a sonde_cancelled, of which it is the cause. A wait
 * that would end at the deadline or past it is never begun. An error that is not worth another
 * attempt is returned as it is.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* ---- The budget ------------------------------------------------------------------------------ */

/*
 * Bounds retries to a share of the calls, for all that use it together: while one call in a
 * thousand fails each is tried again, and when everything fails the other side hears little more
 * than it would without retries. Each call pays `ratio` of a retry in, each retry takes one out;
 * and some are there every second for those that call rarely.
 *
 * Any number of threads at once; lock-free, no allocation, async-signal-safe where the clock is.
 * In memory that forked processes share it is theirs in common, and one that dies holds nothing.
 */
struct sonde_retry_budget {
	uint64_t opaque[12];
};

struct sonde_retry_budget_options {
	const char *name; /* In telemetry; must outlive the budget. */
	double ratio; /* Retries for each call. 0: 0.2. Less: none. At most 1000. */
	double min_per_second; /* And besides, each second. 0: 10. Less: none. 0.001 to 10^6. */
	uint32_t burst; /* At most so many are kept, of each kind. 0: 100. At most 10^6. */
	const struct sonde_clock *clock;
};

/* SONDE_E_INVALID: no budget, or an option out of its range. */
SONDE_API int sonde_retry_budget_init(struct sonde_retry_budget *budget,
				      const struct sonde_retry_budget_options *options);
SONDE_API void sonde_retry_budget_deinit(struct sonde_retry_budget *budget);
#define SONDE_RETRY_BUDGET_AUTODEINIT SONDE_CLEANUP(sonde_retry_budget_deinit)

/* A call begins; not its retries. For those who retry by other means: a retry does it itself. */
SONDE_API void sonde_retry_budget_add_call(struct sonde_retry_budget *budget);
/* Takes a retry out. False: there is none. For NULL there always is. */
SONDE_API bool sonde_retry_budget_try_acquire(struct sonde_retry_budget *budget)
	__attribute__((warn_unused_result));
/* Whole retries that it has now. */
SONDE_API uint32_t sonde_retry_budget_left(const struct sonde_retry_budget *budget);

/* ---- The rules ------------------------------------------------------------------------------- */

/*
 * What chance makes of a delay d, which is first_delay × factor^n and at most max_delay. Without it
 * those who failed together come back together.
 */
enum sonde_jitter {
	SONDE_JITTER_SPREAD = 0, /* Half of d to one and a half. */
	SONDE_JITTER_FULL = 1, /* 0 to d. */
	SONDE_JITTER_EQUAL = 2, /* Half of d to d. */
	/* first_delay to three times the delay before, at most max_delay; factor is not used. */
	SONDE_JITTER_DECORRELATED = 3,
	SONDE_JITTER_NONE = 4, /* d. */
};

/* Whether `error`, of attempt number `attempt`, is worth another one. Borrows it. */
typedef bool sonde_retry_filter_fn(void *user, const struct sonde_error *error, uint32_t attempt);

struct sonde_retry_options {
	const char *name; /* In telemetry; must outlive the retry. */
	uint32_t attempts; /* In all. 0: 3. UINT32_MAX: without end. */
	enum sonde_jitter jitter;
	uint64_t first_delay_ms; /* 0: 1000. */
	uint64_t max_delay_ms; /* 0: 60 000. UINT64_MAX: none. Before chance has its say. */
	double factor; /* From one delay to the next. 0: 2.0. At least 1. */
	bool is_immediate; /* No delay but those that the server asks for. */
	uint64_t attempt_timeout_ms; /* Each attempt's deadline. 0: none but the context's. */
	/*
	 * Where the server asks for a longer delay than this it is not asked again: sooner would be
	 * refused, and later nobody waits. 0: 60 000. UINT64_MAX: none.
	 */
	uint64_t max_retry_after_ms;
	/* Only errors of these types, or none of them for all; must outlive the retry. */
	const struct sonde_error_type *const *types;
	size_t n_types;
	/* And of these only those that it says yes to. NULL: as below. */
	sonde_retry_filter_fn *filter;
	void *filter_user;
	/* Neither types nor filter: what sonde_error_is_retryable says. */
	struct sonde_retry_budget *budget; /* NULL: none. Outlives the retry. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	sonde_random_fn *random; /* Called by any thread that retries. */
	void *random_user;
};

/* Never changes after its init: any number of threads at once, also after fork. */
struct sonde_retry {
	uint64_t opaque[32];
};

/* SONDE_E_INVALID: no retry, or an option out of its range. */
SONDE_API int sonde_retry_init(struct sonde_retry *retry,
			       const struct sonde_retry_options *options);
/* Nobody uses it any more. Harmless for NULL. */
SONDE_API void sonde_retry_deinit(struct sonde_retry *retry);
#define SONDE_RETRY_AUTODEINIT SONDE_CLEANUP(sonde_retry_deinit)

/* ---- Ask and report -------------------------------------------------------------------------- */

/* "Nobody asked for a certain delay, but the error itself (sonde_error_set_retry_after)." */
#define SONDE_RETRY_NO_WISH UINT64_MAX

/* One call with all its attempts: one thread at a time. It may move between threads. */
struct sonde_retry_call {
	uint64_t opaque[40];
};

/*
 * A call begins: its deadline is that of the context that is current now. `retry` outlives it;
 * NULL: all defaults. Allocates nothing, never blocks.
 */
SONDE_API void sonde_retry_call_begin(struct sonde_retry_call *call,
				      const struct sonde_retry *retry);

/*
 * An attempt begins: the first one, and the next when its delay is over. Returns how long it may
 * take, by the call's deadline and attempt_timeout_ms, in nanoseconds; 0: no time is left;
 * UINT64_MAX: no limit. Without it an attempt is taken to begin with the call, or at the end of the
 * delay.
 */
SONDE_API uint64_t sonde_retry_call_attempt(struct sonde_retry_call *call);

/*
 * The attempt has ended: well, with NULL, or with an error, which the call takes over. True: make
 * another one, *ret_delay_ns from now. False, and nothing is written: that was the last one. A wish
 * is the delay that the server asked for; it is taken without chance, shorter or longer than the
 * computed one, and counts before the error's own. Once for each attempt: a second time would be
 * the next one's; after the last it changes nothing, and the error is freed. Observed: each failed
 * attempt, and the one that went well after others that did not; and, by who runs it all, a
 * rejection where an attempt was not made, at first or after a delay, because the deadline was over
 * or the token fired.
 */
SONDE_API bool sonde_retry_call_report(struct sonde_retry_call *call, struct sonde_error *error,
				       uint64_t wish_ns, uint64_t *ret_delay_ns)
	__attribute__((warn_unused_result));

/* How many attempts were reported. */
SONDE_API uint32_t sonde_retry_call_attempts(const struct sonde_retry_call *call);

/*
 * What came of it, NULL: it went well. The error is the caller's. Before the last attempt: whatever
 * was reported last, as it is; so does whoever wants to try no more.
 */
SONDE_API struct sonde_error *sonde_retry_call_end(struct sonde_retry_call *call)
	__attribute__((warn_unused_result));

/* Frees what is still in it. Harmless after sonde_retry_call_end and for NULL. */
SONDE_API void sonde_retry_call_deinit(struct sonde_retry_call *call);
#define SONDE_RETRY_CALL_AUTODEINIT SONDE_CLEANUP(sonde_retry_call_deinit)

/* ---- Run ------------------------------------------------------------------------------------- */

/*
 * Calls the operation until it goes well or is not to be tried again, on the calling thread, which
 * waits in between. In each attempt the current context has that attempt's deadline. It is not
 * called at all where the deadline is over or the token fired before. What goes well counts,
 * however late. `retry` may be NULL: all defaults. `cancel`, which may be NULL, ends the waiting at
 * once; the operation itself has to look at it.
 */
SONDE_API struct sonde_error *sonde_retry_run(const struct sonde_retry *retry,
					      sonde_operation_fn *operation, void *argument,
					      struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

SONDE_END_DECLS

#endif
