/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_CLOCK_H
#define SONDE_RESILIENCE_CLOCK_H

/* Injected time and chance, and the deadline that bounds every wait. */

#include <sonde/resilience.h>

#include "base/clock.h"
#include "base/random.h"
#include "context/context.h"

/* "No limit", of a moment and of a duration. */
#define SONDE__NEVER UINT64_MAX

/* `clock` may be NULL. */
static inline uint64_t sonde__now_ns(const struct sonde_clock *clock)
{
	return clock && clock->now_ns ? clock->now_ns(clock->user) : sonde__monotonic_ns();
}

/* The moment `duration_ns` after `now_ns`; never where that is further than time goes. */
static inline uint64_t sonde__moment_after(uint64_t now_ns, uint64_t duration_ns)
{
	return duration_ns < SONDE__NEVER - now_ns ? now_ns + duration_ns : SONDE__NEVER;
}

/* As options have durations; UINT64_MAX, and what is longer than time goes, is never. */
static inline uint64_t sonde__ms_to_ns(uint64_t ms)
{
	return ms <= SONDE__NEVER / SONDE__NS_PER_MS ? ms * SONDE__NS_PER_MS : SONDE__NEVER;
}

/* How long until `moment_ns`; 0: it is over. */
static inline uint64_t sonde__time_until(uint64_t moment_ns, uint64_t now_ns)
{
	return moment_ns > now_ns ? moment_ns - now_ns : 0;
}

/* The current context's deadline, a moment; SONDE__NEVER: it has none. */
static inline uint64_t sonde__deadline_current(void)
{
	uint64_t deadline_ns = sonde__thread.current.extension[SONDE__EXTENSION_DEADLINE];

	return deadline_ns ? deadline_ns : SONDE__NEVER;
}

/* When a wait that begins now and may take `limit_ns` must end: then, or at the deadline. */
static inline uint64_t sonde__wait_end(uint64_t now_ns, uint64_t limit_ns)
{
	uint64_t end_ns = sonde__moment_after(now_ns, limit_ns);
	uint64_t deadline_ns = sonde__deadline_current();

	return end_ns < deadline_ns ? end_ns : deadline_ns;
}

/* `random` may be NULL. A system call then: for what waits anyway. */
static inline double sonde__chance(sonde_random_fn *random, void *user)
{
	uint64_t bits = 0;

	if (random)
		return random(user);
	if (sonde__random_bytes(&bits, sizeof(bits)))
		bits = sonde__mix64(sonde__monotonic_ns());
	return (double)(bits >> 11) * 0x1p-53;
}

#endif
