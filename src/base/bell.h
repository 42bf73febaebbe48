/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_BELL_H
#define SONDE_BASE_BELL_H

/*
 * How capture wakes the background thread: at most one system call for each time the thread parked,
 * and none while it is awake. A futex and not a descriptor: a service that closes all descriptors
 * (every daemon does) must not make a recording call write into somebody else's file.
 *
 * Dekker's pattern: the waiter stores `parked`, fences (F1) and looks at the work once more before it
 * sleeps; the ringer publishes work, fences (F2) and reads `parked`. One of the two sees the other.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sonde__bell {
	_Atomic uint32_t state; /* 0 awake, 1 parked, 2 rung. */
};

/* Rouses the waiter if it is parked. Wait-free, async-signal-safe, keeps errno. */
void sonde__bell_ring(struct sonde__bell *bell);

/*
 * The waiter: announces that it will park; then the caller looks for work once more; then either
 * waits, up to `timeout_ns`, or unparks. Wait returns true when it was rung.
 */
void sonde__bell_park(struct sonde__bell *bell);
bool sonde__bell_wait(struct sonde__bell *bell, uint64_t timeout_ns);
void sonde__bell_unpark(struct sonde__bell *bell);

#endif
