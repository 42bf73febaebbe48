/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a recording call costs its caller.
 *
 *	bench-costs time ROUNDS PART	measures processor time
 *	bench-costs count N PART	counts allocations and locks of N operations, and
 *					under bench-trace system calls
 *
 * A part has a process of its own, because a box keeps the size that the first agent gave it.
 * Everything has all defaults, unless its name says otherwise:
 *
 *	child_ns               one thread, the worker parked, as it is nearly always
 *	child_running_ns       the worker draining without a rest meanwhile
 *	child_ns_t4            four threads; with a larger box, so that a burst of 64 threads finds
 *	                       room: child_ns_t1 is what the others compare with
 *	child_floors           child_ns in floors (floor.h)
 *	child_full_ns          every ring is full, and the record is counted as lost
 *	child_no_figures_ns    without calls, errors and durations by site
 *	disabled_ns            a child, and no agent
 *	sampled_out_ns         a child under a sampler that takes nothing
 *	admit_…_ns             the toolkit (admits.h), with an agent
 *	contended_…_ns_t2      one object of the toolkit for two threads
 *	site_figures_ns        counting by site alone: timed_fast less timed_fast_no_figures
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/sonde.h>

#include "admits.h"
#include "counters.h"
#include "drive.h"
#include "floor.h"
#include "measure.h"
#include "operations.h"
#include "subject.h"

#define WARM_UPS 4
#define FLOOR_BURST 5000
#define DEFAULT_MEMORY (UINT64_C(12) << 20)
#define LARGE_MEMORY (UINT64_C(64) << 20)
#define SUFFIX_SIZE 16

static const size_t thread_counts[] = { 1, 2, 4, 16, 64 };
#define N_THREAD_COUNTS (sizeof(thread_counts) / sizeof(thread_counts[0]))

static bool is_counting;
static size_t amount; /* Rounds to measure, operations to count. */
static bool failed;

/* Where a figure belongs. */
struct place {
	char suffix[SUFFIX_SIZE]; /* "" or "_t4". */
	size_t n_threads;
	uint64_t memory;
};

static const struct place alone = { .n_threads = 1, .memory = DEFAULT_MEMORY };

static struct place place_with_threads(size_t n_threads)
{
	struct place place = { .n_threads = n_threads, .memory = LARGE_MEMORY };

	snprintf(place.suffix, sizeof(place.suffix), "_t%zu", n_threads);
	return place;
}

static struct cost measure(const struct operation *operation, const char *name,
			   const struct place *place)
{
	struct drive drive = {
		.operation = operation,
		.n_threads = place->n_threads,
		.burst = subject_burst(operation, place->n_threads, place->memory),
		.rounds = amount,
		.warm_ups = WARM_UPS,
		.drain = subject_drain,
	};
	struct cost cost = { .operation = { 0 } };
	struct drive_counts counts;
	char full[80];

	if (!is_counting) {
		cost = drive_time(&drive);
		measure_print(cost.operation, "ns", "%s_ns%s", name, place->suffix);
		if (!place->suffix[0])
			measure_print(cost.in_floors, "1", "%s_floors", name);
		return cost;
	}
	/* Errors take the worker a while each. */
	drive.rounds =
		amount / (operation->burst_max ? 20 : 1) / place->n_threads / drive.burst + 1;
	snprintf(full, sizeof(full), "%s %s", name, place->suffix);
	counts = drive_count(&drive, full);
	measure_print_value(counts.allocations, "1/op", "%s_allocations%s", name, place->suffix);
	measure_print_value(counts.locks, "1/op", "%s_locks%s", name, place->suffix);
	return cost;
}

/* Both states of the worker. */
static void measure_both(const struct operation *operation, const struct place *place)
{
	char name[64];
	struct cost cost = measure(operation, operation->name, place);

	if (!is_counting && !place->suffix[0])
		measure_print(cost.floor, "ns", "floor_%s_ns", operation->name);
	subject_keep_awake();
	snprintf(name, sizeof(name), "%s_running", operation->name);
	measure(operation, name, place);
	subject_let_park();
}

static void stop(int expected_loss)
{
	if (!subject_stop(expected_loss))
		failed = true;
}

static void defaults_measure(void)
{
	measure(operation_find("child"), "disabled", &alone);
	subject_start(&(struct subject_options){ .memory = alone.memory });
	for (size_t i = 0; i < n_operations; i++)
		measure_both(&operations[i], &alone);
	stop(/* expected_loss= */ -1);
}

static void threads_measure(void)
{
	for (size_t k = 0; k < N_THREAD_COUNTS; k++) {
		struct place place = place_with_threads(thread_counts[k]);

		measure(operation_find("child"), "disabled", &place);
	}
	subject_start(&(struct subject_options){ .memory = LARGE_MEMORY });
	for (size_t i = 0; i < n_operations; i++)
		for (size_t k = 0; k < N_THREAD_COUNTS; k++) {
			struct place place = place_with_threads(thread_counts[k]);

			if (!operations[i].is_variant)
				measure_both(&operations[i], &place);
		}
	stop(/* expected_loss= */ -1);
}

/* With figures and without, in turn; what a timed scope saves is what they cost. */
static void figures_measure_at(const struct place *place)
{
	const struct operation *timed = operation_find("timed_fast");
	struct cost with;
	struct cost without;

	subject_start(&(struct subject_options){ .memory = place->memory });
	with = measure(timed, "timed_fast", place);
	stop(/* expected_loss= */ -1);
	subject_start(&(struct subject_options){ .memory = place->memory, .has_no_figures = true });
	without = measure(timed, "timed_fast_no_figures", place);
	measure(operation_find("child"), "child_no_figures", place);
	stop(/* expected_loss= */ -1);
	if (is_counting)
		return;
	with.operation.median -= without.operation.median;
	with.operation.spread += without.operation.spread;
	measure_print(with.operation, "ns", "site_figures_ns%s", place->suffix);
}

static void sampled_out_measure_at(const struct place *place)
{
	const struct operation *child = operation_find("child");
	struct subject_options options = { .memory = place->memory, .never_samples = true };

	subject_start(&options);
	measure(child, "sampled_out", place);
	stop(SONDE_LOSS_UNSAMPLED);
	options.has_no_figures = true;
	subject_start(&options);
	measure(child, "sampled_out_no_figures", place);
	stop(SONDE_LOSS_UNSAMPLED);
}

static void variants_measure(void)
{
	figures_measure_at(&alone);
	sampled_out_measure_at(&alone);
}

static void variant_threads_measure(void)
{
	for (size_t k = 0; k < N_THREAD_COUNTS; k++) {
		struct place place = place_with_threads(thread_counts[k]);

		figures_measure_at(&place);
		sampled_out_measure_at(&place);
	}
}

static void full_measure(void)
{
	subject_start(&(struct subject_options){ .memory = alone.memory, .is_stuck = true });
	measure(operation_find("child"), "child_full", &alone);
	measure(operation_find("typical"), "typical_full", &alone);
	stop(SONDE_LOSS_RING_FULL);
}

static void admits_measure(void)
{
	subject_start(&(struct subject_options){ .memory = alone.memory });
	for (size_t i = 0; i < n_admits; i++)
		measure(&admits[i], admits[i].name, &alone);
	stop(/* expected_loss= */ -1);
}

/* The object is made and ended once, not by each thread. */
static void contended_measure(void)
{
	struct place place = place_with_threads(2);

	subject_start(&(struct subject_options){ .memory = place.memory });
	for (size_t i = 0; i < n_contended; i++) {
		struct operation operation = contended[i];

		operation.enter = NULL;
		operation.leave = NULL;
		contended[i].enter(/* n= */ 0);
		measure(&operation, operation.name, &place);
		contended[i].leave();
	}
	stop(/* expected_loss= */ -1);
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
				       .burst = FLOOR_BURST,
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
		{ "floors", floors_measure },	  { "defaults", defaults_measure },
		{ "threads", threads_measure },	  { "variants", variants_measure },
		{ "admits", admits_measure },	  { "contended", contended_measure },
		{ "full", full_measure },	  { "variant_threads", variant_threads_measure },
	};

	if (argc != 4)
		return 2;
	is_counting = strcmp(argv[1], "count") == 0;
	amount = strtoull(argv[2], NULL, 10);
	counters_check();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i].name, argv[3]) == 0) {
			parts[i].measure();
			return failed;
		}
	fprintf(stderr, "no part is called %s\n", argv[3]);
	return 2;
}
