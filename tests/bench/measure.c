/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define OVERHEAD_SAMPLES 1001
#define NAME_SIZE 96

static double clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double measure_thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double measure_process_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

double measure_wall_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

double measure_overhead_ns(void)
{
	double samples[OVERHEAD_SAMPLES];

	for (size_t i = 0; i < OVERHEAD_SAMPLES; i++) {
		double start = measure_thread_ns();

		samples[i] = measure_thread_ns() - start;
	}
	return measure_figure(samples, OVERHEAD_SAMPLES).median;
}

double measure_ns_per_tick(void)
{
	static double found;
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	uint64_t ticks = measure_ticks();
	double start = measure_wall_ns();

	if (found == 0) {
		nanosleep(&pause, NULL);
		found = (measure_wall_ns() - start) / (double)(measure_ticks() - ticks);
	}
	return found;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double measure_quantile(const double *samples, size_t n, double share)
{
	size_t at = (size_t)(share * (double)n);

	return samples[at < n ? at : n - 1];
}

struct figure measure_figure(double *samples, size_t n)
{
	qsort(samples, n, sizeof(samples[0]), compare);
	return (struct figure){
		.median = measure_quantile(samples, n, 0.5),
		.spread = measure_quantile(samples, n, 0.75) - measure_quantile(samples, n, 0.25),
	};
}

static void print(struct figure figure, const char *unit, const char *format, va_list arguments)
{
	char name[NAME_SIZE];

	vsnprintf(name, sizeof(name), format, arguments);
	printf("%s %.6g %s %.3g\n", name, figure.median, unit, figure.spread);
	fflush(stdout);
}

void measure_print(struct figure figure, const char *unit, const char *name, ...)
{
	va_list arguments;

	va_start(arguments, name);
	print(figure, unit, name, arguments);
	va_end(arguments);
}

void measure_print_value(double value, const char *unit, const char *name, ...)
{
	va_list arguments;

	va_start(arguments, name);
	print((struct figure){ .median = value }, unit, name, arguments);
	va_end(arguments);
}

uint64_t measure_memory(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t size = strlen(key);
	char line[256];
	uint64_t kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, size) == 0 && line[size] == ':')
			kib = strtoull(line + size + 1, NULL, 10);
	if (file)
		fclose(file);
	return kib * 1024;
}

uint64_t measure_box_bytes(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	uint64_t bytes = 0;

	while (file && fgets(line, sizeof(line), file)) {
		uint64_t start;
		uint64_t end;

		if (strstr(line, " rw-s ") && strstr(line, "sonde") &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2)
			bytes += end - start;
	}
	if (file)
		fclose(file);
	return bytes;
}

/* The processors that we may use, as they were at first. */
static cpu_set_t processors;

static bool processors_find(void)
{
	return CPU_COUNT(&processors) > 0 ||
	       sched_getaffinity(0, sizeof(processors), &processors) == 0;
}

size_t measure_processors(void)
{
	return processors_find() ? (size_t)CPU_COUNT(&processors) : 1;
}

void measure_pin(size_t number)
{
	size_t left = number % measure_processors();
	cpu_set_t own;

	CPU_ZERO(&own);
	for (int i = CPU_SETSIZE - 1; i >= 0; i--)
		if (CPU_ISSET(i, &processors) && left-- == 0) {
			CPU_SET(i, &own);
			break;
		}
	sched_setaffinity(0, sizeof(own), &own);
}

void measure_leave_last(void)
{
	cpu_set_t others;

	if (measure_processors() < 2)
		return;
	others = processors;
	for (int i = CPU_SETSIZE - 1; i >= 0; i--)
		if (CPU_ISSET(i, &others)) {
			CPU_CLR(i, &others);
			break;
		}
	sched_setaffinity(0, sizeof(others), &others);
}
