/* SPDX-License-Identifier: Apache-2.0 */
/* Durations of spans whose begin or end was given by the caller, in Unix time. */

#include "capture/figures.h"

static uint64_t ns_between(uint64_t start, uint64_t end)
{
	return end > start ? end - start : 0;
}

uint64_t sonde__span_units_by_unix(const struct sonde__span *span, uint64_t end_unix_ns)
{
	const uint64_t now_unix_ns = sonde__realtime_ns();
	uint64_t units;
	uint64_t later;

	if (span->record_flags & SONDE__RECORD_START_IS_UNIX)
		return sonde__units_of(ns_between(span->start,
						  end_unix_ns ? end_unix_ns : now_unix_ns),
				       SONDE__UNITS_PER_NS);
	/* The time until now, less what now is later than the end, or more where it is earlier. */
	units = sonde__ticks_units(sonde__ticks_between(span->start, sonde__ticks()));
	later = sonde__units_of(ns_between(end_unix_ns, now_unix_ns), SONDE__UNITS_PER_NS);
	if (later > units)
		return 0;
	return units - later +
	       sonde__units_of(ns_between(now_unix_ns, end_unix_ns), SONDE__UNITS_PER_NS);
}
