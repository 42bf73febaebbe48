/* SPDX-License-Identifier: Apache-2.0 */

/*
 * LTTng-UST: a tracepoint with three fields into a live session, which ../../peers.py makes.
 *
 *	bench-lttng ROUNDS
 */

#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "points.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../drive.h"
#include "../../measure.h"

#define BURST 2000
#define WARM_UPS 6

static void point_run(size_t n)
{
	for (size_t i = 0; i < n; i++)
		lttng_ust_tracepoint(sonde_bench, order, (long)i, "EUR", 12.5);
}

/* The consumer takes full sub-buffers away while we rest. */
static void drain(void)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

int main(int argc, char **argv)
{
	static const struct operation point = { .name = "lttng_log", .run = point_run, .bytes = 64 };
	static const size_t thread_counts[] = { 1, 2, 4, 16 };

	if (argc != 2 || !lttng_ust_tracepoint_enabled(sonde_bench, order)) {
		fputs("no session has enabled the tracepoint\n", stderr);
		return 1;
	}
	for (size_t i = 0; i < sizeof(thread_counts) / sizeof(thread_counts[0]); i++) {
		struct drive drive = { .operation = &point,
				       .n_threads = thread_counts[i],
				       .burst = BURST / thread_counts[i],
				       .rounds = strtoull(argv[1], NULL, 10),
				       .warm_ups = WARM_UPS,
				       .drain = drain };
		struct cost cost = drive_time(&drive);
		char suffix[16] = "";

		if (i > 0)
			snprintf(suffix, sizeof(suffix), "_t%zu", thread_counts[i]);
		measure_print(cost.operation, "ns", "lttng_log_ns%s", suffix);
	}
	return 0;
}
