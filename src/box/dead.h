/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_DEAD_H
#define SONDE_BOX_DEAD_H

#include "box/box.h"
#include "box/layout.h"

/*
 * Removes from the directory the boxes of header->service that nobody can want any more: those that
 * were closed in order, and of those of dead processes the oldest, until `max` are left. Counts
 * them and the records in them. Async-signal-safe.
 */
void sonde__box_dead_remove(int directory, const struct sonde__box_header *header, uint32_t max,
			    struct sonde__box_info *info);

#endif
