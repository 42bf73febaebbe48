/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_SITE_H
#define SONDE_BOX_SITE_H

#include "box/shape.h"

/* The table never grows past what a box of this process holds. Before the first site. */
void sonde__sites_limit(uint32_t texts_size);

/*
 * Copies every site into a box that was just mapped, while others may be adding. Async-signal-safe.
 */
void sonde__sites_copy(const struct sonde__box *box);

#endif
