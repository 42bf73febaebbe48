/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_FIGURES_PLACE_H
#define SONDE_BOX_FIGURES_PLACE_H

/* Counts of places that are known by what they say. Lock-free, async-signal-safe. */

#include "box/box.h"
#include "box/figures.h"

/* The place's site, made at need; 0: no room. */
uint32_t sonde__place_site(const struct sonde__site_view *place);

/* Adds to the errors of the place's site; false: no room. */
bool sonde__place_add(const struct sonde__box *box, const struct sonde__site_view *place,
		      uint64_t n);

#endif
