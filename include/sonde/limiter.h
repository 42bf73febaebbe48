/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_LIMITER_H
#define SONDE_LIMITER_H

/*
 * How much may be done in a time: by everybody, or by each client, tenant or address, which is a
 * key. Each key has a bucket of tokens that fills evenly; who finds too few in it is told how long
 * until there are enough, or waits.
 *
 *	static struct sonde_limiter limiter;
 *	const struct sonde_limiter_options options = { .name = "api", .permits = 100, .burst = 20 };
 *
 *	sonde_limiter_init(&limiter, &options);
 *	…
 *	if (!sonde_limiter_try_acquire(&limiter, client, 1, &wait_ns))
 *		return answer_too_many(request, wait_ns);
 *
 * In any time t a bucket gives at most burst + t * permits / period. There is no lock in the way;
 * the memory is taken at init and is all there is. A forked child counts by itself. After 18 years
 * nothing fills any more. NULL for a limiter limits nobody.
 */

#include <sonde/cancel.h>
#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/* Caller's memory; nothing in it is to be read. */
struct sonde_limiter {
	uint64_t opaque[32];
};

/* What becomes of a key that is new where all buckets that it could have are in use. */
enum sonde_limiter_overflow {
	/*
	 * It takes the bucket that is nearest to full, whose key begins anew: nginx's way. Somebody
	 * who makes keys up by the thousand can empty the table of what it knows.
	 */
	SONDE_LIMITER_EVICT = 0,
	/* It shares one more bucket with all others like it, until there is room. */
	SONDE_LIMITER_SHARE = 1,
};

/* 5 GB, of which what is never used costs nothing. */
#define SONDE_LIMITER_KEYS_MAX (1 << 28)

struct sonde_limiter_options {
	const char *name; /* For telemetry; NULL: "". */
	uint32_t permits; /* In a period. 0: 50, as resilience4j's limitForPeriod. */
	/*
	 * 0: 1,000. resilience4j's limitRefreshPeriod is 500 ns, which limits nobody; a second is
	 * what its guide, and Guava's and Go's limiters, count by.
	 */
	uint64_t period_ms;
	uint32_t burst; /* At once, after a pause. 0: `permits`. */
	/*
	 * How many keys have buckets, 16 bytes each. 0: 16,384, which is nginx's megabyte. Rounded
	 * up to a multiple of seven. At most SONDE_LIMITER_KEYS_MAX.
	 */
	uint32_t max_keys;
	enum sonde_limiter_overflow overflow;
	/* Of acquire and run. 0: 5,000, as resilience4j's timeoutDuration. UINT64_MAX: no limit. */
	uint64_t max_wait_ms;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
};

/*
 * `options` may be NULL. SONDE_E_INVALID: no limiter; a burst that takes more than 4 years to fill;
 * too many keys. SONDE_E_NOMEM. Not async-signal-safe.
 */
SONDE_API int sonde_limiter_init(struct sonde_limiter *limiter,
				 const struct sonde_limiter_options *options);

/* Nobody uses it any more. Harmless for NULL, and the second time. */
SONDE_API void sonde_limiter_deinit(struct sonde_limiter *limiter);

/*
 * Takes `n` tokens of the key's, text that ends with a zero; NULL: of the bucket of those without a
 * key. False: there are too few, and *ret_wait_ns (may be NULL) says how long until there would be
 * enough, if nobody else came; UINT64_MAX: never, because n is more than the burst. On any thread;
 * never waits, allocates nothing; lock-free for keys that have a bucket. For new ones it tries some
 * times to be the only one that gives out buckets in that corner of the table, and takes from the
 * shared one where it is not.
 */
SONDE_API bool sonde_limiter_try_acquire(struct sonde_limiter *limiter, const char *key,
					 uint32_t n, uint64_t *ret_wait_ns)
	__attribute__((warn_unused_result));

/* How long until try_acquire might succeed; takes nothing. 0: now. UINT64_MAX: never. Wait-free. */
SONDE_API uint64_t sonde_limiter_wait_ns(const struct sonde_limiter *limiter, const char *key,
					 uint32_t n);

/*
 * Takes the tokens as soon as they are there: it has them reserved at once, so that who came first
 * goes first, and waits. NULL: taken. Else the caller's error, without waiting where the wait would
 * be too long:
 *
 *	sonde_rate_limited	it would be longer than max_wait_ms or than the deadline allows; 429,
 *				with the wait as its retry-after
 *	sonde_timeout		the context's deadline is over; the cause is the one above
 *	sonde_cancelled		`cancel`, which may be NULL, was fired; what was reserved is given
 *				back where nobody has come after
 *
 * May block; on any thread.
 */
SONDE_API struct sonde_error *sonde_limiter_acquire(struct sonde_limiter *limiter, const char *key,
						    uint32_t n, struct sonde_cancel *cancel)
	__attribute__((warn_unused_result));

/* Acquires one, and runs the operation on this thread. The operation's error, or acquire's. */
SONDE_API struct sonde_error *sonde_limiter_run(struct sonde_limiter *limiter, const char *key,
						struct sonde_cancel *cancel,
						sonde_operation_fn *operation, void *argument)
	__attribute__((warn_unused_result));

/* Since init, each number by itself. */
struct sonde_limiter_figures {
	uint32_t n_keys_max; /* As rounded. */
	uint64_t n_limited; /* Turned away. */
	uint64_t n_waited; /* Let through after a wait. */
	uint64_t n_cancelled;
	uint64_t n_forgotten; /* Keys that lost a bucket that was full: nothing is lost with it. */
	uint64_t n_evicted; /* Keys that lost one that was not, and began anew. */
	uint64_t n_shared; /* Times that a key without a bucket took from the shared one. */
};

SONDE_API void sonde_limiter_read(const struct sonde_limiter *limiter,
				  struct sonde_limiter_figures *ret);

/* Ends at the end of the block: SONDE_LIMITER_AUTODEINIT struct sonde_limiter limiter; */
#define SONDE_LIMITER_AUTODEINIT SONDE_CLEANUP(sonde_limiter_deinit)

SONDE_END_DECLS

#endif
