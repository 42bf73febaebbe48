/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_POLICY_H
#define SONDE_POLICY_H

/*
 * Several guards around one operation, in one order, whatever the order they are written in:
 *
 *	fallback ( deadline > retry > breaker > bulkhead > limiter > operation )
 *
 *	sonde_policy_init(&policy, &(struct sonde_policy_options){ .name = "prices",
 *			  .timeout_ms = 2000, .retry = &retry, .breaker = &breaker });
 *	error = sonde_policy_run(&policy, fetch_prices, &request, &cancel);
 *
 * Each may be left out. The deadline is the whole call's, waits included. Each attempt asks the
 * breaker, then takes a permit of the bulkhead and a token of the limiter; what turned it away is
 * not tried again, because they say that now is not the time. The breaker hears of each attempt
 * that was made, and of nothing else; how slow it was is measured from the operation on, not from
 * the wait for a permit. The fallback is given the error when nothing else helped.
 *
 * The parts are the caller's, may be shared by many policies, outlive them, and have the same
 * clock. An error that a policy returns says so: attributes sonde.policy.name, .stage (which part
 * had the last word) and .order.
 */

#include <sonde/breaker.h>
#include <sonde/bulkhead.h>
#include <sonde/cancel.h>
#include <sonde/limiter.h>
#include <sonde/resilience.h>
#include <sonde/retry.h>

SONDE_BEGIN_DECLS

/* Whose bucket of the limiter it is: text that ends with a zero, or NULL. */
typedef const char *sonde_policy_key_fn(void *argument);

/*
 * Stands in for an operation that failed. It takes `error` over, and returns NULL where that is
 * made good, else an error: the same, or one that wraps it. Runs after the policy's deadline, in
 * the caller's context, and with nothing held. Not asked where the token ended it.
 */
typedef struct sonde_error *sonde_policy_fallback_fn(void *user, void *argument,
						     struct sonde_error *error);

/* Zero in any field: without it. */
struct sonde_policy_options {
	const char *name; /* In telemetry; must outlive the policy. */
	uint64_t timeout_ms; /* UINT64_MAX, too, is none but the context's. */
	const struct sonde_retry *retry;
	struct sonde_breaker *breaker;
	struct sonde_bulkhead *bulkhead;
	struct sonde_limiter *limiter;
	sonde_policy_key_fn *key; /* NULL: the limiter's bucket of those without a key. */
	/*
	 * What breaker, bulkhead and limiter turned away goes through the retry's filter as other
	 * errors do, which by itself takes those of the last two. Default: it ends the call.
	 */
	bool retries_rejections;
	sonde_policy_fallback_fn *fallback;
	void *fallback_user;
	const struct sonde_clock *clock; /* NULL: the retry's. */
	const struct sonde_observer *observer;
};

/* Never changes after its init: any number of threads at once, also after fork. */
struct sonde_policy {
	uint64_t opaque[80];
};

/* `options` may be NULL. SONDE_E_INVALID: no policy. */
SONDE_API int sonde_policy_init(struct sonde_policy *policy,
				const struct sonde_policy_options *options);
/* Nobody uses it any more. Harmless for NULL, and the second time. */
SONDE_API void sonde_policy_deinit(struct sonde_policy *policy);
#define SONDE_POLICY_AUTODEINIT SONDE_CLEANUP(sonde_policy_deinit)

/* "fallback(deadline > retry > operation)": what it has, in its order. Lives as the policy does. */
SONDE_API const char *sonde_policy_order(const struct sonde_policy *policy);

/*
 * Calls the operation on the calling thread, as often as the policy says, and waits in between and
 * for permits. In each attempt the current context has that attempt's deadline. It is not called at
 * all where the deadline is over or the token, which may be NULL, fired before. What goes well
 * counts, however late; what fails past the deadline is a sonde_timeout caused by it. Observed
 * (run: duration, count of attempts, error; from: the stage; to: "ok", "error", "fallback" or
 * "fallback_failed"): whatever did not go well at once.
 */
SONDE_API struct sonde_error *sonde_policy_run(const struct sonde_policy *policy,
					       sonde_operation_fn *operation, void *argument,
					       struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/* ---- Ask and report -------------------------------------------------------------------------- */

/*
 * For event loops: never blocks. Who finds no permit is turned away; a loop that would rather queue
 * asks the bulkhead itself (sonde_bulkhead_ask).
 *
 *	sonde_policy_call_begin(&call, &policy, request);
 *	…and, then and whenever the timer fires or the attempt was reported:
 *	switch (sonde_policy_call_next(&call, &ns)) {
 *	case SONDE_POLICY_GO:	…begin the attempt, which may take ns; report it when it has ended…
 *	case SONDE_POLICY_WAIT:	…arm a timer for ns…
 *	case SONDE_POLICY_DONE:	error = sonde_policy_call_end(&call);
 *	}
 */
enum sonde_policy_step {
	SONDE_POLICY_GO = 0, /* Make an attempt now; UINT64_MAX ns: as long as it takes. */
	SONDE_POLICY_WAIT = 1, /* Ask again when so much time has passed. */
	SONDE_POLICY_DONE = 2, /* There is no other attempt. */
};

/* One call with all its attempts: one thread at a time. It may move between threads. */
struct sonde_policy_call {
	uint64_t opaque[72];
};

/* A call begins: its deadline is the policy's, or the current context's if that is sooner. */
SONDE_API void sonde_policy_call_begin(struct sonde_policy_call *call,
				       const struct sonde_policy *policy, void *argument);

/* What now? GO has taken what the attempt needs; asked again before the report it says the same. */
SONDE_API enum sonde_policy_step sonde_policy_call_next(struct sonde_policy_call *call,
							uint64_t *ret_ns)
	__attribute__((warn_unused_result));

/*
 * The attempt has ended: NULL, or an error, which the call takes over. Gives back what the attempt
 * held. Without a GO before it the error is freed and nothing changes.
 */
SONDE_API void sonde_policy_call_report(struct sonde_policy_call *call, struct sonde_error *error);

/*
 * What came of it, after the fallback if there is one; the caller's. Before DONE: whoever wants to
 * try no more gets the error that was reported last as it is, the fallback is not asked, and an
 * attempt under way counts for nothing.
 */
SONDE_API struct sonde_error *sonde_policy_call_end(struct sonde_policy_call *call)
	__attribute__((warn_unused_result));

/* Gives back and frees what is still in it. Harmless after sonde_policy_call_end and for NULL. */
SONDE_API void sonde_policy_call_deinit(struct sonde_policy_call *call);
#define SONDE_POLICY_CALL_AUTODEINIT SONDE_CLEANUP(sonde_policy_call_deinit)

SONDE_END_DECLS

#endif
