/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a recording call costs its caller.
 *
 *	bench-costs time ROUNDS PART	measures processor time
 *	bench-costs count N PART	counts allocations and locks of N operations, and
 *					under bench-trace system calls
 *
 * A part has a process of its own, because a box keeps the size that the first agent gave it:
 * `defaults` is one thread with all defaults, `threads` 1 to 64 threads, `floors` the machine.
 *
 * An agent with the null exporter and all defaults runs on the other processors. Names:
 *
 *	child_ns               one thread, the worker parked, as it is nearly always
 *	child_running_ns       the worker draining without a rest meanwhile
 *	child_ns_t4            four threads; from here on the box is larger, so that a burst of 64
 *	child_running_ns_t4    threads finds room: child_ns_t1 is what the others compare with
 *	child_floors           child_ns in floors (floor.h)
 *	disabled_ns            a child, and no agent
 *	sampled_out_ns         a child under a sampler that takes nothing
 *	site_figures_ns        what counting by site is of timed_fast
 *	..._no_figures_ns      the same with figures switched off
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/sonde.h>

#include "account.h"
#include "counters.h"
#include "drive.h"
#include "floor.h"
#include "measure.h"
#include "operations.h"

#define DEADLINE_MS 20000
#define WARM_UPS 6
#define BURST_MAX 5000
#define DEFAULT_MEMORY (UINT64_C(12) << 20)
#define LARGE_MEMORY (UINT64_C(64) << 20)
#define FLUSHERS 2

static const size_t thread_counts[] = { 1, 2, 4, 16, 64 };
#define N_THREAD_COUNTS (sizeof(thread_counts) / sizeof(thread_counts[0]))

static struct sonde_agent *agent;
static bool is_counting;
static size_t amount; /* Rounds to measure, operations to count. */
static bool failed;

/* Empties the box; the next burst finds it as the last one did. */
static void drain(void)
{
	if (agent && sonde_agent_flush(agent, DEADLINE_MS) != SONDE_OK)
		fputs("a flush to the null exporter was not complete\n", stderr);
}

static void agent_start(uint64_t memory)
{
	static const struct sonde_destination null = { .name = "null" };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.service_name = "bench";
	options.destinations = &null;
	options.n_destinations = 1;
	options.memory_limit_bytes = memory;
	measure_leave_last();
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		exit(1);
}

/* Everything that was measured was also recorded, and is accounted for. */
static void agent_stop(int expected_loss)
{
	if (sonde_agent_stop(agent, DEADLINE_MS) != SONDE_OK || !account_adds_up(agent) ||
	    !account_is_lossless(agent, expected_loss))
		failed = true;
	agent = NULL;
}

/* Keeps the worker from parking: two ask in turn, so that an order always waits for it. */
static _Atomic bool flushers_end;

static void *flusher_run(void *argument)
{
	(void)argument;
	/* Relaxed: nothing else is said by it. */
	while (!atomic_load_explicit(&flushers_end, memory_order_relaxed))
		sonde_agent_flush(agent, DEADLINE_MS);
	return NULL;
}

static void flushers_start(pthread_t flushers[FLUSHERS])
{
	atomic_store_explicit(&flushers_end, false, memory_order_relaxed);
	for (size_t i = 0; i < FLUSHERS; i++)
		pthread_create(&flushers[i], NULL, flusher_run, NULL);
}

static void flushers_stop(pthread_t flushers[FLUSHERS])
{
	atomic_store_explicit(&flushers_end, true, memory_order_relaxed);
	for (size_t i = 0; i < FLUSHERS; i++)
		pthread_join(flushers[i], NULL);
}

/*
 * Operations a thread may do before somebody must make room: a quarter of the limit is the box, it
 * has a ring for each processor, and from half full on a ring rouses the worker.
 */
static size_t burst_size(const struct operation *operation, size_t n_threads, uint64_t memory)
{
	size_t n_processors = measure_processors();
	size_t used = n_threads < n_processors ? n_threads : n_processors;
	uint64_t room = memory / 4 / n_processors * used * 3 / 8;
	size_t n = (size_t)(room / operation->bytes / n_threads);

	if (n > BURST_MAX)
		n = BURST_MAX;
	return n > 0 ? n : 1;
}

static struct cost measure(const struct operation *operation, const char *name, const char *suffix,
			   size_t n_threads, uint64_t memory)
{
	struct drive drive = { .operation = operation,
			       .n_threads = n_threads,
			       .burst = burst_size(operation, n_threads, memory),
			       .rounds = amount,
			       .warm_ups = WARM_UPS,
			       .drain = drain };
	struct drive_counts counts;
	char full[80];

	if (!is_counting) {
		struct cost cost = drive_time(&drive);

		measure_print(cost.operation, "ns", "%s_ns%s", name, suffix);
		measure_print(cost.in_floors, "1", "%s_floors%s", name, suffix);
		return cost;
	}
	drive.rounds = amount / n_threads / drive.burst + 1;
	snprintf(full, sizeof(full), "%s %s", name, suffix);
	counts = drive_count(&drive, full);
	measure_print_value(counts.allocations, "1/op", "%s_allocations%s", name, suffix);
	measure_print_value(counts.locks, "1/op", "%s_locks%s", name, suffix);
	return (struct cost){ .operation = { 0 } };
}

/* Both states of the worker. */
static void measure_both(const struct operation *operation, const char *suffix, size_t n_threads,
			 uint64_t memory)
{
	pthread_t flushers[FLUSHERS];
	char name[64];
	struct cost cost = measure(operation, operation->name, suffix, n_threads, memory);

	if (!is_counting && !suffix[0])
		measure_print(cost.floor, "ns", "floor_%s_ns", operation->name);
	flushers_start(flushers);
	snprintf(name, sizeof(name), "%s_running", operation->name);
	measure(operation, name, suffix, n_threads, memory);
	flushers_stop(flushers);
}

/* Before an agent was started. */
static void disabled_measure(const char *suffix, size_t n_threads, uint64_t memory)
{
	measure(operation_find("child"), "disabled", suffix, n_threads, memory);
}

static void defaults_measure(void)
{
	disabled_measure("", /* n_threads= */ 1, DEFAULT_MEMORY);
	agent_start(DEFAULT_MEMORY);
	for (size_t i = 0; i < n_operations; i++)
		measure_both(&operations[i], "", /* n_threads= */ 1, DEFAULT_MEMORY);
	agent_stop(/* expected_loss= */ -1);
}

static void threads_measure(void)
{
	char suffixes[N_THREAD_COUNTS][16];

	for (size_t k = 0; k < N_THREAD_COUNTS; k++) {
		snprintf(suffixes[k], sizeof(suffixes[k]), "_t%zu", thread_counts[k]);
		disabled_measure(suffixes[k], thread_counts[k], LARGE_MEMORY);
	}
	agent_start(LARGE_MEMORY);
	for (size_t i = 0; i < n_operations; i++)
		for (size_t k = 0; k < N_THREAD_COUNTS; k++)
			measure_both(&operations[i], suffixes[k], thread_counts[k], LARGE_MEMORY);
	agent_stop(/* expected_loss= */ -1);
}

/* Every part of the floor by itself, for a record of 128 bytes. */
static void floor_clock_run(size_t n)
{
	floor_run(n, 128, 0, FLOOR_CLOCK);
}

static void floor_reserve_run(size_t n)
{
	floor_run(n, 128, 0, FLOOR_RESERVE);
}

static void floor_copy_run(size_t n)
{
	floor_run(n, 128, 0, FLOOR_COPY);
}

static void floors_measure(void)
{
	static const struct operation parts[] = {
		{ .name = "floor_clock", .run = floor_clock_run, .bytes = 128 },
		{ .name = "floor_reserve", .run = floor_reserve_run, .bytes = 128 },
		{ .name = "floor_copy", .run = floor_copy_run, .bytes = 128 },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct drive drive = { .operation = &parts[i],
				       .n_threads = 1,
				       .burst = BURST_MAX,
				       .rounds = amount,
				       .warm_ups = WARM_UPS };
		struct cost cost = drive_time(&drive);

		measure_print(cost.operation, "ns", "%s_ns", parts[i].name);
		if (i == 0)
			measure_print(cost.floor, "ns", "floor_ns");
	}
}

/* Errors past the pool come from the heap: a counter that does not see them sees nothing. */
static void counters_check(void)
{
	struct sonde_error *errors[200];
	struct counts before = counters_get();

	for (size_t i = 0; i < 200; i++)
		errors[i] = sonde_error_raise(&sonde_internal, "held");
	for (size_t i = 0; i < 200; i++)
		sonde_error_free(errors[i]);
	if (counters_get().allocations - before.allocations >= 100)
		return;
	fputs("allocations of the library are not seen\n", stderr);
	failed = true;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*measure)(void);
	} parts[] = {
		{ "floors", floors_measure },
		{ "defaults", defaults_measure },
		{ "threads", threads_measure },
	};

	if (argc != 4)
		return 2;
	is_counting = strcmp(argv[1], "count") == 0;
	amount = strtoull(argv[2], NULL, 10);
	counters_check();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].name, argv[3]) == 0)
			parts[i].measure();
	return failed;
}
