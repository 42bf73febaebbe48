/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a call says in the end: the last real error, and around it why there was no other attempt.
 */

#include "resilience/retry_call.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "error/error.h"
#include "resilience/clock.h"

#define NS_PER_SECOND 1e9
#define TEXT_SIZE 80
#define DURATION_SIZE 32

/* "2.9 s", "310 ms". */
static const char *duration_text(uint64_t duration_ns, char ret[DURATION_SIZE])
{
	if (duration_ns < SONDE__NS_PER_S)
		(void)snprintf(ret, DURATION_SIZE, "%" PRIu64 " ms",
			       duration_ns / SONDE__NS_PER_MS);
	else
		(void)snprintf(ret, DURATION_SIZE, "%.1f s", (double)duration_ns / NS_PER_SECOND);
	return ret;
}

/* "gave up after 3 attempts in 2.9 s" */
static void gave_up_text(const struct call *call, char ret[TEXT_SIZE])
{
	uint64_t duration_ns = sonde__time_until(call->ended_ns, call->began_ns);
	char duration[DURATION_SIZE];

	(void)snprintf(ret, TEXT_SIZE, "gave up after %" PRIu32 " attempt%s in %s",
		       call->n_attempts, call->n_attempts == 1 ? "" : "s",
		       duration_text(duration_ns, duration));
}

/* A timeout stays the kind of timeout that it is. */
static struct sonde_error *too_late(struct sonde_error *error, const char *gave_up)
{
	const struct sonde_error_type *type =
		sonde_error_is(error, &sonde_timeout) ? NULL : &sonde_timeout;

	if (!error)
		return sonde_error_raise(&sonde_timeout,
					 "the deadline was over before the first attempt");
	return sonde_error_wrap(error, type, "%s: the deadline is before the next attempt",
				gave_up);
}

struct sonde_error *sonde__retry_call_error(struct call *call)
{
	struct sonde_error *error;
	char wish[DURATION_SIZE];
	char gave_up[TEXT_SIZE];

	/* No error is left then, and texts take time. */
	if (call->ending == WENT_WELL)
		return NULL;
	error = sonde__error_caused_by(call->last, call->real);
	call->last = call->real = NULL;
	if (call->rules->is_single && call->ending == USED_UP)
		return error;
	gave_up_text(call, gave_up);
	switch (call->ending) {
	case RUNNING:
	case WENT_WELL:
	case NOT_WORTH_IT:
	case ENDED:
		break;
	case USED_UP:
		return sonde_error_wrap(error, /* type= */ NULL, "%s", gave_up);
	case TOO_LATE:
		return too_late(error, gave_up);
	case TOO_LONG:
		return sonde_error_wrap(error, /* type= */ NULL, "%s: asked to wait %s", gave_up,
					duration_text(call->wish_ns, wish));
	case BUDGET_SPENT:
		return sonde_error_wrap(error, /* type= */ NULL, "%s: the retry budget is spent",
					gave_up);
	case CANCELLED:
		return sonde__error_caused_by(sonde_cancel_error(call->cancel), error);
	}
	return error;
}
