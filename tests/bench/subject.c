/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <sonde/exporter.h>

#include "account.h"
#include "measure.h"
#include "operations.h"

#define DEADLINE_MS 20000
#define RECORD_MIN 64
#define BURST_MAX 5000
#define FLUSHERS 2

static struct sonde_agent *agent;

/* ---- An exporter that stands still ----------------------------------------------------------- */

static pthread_mutex_t stuck = PTHREAD_MUTEX_INITIALIZER; /* Held as long as it is to stand. */
static bool is_stuck;

static int stuck_open(const struct sonde_exporter_host *host, void **ret)
{
	(void)host;
	*ret = NULL;
	return SONDE_OK;
}

static int stuck_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	(void)batch;
	(void)out;
	pthread_mutex_lock(&stuck);
	pthread_mutex_unlock(&stuck);
	return SONDE_OK;
}

static enum sonde_outcome stuck_send(void *instance, const struct sonde_request *request,
				     struct sonde_result *ret)
{
	(void)instance;
	*ret = (struct sonde_result){ .outcome = SONDE_OUTCOME_ACCEPTED,
				      .token = request->token,
				      .retry_after_ms = -1 };
	return ret->outcome;
}

static void stuck_close(void *instance, bool forked)
{
	(void)instance;
	(void)forked;
}

static const struct sonde_exporter stuck_exporter = {
	.size = sizeof(struct sonde_exporter),
	.name = "stuck",
	.open = stuck_open,
	.encode = stuck_encode,
	.send = stuck_send,
	.close = stuck_close,
};

/* ---- Life ------------------------------------------------------------------------------------ */

/* Every page of every ring once; where nothing is taken away, that also fills them. */
static void rings_touch(uint64_t memory)
{
	const struct operation *root = operation_find("root");
	size_t n = (size_t)(memory / 4 / RECORD_MIN);

	for (size_t i = 0; i < measure_processors(); i++) {
		measure_pin(i);
		for (size_t k = 0; k < n; k += BURST_MAX) {
			root->run(BURST_MAX);
			subject_drain();
		}
	}
	measure_leave_last();
}

void subject_start(const struct subject_options *subject)
{
	static const struct sonde_destination null = { .name = "null" };
	static const struct sonde_destination standing = { .exporter = &stuck_exporter };
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.service_name = "bench";
	options.destinations = subject->is_stuck ? &standing : &null;
	options.n_destinations = 1;
	options.memory_limit_bytes = subject->memory;
	options.sampler = subject->never_samples ? SONDE_SAMPLER_ALWAYS_OFF : SONDE_SAMPLER_DEFAULT;
	options.no_figures = subject->has_no_figures;
	options.no_error_limit = true; /* All that is captured is to be delivered here. */
	is_stuck = subject->is_stuck;
	if (is_stuck)
		pthread_mutex_lock(&stuck);
	measure_leave_last();
	if (sonde_agent_start(&options, &agent) != SONDE_OK) {
		fputs("no agent\n", stderr);
		exit(1);
	}
	rings_touch(subject->memory);
}

bool subject_stop(int expected)
{
	int status;

	if (is_stuck)
		pthread_mutex_unlock(&stuck);
	status = sonde_agent_stop(agent, DEADLINE_MS);
	is_stuck = false;
	if (status != SONDE_OK)
		fprintf(stderr, "the stop was not complete: %d\n", status);
	return status == SONDE_OK && account_adds_up(agent) && account_is_lossless(agent, expected);
}

void subject_drain(void)
{
	if (agent && !is_stuck && sonde_agent_flush(agent, DEADLINE_MS) != SONDE_OK)
		fputs("a flush to the null exporter was not complete\n", stderr);
}

/* ---- The worker awake ------------------------------------------------------------------------ */

/* Two, so that an order always waits for it. */
static pthread_t flushers[FLUSHERS];
static _Atomic bool flushers_end;

static void *flusher_run(void *argument)
{
	(void)argument;
	/* Relaxed: nothing else is said by it. */
	while (!atomic_load_explicit(&flushers_end, memory_order_relaxed))
		sonde_agent_flush(agent, DEADLINE_MS);
	return NULL;
}

void subject_keep_awake(void)
{
	atomic_store_explicit(&flushers_end, false, memory_order_relaxed);
	for (size_t i = 0; i < FLUSHERS; i++)
		pthread_create(&flushers[i], NULL, flusher_run, NULL);
}

void subject_let_park(void)
{
	atomic_store_explicit(&flushers_end, true, memory_order_relaxed);
	for (size_t i = 0; i < FLUSHERS; i++)
		pthread_join(flushers[i], NULL);
}

/* ---- Room ------------------------------------------------------------------------------------ */

size_t subject_burst(const struct operation *operation, size_t n_threads, uint64_t memory)
{
	size_t n_processors = measure_processors();
	size_t n_used = n_threads < n_processors ? n_threads : n_processors;
	/* A quarter is the box, with a ring for each processor. */
	uint64_t room = memory / 4 / n_processors * n_used / 4;
	size_t most = operation->burst_max ? operation->burst_max / n_threads : BURST_MAX;
	size_t n = (size_t)(room / operation->bytes / n_threads);

	if (n > most)
		n = most;
	return n > 0 ? n : 1;
}
