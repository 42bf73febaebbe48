/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_MEASURE_H
#define SONDE_BENCH_MEASURE_H

/*
 * Clocks, medians and lines, for every benchmark program. A line is `name value unit spread`; the
 * spread is the distance between the quartiles of the samples, in the same unit, 0 for a count.
 */

#include <stddef.h>
#include <stdint.h>

struct figure {
	double median;
	double spread;
};

/* Processor time of the calling thread, and of the whole process. */
double measure_thread_ns(void);
double measure_process_ns(void);
double measure_wall_ns(void);
/* What measure_thread_ns itself takes of what it measures. */
double measure_overhead_ns(void);

/* The processor's counter where it has one, else the clock. */
static inline uint64_t measure_ticks(void);
double measure_ns_per_tick(void);

/* Sorts the samples. */
struct figure measure_figure(double *samples, size_t n);
/* Of n sorted samples, the one that `share` of them do not exceed. */
double measure_quantile(const double *samples, size_t n, double share);

/* The name is a format. */
void measure_print(struct figure figure, const char *unit, const char *name, ...)
	__attribute__((format(printf, 3, 4)));
void measure_print_value(double value, const char *unit, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

/* From /proc/self/status, in bytes: "RssAnon", "RssShmem". */
uint64_t measure_memory(const char *key);
/* Bytes of the black box's file, or of the memory that stands in for it; 0 where none is mapped. */
uint64_t measure_box_bytes(void);

/*
 * Processors: threads that are measured are pinned one by one, from the last processor down; all
 * else keeps off the last one while measure_leave_last is in force for who starts it.
 */
size_t measure_processors(void);
void measure_pin(size_t number);
void measure_leave_last(void);

#if defined(__x86_64__)
#include <x86intrin.h>

static inline uint64_t measure_ticks(void)
{
	return __rdtsc();
}
#else
static inline uint64_t measure_ticks(void)
{
	return (uint64_t)measure_wall_ns();
}
#endif

#endif
