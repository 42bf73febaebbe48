/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_RETRY_CALL_H
#define SONDE_RESILIENCE_RETRY_CALL_H

/* Inside the retry: the rules and the call as they are. */

#include "base/compiler.h"
#include "resilience/retry.h"

struct rules {
	struct sonde__retry_options machine;
	const char *name;
	bool is_single; /* A policy without a retry: nothing is told of it, nothing wrapped. */
	uint64_t attempt_timeout_ns; /* SONDE__NEVER: none. */
	const struct sonde_error_type *const *types;
	size_t n_types;
	sonde_retry_filter_fn *filter;
	void *filter_user;
	struct sonde_retry_budget *budget;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
} SONDE__MAY_ALIAS;

/* Why there is no other attempt. */
enum ending {
	RUNNING = 0, /* There is, or may be. */
	WENT_WELL,
	NOT_WORTH_IT, /* By the filter. */
	USED_UP,
	TOO_LATE, /* For the deadline. */
	TOO_LONG, /* The server's wish. */
	BUDGET_SPENT,
	CANCELLED,
	ENDED, /* By its owner. */
};

struct call {
	const struct rules *rules;
	struct sonde__retry machine;
	struct sonde_error *last; /* Of the last attempt. */
	struct sonde_error *real; /* The last real one, where that is not the same. */
	const struct sonde_cancel *cancel; /* That ended it. */
	uint64_t began_ns;
	uint64_t attempt_ns; /* When the attempt began, or may begin. */
	uint64_t ended_ns;
	uint64_t wish_ns; /* That was too long. */
	uint64_t deadline_ns;
	uint64_t attempt_end_ns;
	uint64_t waited_ns; /* For an attempt that was not made: */
	uint32_t n_attempts;
	enum ending ending;
	bool was_stopped; /* by its deadline or its token. */
} SONDE__MAY_ALIAS;

static inline struct call *call_of(const struct sonde_retry_call *call)
{
	return (struct call *)(uintptr_t)call;
}

/* Of NULL: all defaults. */
const struct rules *sonde__retry_rules(const struct sonde_retry *retry);

/* The error that tells how the call ended; takes those of the call. NULL: it went well. */
struct sonde_error *sonde__retry_call_error(struct call *call);

#endif
