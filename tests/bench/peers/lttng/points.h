/* SPDX-License-Identifier: Apache-2.0 */

/* The tracepoint of lttng.c, in the form that LTTng's macros want: read twice by design. */

#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER sonde_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./points.h"

#if !defined(SONDE_BENCH_POINTS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define SONDE_BENCH_POINTS_H

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(
	sonde_bench, order,
	LTTNG_UST_TP_ARGS(long, items, const char *, currency, double, total),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(long, items, items)
				    lttng_ust_field_string(currency, currency)
					    lttng_ust_field_float(double, total, total)))

#endif

#include <lttng/tracepoint-event.h>
