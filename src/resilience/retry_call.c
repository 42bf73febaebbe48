/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call and its attempts: what an attempt's outcome means is decided here, in the order
 *
 *	well   not worth it   cancelled   used up   wish too long   too late   budget
 *
 * so that nothing is drawn or spent for a reason that comes before. The call keeps the last error
 * until the next one is there: whatever ends it in between has a cause to name.
 */

#include "resilience/retry_call.h"

#include <string.h>

#include "error/error.h"
#include "resilience/clock.h"
#include "resilience/observe.h"

_Static_assert(sizeof(struct call) <= sizeof(struct sonde_retry_call), "a call fits");
_Static_assert(_Alignof(struct call) <= _Alignof(struct sonde_retry_call), "and is aligned");

void sonde__retry_call_begin_at(struct sonde_retry_call *call, const struct sonde_retry *retry,
				uint64_t now_ns, uint64_t deadline_ns)
{
	const struct rules *rules = sonde__retry_rules(retry);
	struct call *self = call_of(call);

	/* The machine is for those that fail: most do not. */
	self->rules = rules;
	self->last = NULL;
	self->real = NULL;
	self->cancel = NULL;
	self->began_ns = now_ns;
	self->attempt_ns = now_ns;
	self->ended_ns = now_ns;
	self->deadline_ns = deadline_ns;
	self->attempt_end_ns = SONDE__NEVER;
	self->n_attempts = 0;
	self->ending = RUNNING;
	self->was_stopped = false;
	sonde_retry_budget_add_call(rules->budget);
}

void sonde_retry_call_begin(struct sonde_retry_call *call, const struct sonde_retry *retry)
{
	sonde__retry_call_begin_at(call, retry, sonde__now_ns(sonde__retry_clock(retry)),
				   sonde__deadline_current());
}

uint64_t sonde__retry_call_attempt_at(struct sonde_retry_call *call, uint64_t now_ns)
{
	struct call *self = call_of(call);

	self->attempt_ns = now_ns;
	self->attempt_end_ns = sonde__moment_after(now_ns, self->rules->attempt_timeout_ns);
	if (self->attempt_end_ns > self->deadline_ns)
		self->attempt_end_ns = self->deadline_ns;
	if (self->attempt_end_ns == SONDE__NEVER)
		return UINT64_MAX;
	return sonde__time_until(self->attempt_end_ns, now_ns);
}

uint64_t sonde_retry_call_attempt(struct sonde_retry_call *call)
{
	return sonde__retry_call_attempt_at(call, sonde__now_ns(call_of(call)->rules->clock));
}

uint64_t sonde__retry_call_attempt_end(const struct sonde_retry_call *call)
{
	return call_of(call)->attempt_end_ns;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Not one that only says that there was no answer, or none was asked for; nor are its causes. */
static bool is_real(const struct sonde_error *error)
{
	const struct sonde_error *cause;

	if (sonde_error_joined(error, 0))
		return true;
	while ((cause = sonde_error_cause(error)) != NULL)
		error = cause;
	return !sonde_error_is(error, &sonde_timeout) && !sonde_error_is(error, &sonde_cancelled) &&
	       !sonde_error_is(error, &sonde_closed) && !sonde_error_is(error, &sonde_exhausted) &&
	       !sonde_error_is(error, &sonde_circuit_open);
}

static void errors_keep(struct call *call, struct sonde_error *error)
{
	if (call->last && is_real(call->last)) {
		(void)sonde_error_free(call->real);
		call->real = call->last;
	} else {
		(void)sonde_error_free(call->last);
	}
	call->last = error;
	if (!error || is_real(error))
		call->real = sonde_error_free(call->real);
}

static bool is_worth_it(const struct call *call, const struct sonde_error *error)
{
	const struct rules *rules = call->rules;
	bool is_of_type = rules->n_types == 0;

	if (!rules->n_types && !rules->filter)
		return sonde_error_is_retryable(error);
	for (size_t i = 0; i < rules->n_types && !is_of_type; i++)
		is_of_type = sonde_error_is(error, rules->types[i]);
	if (!is_of_type)
		return false;
	return !rules->filter || rules->filter(rules->filter_user, error, call->n_attempts);
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

static enum ending decide(struct call *call, const struct sonde__retry_outcome *outcome,
			  uint64_t *ret_delay_ns)
{
	static const enum ending endings[] = {
		[SONDE__RETRY_AGAIN] = RUNNING,
		[SONDE__RETRY_USED_UP] = USED_UP,
		[SONDE__RETRY_TOO_LATE] = TOO_LATE,
		[SONDE__RETRY_TOO_LONG] = TOO_LONG,
	};
	uint64_t wish_ns = outcome->wish_ns;
	uint64_t delay_ns = 0;
	enum ending ending;

	if (!outcome->error)
		return WENT_WELL;
	if (outcome->is_final || !is_worth_it(call, outcome->error))
		return NOT_WORTH_IT;
	if (sonde_cancel_is_fired(outcome->cancel)) {
		call->cancel = outcome->cancel;
		return CANCELLED;
	}
	if (wish_ns == SONDE_RETRY_NO_WISH)
		wish_ns = sonde_error_retry_after_ns(outcome->error);
	call->wish_ns = wish_ns;
	ending = endings[sonde__retry_decide(&call->machine, call->ended_ns, call->deadline_ns,
					     wish_ns, &delay_ns)];
	if (ending == RUNNING && !sonde_retry_budget_try_acquire(call->rules->budget))
		ending = BUDGET_SPENT;
	if (ending == RUNNING)
		*ret_delay_ns = delay_ns;
	return ending;
}

static void observe(const struct call *call, uint64_t duration_ns, uint64_t delay_ns)
{
	struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_RETRY,
		.what = SONDE_OBSERVED_ATTEMPT,
		.name = call->rules->name,
		.attempt = call->n_attempts,
		.is_last = call->ending != RUNNING,
		.duration_ns = duration_ns,
		.delay_ns = delay_ns,
		.error = call->last,
	};

	if (call->rules->is_single)
		return;
	sonde__observe(call->rules->observer, &observation);
	if (call->ending != BUDGET_SPENT)
		return;
	observation.what = SONDE_OBSERVED_REJECTION;
	observation.name = sonde__retry_budget_name(call->rules->budget);
	observation.duration_ns = 0;
	sonde__observe(call->rules->observer, &observation);
}

/* The last that was told may be that it tries again in 30 s. */
static void observe_stop(const struct call *call, const struct sonde_error *error)
{
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_RETRY,
		.what = SONDE_OBSERVED_REJECTION,
		.name = call->rules->name,
		.attempt = call->n_attempts + 1,
		.is_last = true,
		.duration_ns = call->waited_ns,
		.error = error,
	};

	if (!call->rules->is_single)
		sonde__observe(call->rules->observer, &observation);
}

bool sonde__retry_call_take(struct sonde_retry_call *call,
			    const struct sonde__retry_outcome *outcome, uint64_t *ret_delay_ns)
{
	struct call *self = call_of(call);
	uint64_t duration_ns;
	uint64_t delay_ns = 0;

	if (self->ending != RUNNING) {
		(void)sonde_error_free(outcome->error);
		return false;
	}
	/* Most calls: there is nothing to keep, and nobody is told how long it took. */
	if (SONDE__LIKELY(!outcome->error && !self->n_attempts)) {
		self->n_attempts = 1;
		self->ending = WENT_WELL;
		return false;
	}
	self->ended_ns = sonde__now_ns(self->rules->clock);
	duration_ns = sonde__time_until(self->ended_ns, self->attempt_ns);
	if (!self->n_attempts)
		sonde__retry_init(&self->machine, &self->rules->machine);
	if (self->n_attempts < UINT32_MAX)
		self->n_attempts++;
	self->ending = decide(self, outcome, &delay_ns);
	errors_keep(self, outcome->error);
	self->attempt_ns = sonde__moment_after(self->ended_ns, delay_ns);
	observe(self, duration_ns, delay_ns);
	if (self->ending != RUNNING)
		return false;
	*ret_delay_ns = delay_ns;
	return true;
}

bool sonde_retry_call_report(struct sonde_retry_call *call, struct sonde_error *error,
			     uint64_t wish_ns, uint64_t *ret_delay_ns)
{
	return sonde__retry_call_take(call,
				      &(struct sonde__retry_outcome){ .error = error,
								      .wish_ns = wish_ns },
				      ret_delay_ns);
}

void sonde__retry_call_stop(struct sonde_retry_call *call, const struct sonde_cancel *cancel)
{
	struct call *self = call_of(call);

	uint64_t now_ns;

	if (self->ending != RUNNING)
		return;
	now_ns = sonde__now_ns(self->rules->clock);
	self->waited_ns = sonde__time_until(now_ns, self->ended_ns);
	self->ended_ns = now_ns;
	self->was_stopped = true;
	self->cancel = cancel;
	self->ending = cancel ? CANCELLED : TOO_LATE;
}

uint32_t sonde_retry_call_attempts(const struct sonde_retry_call *call)
{
	return call_of(call)->n_attempts;
}

struct sonde_error *sonde_retry_call_end(struct sonde_retry_call *call)
{
	struct call *self = call_of(call);
	struct sonde_error *error;

	if (self->ending == RUNNING)
		self->ending = ENDED;
	error = sonde__retry_call_error(self);
	if (self->was_stopped)
		observe_stop(self, error);
	sonde_retry_call_deinit(call);
	return error;
}

void sonde_retry_call_deinit(struct sonde_retry_call *call)
{
	struct call *self = call_of(call);

	if (!call)
		return;
	self->ending = ENDED;
	if (SONDE__LIKELY(!self->last && !self->real))
		return;
	self->last = sonde_error_free(self->last);
	self->real = sonde_error_free(self->real);
}
