/* SPDX-License-Identifier: Apache-2.0 */

/* The blocking form: asks and reports, and waits in between. */

#include "resilience/retry_call.h"

#include <sonde/deadline.h>

#include "resilience/clock.h"
#include "resilience/park.h"

/* False: there is no time for an attempt, or nobody wants it. */
static bool may_attempt(struct sonde_retry_call *call, uint64_t now_ns,
			const struct sonde_cancel *cancel)
{
	if (sonde_cancel_is_fired(cancel)) {
		sonde__retry_call_stop(call, cancel);
		return false;
	}
	if (sonde__retry_call_attempt_at(call, now_ns) > 0)
		return true;
	sonde__retry_call_stop(call, /* cancel= */ NULL);
	return false;
}

static struct sonde_error *attempt(const struct sonde_retry_call *call,
				   sonde_operation_fn *operation, void *argument)
{
	SONDE_DEADLINE_AUTOEND struct sonde_deadline deadline;

	sonde_deadline_begin_at(&deadline, sonde__retry_call_attempt_end(call));
	return operation(argument);
}

/* Returns when it is over. Cancelled: the next attempt is not made. */
static uint64_t wait(const struct sonde_clock *clock, uint64_t delay_ns,
		     struct sonde_cancel *cancel)
{
	if (delay_ns)
		(void)sonde__sleep_until(
			clock, sonde__moment_after(sonde__now_ns(clock), delay_ns), cancel);
	return sonde__now_ns(clock);
}

struct sonde_error *sonde_retry_run(const struct sonde_retry *retry, sonde_operation_fn *operation,
				    void *argument, struct sonde_cancel *cancel)
{
	const struct sonde_clock *clock = sonde__retry_clock(retry);
	uint64_t now_ns = sonde__now_ns(clock);
	struct sonde_retry_call call;
	uint64_t delay_ns = 0;

	sonde__retry_call_begin_at(&call, retry, now_ns, sonde__deadline_current());
	while (may_attempt(&call, now_ns, cancel)) {
		struct sonde__retry_outcome outcome = {
			.error = attempt(&call, operation, argument),
			.wish_ns = SONDE_RETRY_NO_WISH,
			.cancel = cancel,
		};

		if (!sonde__retry_call_take(&call, &outcome, &delay_ns))
			break;
		now_ns = wait(clock, delay_ns, cancel);
	}
	return sonde_retry_call_end(&call);
}
