/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_WRITE_H
#define SONDE_BOX_WRITE_H

#include "box/layout.h"

/*
 * What this process lost while it had no box. Emptied into every box that is opened, so that a
 * forked child finds in its copy only what it lost itself.
 */
const struct sonde__box_counters *sonde__box_outside(void);
void sonde__box_outside_move(struct sonde__box_counters *to);

#endif
