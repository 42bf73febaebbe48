/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_BENCH_MEASURE_H
#define SONDE_TESTS_BENCH_MEASURE_H

/* Measuring one operation on one thread, whatever else the machine does. */

#include <stddef.h>
#include <stdint.h>

/* One operation, done `n` times. */
typedef void operation_fn(size_t n);

/*
 * Keeps the calling thread on one processor, and what it starts from now on off it, where there are
 * two.
 */
void measure_leave_processor(void);
void measure_take_processor(void);

/* Nanoseconds of the calling thread's processor time for one operation. */
struct cost {
	double median_ns;
	double best_ns; /* As on a quiet machine. */
	double floor_ns; /* The median of `floor`, measured in turns with the operation. */
};

/*
 * REPEATS runs of `n` operations, after WARM_UPS that do not count, each after a run of as many of
 * `floor`, for comparison under the same weather. `between` runs, unmeasured, after each.
 */
#define REPEATS 51
#define WARM_UPS 20
struct cost measure(operation_fn *operation, operation_fn *floor, size_t n, void (*between)(void));

/* Allocations of the calling thread since the last call, by way of the program's own malloc. */
uint64_t measure_allocations(void);

/* A line `name value unit` on standard output. */
void measure_print(const char *name, double value, const char *unit);

#endif
