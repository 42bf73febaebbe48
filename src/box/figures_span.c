/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span that was recorded is counted by whoever reads it: its record says all there is to count,
 * and its writer need not. One that was not, for want of room or of a sample, its writer counts.
 */

#include "base/clock.h"
#include "box/box.h"

#include "base/compiler.h"

/* How long ago a stamp is, in units of 2^-32 s; negative for one to come. */
static int64_t units_ago(uint64_t stamp, bool is_unix)
{
	const uint64_t now = is_unix ? sonde__realtime_ns() : sonde__ticks();
	const uint64_t distance = now > stamp ? now - stamp : stamp - now;
	const uint64_t units = is_unix ? sonde__units_of(distance, SONDE__UNITS_PER_NS)
				       : sonde__ticks_units(distance);

	return now > stamp ? (int64_t)units : -(int64_t)units;
}

/* One of the two given by the caller, the other taken from the counter. */
static SONDE__COLD uint64_t units_between_clocks(uint64_t start, bool start_is_unix, uint64_t end,
						 bool end_is_unix)
{
	const int64_t units = units_ago(start, start_is_unix) - units_ago(end, end_is_unix);

	return units > 0 ? (uint64_t)units : 0;
}

uint64_t sonde__span_units(uint64_t start, uint64_t end, unsigned flags)
{
	const bool start_is_unix = flags & SONDE__RECORD_START_IS_UNIX;
	const bool end_is_unix = flags & SONDE__RECORD_TIME_IS_UNIX;
	/* The counters of two CPUs may differ by some ticks: no time is negative. */
	const uint64_t duration = end > start ? end - start : 0;

	if (SONDE__UNLIKELY(start_is_unix != end_is_unix))
		return units_between_clocks(start, start_is_unix, end, end_is_unix);
	if (SONDE__UNLIKELY(start_is_unix))
		return sonde__units_of(duration, SONDE__UNITS_PER_NS);
	return sonde__ticks_units(duration);
}

void sonde__figures_count_span(const struct sonde__span_record *record)
{
	const unsigned flags = record->head.flags;

	sonde__figures_count(record->site,
			     sonde__span_units(record->start, record->head.time, flags),
			     flags & SONDE__RECORD_FAILED);
}
