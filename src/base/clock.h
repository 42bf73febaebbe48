/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_CLOCK_H
#define SONDE_BASE_CLOCK_H

/*
 * Time.
 *
 * Capture stamps records with ticks: the TSC where the kernel itself uses it as clock source, else
 * CLOCK_MONOTONIC in nanoseconds. The background thread turns ticks into Unix nanoseconds by
 * interpolating between anchors, each a tick and a clock reading taken together: every stamp lies
 * between two anchors, so the error is that of reading an anchor (some 50 ns), and no calibration
 * has to be waited for. Between anchors time is linear, so order and durations are kept.
 * docs/design/clock.md argues it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/compiler.h"

#define SONDE__NS_PER_S UINT64_C(1000000000)
#define SONDE__NS_PER_MS UINT64_C(1000000)

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. Wait-free, async-signal-safe. */
uint64_t sonde__monotonic_ns(void);
uint64_t sonde__realtime_ns(void);

/* Set once by sonde__clock_init: ticks are the CPU's counter. */
extern bool sonde__clock_has_counter;

/*
 * Chooses the source of ticks. Idempotent; may read a file. Before it, ticks are CLOCK_MONOTONIC.
 */
void sonde__clock_init(void);

/* Whether ticks are sonde__counter, which is one instruction. */
static SONDE__ALWAYS_INLINE bool sonde__ticks_are_counted(void)
{
	/* Relaxed: set before the gate opens; stamps from before that are of no agent. */
	return SONDE__LIKELY(__atomic_load_n(&sonde__clock_has_counter, __ATOMIC_RELAXED));
}

static SONDE__ALWAYS_INLINE uint64_t sonde__counter(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return 0; /* Never asked for. */
#endif
}

/* The current tick. Wait-free, async-signal-safe. */
static SONDE__ALWAYS_INLINE uint64_t sonde__ticks(void)
{
	return sonde__ticks_are_counted() ? sonde__counter() : sonde__monotonic_ns();
}

/* Ticks in a millisecond, roughly (one part in 1000), for thresholds. Wait-free. */
uint64_t sonde__ticks_per_ms(void);

/*
 * Durations in units of 2^-32 s, for which a tick is this many units times 2^61. Good to one part
 * in 1000 at first and, once anchors of a running agent lie apart, in a million. Wait-free,
 * async-signal-safe.
 */
extern uint64_t sonde__units_per_tick;

#define SONDE__UNITS_PER_NS UINT64_C(0x89705f4136b4a597) /* 2^93 / 10^9 */

static SONDE__ALWAYS_INLINE uint64_t sonde__units_of(uint64_t duration, uint64_t rate)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)(((wide)(duration << 3) * rate) >> 64);
}

static SONDE__ALWAYS_INLINE uint64_t sonde__ticks_units(uint64_t ticks)
{
	/* Relaxed: any rate that was ever set will do. */
	return sonde__units_of(ticks, __atomic_load_n(&sonde__units_per_tick, __ATOMIC_RELAXED));
}

/* Tick to Unix time. One owner; not thread-safe. */
#define SONDE__CLOCK_ANCHORS 64

struct sonde__anchor {
	uint64_t ticks;
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
};

/* Between two anchors, in the form in which most stamps are converted. */
struct sonde__stretch {
	uint64_t ticks; /* Of its beginning. */
	uint64_t n_ticks; /* 0: there is none. */
	uint64_t unix_ns; /* Of its beginning. */
	uint64_t n_ns;
	double ns_per_tick;
};

/*
 * The anchors, oldest first, increase in ticks and monotonic_ns. Their realtime_ns may go back,
 * when somebody set the clock: conversions all use the newest anchor's offset, so that stamps
 * converted with the same anchors keep their order and distance whatever CLOCK_REALTIME did in
 * between.
 */
struct sonde__clock {
	struct sonde__anchor anchors[SONDE__CLOCK_ANCHORS];
	/* From each anchor to the next; of the last: from the first to it, for stamps beyond it. */
	double ns_per_tick[SONDE__CLOCK_ANCHORS];
	size_t n_anchors;
	struct sonde__stretch recent; /* Up to the last anchor. */
};

/* Begins with one anchor, taken now. */
void sonde__clock_open(struct sonde__clock *clock);
/* Takes an anchor now. To be called before converting stamps that are younger than the last one. */
void sonde__clock_anchor(struct sonde__clock *clock);
/* Adds an anchor from elsewhere: a test's, or another process's. */
void sonde__clock_add(struct sonde__clock *clock, const struct sonde__anchor *anchor);
/* Any stamp gives a number; nonsense gives nonsense. 0 while there is no anchor. */
uint64_t sonde__clock_unix_ns(const struct sonde__clock *clock, uint64_t ticks);

#endif
