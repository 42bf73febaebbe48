/* SPDX-License-Identifier: Apache-2.0 */

/* The two forms of a call: a loop's, which asks, and a thread's, which waits. */

#include "resilience/policy.h"

#include <sonde/deadline.h>

#include "resilience/clock.h"
#include "resilience/park.h"

_Static_assert(sizeof(struct policy_call) <= sizeof(struct sonde_policy_call), "a call fits");
_Static_assert(_Alignof(struct policy_call) <= _Alignof(struct sonde_policy_call),
	       "and is aligned");

void sonde_policy_call_begin(struct sonde_policy_call *call, const struct sonde_policy *policy,
			     void *argument)
{
	const struct guards *guards = guards_of(policy);
	struct policy_call *self = policy_call_of(call);
	uint64_t now_ns = sonde__now_ns(guards->clock);

	self->guards = guards;
	self->argument = argument;
	self->stage = NULL;
	self->ticket = (struct sonde_breaker_ticket){ 0 };
	self->began_ns = now_ns;
	self->deadline_ns = sonde__wait_end(now_ns, guards->timeout_ns);
	self->next_ns = now_ns;
	self->phase = PHASE_READY;
	sonde__retry_call_begin_at(&self->retry, guards->retry, now_ns, self->deadline_ns);
}

/* How long the attempt may take; 0: it does not begin, and the call is over. */
static uint64_t attempt_begin(struct policy_call *call, uint64_t now_ns)
{
	uint64_t left_ns = sonde__retry_call_attempt_at(&call->retry, now_ns);

	if (!left_ns) {
		sonde__retry_call_stop(&call->retry, /* cancel= */ NULL);
		call->phase = PHASE_DONE;
	}
	return left_ns;
}

/* ---- Ask and report -------------------------------------------------------------------------- */

/* Running, or what came of the rejection. */
static void try_to_go(struct policy_call *call, uint64_t now_ns)
{
	struct sonde_error *error;

	if (!attempt_begin(call, now_ns))
		return;
	error = sonde__policy_admit(call, /* waits= */ false, /* cancel= */ NULL);
	if (error)
		sonde__policy_take(call, error, /* cancel= */ NULL);
	else
		call->phase = PHASE_RUNNING;
}

static uint64_t left_of_attempt(const struct policy_call *call, uint64_t now_ns)
{
	uint64_t end_ns = sonde__retry_call_attempt_end(&call->retry);

	if (end_ns == SONDE__NEVER)
		return UINT64_MAX;
	return sonde__time_until(end_ns, now_ns);
}

enum sonde_policy_step sonde_policy_call_next(struct sonde_policy_call *call, uint64_t *ret_ns)
{
	struct policy_call *self = policy_call_of(call);
	uint64_t now_ns = sonde__now_ns(self->guards->clock);

	if (self->phase == PHASE_READY && now_ns >= self->next_ns)
		try_to_go(self, now_ns);
	switch (self->phase) {
	case PHASE_RUNNING:
		*ret_ns = left_of_attempt(self, now_ns);
		return SONDE_POLICY_GO;
	case PHASE_READY:
		*ret_ns = sonde__time_until(self->next_ns, now_ns);
		return SONDE_POLICY_WAIT;
	case PHASE_DONE:
	case PHASE_ENDED:
		break;
	}
	return SONDE_POLICY_DONE;
}

void sonde_policy_call_report(struct sonde_policy_call *call, struct sonde_error *error)
{
	struct policy_call *self = policy_call_of(call);

	if (self->phase != PHASE_RUNNING) {
		(void)sonde_error_free(error);
		return;
	}
	sonde__policy_leave(self, error);
	sonde__policy_take(self, error, /* cancel= */ NULL);
}

struct sonde_error *sonde_policy_call_end(struct sonde_policy_call *call)
{
	struct policy_call *self = policy_call_of(call);
	enum phase phase = self->phase;

	self->phase = PHASE_ENDED;
	if (phase == PHASE_DONE)
		return sonde__policy_finish(self);
	if (phase == PHASE_RUNNING)
		sonde__policy_abandon(self);
	return phase == PHASE_ENDED ? NULL : sonde_retry_call_end(&self->retry);
}

void sonde_policy_call_deinit(struct sonde_policy_call *call)
{
	struct policy_call *self = policy_call_of(call);

	if (!call)
		return;
	if (self->phase == PHASE_RUNNING)
		sonde__policy_abandon(self);
	sonde_retry_call_deinit(&self->retry);
	self->phase = PHASE_ENDED;
}

/* ---- Run ------------------------------------------------------------------------------------- */

static struct sonde_error *operate(struct policy_call *call, sonde_operation_fn *operation,
				   struct sonde_cancel *cancel)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;
	struct sonde_error *error;

	sonde_deadline_begin_at(&deadline, sonde__retry_call_attempt_end(&call->retry));
	error = sonde__policy_admit(call, /* waits= */ true, cancel);
	if (error)
		return error;
	error = operation(call->argument);
	sonde__policy_leave(call, error);
	return error;
}

static void attempt(struct policy_call *call, uint64_t now_ns, sonde_operation_fn *operation,
		    struct sonde_cancel *cancel)
{
	if (sonde_cancel_is_fired(cancel)) {
		sonde__retry_call_stop(&call->retry, cancel);
		call->phase = PHASE_DONE;
		return;
	}
	if (attempt_begin(call, now_ns))
		sonde__policy_take(call, operate(call, operation, cancel), cancel);
}

struct sonde_error *sonde_policy_run(const struct sonde_policy *policy,
				     sonde_operation_fn *operation, void *argument,
				     struct sonde_cancel *cancel)
{
	struct sonde_policy_call call;
	struct policy_call *self = policy_call_of(&call);

	sonde_policy_call_begin(&call, policy, argument);
	attempt(self, self->began_ns, operation, cancel);
	while (self->phase == PHASE_READY) {
		/* Cancelled: the next attempt is not made. */
		(void)sonde__sleep_until(self->guards->clock, self->next_ns, cancel);
		attempt(self, sonde__now_ns(self->guards->clock), operation, cancel);
	}
	return sonde_policy_call_end(&call);
}
