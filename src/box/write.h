/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_WRITE_H
#define SONDE_BOX_WRITE_H

#include "box/layout.h"

/* What was lost while there was no box; moved into the box by the next open. */
struct sonde__box_counters *sonde__box_outside(void);

#endif
