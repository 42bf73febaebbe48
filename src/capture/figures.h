/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_FIGURES_H
#define SONDE_CAPTURE_FIGURES_H

/*
 * What the end of a span adds to the figures of its site: one call, its duration, and whether it
 * failed. A span that is recorded is counted by the reader. docs/design/figures.md argues it.
 */

#include "base/clock.h"
#include "base/compiler.h"
#include "box/box.h"
#include "capture/span.h"
#include "capture/state.h"
#include "context/context.h"

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

/* Counts a span that is not recorded, or whose record found no room. */
static inline void sonde__span_count(const struct sonde__span *span, uint64_t end, unsigned flags)
{
	if (SONDE__SETTING(counts_figures))
		sonde__figures_count(span->site,
				     sonde__span_units(span->start, end,
						       span->record_flags | flags),
				     flags & SONDE__RECORD_FAILED);
}

#endif
