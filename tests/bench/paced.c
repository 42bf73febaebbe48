/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a caller waits, call by call: a loop that records a typical span every 20 µs, on average, on
 * a processor of its own, while its collector answers, refuses, or hangs. NAME `without` is the
 * same loop with nothing in it, which shows what the machine itself adds. Then memory, and how long
 * a stop with a deadline of two seconds takes.
 *
 *	bench-paced NAME PORT SECONDS
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "account.h"
#include "collector.h"
#include "measure.h"
#include "operations.h"

#define INTERVAL_NS 20000
#define STOP_DEADLINE_MS 2000
#define WARM_UP 5000

static void nothing_run(size_t n)
{
	__asm__ volatile("" ::"r"(n) : "memory");
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void loop_run(void (*run)(size_t n), uint32_t *ret_ticks, size_t n)
{
	uint64_t interval = (uint64_t)(INTERVAL_NS / measure_ns_per_tick());
	uint64_t due = measure_ticks();
	uint64_t random = due | 1;

	for (size_t i = 0; i < n; i++) {
		uint64_t start;
		uint64_t ticks;

		while ((start = measure_ticks()) < due)
			;
		run(1);
		ticks = measure_ticks() - start;
		ret_ticks[i] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
		/*
		 * Half to one and a half intervals: a regular one falls into step with the kernel's
		 * timer. What was late is not made up for: it would be a burst.
		 */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		due = (due < start ? start : due) + interval / 2 + random % interval;
	}
}

static void ticks_print(const char *name, uint32_t *ticks, size_t n)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {
		{ "p50", 0.5 },
		{ "p99", 0.99 },
		{ "p99.9", 0.999 },
		{ "p99.99", 0.9999 },
	};

	qsort(ticks, n, sizeof(ticks[0]), compare);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		measure_print_value(ticks[(size_t)(quantiles[i].share * (double)n)] *
					    measure_ns_per_tick(),
				    "ns", "%s_%s_ns", name, quantiles[i].name);
}

static int agent_end(struct sonde_agent *agent, const char *name)
{
	double start = measure_wall_ns();

	sonde_agent_stop(agent, STOP_DEADLINE_MS);
	measure_print_value((measure_wall_ns() - start) / 1e6, "ms", "%s_stop_ms", name);
	return !account_adds_up(agent);
}

int main(int argc, char **argv)
{
	const struct operation *typical = operation_find("typical");
	struct sonde_agent *agent = NULL;
	uint32_t *ticks;
	size_t n;

	if (argc != 4)
		return 2;
	n = (size_t)(strtod(argv[3], NULL) * 1e9 / INTERVAL_NS);
	/* Shared, so that it is not part of RssAnon; touched, so that no call waits for a page. */
	ticks = mmap(NULL, n * sizeof(ticks[0]), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ticks == MAP_FAILED)
		return 1;
	measure_leave_last();
	if (strcmp(argv[1], "without") != 0)
		agent = collector_agent_start(argv[2]);
	measure_pin(0);
	typical->enter(1);
	loop_run(agent ? typical->run : nothing_run, ticks, WARM_UP < n ? WARM_UP : n);
	loop_run(agent ? typical->run : nothing_run, ticks, n);
	typical->leave();
	ticks_print(argv[1], ticks, n);
	measure_print_value((double)measure_memory("RssAnon"), "B", "%s_rss_anon", argv[1]);
	return agent ? agent_end(agent, argv[1]) : 0;
}
