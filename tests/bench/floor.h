/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_FLOOR_H
#define SONDE_BENCH_FLOOR_H

/*
 * What no recorder on this machine can do without: two readings of the clock, one reservation by
 * compare-exchange in a ring of the processor's own, one copy of `bytes` bytes into it. Costs are
 * given in floors too, because those hardly depend on how fast and how busy the machine is.
 */

#include <stddef.h>

enum floor_part {
	FLOOR_CLOCK = 1, /* Both readings. */
	FLOOR_RESERVE = 2,
	FLOOR_COPY = 4,
	FLOOR_ALL = 7,
};

/* `processor` chooses the ring. */
void floor_run(size_t n, size_t bytes, size_t processor, enum floor_part parts);

#endif
