/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_FIGURES_H
#define SONDE_CAPTURE_FIGURES_H

/*
 * What the end of a span or timed scope adds to the figures of its site: one call, its duration,
 * and whether it failed; sampled out or not. docs/design/figures.md argues it.
 */

#include "base/clock.h"
#include "base/compiler.h"
#include "box/box.h"
#include "capture/span.h"
#include "capture/state.h"
#include "context/context.h"

/* Durations where a time was given by the caller. */
uint64_t sonde__span_units_by_unix(const struct sonde__span *span, uint64_t end_unix_ns);

/*
 * Whether the span's status is ERROR, as far as this thread knows: what was said to the span itself
 * and, while it is current, through the context. Before the context is put back.
 */
static SONDE__ALWAYS_INLINE bool sonde__span_has_failed(const struct sonde__span *span)
{
	const struct sonde__context_words *current = sonde__context_current();
	uint64_t said = current->flags & SONDE__CONTEXT_STATUS;

	if (SONDE__LIKELY(!said && span->status == SONDE_SPAN_UNSET))
		return false;
	if (current->span_id != sonde__context_words(&span->context)->span_id)
		said = 0;
	return span->status != SONDE_SPAN_OK && !(said & SONDE__CONTEXT_OK) &&
	       (span->status == SONDE_SPAN_ERROR || said);
}

/* The counters of two CPUs may differ by some ticks: no time is negative. */
static SONDE__ALWAYS_INLINE uint64_t sonde__ticks_between(uint64_t start, uint64_t end)
{
	return SONDE__LIKELY(end > start) ? end - start : 0;
}

/* Counts the span, whose end is `end` in ticks, or in Unix time where that was given. */
static SONDE__ALWAYS_INLINE void sonde__span_count(const struct sonde__span *span, uint64_t end,
						   uint64_t end_unix_ns, bool has_failed)
{
	uint64_t units;

	if (SONDE__UNLIKELY(end_unix_ns || (span->record_flags & SONDE__RECORD_START_IS_UNIX)))
		units = sonde__span_units_by_unix(span, end_unix_ns);
	else
		units = sonde__ticks_units(sonde__ticks_between(span->start, end));
	sonde__figures_count(span->site, units, has_failed);
}

#endif
