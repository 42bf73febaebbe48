/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_DEADLINE_H
#define SONDE_DEADLINE_H

/*
 * Until when the current work is worth doing. The deadline is a moment, and stands in the current
 * context: what is called below has it, a copy of the context takes it to another thread, and every
 * wait of the toolkit ends at it.
 *
 *	SONDE_DEADLINE(250);
 *	…	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, sonde_deadline_client_ms(NULL));
 *	…	if (sonde_deadline_is_over(NULL))
 *			return sonde_deadline_error(error);
 *
 * A deadline below another one is never later: the sooner of the two counts. A scope's end brings
 * back what was before it, and scopes end in reverse order, in the context in which they began.
 * Attaching a context brings that context's deadline, or none: it is other work.
 *
 * A moment is one of CLOCK_MONOTONIC, or of the clock that is given wherever the deadline is set,
 * asked for and waited for; that is the same everywhere. Works with no agent. All but
 * sonde_deadline_error, _run and the timers: wait-free, no allocation, async-signal-safe where the
 * clock is.
 */

#include <sonde/context.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* ---- Scopes ---------------------------------------------------------------------------------- */

/* Caller's memory for one scope; nothing in it is to be read. */
struct sonde_deadline {
	uint64_t opaque[4];
};

/* For the rest of the enclosing block: `limit_ms` from now on. 0: over at once. */
#define SONDE_DEADLINE(limit_ms) \
	SONDE__DEADLINE(SONDE__CAT(sonde__deadline_, __COUNTER__), limit_ms)
#define SONDE__DEADLINE(variable, limit_ms) \
	struct sonde_deadline variable __attribute__((cleanup(sonde_deadline_end), unused)); \
	sonde_deadline_begin(&variable, (limit_ms), /* clock= */ 0)

/*
 * For the rest of the enclosing block: no deadline. For what has to be done although time is over:
 * undoing, giving back. Whatever sets a limit below has it from then on.
 */
#define SONDE_DEADLINE_SHIELD() SONDE__DEADLINE_SHIELD(SONDE__CAT(sonde__deadline_, __COUNTER__))
#define SONDE__DEADLINE_SHIELD(variable) \
	struct sonde_deadline variable __attribute__((cleanup(sonde_deadline_end), unused)); \
	sonde_deadline_shield(&variable)

/* As the macros; every begin has its end. `clock` may be NULL, here and below. */
SONDE_API void sonde_deadline_begin(struct sonde_deadline *deadline, uint64_t limit_ms,
				    const struct sonde_clock *clock);
SONDE_API void sonde_deadline_begin_ns(struct sonde_deadline *deadline, uint64_t limit_ns,
				       const struct sonde_clock *clock);
/* At a moment of the clock; UINT64_MAX: none of its own. */
SONDE_API void sonde_deadline_begin_at(struct sonde_deadline *deadline, uint64_t moment_ns);
SONDE_API void sonde_deadline_shield(struct sonde_deadline *deadline);

/* Harmless the second time, for NULL, and where another context was attached since. */
SONDE_API void sonde_deadline_end(struct sonde_deadline *deadline);

/* Ends at the end of the block: SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline; */
#define SONDE_DEADLINE_AUTOEND SONDE_CLEANUP(sonde_deadline_end)

/* ---- What is left ---------------------------------------------------------------------------- */

/* The current deadline as a moment; UINT64_MAX: there is none. No clock is read. */
SONDE_API uint64_t sonde_deadline_moment_ns(void);

/* 0: over; UINT64_MAX: there is none. Milliseconds are rounded up: they are 0 only when over. */
SONDE_API uint64_t sonde_deadline_left_ns(const struct sonde_clock *clock);
SONDE_API uint64_t sonde_deadline_left_ms(const struct sonde_clock *clock);

/* Never where there is none. */
SONDE_API bool sonde_deadline_is_over(const struct sonde_clock *clock);

/*
 * For poll, epoll_wait and whatever takes -1 for "no limit" and 0 for "do not wait": rounded up, so
 * that who waits this long finds it over.
 */
SONDE_API int sonde_deadline_poll_ms(const struct sonde_clock *clock);

/*
 * For clients that take 0 for "no limit", as CURLOPT_TIMEOUT_MS and PostgreSQL's statement_timeout
 * do: at least 1 where there is a deadline, also where it is over; rounded up; at most INT_MAX.
 */
SONDE_API int sonde_deadline_client_ms(const struct sonde_clock *clock);

/*
 * A new sonde_timeout "over the deadline", caused by `cause`, the last real error, which it takes
 * over; NULL: nothing went wrong before. Whoever asks has found that it is over.
 */
#define sonde_deadline_error(cause) \
	sonde_deadline_error_at(cause, __FILE__, __LINE__, __func__)
SONDE_API struct sonde_error *sonde_deadline_error_at(struct sonde_error *cause, const char *file,
						      int line, const char *function)
	__attribute__((returns_nonnull, warn_unused_result));

/* ---- To others, and from them ---------------------------------------------------------------- */

/*
 * Which headers say how much time is left: gRPC's "grpc-timeout"; "x-request-timeout", in seconds
 * with a fraction; Envoy's, which has one for the request that it is sent
 * ("x-envoy-upstream-rq-timeout-ms") and one for the request that it sends on
 * ("x-envoy-expected-rq-timeout-ms").
 */
#define SONDE_DEADLINE_HEADER_GRPC 1u
#define SONDE_DEADLINE_HEADER_SECONDS 2u
#define SONDE_DEADLINE_HEADER_ENVOY 4u

/*
 * Sets those of the headers (an or of the above) to what is left; none where there is no deadline.
 * Rounded down, so that nobody is given more than there is, but never to 0, which would be "no
 * limit" for some: where it is over, the smallest amount that the header can say.
 */
SONDE_API void sonde_deadline_inject(unsigned headers, const struct sonde_clock *clock,
				     sonde_header_set_fn *set, void *carrier);

/*
 * Reads all three from a request; the shortest counts. SONDE_E_NOT_FOUND: there is none;
 * SONDE_E_MALFORMED: none that could be read; *ret_limit_ns is untouched then. It is the sender's
 * word: bound it, as the next function does. Pure.
 */
SONDE_API int sonde_deadline_extract(sonde_header_get_fn *get, void *carrier,
				     uint64_t *ret_limit_ns);

/*
 * A request's scope: what its headers leave it, and at most `limit_ms`, which also counts where
 * they say nothing, or nonsense.
 */
SONDE_API void sonde_deadline_begin_request(struct sonde_deadline *deadline, uint64_t limit_ms,
					    const struct sonde_clock *clock,
					    sonde_header_get_fn *get, void *carrier);

/* For the rest of the enclosing block: SONDE_REQUEST_DEADLINE(30000, header_get, request); */
#define SONDE_REQUEST_DEADLINE(limit_ms, get, carrier) \
	SONDE__REQUEST_DEADLINE(SONDE__CAT(sonde__deadline_, __COUNTER__), limit_ms, get, carrier)
#define SONDE__REQUEST_DEADLINE(variable, limit_ms, get, carrier) \
	struct sonde_deadline variable __attribute__((cleanup(sonde_deadline_end), unused)); \
	sonde_deadline_begin_request(&variable, (limit_ms), /* clock= */ 0, (get), (carrier))

/*
 * The value of "grpc-timeout": up to 8 digits and a unit (HMSmun). The first writes what
 * `limit_ns`, which is not UINT64_MAX, is in the smallest unit that has room for it, and a zero;
 * the second returns SONDE_E_MALFORMED for anything else, and UINT64_MAX for what is longer than
 * time goes. Standard: gRPC over HTTP/2, Requests. Pure.
 */
#define SONDE_DEADLINE_GRPC_SIZE 10
SONDE_API void sonde_deadline_format_grpc(uint64_t limit_ns, char buffer[SONDE_DEADLINE_GRPC_SIZE]);
SONDE_API int sonde_deadline_parse_grpc(const char *value, uint64_t *ret_limit_ns);

/* ---- In an event loop ------------------------------------------------------------------------ */

/*
 * A timerfd that is readable from the current deadline on, never where there is none: to be polled,
 * and closed by the caller. The second gives one the deadline that is current now. Of
 * CLOCK_MONOTONIC alone. SONDE_E_SYSTEM: the system gave none, or it is no timerfd.
 */
SONDE_API int sonde_deadline_timer_open(void);
SONDE_API int sonde_deadline_timer_set(int fd);

/* ---- A context's ----------------------------------------------------------------------------- */

/* As sonde_deadline_moment_ns(), of a context that is kept: a request in an event loop. */
SONDE_API uint64_t sonde_context_deadline_ns(const struct sonde_context *context);

/* Makes the context's deadline that moment, where it has none or a later one. */
SONDE_API void sonde_context_limit(struct sonde_context *context, uint64_t moment_ns);

/* ---- Running with a limit -------------------------------------------------------------------- */

struct sonde_deadline_options {
	const char *name; /* In telemetry; must outlive the call. */
	uint64_t limit_ms; /* 0: 30 000. UINT64_MAX: no limit but the context's. */
	bool accepts_late; /* What went well counts, however late. */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/*
 * Runs the operation on the calling thread below a deadline, and says what came of it in time: NULL
 * or the operation's error. What comes later is a sonde_timeout, whose cause is the operation's
 * error, if it had one; an error that is a sonde_timeout already stays as it is. Where the deadline
 * is over before it begins, it is not run at all.
 *
 * It ends nothing by force: the operation waits in the toolkit's calls, asks what is left, or hands
 * it to its client. What a late success has made is the caller's to free: it knows the argument.
 * Observed: run, and rejection where it was not run.
 */
SONDE_API struct sonde_error *sonde_deadline_run(const struct sonde_deadline_options *options,
						 sonde_operation_fn *operation, void *argument)
	__attribute__((warn_unused_result));

SONDE_END_DECLS

#endif
