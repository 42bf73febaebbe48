/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each observation is counted, exactly; told to the current span; told to the log, if it is of the
 * kind that people read; captured, if it is an error that nobody else will see. All of it through
 * the recording calls that the service has, on the thread on which it happened: no lock, no
 * allocation, no system call. Then the service's own hook hears of it.
 *
 * Recording calls use nothing of the toolkit, so none of this comes back here. The hook may, and
 * what it does is recorded; only the hook itself is not called again from inside.
 */

#include "agent/observe.h"

#include <stdatomic.h>
#include <string.h>

#include <sonde/capture.h>
#include <sonde/span.h>

#include "agent/observe_limit.h"
#include "agent/observe_stream.h"
#include "agent/observe_text.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "box/box.h"
#include "capture/capture.h"
#include "error/error.h"
#include "pipeline/event_metrics.h"
#include "resilience/observe.h"

enum thread_state {
	THREAD_LISTENS = 0,
	THREAD_IN_HOOK = 1,
	THREAD_LEFT_OUT = 2,
};

static SONDE__THREAD_LOCAL uint8_t thread_state;

/* Runs take turns, so that who still looks at the last one's finds it whole. */
static struct sonde_observer hooks[2];
static const struct sonde_observer *_Atomic hook; /* NULL: none. */
static _Atomic uint32_t max_events;

/* ---- Counts ---------------------------------------------------------------------------------- */

static struct sonde_text text_of(const char *text)
{
	return (struct sonde_text){ text ? text : "", text ? strlen(text) : 0 };
}

static struct sonde__site_view place_of(const struct sonde_observation *observation)
{
	struct sonde__site_view place = {
		.name = text_of(observation->name),
		.file = text_of(observation->from),
		.function = text_of(observation->to),
		.line = sonde__event_line(observation->pattern, observation->what),
		.kind = SONDE__SITE_EVENT,
	};

	if (observation->what != SONDE_OBSERVED_STATE) {
		place.file = text_of(observation->error ?
					     sonde__error_type_name(observation->error) :
					     NULL);
		place.function = text_of(NULL);
	}
	return place;
}

static bool takes_time(enum sonde_observed what)
{
	switch (what) {
	case SONDE_OBSERVED_ATTEMPT:
	case SONDE_OBSERVED_REJECTION:
	case SONDE_OBSERVED_WAIT:
	case SONDE_OBSERVED_RUN:
	case SONDE_OBSERVED_RECOVERY:
		return true;
	case SONDE_OBSERVED_STATE:
	case SONDE_OBSERVED_ORPHAN:
	case SONDE_OBSERVED_DROP:
	case SONDE_OBSERVED_STALL: /* Its recovery says how long. */
		break;
	}
	return false;
}

static void count(const struct sonde_observation *observation)
{
	struct sonde__site_view place = place_of(observation);

	if (takes_time(observation->what))
		sonde__events_time(&place, sonde__units_of(observation->duration_ns,
							   SONDE__UNITS_PER_NS));
	else
		sonde__events_count(&place, /* n= */ 1);
	if (!observation->count)
		return;
	place.kind = SONDE__SITE_ITEM;
	sonde__events_count(&place, observation->count);
}

/* ---- Records --------------------------------------------------------------------------------- */

static void tell_span(const struct sonde_observation *observation,
		      const struct sonde_attr *attrs, size_t n_attrs)
{
	const struct sonde_context context = sonde_context_current();
	char name[SONDE__OBSERVE_NAME_SIZE];
	uint64_t span_id;

	/* A span of another process has no events of ours. */
	if (!sonde_context_is_valid(&context) || context.is_remote ||
	    !(context.trace_flags & SONDE_TRACE_FLAG_SAMPLED))
		return;
	memcpy(&span_id, context.span_id, sizeof(span_id));
	/* Relaxed: a setting. */
	if (!sonde__observe_span_admits(span_id, atomic_load_explicit(&max_events,
								      memory_order_relaxed)))
		return;
	sonde__observe_name(observation, name);
	sonde_current_add_event(name, attrs, n_attrs);
}

static void tell_log(const struct sonde_observation *observation, struct sonde_attr *attrs,
		     size_t n_attrs)
{
	char text[SONDE__OBSERVE_TEXT_SIZE];
	enum sonde_level level;
	size_t size = sonde__observe_text(observation, text, &level);
	uint64_t n_held_back;

	if (!size || !sonde__observe_log_admits(observation, sonde__monotonic_ns(), &n_held_back))
		return;
	if (n_held_back)
		attrs[n_attrs++] = sonde_int("sonde.resilience.held_back", (int64_t)n_held_back);
	sonde__log(level, text, size, attrs, n_attrs);
}

/* Errors that nobody was given, and those that say where something hangs. */
static bool is_for_capture(const struct sonde_observation *observation)
{
	return observation->error && (observation->what == SONDE_OBSERVED_ORPHAN ||
				      observation->what == SONDE_OBSERVED_STALL);
}

static void record(const struct sonde_observation *observation)
{
	/* One more than there are: how many log records were held back. */
	struct sonde_attr attrs[SONDE__OBSERVE_ATTRS + 1];
	size_t n_attrs = sonde__observe_attributes(observation, attrs);

	count(observation);
	tell_span(observation, attrs, n_attrs);
	tell_log(observation, attrs, n_attrs);
	if (is_for_capture(observation))
		sonde__error_capture_orphan(observation->error);
}

/* ---- The observer ---------------------------------------------------------------------------- */

static void call_hook(const struct sonde_observation *observation)
{
	/* A1, partner R1: the hook's function and its argument belong together. */
	const struct sonde_observer *own = atomic_load_explicit(&hook, memory_order_acquire);

	if (!own || thread_state == THREAD_IN_HOOK)
		return;
	thread_state = THREAD_IN_HOOK;
	own->observe(own->user, observation);
	thread_state = THREAD_LISTENS;
}

static void observe(void *user SONDE__UNUSED, const struct sonde_observation *observation)
{
	if (thread_state == THREAD_LEFT_OUT)
		return;
	if (sonde__capture_begin())
		record(observation);
	call_hook(observation);
}

void sonde__observe_begin(const struct sonde__settings *settings)
{
	static unsigned n_runs; /* Under the agent's lock. */
	struct sonde_observer *own = &hooks[n_runs++ % 2];

	*own = settings->observer;
	/* Relaxed: a setting. */
	atomic_store_explicit(&max_events, settings->limits.span_events, memory_order_relaxed);
	/* R1, partner A1. */
	atomic_store_explicit(&hook, own->observe ? own : NULL, memory_order_release);
	sonde__observer_install(observe);
	sonde__observe_streams_begin();
}

void sonde__observe_end(void)
{
	sonde__observe_streams_end();
	sonde__observer_install(NULL);
	/* Relaxed: nothing is said by it. */
	atomic_store_explicit(&hook, NULL, memory_order_relaxed);
}

void sonde__observe_leave_out_thread(void)
{
	thread_state = THREAD_LEFT_OUT;
}
