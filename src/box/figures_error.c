/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact counts of captured errors, by type and place. An error's place is a site like a span's,
 * named by the type, and its count is the errors of that site's figures, which has no calls.
 */

#include "base/compiler.h"
#include "box/figures_inline.h"
#include "box/figures_place.h"

void sonde__errors_count(const struct sonde__site_view *place)
{
	const struct sonde__box *box = sonde__box_get();

	/* Relaxed: a count that orders nothing. */
	if (box && SONDE__UNLIKELY(!sonde__place_add(box, place, /* n= */ 1)))
		atomic_fetch_add_explicit(&sonde__figures_head(box)->n_errors_misplaced, 1,
					  memory_order_relaxed);
}

uint64_t sonde__errors_misplaced(void)
{
	const struct sonde__box *box = sonde__box_get();

	/* Relaxed: a count that orders nothing. */
	return box ? atomic_load_explicit(&sonde__figures_head(box)->n_errors_misplaced,
					  memory_order_relaxed) :
		     0;
}
