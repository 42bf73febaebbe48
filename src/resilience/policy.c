/* SPDX-License-Identifier: Apache-2.0 */

/* What a policy is made of, and what becomes of a call in the end. */

#include "resilience/policy.h"

#include <stdio.h>
#include <string.h>

#include "resilience/clock.h"
#include "resilience/observe.h"
#include "resilience/retry_call.h"

_Static_assert(sizeof(struct guards) <= sizeof(struct sonde_policy), "they fit");
_Static_assert(_Alignof(struct guards) <= _Alignof(struct sonde_policy), "and are aligned");

static void order_write(struct guards *guards)
{
	const struct sonde_policy_options *options = &guards->options;
	const struct {
		const char *word;
		bool is_there;
	} parts[] = {
		{ "fallback(", options->fallback },
		{ "deadline > ", guards->timeout_ns != SONDE__NEVER },
		{ "retry > ", options->retry },
		{ "breaker > ", options->breaker },
		{ "bulkhead > ", options->bulkhead },
		{ "limiter > ", options->limiter },
		{ "operation", true },
		{ ")", options->fallback },
	};
	size_t n = 0;

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(parts); i++)
		if (parts[i].is_there)
			n += (size_t)snprintf(guards->order + n, ORDER_SIZE - n, "%s",
					      parts[i].word);
}

int sonde_policy_init(struct sonde_policy *policy, const struct sonde_policy_options *options)
{
	struct guards *guards = (struct guards *)(void *)policy;

	if (!policy)
		return SONDE_E_INVALID;
	memset(policy, 0, sizeof(*policy));
	if (options)
		guards->options = *options;
	options = &guards->options;
	guards->clock = options->clock ? options->clock : sonde__retry_clock(options->retry);
	guards->timeout_ns = options->timeout_ms ? sonde__ms_to_ns(options->timeout_ms) :
						   SONDE__NEVER;
	sonde__retry_init_single(&guards->single, guards->clock);
	guards->retry = options->retry ? options->retry : &guards->single;
	order_write(guards);
	return SONDE_OK;
}

void sonde_policy_deinit(struct sonde_policy *policy)
{
	(void)policy;
}

const char *sonde_policy_order(const struct sonde_policy *policy)
{
	return guards_of(policy)->order;
}

/* ---- Outcomes -------------------------------------------------------------------------------- */

void sonde__policy_take(struct policy_call *call, struct sonde_error *error,
			const struct sonde_cancel *cancel)
{
	struct sonde__retry_outcome outcome = {
		.error = error,
		.wish_ns = SONDE_RETRY_NO_WISH,
		.is_final = call->stage && !call->guards->options.retries_rejections,
		.cancel = cancel,
	};
	uint64_t delay_ns;

	call->phase = PHASE_DONE;
	if (!sonde__retry_call_take(&call->retry, &outcome, &delay_ns))
		return;
	call->phase = PHASE_READY;
	call->next_ns = call_of(&call->retry)->attempt_ns;
}

/* Which part had the last word. */
static const char *stage_of(const struct policy_call *call)
{
	switch (call_of(&call->retry)->ending) {
	case TOO_LATE:
		return "deadline";
	case CANCELLED:
		return "cancel";
	case USED_UP:
	case TOO_LONG:
	case BUDGET_SPENT:
		if (call->guards->options.retry)
			return "retry";
		break;
	case RUNNING:
	case WENT_WELL:
	case NOT_WORTH_IT:
	case ENDED:
		break;
	}
	return call->stage ? call->stage : "operation";
}

/* By when it came, not by when somebody asks. */
static bool is_late(const struct policy_call *call, const struct sonde_error *error)
{
	return call->deadline_ns != SONDE__NEVER && !sonde_error_is(error, &sonde_timeout) &&
	       !sonde_error_is(error, &sonde_cancelled) &&
	       call_of(&call->retry)->ended_ns >= call->deadline_ns;
}

static void error_name(const struct guards *guards, struct sonde_error *error, const char *stage)
{
	if (guards->options.name)
		sonde_error_set(error, sonde_str("sonde.policy.name", guards->options.name));
	sonde_error_set(error, sonde_str("sonde.policy.stage", stage));
	sonde_error_set(error, sonde_str("sonde.policy.order", guards->order));
}

static void observe(const struct policy_call *call, const struct sonde_error *error,
		    const char *stage, const char *result)
{
	const struct guards *guards = call->guards;
	const struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_POLICY,
		.what = SONDE_OBSERVED_RUN,
		.name = guards->options.name,
		.from = stage,
		.to = result,
		.duration_ns =
			sonde__time_until(call_of(&call->retry)->ended_ns, call->began_ns),
		.count = sonde_retry_call_attempts(&call->retry),
		.error = error,
	};

	sonde__observe(guards->options.observer, &observation);
}

/* Told before the fallback gets the error: it may free it. */
static struct sonde_error *fall_back(const struct policy_call *call, struct sonde_error *error,
				     const char *stage)
{
	const struct sonde_policy_options *options = &call->guards->options;

	if (!options->fallback || sonde_error_is(error, &sonde_cancelled)) {
		observe(call, error, stage, "error");
		return error;
	}
	observe(call, error, stage, "fallback");
	error = options->fallback(options->fallback_user, call->argument, error);
	if (error)
		observe(call, error, "fallback", "fallback_failed");
	return error;
}

struct sonde_error *sonde__policy_finish(struct policy_call *call)
{
	const char *stage = stage_of(call);
	struct sonde_error *error = sonde_retry_call_end(&call->retry);

	if (!error) {
		if (sonde_retry_call_attempts(&call->retry) > 1)
			observe(call, /* error= */ NULL, stage, "ok");
		return NULL;
	}
	if (is_late(call, error)) {
		stage = "deadline";
		error = sonde_error_wrap(error, &sonde_timeout, "failed past the deadline");
	}
	error_name(call->guards, error, stage);
	return fall_back(call, error, stage);
}
