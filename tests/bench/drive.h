/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_DRIVE_H
#define SONDE_BENCH_DRIVE_H

/*
 * Runs an operation in bursts on one or many threads at once. Between two bursts nobody records,
 * and the subject takes away what was recorded, so that no burst meets a full buffer. Beside each
 * burst, on the same thread, the machine's floor for a record of the same size is measured.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"

struct operation {
	const char *name;
	void (*run)(size_t n);
	/* On each thread at its start and end; may be NULL. */
	void (*enter)(size_t n);
	void (*leave)(void);
	/* Before each burst, not measured; may be NULL. */
	void (*prepare)(size_t n);
	bool is_variant; /* Not one of those that are measured everywhere. */
	size_t burst_max; /* All threads together; 0: as many as there is room for. */
	size_t bytes; /* What one leaves in the buffer, about, rounded up. */
};

struct drive {
	const struct operation *operation;
	size_t n_threads;
	size_t burst; /* Operations, each thread's. */
	size_t rounds;
	size_t warm_ups;
	void (*drain)(void); /* Between bursts; may be NULL. */
};

/* Nanoseconds of processor time of the calling thread for one operation. */
struct cost {
	struct figure operation;
	struct figure floor;
	struct figure in_floors; /* Their ratio, burst by burst. */
};

struct cost drive_time(const struct drive *drive);

struct drive_counts {
	double allocations; /* For one operation. */
	double locks;
};

/* The same without clocks; `name` is what the marks say (counters.h). */
struct drive_counts drive_count(const struct drive *drive, const char *name);

#endif
