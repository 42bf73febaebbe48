/* SPDX-License-Identifier: Apache-2.0 */
#include "drive.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "floor.h"

struct burst {
	double operation_ns; /* All operations of one thread. */
	double floor_ns;
};

struct team {
	const struct drive *drive;
	const char *name; /* What to count, or NULL to measure. */
	size_t n_bursts;
	pthread_barrier_t barrier;
	_Atomic size_t n_ready; /* Threads that came to a start so far. */
	_Atomic uint64_t allocations;
	_Atomic uint64_t locks;
};

struct member {
	pthread_t thread;
	struct team *team;
	size_t number;
	struct burst *bursts;
};

/* Who has a processor each starts in the same microsecond; a barrier alone wakes one by one. */
static void start_together(struct team *team, size_t round)
{
	size_t n = team->drive->n_threads;

	pthread_barrier_wait(&team->barrier);
	/* Relaxed: only the moment counts, and no data goes from one to another. */
	atomic_fetch_add_explicit(&team->n_ready, 1, memory_order_relaxed);
	while (n <= measure_processors() &&
	       atomic_load_explicit(&team->n_ready, memory_order_relaxed) < n * (round + 1))
		;
}

static struct burst burst_time(const struct member *member, double overhead)
{
	const struct drive *drive = member->team->drive;
	double start = measure_thread_ns();
	double middle;
	double end;

	floor_run(drive->burst, drive->operation->bytes, member->number, FLOOR_ALL);
	middle = measure_thread_ns();
	drive->operation->run(drive->burst);
	end = measure_thread_ns();
	return (struct burst){ .floor_ns = middle - start - overhead,
			       .operation_ns = end - middle - overhead };
}

static void burst_count(const struct member *member)
{
	struct team *team = member->team;
	struct counts before;
	struct counts after;

	counters_mark(MARK_BEGIN, team->name, team->drive->burst);
	before = counters_get();
	team->drive->operation->run(team->drive->burst);
	after = counters_get();
	counters_mark(MARK_END, team->name, team->drive->burst);
	atomic_fetch_add_explicit(&team->allocations, after.allocations - before.allocations,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&team->locks, after.locks - before.locks, memory_order_relaxed);
}

static void *member_run(void *argument)
{
	struct member *member = argument;
	struct team *team = member->team;
	const struct operation *operation = team->drive->operation;
	double overhead;

	measure_pin(member->number);
	overhead = measure_overhead_ns();
	if (operation->enter)
		operation->enter(team->drive->burst);
	for (size_t i = 0; i < team->n_bursts; i++) {
		if (operation->prepare)
			operation->prepare(team->drive->burst);
		start_together(team, i);
		if (i < team->drive->warm_ups)
			burst_time(member, overhead);
		else if (team->name)
			burst_count(member);
		else
			member->bursts[i - team->drive->warm_ups] = burst_time(member, overhead);
		pthread_barrier_wait(&team->barrier);
		pthread_barrier_wait(&team->barrier);
	}
	if (operation->leave)
		operation->leave();
	return NULL;
}

static void team_run(struct team *team, struct member *members)
{
	const struct drive *drive = team->drive;

	pthread_barrier_init(&team->barrier, NULL, (unsigned int)drive->n_threads + 1);
	for (size_t i = 0; i < drive->n_threads; i++) {
		members[i].team = team;
		members[i].number = i;
		if (pthread_create(&members[i].thread, NULL, member_run, &members[i]) != 0) {
			fputs("no thread to measure on\n", stderr);
			exit(1);
		}
	}
	for (size_t i = 0; i < team->n_bursts; i++) {
		pthread_barrier_wait(&team->barrier);
		pthread_barrier_wait(&team->barrier);
		if (drive->drain)
			drive->drain();
		pthread_barrier_wait(&team->barrier);
	}
	for (size_t i = 0; i < drive->n_threads; i++)
		pthread_join(members[i].thread, NULL);
	pthread_barrier_destroy(&team->barrier);
}

/* All threads together, round by round. */
static struct cost cost_make(const struct drive *drive, const struct member *members)
{
	double *samples = calloc(3 * drive->rounds, sizeof(double));
	double *floors = samples + drive->rounds;
	double *ratios = floors + drive->rounds;
	double n = (double)(drive->n_threads * drive->burst);
	struct cost cost;

	for (size_t i = 0; i < drive->rounds; i++) {
		for (size_t k = 0; k < drive->n_threads; k++) {
			samples[i] += members[k].bursts[i].operation_ns / n;
			floors[i] += members[k].bursts[i].floor_ns / n;
		}
		ratios[i] = samples[i] / floors[i];
	}
	cost.operation = measure_figure(samples, drive->rounds);
	cost.floor = measure_figure(floors, drive->rounds);
	cost.in_floors = measure_figure(ratios, drive->rounds);
	free(samples);
	return cost;
}

struct cost drive_time(const struct drive *drive)
{
	struct team team = { .drive = drive, .n_bursts = drive->warm_ups + drive->rounds };
	struct member *members = calloc(drive->n_threads, sizeof(*members));
	struct burst *bursts = calloc(drive->n_threads * drive->rounds, sizeof(*bursts));
	struct cost cost;

	for (size_t i = 0; i < drive->n_threads; i++)
		members[i].bursts = bursts + i * drive->rounds;
	team_run(&team, members);
	cost = cost_make(drive, members);
	free(bursts);
	free(members);
	return cost;
}

struct drive_counts drive_count(const struct drive *drive, const char *name)
{
	struct team team = { .drive = drive,
			     .name = name,
			     .n_bursts = drive->warm_ups + drive->rounds };
	struct member *members = calloc(drive->n_threads, sizeof(*members));
	double n = (double)(drive->n_threads * drive->burst * drive->rounds);

	team_run(&team, members);
	free(members);
	return (struct drive_counts){
		.allocations = (double)team.allocations / n,
		.locks = (double)team.locks / n,
	};
}
