/* SPDX-License-Identifier: Apache-2.0 */
/* The limiter's public face: rates as durations, keys as hashes, who is turned away and told. */
#include <sonde/limiter.h>

#include <inttypes.h>
#include <string.h>

#include <sonde/deadline.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/random.h"
#include "base/siphash.h"
#include "resilience/buckets.h"
#include "resilience/clock.h"
#include "resilience/observe.h"
#include "resilience/park.h"

#define DEFAULT_PERMITS 50
#define DEFAULT_PERIOD_MS 1000
#define DEFAULT_KEYS 16384
#define DEFAULT_WAIT_MS 5000

/*
 * In units, of a burst or a wait, and of the time since the beginning, which are 18 years: the sum
 * of a moment, a burst, a wait and what is taken is not past 64 bits.
 */
#define LONGEST (UINT64_C(1) << 61)
#define LATEST (UINT64_C(1) << 63)

struct limiter {
	_Atomic uint64_t own; /* The bucket of those without a key. */
	uint64_t origin_ns;
	uint64_t interval; /* Units for one token. */
	uint64_t burst; /* Units. */
	uint32_t burst_tokens;
	uint32_t permits;
	uint64_t period_ms;
	uint64_t max_wait_ns;
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	struct sonde__siphash_key secret;
	struct sonde__buckets buckets;
	_Atomic uint64_t n_limited;
	_Atomic uint64_t n_waited;
	_Atomic uint64_t n_cancelled;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct limiter) <= sizeof(struct sonde_limiter), "a limiter fits");
_Static_assert(_Alignof(struct limiter) <= _Alignof(struct sonde_limiter), "and is aligned");

static struct limiter *limiter_of(const struct sonde_limiter *limiter)
{
	return (struct limiter *)(uintptr_t)limiter;
}

/* ---- Units ----------------------------------------------------------------------------------- */

static uint64_t units_of(uint64_t ns)
{
	return ns < LONGEST >> SONDE__BUCKET_UNITS_SHIFT ? ns << SONDE__BUCKET_UNITS_SHIFT :
							   LONGEST;
}

/* Rounded up: who waits that long is not too early. */
static uint64_t ns_of(uint64_t units)
{
	return (units + (1 << SONDE__BUCKET_UNITS_SHIFT) - 1) >> SONDE__BUCKET_UNITS_SHIFT;
}

static uint64_t units_now(const struct limiter *self, uint64_t now_ns)
{
	uint64_t ns = sonde__time_until(now_ns, self->origin_ns);

	return ns < LATEST >> SONDE__BUCKET_UNITS_SHIFT ? ns << SONDE__BUCKET_UNITS_SHIFT : LATEST;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

/* False: the numbers are past all use. */
static bool rate_set(struct limiter *self, const struct sonde_limiter_options *options)
{
	uint64_t period;

	self->permits = options->permits ? options->permits : DEFAULT_PERMITS;
	self->period_ms = options->period_ms ? options->period_ms : DEFAULT_PERIOD_MS;
	self->burst_tokens = options->burst ? options->burst : self->permits;
	period = units_of(sonde__ms_to_ns(self->period_ms));
	if (period == LONGEST)
		return false;
	/*
	 * Rounded up: never faster than was asked for, and slower by a sixteenth of 1 ns a token.
	 */
	self->interval = (period + self->permits - 1) / self->permits;
	self->burst = self->interval * self->burst_tokens;
	return self->burst / self->burst_tokens == self->interval && self->burst < LONGEST;
}

int sonde_limiter_init(struct sonde_limiter *limiter, const struct sonde_limiter_options *options)
{
	static const struct sonde_limiter_options none;
	struct limiter *self = limiter_of(limiter);
	struct limiter made = { 0 };
	int status;

	if (!options)
		options = &none;
	if (!limiter)
		return SONDE_E_INVALID;
	/* Nothing to end, where this fails. */
	memcpy(self, &made, sizeof(made));
	if ((unsigned)options->overflow > SONDE_LIMITER_SHARE ||
	    options->max_keys > SONDE_LIMITER_KEYS_MAX || !rate_set(&made, options))
		return SONDE_E_INVALID;
	made.name = options->name ? options->name : "";
	made.clock = options->clock;
	made.observer = options->observer;
	made.origin_ns = sonde__now_ns(options->clock);
	made.max_wait_ns = sonde__ms_to_ns(options->max_wait_ms ? options->max_wait_ms :
								  DEFAULT_WAIT_MS);
	if (sonde__random_bytes(&made.secret, sizeof(made.secret)))
		made.secret.words[0] = sonde__mix64(sonde__monotonic_ns() ^ (uintptr_t)limiter);
	status = sonde__buckets_init(&made.buckets,
				     options->max_keys ? options->max_keys : DEFAULT_KEYS,
				     options->overflow == SONDE_LIMITER_EVICT);
	if (status == SONDE_OK)
		memcpy(self, &made, sizeof(made));
	return status;
}

void sonde_limiter_deinit(struct sonde_limiter *limiter)
{
	if (limiter)
		sonde__buckets_deinit(&limiter_of(limiter)->buckets);
}

/* ---- Rejection ------------------------------------------------------------------------------- */

static void count(_Atomic uint64_t *counter)
{
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void observe(const struct limiter *self, enum sonde_observed what, uint64_t waited_ns,
		    const struct sonde_error *error)
{
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_LIMITER,
		.what = what,
		.name = self->name,
		.duration_ns = waited_ns,
		.error = error,
	};

	sonde__observe(self->observer, &observation);
}

/* Its message is for clients: it names nothing of ours. */
static struct sonde_error *limited_error(const struct limiter *self, uint64_t wait_ns)
{
	struct sonde_error *error;

	if (wait_ns == SONDE__NEVER) {
		error = sonde_error_raise(&sonde_rate_limited,
					  "more than can ever be asked for at once");
	} else {
		error = sonde_error_raise(&sonde_rate_limited,
					  "too many requests, again in %" PRIu64 " ms",
					  wait_ns / SONDE__NS_PER_MS +
						  (wait_ns % SONDE__NS_PER_MS != 0));
		sonde_error_set_retry_after(error, wait_ns);
	}
	sonde_error_set(error, sonde_str("limiter.name", self->name));
	sonde_error_set_detail(error, "%" PRIu32 " in %" PRIu64 " ms", self->permits,
			       self->period_ms);
	return error;
}

static struct sonde_error *reject(struct limiter *self, struct sonde_error *error,
				  uint64_t waited_ns)
{
	observe(self, SONDE_OBSERVED_REJECTION, waited_ns, error);
	return error;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

/* Never 0, which is nobody's. */
static uint64_t hash_of(const struct limiter *self, const char *key)
{
	uint64_t hash = sonde__siphash(&self->secret, key, strlen(key));

	return hash ? hash : 1;
}

struct taking {
	uint64_t now_ns;
	uint64_t wait; /* Units until the tokens are there; LONGEST: never. */
	uint64_t full_at; /* Where they are waited for: the moment that the bucket was given. */
};

static uint64_t wait_ns_of(const struct taking *taking)
{
	return taking->wait == LONGEST ? SONDE__NEVER : ns_of(taking->wait);
}

/* False: nothing was taken. */
static bool take(struct limiter *self, const char *key, uint32_t n, uint64_t max_wait_ns,
		 struct taking *taking)
{
	const struct sonde__bucket_ask ask = {
		.now = units_now(self, taking->now_ns),
		.cost = self->interval * n,
		.burst = self->burst,
		.max_wait = units_of(max_wait_ns),
	};
	bool is_taken;

	taking->wait = LONGEST;
	if (n > self->burst_tokens)
		return false;
	is_taken = key ? sonde__buckets_take(&self->buckets, hash_of(self, key), &ask,
					     &taking->wait) :
			 sonde__bucket_take(&self->own, &ask, &taking->wait);
	taking->full_at = ask.now + self->burst + taking->wait;
	return is_taken;
}

bool sonde_limiter_try_acquire(struct sonde_limiter *limiter, const char *key, uint32_t n,
			       uint64_t *ret_wait_ns)
{
	struct limiter *self = limiter_of(limiter);
	struct taking taking;
	uint64_t wait_ns;

	if (!limiter)
		return true;
	taking.now_ns = sonde__now_ns(self->clock);
	if (SONDE__LIKELY(take(self, key, n, /* max_wait_ns= */ 0, &taking)))
		return true;
	count(&self->n_limited);
	wait_ns = wait_ns_of(&taking);
	if (sonde__is_observed(self->observer))
		sonde_error_free(reject(self, limited_error(self, wait_ns), /* waited_ns= */ 0));
	if (ret_wait_ns)
		*ret_wait_ns = wait_ns;
	return false;
}

uint64_t sonde_limiter_wait_ns(const struct sonde_limiter *limiter, const char *key, uint32_t n)
{
	const struct limiter *self = limiter_of(limiter);
	uint64_t full_at;
	uint64_t ahead;

	if (!limiter)
		return 0;
	if (n > self->burst_tokens)
		return SONDE__NEVER;
	/* Relaxed: it is a look. */
	full_at = key ? sonde__buckets_look(&self->buckets, hash_of(self, key)) :
			atomic_load_explicit(&self->own, memory_order_relaxed);
	ahead = sonde__time_until(full_at, units_now(self, sonde__now_ns(self->clock))) +
		self->interval * n;
	return ahead > self->burst ? ns_of(ahead - self->burst) : 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/*
 * Gives back where nobody came after: who did was told a moment behind these tokens, and would meet
 * those there who take them once more.
 */
static void give_back(struct limiter *self, const char *key, uint32_t n,
		      const struct taking *taking)
{
	_Atomic uint64_t *bucket = key ? sonde__buckets_find(&self->buckets, hash_of(self, key)) :
					 &self->own;
	uint64_t full_at = taking->full_at;

	/* Relaxed: the moment is all there is. */
	if (bucket)
		atomic_compare_exchange_strong_explicit(bucket, &full_at,
							full_at - self->interval * n,
							memory_order_relaxed, memory_order_relaxed);
}

static struct sonde_error *turn_away(struct limiter *self, const struct taking *taking)
{
	struct sonde_error *error = limited_error(self, wait_ns_of(taking));

	count(&self->n_limited);
	if (sonde__deadline_current() <= taking->now_ns)
		error = sonde_deadline_error(error);
	return reject(self, error, /* waited_ns= */ 0);
}

static struct sonde_error *cancelled(struct limiter *self, const struct sonde_cancel *cancel,
				     uint64_t waited_ns)
{
	count(&self->n_cancelled);
	return reject(self, sonde_cancel_error(cancel), waited_ns);
}

static struct sonde_error *wait_for(struct limiter *self, const char *key, uint32_t n,
				    struct sonde_cancel *cancel, const struct taking *taking)
{
	uint64_t until_ns = taking->now_ns + wait_ns_of(taking);
	bool is_over = sonde__sleep_until(self->clock, until_ns, cancel);
	uint64_t waited_ns = sonde__now_ns(self->clock) - taking->now_ns;

	if (!is_over) {
		give_back(self, key, n, taking);
		return cancelled(self, cancel, waited_ns);
	}
	count(&self->n_waited);
	observe(self, SONDE_OBSERVED_WAIT, waited_ns, /* error= */ NULL);
	return NULL;
}

struct sonde_error *sonde_limiter_acquire(struct sonde_limiter *limiter, const char *key,
					  uint32_t n, struct sonde_cancel *cancel)
{
	struct limiter *self = limiter_of(limiter);
	struct taking taking;
	uint64_t until_ns;

	if (!limiter)
		return NULL;
	if (sonde_cancel_is_fired(cancel))
		return cancelled(self, cancel, /* waited_ns= */ 0);
	taking.now_ns = sonde__now_ns(self->clock);
	until_ns = sonde__wait_end(taking.now_ns, self->max_wait_ns);
	if (!take(self, key, n, sonde__time_until(until_ns, taking.now_ns), &taking))
		return turn_away(self, &taking);
	return taking.wait ? wait_for(self, key, n, cancel, &taking) : NULL;
}

struct sonde_error *sonde_limiter_run(struct sonde_limiter *limiter, const char *key,
				      struct sonde_cancel *cancel, sonde_operation_fn *operation,
				      void *argument)
{
	struct sonde_error *error = sonde_limiter_acquire(limiter, key, 1, cancel);

	return error ? error : operation(argument);
}

void sonde_limiter_read(const struct sonde_limiter *limiter, struct sonde_limiter_figures *ret)
{
	const struct limiter *self = limiter_of(limiter);

	*ret = (struct sonde_limiter_figures){ 0 };
	if (!limiter)
		return;
	/* Relaxed, all: figures. */
	*ret = (struct sonde_limiter_figures){
		.n_keys_max = self->buckets.n_sets * SONDE__BUCKET_WAYS,
		.n_limited = atomic_load_explicit(&self->n_limited, memory_order_relaxed),
		.n_waited = atomic_load_explicit(&self->n_waited, memory_order_relaxed),
		.n_cancelled = atomic_load_explicit(&self->n_cancelled, memory_order_relaxed),
		.n_forgotten = atomic_load_explicit(&self->buckets.n_forgotten,
						    memory_order_relaxed),
		.n_evicted = atomic_load_explicit(&self->buckets.n_evicted, memory_order_relaxed),
		.n_shared = atomic_load_explicit(&self->buckets.n_shared, memory_order_relaxed),
	};
}
