/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attempt takes and gives back: the breaker's ticket, a permit, a token, in this order. Who
 * is turned away on the way gives back what he has; a token that was taken is spent.
 */

#include "resilience/policy.h"

#include "resilience/clock.h"

static const char *key_of(const struct policy_call *call)
{
	const struct sonde_policy_options *options = &call->guards->options;

	return options->key ? options->key(call->argument) : NULL;
}

static struct sonde_error *permit_take(struct policy_call *call, bool waits,
				       struct sonde_cancel *cancel)
{
	struct sonde_bulkhead *bulkhead = call->guards->options.bulkhead;

	if (!bulkhead)
		return NULL;
	call->stage = "bulkhead";
	if (waits)
		return sonde_bulkhead_acquire(bulkhead, cancel);
	if (sonde_bulkhead_try_acquire(bulkhead))
		return NULL;
	return sonde_error_raise(&sonde_bulkhead_full, "no permit is left");
}

static struct sonde_error *token_take(struct policy_call *call, bool waits,
				      struct sonde_cancel *cancel)
{
	struct sonde_limiter *limiter = call->guards->options.limiter;
	struct sonde_error *error;
	uint64_t wait_ns;

	if (!limiter)
		return NULL;
	call->stage = "limiter";
	if (waits)
		return sonde_limiter_acquire(limiter, key_of(call), /* n= */ 1, cancel);
	if (sonde_limiter_try_acquire(limiter, key_of(call), /* n= */ 1, &wait_ns))
		return NULL;
	error = sonde_error_raise(&sonde_rate_limited, "too many requests");
	if (wait_ns != UINT64_MAX)
		sonde_error_set_retry_after(error, wait_ns);
	return error;
}

struct sonde_error *sonde__policy_admit(struct policy_call *call, bool waits,
					struct sonde_cancel *cancel)
{
	const struct sonde_policy_options *options = &call->guards->options;
	struct sonde_error *error;

	if (options->breaker) {
		call->stage = "breaker";
		error = sonde_breaker_try_acquire(options->breaker, &call->ticket);
		if (error)
			return error;
	}
	error = permit_take(call, waits, cancel);
	if (!error) {
		error = token_take(call, waits, cancel);
		if (error && options->bulkhead)
			sonde_bulkhead_release(options->bulkhead);
	}
	if (error) {
		if (options->breaker)
			sonde_breaker_release(options->breaker, call->ticket);
		return error;
	}
	/* Waiting for a permit is not the other side's slowness. */
	if (call->ticket.started_ns && waits && (options->bulkhead || options->limiter))
		call->ticket.started_ns = sonde__now_ns(call->guards->clock);
	call->stage = NULL;
	return NULL;
}

void sonde__policy_leave(struct policy_call *call, const struct sonde_error *error)
{
	const struct sonde_policy_options *options = &call->guards->options;

	if (options->bulkhead)
		sonde_bulkhead_release(options->bulkhead);
	if (options->breaker)
		sonde_breaker_report(options->breaker, call->ticket, error);
}

void sonde__policy_abandon(struct policy_call *call)
{
	const struct sonde_policy_options *options = &call->guards->options;

	if (options->bulkhead)
		sonde_bulkhead_release(options->bulkhead);
	if (options->breaker)
		sonde_breaker_release(options->breaker, call->ticket);
}
