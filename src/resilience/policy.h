/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_POLICY_H
#define SONDE_RESILIENCE_POLICY_H

/* Inside the policy: the guards and a call through them. docs/design/policy.md argues it. */

#include <sonde/policy.h>

#include "base/compiler.h"
#include "resilience/retry.h"

#define ORDER_SIZE 96

struct guards {
	struct sonde_policy_options options;
	struct sonde_retry single; /* In place of a retry: one attempt. */
	const struct sonde_retry *retry; /* Never NULL. */
	const struct sonde_clock *clock;
	uint64_t timeout_ns;
	char order[ORDER_SIZE];
} SONDE__MAY_ALIAS;

enum phase {
	PHASE_ENDED = 0, /* Nothing is held. */
	PHASE_READY, /* The next attempt may begin at `next_ns`. */
	PHASE_RUNNING, /* An attempt is under way, and holds what it needed. */
	PHASE_DONE, /* There is no other attempt. */
};

struct policy_call {
	struct sonde_retry_call retry;
	const struct guards *guards;
	void *argument;
	const char *stage; /* Which part turned the last attempt away; NULL: none did. */
	struct sonde_breaker_ticket ticket;
	uint64_t began_ns;
	uint64_t deadline_ns;
	uint64_t next_ns;
	enum phase phase;
} SONDE__MAY_ALIAS;

static inline const struct guards *guards_of(const struct sonde_policy *policy)
{
	return (const struct guards *)(const void *)policy;
}

static inline struct policy_call *policy_call_of(struct sonde_policy_call *call)
{
	return (struct policy_call *)(void *)call;
}

/* ---- Admission ------------------------------------------------------------------------------- */

/*
 * Takes what an attempt needs; NULL: it has all. Else nothing is held, and the error is the part's
 * that is named in call->stage. `waits`: for permits and tokens, or until the token is fired.
 */
struct sonde_error *sonde__policy_admit(struct policy_call *call, bool waits,
					struct sonde_cancel *cancel);

/* The attempt that was admitted has ended: `error` is its outcome, and stays the caller's. */
void sonde__policy_leave(struct policy_call *call, const struct sonde_error *error);

/* It was given up: nobody knows what came of it. */
void sonde__policy_abandon(struct policy_call *call);

/* ---- Outcomes -------------------------------------------------------------------------------- */

/* The outcome of an attempt, or of its admission, is told to the retry. Sets phase and next_ns. */
void sonde__policy_take(struct policy_call *call, struct sonde_error *error,
			const struct sonde_cancel *cancel);

/* The call is over: its error, named and told, after the fallback. */
struct sonde_error *sonde__policy_finish(struct policy_call *call);

#endif
