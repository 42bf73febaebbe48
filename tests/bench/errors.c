/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Errors against a local sink, in two ways:
 *
 *	bench-errors single PORT ERRORS
 *	bench-errors flood PORT ERRORS THREADS
 *
 * Single: what raising, filling in, capturing and freeing one error costs its caller, each timed
 * for itself, from a stack of ten frames more, with an agent that delivers. Flood: all alike,
 * spread over a second on so many threads, as a broken dependency makes them; what leaves the
 * process, and what becomes of the rest.
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sonde/sonde.h>

#include "account.h"
#include "collector.h"
#include "measure.h"
#include "operations.h"

#define STEP 500
#define SINGLE_PAUSE 64 /* Errors, then a moment in which they are taken out of the box. */
#define DEADLINE_MS 60000
#define THREADS_MAX 64

struct producer {
	pthread_t thread;
	size_t number;
	uint64_t n;
	double busy_ns;
};

static void pause_ns(long ns)
{
	const struct timespec pause = { .tv_nsec = ns };

	nanosleep(&pause, NULL);
}

/* ---- One by one ------------------------------------------------------------------------------ */

static int single_main(const char *port, size_t n)
{
	const struct operation *capture = operation_find("error_capture");
	struct sonde_agent *agent = collector_agent_start(port);
	double *samples = calloc(n, sizeof(*samples));
	double ns_per_tick = measure_ns_per_tick();

	measure_pin(0);
	capture->run(STEP);
	for (size_t i = 0; i < n; i++) {
		uint64_t start = measure_ticks();

		capture->run(1);
		samples[i] = (double)(measure_ticks() - start) * ns_per_tick;
		if (i % SINGLE_PAUSE == 0)
			pause_ns(1000000);
	}
	measure_print_value(measure_figure(samples, n).median, "ns", "error_capture_p50_ns");
	measure_print_value(measure_quantile(samples, n, 0.99), "ns", "error_capture_p99_ns");
	sonde_agent_stop(agent, DEADLINE_MS);
	free(samples);
	return !account_adds_up(agent);
}

/* ---- All at once ----------------------------------------------------------------------------- */

static void *produce(void *argument)
{
	struct producer *producer = argument;
	const struct operation *capture = operation_find("error_capture");
	double start = measure_wall_ns();

	for (uint64_t i = 0; i < producer->n; i += STEP) {
		double due = start + (double)i * 1e9 / (double)producer->n;
		struct timespec until = { .tv_sec = (time_t)(due / 1e9),
					  .tv_nsec = (long)((uint64_t)due % 1000000000) };
		double began;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		began = measure_thread_ns();
		capture->run(producer->n - i < STEP ? (size_t)(producer->n - i) : STEP);
		producer->busy_ns += measure_thread_ns() - began;
	}
	return NULL;
}

static int flood_main(const char *port, uint64_t n, size_t n_threads)
{
	static struct producer producers[THREADS_MAX];
	struct sonde_agent *agent = collector_agent_start(port);
	struct sonde_account logs = { 0 };
	double start = measure_wall_ns();
	double cpu = measure_process_ns();
	double busy_ns = 0;

	for (size_t i = 0; i < n_threads; i++) {
		producers[i] = (struct producer){ .number = i, .n = n / n_threads };
		if (pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
			return 2;
	}
	for (size_t i = 0; i < n_threads; i++) {
		pthread_join(producers[i].thread, NULL);
		busy_ns += producers[i].busy_ns;
	}
	start = measure_wall_ns() - start;
	sonde_agent_stop(agent, DEADLINE_MS);
	cpu = measure_process_ns() - cpu;
	sonde_agent_account(agent, 0, SONDE_SIGNAL_LOG, &logs);
	measure_print_value(start / 1e6, "ms", "error_flood_ms_t%zu", n_threads);
	measure_print_value(busy_ns / (double)n, "ns", "error_flood_caller_ns_t%zu", n_threads);
	measure_print_value((cpu - busy_ns) / (double)n, "ns", "error_flood_behind_ns_t%zu",
			    n_threads);
	measure_print_value((double)logs.exported, "1", "error_flood_events_t%zu", n_threads);
	measure_print_value((double)logs.lost[SONDE_LOSS_RING_FULL] / (double)n * 100, "%",
			    "error_flood_ring_full_t%zu", n_threads);
	/* A summary is a record more; each other record was captured here. */
	if (logs.captured >= n && logs.captured <= n + 2 && account_adds_up(agent))
		return 0;
	fprintf(stderr, "%" PRIu64 " log records of %" PRIu64 " errors\n", logs.captured, n);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "single"))
		return single_main(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "flood"))
		return flood_main(argv[2], strtoull(argv[3], NULL, 10),
				  strtoul(argv[4], NULL, 10));
	return 2;
}
