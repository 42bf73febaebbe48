/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bulkhead's public face: which permits, who is turned away with what error, who hears of it.
 */
#include <sonde/bulkhead.h>

#include <inttypes.h>
#include <string.h>

#include <sonde/context.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "resilience/clock.h"
#include "resilience/observe.h"
#include "resilience/permits.h"
#include "resilience/shared_permits.h"

#define DEFAULT_LIMIT 25
#define NO_LIMIT UINT32_MAX

enum reason {
	REASON_LIMIT = 0,
	REASON_QUEUE = 1,
	REASON_WAIT = 2,
	REASON_DEADLINE = 3,
	REASON_CANCELLED = 4,
};

struct bulkhead {
	struct sonde__permits permits;
	struct sonde__shared_permits shared; /* Where it has memory. */
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	uint64_t max_wait_ns;
	uint32_t max_queue;
	_Atomic uint64_t n_rejected[REASON_CANCELLED + 1];
	_Atomic uint64_t n_waited;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct bulkhead) <= sizeof(struct sonde_bulkhead), "a bulkhead fits");
_Static_assert(_Alignof(struct bulkhead) <= _Alignof(struct sonde_bulkhead), "and is aligned");

/* A loop's place in the queue. */
struct place {
	struct sonde__permit_waiter waiter;
	struct bulkhead *bulkhead;
	sonde_bulkhead_granted_fn *granted;
	void *user;
	uint64_t since_ns;
	struct sonde_context context; /* Of the work that waits. */
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct place) <= sizeof(struct sonde_bulkhead_waiter), "a place fits");
_Static_assert(_Alignof(struct place) <= _Alignof(struct sonde_bulkhead_waiter), "and is aligned");

static struct bulkhead *bulkhead_of(const struct sonde_bulkhead *bulkhead)
{
	return (struct bulkhead *)(uintptr_t)bulkhead;
}

static bool is_shared(const struct bulkhead *self)
{
	return self->shared.memory != NULL;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

static uint32_t limit_of(const struct sonde_bulkhead_options *options)
{
	return options->limit ? options->limit : DEFAULT_LIMIT;
}

static bool options_are_valid(const struct sonde_bulkhead_options *options)
{
	uint32_t most = options->shared ? SONDE_BULKHEAD_SHARED_MAX : SONDE_BULKHEAD_LIMIT_MAX;

	if (options->limit > most || options->max_limit > most)
		return false;
	if (options->max_limit && options->max_limit < limit_of(options))
		return false;
	return !options->shared || options->max_queue == NO_LIMIT ||
	       options->max_queue <= SONDE_BULKHEAD_SHARED_MAX;
}

/* One of queue and wait alone is the only limit; none of them, and nobody waits. */
static void limits_set(struct bulkhead *self, const struct sonde_bulkhead_options *options)
{
	self->max_queue = options->max_queue;
	self->max_wait_ns = sonde__ms_to_ns(options->max_wait_ms);
	if (!options->max_queue && options->max_wait_ms)
		self->max_queue = NO_LIMIT;
	if (options->max_queue && !options->max_wait_ms)
		self->max_wait_ns = SONDE__NEVER;
}

static int share(struct bulkhead *self, uint32_t limit, uint32_t max_limit)
{
	uint32_t max_queue = self->max_queue == NO_LIMIT ? SONDE_BULKHEAD_SHARED_MAX :
							   self->max_queue;

	if (max_limit < limit)
		max_limit = limit;
	self->shared.clock = self->clock;
	return sonde__shared_permits_init(&self->shared, limit, max_limit, max_queue);
}

int sonde_bulkhead_init(struct sonde_bulkhead *bulkhead,
			const struct sonde_bulkhead_options *options)
{
	static const struct sonde_bulkhead_options none;
	struct bulkhead *self = bulkhead_of(bulkhead);
	uint32_t limit;

	if (!options)
		options = &none;
	if (!bulkhead)
		return SONDE_E_INVALID;
	/* Nothing to end, where this fails. */
	memset(self, 0, sizeof(*self));
	if (!options_are_valid(options))
		return SONDE_E_INVALID;
	limit = limit_of(options);
	self->name = options->name ? options->name : "";
	self->clock = options->clock;
	self->observer = options->observer;
	limits_set(self, options);
	sonde__permits_init(&self->permits, limit);
	return options->shared ? share(self, limit, options->max_limit) : SONDE_OK;
}

void sonde_bulkhead_deinit(struct sonde_bulkhead *bulkhead)
{
	struct bulkhead *self = bulkhead_of(bulkhead);

	if (!bulkhead)
		return;
	if (is_shared(self))
		sonde__shared_permits_deinit(&self->shared);
	sonde__permits_deinit(&self->permits);
	/* The second time there is nothing to end, and nothing to be had. */
	memset(self, 0, sizeof(*self));
}

/* ---- Rejection ------------------------------------------------------------------------------- */

static struct sonde_error *full_error(const struct bulkhead *self, enum reason reason,
				      uint64_t waited_ns)
{
	static const char *const words[] = { "limit", "queue", "wait", "wait", "wait" };
	struct sonde_error *error;

	if (reason == REASON_LIMIT)
		error = sonde_error_raise(&sonde_bulkhead_full,
					  "bulkhead \"%s\" is full: no permit is left, and nobody may wait",
					  self->name);
	else if (reason == REASON_QUEUE)
		error = sonde_error_raise(&sonde_bulkhead_full,
					  "bulkhead \"%s\" is full: its queue is full, too",
					  self->name);
	else
		error = sonde_error_raise(&sonde_bulkhead_full,
					  "bulkhead \"%s\" is full: no permit in %" PRIu64 " ms",
					  self->name, waited_ns / SONDE__NS_PER_MS);
	sonde_error_set(error, sonde_str("bulkhead.name", self->name));
	sonde_error_set(error, sonde_str("bulkhead.reason", words[reason]));
	return error;
}

static struct sonde_error *rejection_error(const struct bulkhead *self, enum reason reason,
					   uint64_t waited_ns, const struct sonde_cancel *cancel)
{
	struct sonde_error *error;

	if (reason == REASON_CANCELLED && !cancel)
		return sonde_error_raise(&sonde_cancelled,
					 "withdrawn from the queue of bulkhead \"%s\"", self->name);
	if (reason == REASON_CANCELLED)
		return sonde_cancel_error(cancel);
	error = full_error(self, reason, waited_ns);
	if (reason == REASON_DEADLINE)
		error = sonde_error_wrap(error, &sonde_timeout,
					 "the deadline came before a permit of bulkhead \"%s\"",
					 self->name);
	return error;
}

static void count(_Atomic uint64_t *counter)
{
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void observe(const struct bulkhead *self, enum sonde_observed what, uint64_t waited_ns,
		    const struct sonde_error *error)
{
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_BULKHEAD,
		.what = what,
		.name = self->name,
		.duration_ns = waited_ns,
		.error = error,
	};

	sonde__observe(self->observer, &observation);
}

static struct sonde_error *reject(struct bulkhead *self, enum reason reason, uint64_t waited_ns,
				  const struct sonde_cancel *cancel)
{
	struct sonde_error *error = rejection_error(self, reason, waited_ns, cancel);

	count(&self->n_rejected[reason]);
	observe(self, SONDE_OBSERVED_REJECTION, waited_ns, error);
	return error;
}

/* Where the caller asks for no error, it is made only for those who listen. */
static void reject_quietly(struct bulkhead *self, enum reason reason)
{
	if (sonde__is_observed(self->observer))
		sonde_error_free(reject(self, reason, /* waited_ns= */ 0, /* cancel= */ NULL));
	else
		count(&self->n_rejected[reason]);
}

/* What nobody was given and cannot be given back. It changes nothing, and is said. */
static SONDE__COLD void misuse(const struct bulkhead *self, const char *what)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(
		&sonde_internal, "bulkhead \"%s\" was given back a %s", self->name, what);

	observe(self, SONDE_OBSERVED_ORPHAN, /* waited_ns= */ 0, error);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static bool try_acquire(struct bulkhead *self)
{
	return is_shared(self) ? sonde__shared_permits_try(&self->shared) :
				 sonde__permits_try(&self->permits);
}

bool sonde_bulkhead_try_acquire(struct sonde_bulkhead *bulkhead)
{
	struct bulkhead *self = bulkhead_of(bulkhead);

	if (SONDE__LIKELY(!bulkhead || try_acquire(self)))
		return true;
	reject_quietly(self, REASON_LIMIT);
	return false;
}

/* *ret_waited: perhaps a permit came back before there was a place to take. */
static enum sonde__shared_answer wait_here(struct bulkhead *self, uint64_t until_ns,
					   struct sonde_cancel *cancel, bool *ret_waited)
{
	struct sonde__permit_waiter waiter;
	enum sonde__woken woken;

	switch (sonde__permits_ask(&self->permits, &waiter, self->max_queue, /* granted= */ NULL,
				   /* user= */ NULL)) {
	case SONDE__PERMITS_GRANTED:
		*ret_waited = false;
		return SONDE__SHARED_GRANTED;
	case SONDE__PERMITS_FULL:
		return SONDE__SHARED_FULL;
	case SONDE__PERMITS_QUEUED:
		break;
	}
	woken = sonde__park(&waiter.waiter.parker, self->clock, until_ns, cancel);
	if (woken == SONDE__WOKEN ||
	    sonde__permits_leave(&self->permits, &waiter) != SONDE__PERMITS_LEFT)
		return SONDE__SHARED_GRANTED;
	return woken == SONDE__WOKEN_LATE ? SONDE__SHARED_LATE : SONDE__SHARED_CANCELLED;
}

static struct sonde_error *acquire_in_queue(struct bulkhead *self, struct sonde_cancel *cancel)
{
	uint64_t since_ns = sonde__now_ns(self->clock);
	uint64_t until_ns = sonde__wait_end(since_ns, self->max_wait_ns);
	enum sonde__shared_answer answer;
	bool has_waited = true;
	uint64_t now_ns;

	answer = is_shared(self) ? sonde__shared_permits_wait(&self->shared, until_ns, cancel) :
				   wait_here(self, until_ns, cancel, &has_waited);
	if (answer == SONDE__SHARED_FULL)
		return reject(self, REASON_QUEUE, /* waited_ns= */ 0, cancel);
	if (!has_waited)
		return NULL;
	now_ns = sonde__now_ns(self->clock);
	if (answer == SONDE__SHARED_CANCELLED)
		return reject(self, REASON_CANCELLED, now_ns - since_ns, cancel);
	if (answer == SONDE__SHARED_LATE)
		return reject(self,
			      sonde__deadline_current() <= now_ns ? REASON_DEADLINE : REASON_WAIT,
			      now_ns - since_ns, cancel);
	count(&self->n_waited);
	observe(self, SONDE_OBSERVED_WAIT, now_ns - since_ns, /* error= */ NULL);
	return NULL;
}

struct sonde_error *sonde_bulkhead_acquire(struct sonde_bulkhead *bulkhead,
					   struct sonde_cancel *cancel)
{
	struct bulkhead *self = bulkhead_of(bulkhead);

	if (SONDE__UNLIKELY(!bulkhead))
		return NULL;
	if (SONDE__UNLIKELY(sonde_cancel_is_fired(cancel)))
		return reject(self, REASON_CANCELLED, /* waited_ns= */ 0, cancel);
	if (SONDE__LIKELY(try_acquire(self)))
		return NULL;
	if (!self->max_queue)
		return reject(self, REASON_LIMIT, /* waited_ns= */ 0, cancel);
	return acquire_in_queue(self, cancel);
}

/* What is to be told of a loop that was let in, when the lock is free again. */
struct grant {
	bool is_there;
	uint64_t waited_ns;
	struct sonde_context context;
};

/* Under the lock. From the loop's function on the place is the loop's. */
static void place_granted(void *user, void *teller)
{
	struct place *place = user;
	struct bulkhead *self = place->bulkhead;
	struct grant *grant = teller;

	count(&self->n_waited);
	if (grant && sonde__is_observed(self->observer)) {
		grant->is_there = true;
		grant->waited_ns =
			sonde__time_until(sonde__now_ns(self->clock), place->since_ns);
		grant->context = place->context;
	}
	place->granted(place->user);
}

static void grant_tell(const struct bulkhead *self, const struct grant *grant)
{
	SONDE_CONTEXT_SCOPE(&grant->context);

	observe(self, SONDE_OBSERVED_WAIT, grant->waited_ns, /* error= */ NULL);
}

void sonde_bulkhead_release(struct sonde_bulkhead *bulkhead)
{
	struct bulkhead *self = bulkhead_of(bulkhead);
	struct grant grant;
	bool is_back;

	if (!bulkhead)
		return;
	grant.is_there = false;
	is_back = is_shared(self) ? sonde__shared_permits_release(&self->shared)
				  : sonde__permits_release(&self->permits, &grant);
	if (SONDE__UNLIKELY(grant.is_there))
		grant_tell(self, &grant);
	if (SONDE__UNLIKELY(!is_back))
		misuse(self, "permit that nobody had");
}

struct sonde_error *sonde_bulkhead_run(struct sonde_bulkhead *bulkhead,
				       struct sonde_cancel *cancel, sonde_operation_fn *operation,
				       void *argument)
{
	struct sonde_error *error = sonde_bulkhead_acquire(bulkhead, cancel);

	if (error)
		return error;
	error = operation(argument);
	sonde_bulkhead_release(bulkhead);
	return error;
}

/* ---- Event loops ----------------------------------------------------------------------------- */

int sonde_bulkhead_ask(struct sonde_bulkhead *bulkhead, struct sonde_bulkhead_waiter *waiter,
		       sonde_bulkhead_granted_fn *granted, void *user)
{
	struct bulkhead *self = bulkhead_of(bulkhead);
	struct place *place = (struct place *)(void *)waiter;

	if (!bulkhead || !waiter || !granted)
		return SONDE_E_INVALID;
	if (is_shared(self))
		return SONDE_E_UNSUPPORTED;
	place->bulkhead = self;
	place->granted = granted;
	place->user = user;
	place->since_ns = sonde__now_ns(self->clock);
	place->context = sonde_context_current();
	switch (sonde__permits_ask(&self->permits, &place->waiter, self->max_queue, place_granted,
				   place)) {
	case SONDE__PERMITS_GRANTED:
		return SONDE_BULKHEAD_GRANTED;
	case SONDE__PERMITS_QUEUED:
		return SONDE_BULKHEAD_QUEUED;
	case SONDE__PERMITS_FULL:
		break;
	}
	reject_quietly(self, self->max_queue ? REASON_QUEUE : REASON_LIMIT);
	return SONDE_BULKHEAD_REJECTED;
}

bool sonde_bulkhead_withdraw(struct sonde_bulkhead *bulkhead, struct sonde_bulkhead_waiter *waiter)
{
	struct bulkhead *self = bulkhead_of(bulkhead);
	struct place *place = (struct place *)(void *)waiter;

	if (!bulkhead || !waiter)
		return false;
	switch (sonde__permits_leave(&self->permits, &place->waiter)) {
	case SONDE__PERMITS_HELD:
		return false;
	case SONDE__PERMITS_LEFT:
		reject_quietly(self, REASON_CANCELLED);
		break;
	case SONDE__PERMITS_NO_PLACE:
		misuse(self, "place that nobody had");
		break;
	}
	return true;
}

/* ---- At run time ----------------------------------------------------------------------------- */

int sonde_bulkhead_set_limit(struct sonde_bulkhead *bulkhead, uint32_t limit)
{
	struct bulkhead *self = bulkhead_of(bulkhead);
	bool is_set = false;

	if (!bulkhead || limit > SONDE_BULKHEAD_LIMIT_MAX)
		return SONDE_E_INVALID;
	if (is_shared(self))
		return sonde__shared_permits_set_limit(&self->shared, limit) ? SONDE_OK :
									       SONDE_E_INVALID;
	while (!is_set) {
		struct grant grant = { .is_there = false };

		is_set = sonde__permits_set_limit(&self->permits, limit, &grant);
		if (grant.is_there)
			grant_tell(self, &grant);
	}
	return SONDE_OK;
}

static uint64_t figure(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void sonde_bulkhead_read(struct sonde_bulkhead *bulkhead, struct sonde_bulkhead_figures *ret)
{
	struct bulkhead *self = bulkhead_of(bulkhead);

	*ret = (struct sonde_bulkhead_figures){ 0 };
	if (!bulkhead)
		return;
	*ret = (struct sonde_bulkhead_figures){
		.n_rejected_limit = figure(&self->n_rejected[REASON_LIMIT]),
		.n_rejected_queue = figure(&self->n_rejected[REASON_QUEUE]),
		.n_rejected_wait = figure(&self->n_rejected[REASON_WAIT]) +
				   figure(&self->n_rejected[REASON_DEADLINE]),
		.n_withdrawn = figure(&self->n_rejected[REASON_CANCELLED]),
		.n_waited = figure(&self->n_waited),
		.n_reclaimed = figure(&self->shared.n_reclaimed),
	};
	if (is_shared(self)) {
		ret->limit = sonde__shared_permits_limit(&self->shared);
		ret->n_taken = sonde__shared_permits_taken(&self->shared);
		ret->n_waiting = sonde__shared_permits_waiting(&self->shared);
	} else {
		ret->limit = sonde__permits_limit(&self->permits);
		ret->n_taken = sonde__permits_taken(&self->permits);
		ret->n_waiting = sonde__permits_waiting(&self->permits);
	}
}
