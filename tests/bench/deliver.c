/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Typical spans all the way to a collector: captured, encoded, compressed or not as the environment
 * says, sent over HTTP to a local sink, and accepted. Time, processor time of the whole process and
 * peak memory run from the first begin to the end of the flush; every span must have been
 * delivered.
 *
 *	bench-deliver NAME PORT SPANS [RATE]
 *
 * With a rate, so many a second are recorded for better or worse, and what is lost is counted.
 * Without one the producer goes no further ahead than its box holds: what is
 * measured is delivery and not how much can be lost.
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sonde/sonde.h>

#include "account.h"
#include "collector.h"
#include "measure.h"
#include "operations.h"

#define STEP 500
#define PAUSE_NS 100000
#define WARM_UP 20000
#define DEADLINE_MS 60000

static struct sonde_agent *agent;
static uint64_t window; /* Spans that may wait. */
static uint64_t rss_anon_peak;

static struct sonde_account account_get(void)
{
	struct sonde_account account = { 0 };

	sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account);
	return account;
}

static void rss_anon_look(void)
{
	uint64_t now = measure_memory("RssAnon");

	if (now > rss_anon_peak)
		rss_anon_peak = now;
}

static void spans_record(uint64_t n)
{
	const struct operation *typical = operation_find("typical");
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	typical->enter(STEP);
	for (uint64_t i = 0; i < n; i += STEP) {
		typical->run(STEP);
		while (account_get().queued > window)
			nanosleep(&pause, NULL);
		/* Seldom: the reading itself costs. */
		if (i % (n / 50 / STEP * STEP + STEP) == 0)
			rss_anon_look();
	}
	typical->leave();
	sonde_agent_flush(agent, DEADLINE_MS);
	rss_anon_look();
}

/* As fast as told, whatever becomes of it. */
static void flood(uint64_t n, uint64_t per_second)
{
	const struct operation *typical = operation_find("typical");
	double start = measure_wall_ns();

	measure_pin(0);
	typical->enter(STEP);
	for (uint64_t i = 0; i < n; i += STEP) {
		double due = start + (double)i * 1e9 / (double)per_second;
		struct timespec until = { .tv_sec = (time_t)(due / 1e9),
					  .tv_nsec = (long)((uint64_t)due % 1000000000) };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		typical->run(STEP);
		if (i % (n / 50 / STEP * STEP + STEP) == 0)
			rss_anon_look();
	}
	typical->leave();
}

static int flood_main(const char *name, const char *port, uint64_t n, uint64_t per_second)
{
	double start;

	measure_leave_last();
	agent = collector_agent_start(port);
	start = measure_wall_ns();
	flood(n, per_second);
	start = measure_wall_ns() - start;
	sonde_agent_stop(agent, DEADLINE_MS);
	measure_print_value((double)n / start * 1e9, "1/s", "%s_spans_per_s", name);
	measure_print_value((double)account_lost_total(agent) / (double)n * 100, "%", "%s_lost",
			    name);
	measure_print_value((double)rss_anon_peak, "B", "%s_rss_anon", name);
	return !account_adds_up(agent);
}

int main(int argc, char **argv)
{
	uint64_t n;
	double start_wall;
	double start_cpu;
	struct sonde_account before;
	struct sonde_account after;

	if (argc < 4)
		return 2;
	n = strtoull(argv[3], NULL, 10);
	if (argc > 4)
		return flood_main(argv[1], argv[2], n, strtoull(argv[4], NULL, 10));
	agent = collector_agent_start(argv[2]);
	/* Two thirds of one processor's ring. */
	window = measure_box_bytes() / measure_processors() / operation_find("typical")->bytes * 2 / 3;
	spans_record(WARM_UP);
	before = account_get();
	rss_anon_peak = 0;
	start_wall = measure_wall_ns();
	start_cpu = measure_process_ns();
	spans_record(n);
	start_cpu = measure_process_ns() - start_cpu;
	start_wall = measure_wall_ns() - start_wall;
	after = account_get();
	measure_print_value((double)n / start_wall * 1e9, "1/s", "%s_spans_per_s", argv[1]);
	measure_print_value(start_cpu / (double)n, "ns", "%s_cpu_ns", argv[1]);
	measure_print_value((double)rss_anon_peak, "B", "%s_rss_anon", argv[1]);
	sonde_agent_stop(agent, DEADLINE_MS);
	if (!account_adds_up(agent) || !account_is_lossless(agent, /* expected= */ -1))
		return 1;
	/* And one span around each of the two times. */
	if (after.exported - before.exported == n + 1)
		return 0;
	fprintf(stderr, "delivered %" PRIu64 " of %" PRIu64 " spans\n",
		after.exported - before.exported, n + 1);
	return 1;
}
