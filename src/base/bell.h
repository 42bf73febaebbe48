/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_BELL_H
#define SONDE_BASE_BELL_H

/*
 * How capture wakes the background thread: at most one system call for each time the thread parked,
 * and none while it is awake. A futex and not a descriptor: a service that closes all descriptors
 * (every daemon does) must not make a recording call write into somebody else's file.
 *
 * A ring is remembered: one that comes while the waiter is awake ends its next wait at once. So the
 * waiter needs no second look at the work before it sleeps.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sonde__bell {
	_Atomic uint32_t state;
};

/*
 * Publishes what the caller did before, and rouses the waiter. Wait-free, async-signal-safe, keeps
 * errno.
 */
void sonde__bell_ring(struct sonde__bell *bell);

/* The same, but a waiter that dozes is left to it: it finds the ring when its time is over. */
void sonde__bell_ring_softly(struct sonde__bell *bell);

/*
 * Waits until the bell is rung or `timeout_ns` are over (UINT64_MAX: never); a signal may end the
 * wait early. True when it was rung since the last wait; then what the ringer did is visible. One
 * waiter.
 */
bool sonde__bell_wait(struct sonde__bell *bell, uint64_t timeout_ns);

/* As sonde__bell_wait, but soft rings do not end it. */
bool sonde__bell_doze(struct sonde__bell *bell, uint64_t timeout_ns);

#endif
