/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook is somebody else's code on our thread. What it records would come back to it for ever:
 * while it runs the thread's current context is one of ours, whose trace id marks what is recorded
 * under it, and what bears the mark is not shown to it. And while it runs nothing is delivered: one
 * that takes long is told of, once a minute at most.
 */

#include "pipeline/callout.h"

#include <string.h>

#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/random.h"

#define SLOW_NS (10 * SONDE__NS_PER_MS)
#define MINUTE_NS (60 * SONDE__NS_PER_S)

void sonde__callout_init(struct sonde__callout *callout, const char *name)
{
	struct sonde_context *context = &callout->context;

	memset(callout, 0, sizeof(*callout));
	callout->name = name;
	(void)sonde__random_bytes(context->trace_id, sizeof(context->trace_id));
	(void)sonde__random_bytes(context->span_id, sizeof(context->span_id));
	/* Never the ids of nothing, even without random numbers. */
	context->trace_id[0] |= 1;
	context->span_id[0] |= 1;
}

void sonde__callout_enter(struct sonde__callout *callout)
{
	callout->from_ns = sonde__monotonic_ns();
	callout->previous = sonde_context_attach(&callout->context);
}

static void say_slow(struct sonde__callout *callout, uint64_t now_ns)
{
	if (!callout->n_slow || (callout->has_said && now_ns - callout->said_ns < MINUTE_NS))
		return;
	sonde__report(SONDE_WARN,
		      "%s is slow: %llu calls took %.0f ms and more, one of them %.0f ms; nothing is delivered meanwhile",
		      callout->name, (unsigned long long)callout->n_slow, (double)SLOW_NS / 1e6,
		      (double)callout->slowest_ns / 1e6);
	callout->has_said = true;
	callout->said_ns = now_ns;
	callout->n_slow = 0;
	callout->slowest_ns = 0;
}

uint64_t sonde__callout_leave(struct sonde__callout *callout)
{
	const uint64_t now_ns = sonde__monotonic_ns();
	const uint64_t took_ns = now_ns - callout->from_ns;

	(void)sonde_context_attach(&callout->previous);
	if (took_ns >= SLOW_NS) {
		callout->n_slow++;
		if (took_ns > callout->slowest_ns)
			callout->slowest_ns = took_ns;
	}
	say_slow(callout, now_ns);
	return took_ns;
}

bool sonde__callout_is_own(const struct sonde__callout *callout, const uint8_t trace_id[16])
{
	return memcmp(callout->context.trace_id, trace_id, sizeof(callout->context.trace_id)) == 0;
}
