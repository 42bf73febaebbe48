/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans that are sampled out. Such a span passes its trace on: it becomes current under an id of
 * its own, for what is called below it, and is counted, as a loss and in the figures of its site.
 * Nothing is written but its head; docs/design/sampling.md says what that costs.
 */

#include <string.h>

#include "base/clock.h"
#include "box/box.h"
#include "box/unsampled_inline.h"
#include "capture/figures.h"
#include "capture/span.h"
#include "context/context.h"

/* Members that are one word: the site and the bytes behind it. */
_Static_assert(offsetof(struct sonde__span, own_flags) - offsetof(struct sonde__span, site) == 7,
	       "one store clears them");

void sonde__span_pass(struct sonde__span *span, struct sonde_site *site)
{
	const uint64_t random_flag = sonde__context_current()->flags & SONDE_TRACE_FLAG_RANDOM;
	uint32_t id;

	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__PASSING);
	memset(&span->site, 0, sizeof(uint64_t));
	sonde__span_enter_below(span, sonde__identity_draw(), random_flag);
	if (SONDE__SETTING(counts_figures)) {
		/* Relaxed: the table has published what the id names. */
		id = site ? __atomic_load_n(&site->id, __ATOMIC_RELAXED) : 0;
		span->site = SONDE__UNLIKELY(!id) && site ? sonde__site_id(site) : id;
		span->start = sonde__ticks();
	}
	if (SONDE__UNLIKELY(!sonde__box_try_unsampled(SONDE_SIGNAL_SPAN)))
		sonde__box_count_unsampled(SONDE_SIGNAL_SPAN);
}

void sonde__span_pass_end(struct sonde__span *span, uint64_t end_unix_ns)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);
	const unsigned flags = (sonde__span_has_failed(span) ? SONDE__RECORD_FAILED : 0) |
			       (end_unix_ns ? SONDE__RECORD_TIME_IS_UNIX : 0);

	span->memento |= SONDE__ENDED;
	/* What sonde__span_pass began, where nothing was left behind: as it was. */
	if (SONDE__LIKELY(!span->own_flags && sonde__context_current()->span_id == own->span_id))
		sonde__span_leave_to_parent(span);
	else
		sonde__span_leave(span);
	if (SONDE__SETTING(counts_figures) && sonde_is_recording())
		sonde__span_count(span, end_unix_ns ? end_unix_ns : sonde__ticks(), flags);
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_OWNS_TRACESTATE))
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}
