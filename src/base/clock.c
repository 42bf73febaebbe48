/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ticks, and ticks as Unix time; the argument is in docs/design/clock.md.
 *
 * An anchor is a tick and a reading of CLOCK_MONOTONIC taken together: of several tries the one
 * whose two ticks around the reading lie closest. Between two anchors time is a straight line; left
 * of the first and right of the last it follows the slope of them all. Wall time is that line plus
 * one offset, the newest anchor's.
 */

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define ANCHOR_TRIES 8
/* Two readings of one constant offset differ by less; a clock that was set differs by more. */
#define OFFSET_NOISE_NS 10000
/* Anchors closer than this are one: the noise of reading them would show in the slope. */
#define ANCHOR_DISTANCE_NS SONDE__NS_PER_S
#define STRETCH_MAX (UINT64_C(1) << 62)
#define CALIBRATION_NS UINT64_C(200000)
/* Anchors this far apart say the rate to a millionth. */
#define RATE_DISTANCE_NS (100 * SONDE__NS_PER_MS)
/* A rate that differs more from the one before comes from a clock that was stopped. */
#define RATE_TRUST (1.0 / 64)

bool sonde__clock_has_counter;
static uint64_t ticks_per_ms = SONDE__NS_PER_MS;
uint64_t sonde__units_per_tick = SONDE__UNITS_PER_NS;

static uint64_t clock_read_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * SONDE__NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t sonde__monotonic_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

uint64_t sonde__realtime_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

#if defined(__x86_64__)
/*
 * The kernel takes the TSC as its clock only after it checked that all CPUs agree; it may change
 * its mind.
 */
static bool kernel_trusts_counter(void)
{
	char name[16] = "";
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		      O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	return n >= 3 && memcmp(name, "tsc", 3) == 0 && (name[3] == '\n' || name[3] == '\0');
}

/* Leaf 0x80000007: the counter runs at one rate in all power states. */
static bool cpu_has_invariant_counter(void)
{
	unsigned eax;
	unsigned ebx;
	unsigned ecx;
	unsigned edx;

	return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && (edx & (1u << 8));
}

static uint64_t counter_read(void)
{
	return __rdtsc();
}
#else
static bool kernel_trusts_counter(void)
{
	return false;
}

static bool cpu_has_invariant_counter(void)
{
	return false;
}

static uint64_t counter_read(void)
{
	return sonde__monotonic_ns();
}
#endif

/*
 * The narrowest of some readings: a thread that was interrupted between the two ticks shows by
 * their distance.
 */
static void counter_pair(uint64_t *ret_ticks, uint64_t *ret_ns)
{
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < ANCHOR_TRIES; i++) {
		uint64_t before = counter_read();
		uint64_t now = sonde__monotonic_ns();
		uint64_t after = counter_read();

		if (after < before || after - before >= narrowest)
			continue;
		narrowest = after - before;
		*ret_ticks = before + narrowest / 2;
		*ret_ns = now;
	}
}

static void rate_set(uint64_t ticks, uint64_t ns)
{
	double rate = 0x1p93 / 1e9 * (double)ns / (double)ticks;

	/* Relaxed: one word, which says nothing of others. */
	__atomic_store_n(&sonde__units_per_tick, rate < 0x1p64 ? (uint64_t)rate : UINT64_MAX,
			 __ATOMIC_RELAXED);
}

/* What the calibration could not wait for. */
static void rate_refine(const struct sonde__anchor *first, const struct sonde__anchor *last)
{
	double before = (double)__atomic_load_n(&sonde__units_per_tick, __ATOMIC_RELAXED);
	uint64_t ticks = last->ticks - first->ticks;
	uint64_t ns = last->monotonic_ns - first->monotonic_ns;
	double rate;

	if (!ticks || ns < RATE_DISTANCE_NS)
		return;
	rate = 0x1p93 / 1e9 * (double)ns / (double)ticks;
	if (rate > before * (1 - RATE_TRUST) && rate < before * (1 + RATE_TRUST))
		rate_set(ticks, ns);
}

static void counter_calibrate(void)
{
	uint64_t ticks[2] = { 0, 0 };
	uint64_t ns[2] = { 0, 0 };

	counter_pair(&ticks[0], &ns[0]);
	while (sonde__monotonic_ns() - ns[0] < CALIBRATION_NS)
		;
	counter_pair(&ticks[1], &ns[1]);
	if (ns[1] <= ns[0] || ticks[1] <= ticks[0])
		return;
	__atomic_store_n(&ticks_per_ms,
			 (uint64_t)((double)(ticks[1] - ticks[0]) * 1e6 / (double)(ns[1] - ns[0])),
			 __ATOMIC_RELAXED);
	rate_set(ticks[1] - ticks[0], ns[1] - ns[0]);
}

void sonde__clock_init(void)
{
	static bool done;
	int saved_errno = errno;

	if (done)
		return;
	done = true;
	if (cpu_has_invariant_counter() && kernel_trusts_counter()) {
		counter_calibrate();
		/* Relaxed: stamps taken before the gate opens are of no agent. */
		__atomic_store_n(&sonde__clock_has_counter, true, __ATOMIC_RELAXED);
	}
	errno = saved_errno;
}

uint64_t sonde__ticks_per_ms(void)
{
	/* Relaxed: one word, written once. */
	return __atomic_load_n(&ticks_per_ms, __ATOMIC_RELAXED);
}

static void anchor_take(struct sonde__anchor *ret)
{
	uint64_t narrowest = UINT64_MAX;

	memset(ret, 0, sizeof(*ret));
	if (sonde__clock_has_counter) {
		counter_pair(&ret->ticks, &ret->monotonic_ns);
	} else {
		ret->monotonic_ns = sonde__monotonic_ns();
		ret->ticks = ret->monotonic_ns;
	}
	for (int i = 0; i < ANCHOR_TRIES; i++) {
		uint64_t before = sonde__monotonic_ns();
		uint64_t now = sonde__realtime_ns();
		uint64_t width = sonde__monotonic_ns() - before;

		if (width >= narrowest)
			continue;
		narrowest = width;
		/* Unsigned: right also while the wall clock stands before the time of boot. */
		ret->realtime_ns = now - (before + width / 2) + ret->monotonic_ns;
	}
}

void sonde__clock_open(struct sonde__clock *clock)
{
	clock->n_anchors = 0;
	sonde__clock_anchor(clock);
}

void sonde__clock_anchor(struct sonde__clock *clock)
{
	struct sonde__anchor anchor;

	anchor_take(&anchor);
	sonde__clock_add(clock, &anchor);
	if (sonde__clock_has_counter)
		rate_refine(&clock->anchors[0], &clock->anchors[clock->n_anchors - 1]);
}

static uint64_t anchor_offset(const struct sonde__anchor *anchor)
{
	return anchor->realtime_ns - anchor->monotonic_ns;
}

/*
 * Every second one goes, but the first stays: the older, the sparser, and never beyond the oldest
 * stamp.
 */
static void anchors_thin(struct sonde__clock *clock)
{
	size_t n = 0;

	for (size_t i = 0; i < clock->n_anchors; i += 2)
		clock->anchors[n++] = clock->anchors[i];
	clock->n_anchors = n;
}

/* Noise in the offset would move the stamps of one batch against those of the next. */
static void anchor_steady(struct sonde__anchor *anchor, const struct sonde__anchor *last)
{
	uint64_t change = anchor_offset(anchor) - anchor_offset(last);

	if (change + OFFSET_NOISE_NS <= 2 * OFFSET_NOISE_NS)
		anchor->realtime_ns = anchor->monotonic_ns + anchor_offset(last);
}

/*
 * The anchors that stay when `added` comes: the last one moves along until it is far enough from
 * its elder.
 */
static size_t anchors_kept(const struct sonde__clock *clock, const struct sonde__anchor *added)
{
	size_t n = clock->n_anchors;
	const struct sonde__anchor *last = &clock->anchors[n - 1];

	/*
	 * A counter that ran backwards was reset; what it said before cannot be converted any more.
	 */
	if (added->ticks < last->ticks || added->monotonic_ns < last->monotonic_ns)
		return 0;
	if (added->ticks == last->ticks || added->monotonic_ns == last->monotonic_ns)
		return n - 1;
	if (n >= 2 && last->monotonic_ns - last[-1].monotonic_ns < ANCHOR_DISTANCE_NS)
		return n - 1;
	return n;
}

static double slope(const struct sonde__anchor *from, const struct sonde__anchor *to)
{
	if (to->ticks <= from->ticks)
		return 1e6 / (double)sonde__ticks_per_ms();
	return (double)(to->monotonic_ns - from->monotonic_ns) / (double)(to->ticks - from->ticks);
}

/* Three stamps of every span are converted, and a division takes longer than all the rest of it. */
static void slopes_renew(struct sonde__clock *clock, size_t first_changed)
{
	size_t last = clock->n_anchors - 1;

	for (size_t i = first_changed; i < last; i++)
		clock->ns_per_tick[i] = slope(&clock->anchors[i], &clock->anchors[i + 1]);
	clock->ns_per_tick[last] = slope(&clock->anchors[0], &clock->anchors[last]);
}

/* Only where all of it, and the product, are far from the bounds of 64 bits. */
static void recent_renew(struct sonde__clock *clock)
{
	const struct sonde__anchor *to = &clock->anchors[clock->n_anchors - 1];
	const struct sonde__anchor *from = to - 1;

	clock->recent.n_ticks = 0;
	if (clock->n_anchors < 2 || to->ticks - from->ticks > STRETCH_MAX ||
	    to->monotonic_ns - from->monotonic_ns > STRETCH_MAX)
		return;
	clock->recent = (struct sonde__stretch){
		.ticks = from->ticks,
		.n_ticks = to->ticks - from->ticks,
		.unix_ns = from->monotonic_ns + anchor_offset(to),
		.n_ns = to->monotonic_ns - from->monotonic_ns,
		.ns_per_tick = clock->ns_per_tick[clock->n_anchors - 2],
	};
}

void sonde__clock_add(struct sonde__clock *clock, const struct sonde__anchor *anchor)
{
	struct sonde__anchor added = *anchor;
	size_t first_changed;

	if (clock->n_anchors) {
		anchor_steady(&added, &clock->anchors[clock->n_anchors - 1]);
		clock->n_anchors = anchors_kept(clock, &added);
	}
	first_changed = clock->n_anchors ? clock->n_anchors - 1 : 0;
	if (clock->n_anchors == SONDE__CLOCK_ANCHORS) {
		anchors_thin(clock);
		first_changed = 0;
	}
	clock->anchors[clock->n_anchors++] = added;
	slopes_renew(clock, first_changed);
	recent_renew(clock);
}

/* Nonsense in a record must stay harmless: beyond 64 bits the conversion would be undefined. */
static uint64_t distance_ns(uint64_t ticks, double ns_per_tick)
{
	double ns = (double)ticks * ns_per_tick;

	return ns < 9e18 ? (uint64_t)ns : UINT64_C(9000000000000000000);
}

/* `ticks` on the line through an anchor. */
static uint64_t line_ns(const struct sonde__anchor *from, double ns_per_tick, uint64_t ticks)
{
	if (ticks >= from->ticks)
		return from->monotonic_ns + distance_ns(ticks - from->ticks, ns_per_tick);
	return from->monotonic_ns - distance_ns(from->ticks - ticks, ns_per_tick);
}

static uint64_t clock_monotonic_ns(const struct sonde__clock *clock, uint64_t ticks)
{
	const struct sonde__anchor *first = &clock->anchors[0];
	const struct sonde__anchor *last = &clock->anchors[clock->n_anchors - 1];
	const double *ns_per_tick = &clock->ns_per_tick[clock->n_anchors - 1];
	uint64_t ns;

	if (ticks >= last->ticks)
		return line_ns(last, *ns_per_tick, ticks);
	if (ticks < first->ticks)
		return line_ns(first, *ns_per_tick, ticks);
	/* Most stamps are young: from the newest back. */
	do {
		last--;
		ns_per_tick--;
	} while (last->ticks > ticks);
	ns = line_ns(last, *ns_per_tick, ticks);
	last++;
	/* Rounding must not carry a stamp past the next stretch's first. */
	return ns < last->monotonic_ns ? ns : last->monotonic_ns;
}

static uint64_t old_unix_ns(const struct sonde__clock *clock, uint64_t ticks)
{
	if (!clock->n_anchors)
		return 0;
	return clock_monotonic_ns(clock, ticks) +
	       anchor_offset(&clock->anchors[clock->n_anchors - 1]);
}

uint64_t sonde__clock_unix_ns(const struct sonde__clock *clock, uint64_t ticks)
{
	const struct sonde__stretch *recent = &clock->recent;
	uint64_t n_ticks = ticks - recent->ticks;
	uint64_t ns;

	if (SONDE__UNLIKELY(n_ticks >= recent->n_ticks))
		return old_unix_ns(clock, ticks);
	/* Signed, because the machine converts no other kind. */
	ns = (uint64_t)(int64_t)((double)(int64_t)n_ticks * recent->ns_per_tick);
	return recent->unix_ns + (ns < recent->n_ns ? ns : recent->n_ns);
}
