/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The program's own malloc comes before libc's for every library in the process, and counts. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static _Thread_local uint64_t n_allocations;

void *malloc(size_t size)
{
	n_allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	n_allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
	n_allocations++;
	return __libc_realloc(memory, size);
}

uint64_t measure_allocations(void)
{
	uint64_t n = n_allocations;

	n_allocations = 0;
	return n;
}

/* The processors that we may use, and the last of them, which is the measuring thread's. */
static cpu_set_t all_processors;
static int own_processor = -1;

void measure_leave_processor(void)
{
	cpu_set_t others;

	if (own_processor < 0 && sched_getaffinity(0, sizeof(all_processors), &all_processors) != 0)
		return;
	if (CPU_COUNT(&all_processors) < 2)
		return;
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all_processors))
			own_processor = i;
	others = all_processors;
	CPU_CLR(own_processor, &others);
	sched_setaffinity(0, sizeof(others), &others);
}

void measure_take_processor(void)
{
	cpu_set_t own;

	if (own_processor < 0)
		return;
	CPU_ZERO(&own);
	CPU_SET(own_processor, &own);
	sched_setaffinity(0, sizeof(own), &own);
}

static double thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double run_ns(operation_fn *operation, size_t n)
{
	double start = thread_ns();

	operation(n);
	return (thread_ns() - start) / (double)n;
}

static double median(double *results)
{
	qsort(results, REPEATS, sizeof(results[0]), compare);
	return results[REPEATS / 2];
}

struct cost measure(operation_fn *operation, operation_fn *floor, size_t n, void (*between)(void))
{
	double results[REPEATS];
	double floors[REPEATS];
	struct cost cost;

	/* First uses: sites, caches, and every page of the box once. */
	for (size_t i = 0; i < WARM_UPS; i++) {
		operation(n);
		between();
	}
	for (size_t i = 0; i < REPEATS; i++) {
		floors[i] = run_ns(floor, n);
		results[i] = run_ns(operation, n);
		between();
	}
	cost.floor_ns = median(floors);
	cost.median_ns = median(results);
	cost.best_ns = results[0]; /* They are in order now. */
	return cost;
}

void measure_print(const char *name, double value, const char *unit)
{
	printf("%s %.*f %s\n", name, value < 1000 ? 1 : 0, value, unit);
	fflush(stdout);
}
