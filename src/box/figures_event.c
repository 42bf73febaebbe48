/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact counts of what the toolkit says. Who says what is a site of its own kind. What took time is
 * a call of that site, so that its durations are a histogram like a span's; the rest counts as
 * captured errors do. So all that was said at a site is its calls and its errors. Items that it was
 * about are counted at a site beside it.
 */

#include "base/compiler.h"
#include "box/figures_inline.h"
#include "box/figures_place.h"

/* Relaxed, all below: counts that order nothing. */
static void misplaced_add(_Atomic uint64_t *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

uint32_t sonde__events_place(const struct sonde__site_view *place)
{
	return sonde__box_get() ? sonde__place_site(place) : 0;
}

void sonde__events_count(const struct sonde__site_view *place, uint64_t n)
{
	const struct sonde__box *box = sonde__box_get();

	if (!box || SONDE__LIKELY(sonde__place_add(box, place, n)))
		return;
	misplaced_add(place->kind == SONDE__SITE_ITEM ?
			      &sonde__figures_head(box)->n_items_misplaced :
			      &sonde__figures_head(box)->n_events_misplaced,
		      n);
}

void sonde__events_time(const struct sonde__site_view *place, uint64_t units)
{
	const struct sonde__box *box = sonde__box_get();
	uint32_t site;

	if (!box)
		return;
	site = sonde__place_site(place);
	/* Where it finds no line, sonde__figures_count counts it among the misplaced, too. */
	if (SONDE__LIKELY(site))
		sonde__figures_count(site, units, /* is_error= */ false);
	else
		misplaced_add(&sonde__figures_head(box)->n_events_misplaced, 1);
}

uint64_t sonde__events_misplaced(enum sonde__site_kind kind)
{
	const struct sonde__box *box = sonde__box_get();

	if (!box)
		return 0;
	return atomic_load_explicit(kind == SONDE__SITE_ITEM ?
					    &sonde__figures_head(box)->n_items_misplaced :
					    &sonde__figures_head(box)->n_events_misplaced,
				    memory_order_relaxed);
}
