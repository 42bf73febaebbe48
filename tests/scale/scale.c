/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program at scale, one kind a run; test_scale.py watches it from outside.
 *
 *	scale threads		what a span costs its caller on 1 to 64 threads
 *	scale crowd THREADS	so many threads, each with a span open
 *	scale sites | values	a thousand places that record; a hundred thousand distinct values
 *	scale flood RATE SECONDS
 *	scale rest		nothing at all
 *
 * It says `name value` lines; `at NAME` waits for a line on standard input. Whatever the kind, the
 * accounts must add up at the end.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sonde/sonde.h>

#include "../bench/account.h"

#define THREADS_MAX 64
#define CHUNK 500
#define CHUNKS 1280 /* Of all threads together, in a round. */
#define ROUNDS 3
#define WINDOW 3000 /* Spans that may wait: a ring of the smallest box holds them. */
#define STACK_SIZE (64 * 1024)
#define STACK_TOUCHED (24 * 1024)
#define DEADLINE_MS 20000
#define FLOOD_THREADS 2
#define TICK_NS 1000000

static struct sonde_agent *agent;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void say(const char *name, double value)
{
	printf("%s %.3f\n", name, value);
	fflush(stdout);
}

static void stop_at(const char *name)
{
	char line[16];

	printf("at %s\n", name);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(3);
}

/* What most spans look like. */
static void typical(uint64_t number)
{
	SONDE_SPAN(span, "typical");

	sonde_span_set_int(span, "http.response.status_code", (int64_t)(number & 511));
	sonde_span_set_str(span, "http.route", "/orders/:id");
	sonde_span_set_double(span, "order.total", 12.5);
	sonde_span_add_event(span, "reserved", SONDE_NO_ATTRS);
}

static uint64_t queued(void)
{
	struct sonde_account account = { 0 };

	sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account);
	return account.queued;
}

static void wait_for_room(void)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	while (queued() > WINDOW)
		nanosleep(&pause, NULL);
}

/* ---- Threads --------------------------------------------------------------------------------- */

struct share {
	pthread_t thread;
	double *samples; /* ns a span, one for each chunk. */
	int n_chunks;
};

static void *share_run(void *argument)
{
	struct share *share = argument;

	SONDE_SPAN(parent, "parent");
	for (int i = 0; i < share->n_chunks; i++) {
		uint64_t start;

		wait_for_room();
		start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		for (uint64_t n = 0; n < CHUNK; n++)
			typical(n);
		share->samples[i] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / CHUNK;
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const double *left = a;
	const double *right = b;

	return (*left > *right) - (*left < *right);
}

static double cost_of(int n_threads)
{
	static double samples[CHUNKS];
	struct share shares[THREADS_MAX];

	for (int i = 0; i < n_threads; i++) {
		shares[i].n_chunks = CHUNKS / n_threads;
		shares[i].samples = samples + i * shares[i].n_chunks;
		if (pthread_create(&shares[i].thread, NULL, share_run, &shares[i]) != 0)
			exit(3);
	}
	for (int i = 0; i < n_threads; i++)
		pthread_join(shares[i].thread, NULL);
	qsort(samples, CHUNKS, sizeof(samples[0]), compare);
	return samples[CHUNKS / 2];
}

static void run_threads(void)
{
	static const int counts[] = { 1, 2, 4, 16, 64 };
	double best[5] = { 0 };

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 5; i++) {
			double cost = cost_of(counts[i]);

			if (round == 0 || cost < best[i])
				best[i] = cost;
		}
	}
	for (int i = 0; i < 5; i++) {
		char name[32];

		snprintf(name, sizeof(name), "threads_%d_ns", counts[i]);
		say(name, best[i]);
	}
}

/* ---- Crowd ----------------------------------------------------------------------------------- */

static pthread_barrier_t all_began;
static pthread_barrier_t may_end;

/* So that no page of the stack is touched by one kind of run alone. */
static __attribute__((noinline)) void stack_touch(void)
{
	uint8_t bytes[STACK_TOUCHED];

	memset(bytes, 1, sizeof(bytes));
	__asm__ volatile("" ::"r"(bytes) : "memory");
}

static void *crowd_run(void *argument)
{
	stack_touch();
	{
		SONDE_SPAN(span, "one of many");

		sonde_span_set_int(span, "number", (int64_t)(uintptr_t)argument);
		pthread_barrier_wait(&all_began);
		pthread_barrier_wait(&may_end);
		while (agent && queued() > WINDOW)
			sched_yield();
	}
	return NULL;
}

static void run_crowd(unsigned n)
{
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_attr_t attributes;

	if (!threads || pthread_attr_init(&attributes) != 0 ||
	    pthread_attr_setstacksize(&attributes, STACK_SIZE) != 0 ||
	    pthread_barrier_init(&all_began, NULL, n + 1) != 0 ||
	    pthread_barrier_init(&may_end, NULL, n + 1) != 0)
		exit(3);
	for (unsigned i = 0; i < n; i++) {
		if (pthread_create(&threads[i], &attributes, crowd_run, (void *)(uintptr_t)i) != 0)
			exit(4);
	}
	pthread_barrier_wait(&all_began);
	stop_at("crowd");
	pthread_barrier_wait(&may_end);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

/* ---- Sites, values --------------------------------------------------------------------------- */

#define ONE(name) \
	do { \
		SONDE_SPAN(span, "site " name); \
	} while (0);
#define TEN(name) \
	ONE(name "0") ONE(name "1") ONE(name "2") ONE(name "3") ONE(name "4") \
	ONE(name "5") ONE(name "6") ONE(name "7") ONE(name "8") ONE(name "9")
#define HUNDRED(name) \
	TEN(name "0") TEN(name "1") TEN(name "2") TEN(name "3") TEN(name "4") \
	TEN(name "5") TEN(name "6") TEN(name "7") TEN(name "8") TEN(name "9")

static void thousand_sites(void)
{
	HUNDRED("0") HUNDRED("1") HUNDRED("2") HUNDRED("3") HUNDRED("4")
	wait_for_room();
	HUNDRED("5") HUNDRED("6") HUNDRED("7") HUNDRED("8") HUNDRED("9")
	wait_for_room();
}

static void run_sites(void)
{
	for (int i = 0; i < 50; i++)
		thousand_sites();
	sonde_agent_flush(agent, DEADLINE_MS);
	stop_at("first");
	for (int i = 0; i < 50; i++)
		thousand_sites();
	sonde_agent_flush(agent, DEADLINE_MS);
	stop_at("last");
}

static void values(int from, int to)
{
	for (int i = from; i < to; i++) {
		char text[64];

		snprintf(text, sizeof(text), "customer-%d-%08x", i, (unsigned)i * 2654435761u);
		{
			SONDE_SPAN(span, "valued");

			sonde_span_set_str(span, "customer.id", text);
		}
		if (i % CHUNK == 0)
			wait_for_room();
	}
	sonde_agent_flush(agent, DEADLINE_MS);
}

static void run_values(void)
{
	values(0, 10000);
	stop_at("first");
	values(10000, 100000);
	stop_at("last");
}

/* ---- Flood ----------------------------------------------------------------------------------- */

struct flood {
	pthread_t thread;
	uint64_t per_tick;
	uint64_t n_ticks;
	uint64_t late_ns;
};

/* By the clock: what was missed while another ran is made up for. */
static void *flood_run(void *argument)
{
	struct flood *flood = argument;
	uint64_t next = clock_ns(CLOCK_MONOTONIC);
	uint64_t now;

	SONDE_SPAN(parent, "flood");
	for (uint64_t tick = 0; tick < flood->n_ticks; tick++) {
		struct timespec until;

		for (uint64_t i = 0; i < flood->per_tick; i++)
			typical(i);
		next += TICK_NS;
		until.tv_sec = (time_t)(next / 1000000000);
		until.tv_nsec = (long)(next % 1000000000);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	now = clock_ns(CLOCK_MONOTONIC);
	flood->late_ns = now > next ? now - next : 0;
	return NULL;
}

static void run_flood(uint64_t rate, uint64_t seconds)
{
	struct flood floods[FLOOD_THREADS];
	uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct sonde_account account = { 0 };

	printf("begun\n");
	fflush(stdout);
	for (int i = 0; i < FLOOD_THREADS; i++) {
		floods[i] = (struct flood){
			.per_tick = rate * TICK_NS / 1000000000 / FLOOD_THREADS,
			.n_ticks = seconds * (1000000000 / TICK_NS),
		};
		if (pthread_create(&floods[i].thread, NULL, flood_run, &floods[i]) != 0)
			exit(3);
	}
	for (int i = 0; i < FLOOD_THREADS; i++) {
		pthread_join(floods[i].thread, NULL);
		say("late_ms", (double)floods[i].late_ns / 1e6);
	}
	printf("ended\n");
	sonde_agent_flush(agent, DEADLINE_MS);
	sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account);
	say("cpu_ns_per_span", (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) /
				       (double)account.captured);
}

/* ---- All ------------------------------------------------------------------------------------- */

static void report_account(void)
{
	struct sonde_account account;

	if (sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account) != SONDE_OK)
		return;
	say("captured", (double)account.captured);
	say("exported", (double)account.exported);
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		if (account.lost[reason])
			printf("lost_%s %" PRIu64 "\n", sonde_loss_name((enum sonde_loss)reason),
			       account.lost[reason]);
	}
	say("adds_up", account_adds_up(agent));
}

static void run(int argc, char **argv)
{
	const char *kind = argv[1];

	if (!strcmp(kind, "threads"))
		run_threads();
	else if (!strcmp(kind, "crowd") && argc > 2)
		run_crowd((unsigned)strtoul(argv[2], NULL, 10));
	else if (!strcmp(kind, "sites"))
		run_sites();
	else if (!strcmp(kind, "values"))
		run_values();
	else if (!strcmp(kind, "flood") && argc > 3)
		run_flood(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	else
		stop_at("rest");
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	if (argc < 2)
		return 2;
	options.service_name = "scale";
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		return 1;
	say("start_ms", (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e6);
	run(argc, argv);
	sonde_agent_stop(agent, DEADLINE_MS);
	report_account();
	return 0;
}
