/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads, each of which asks again and again, and what it was like for them. */
#include "resilient.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define CALLS_MAX 20000 /* Of a thread. */
#define EVERY_MS 10 /* A thread asks, or as soon as it has its answer. */
#define ARTICLES 16

struct worker {
	const struct config *config;
	uint16_t port;
	uint32_t number;
	ask_fn *ask;
	void *user;
	uint64_t until_ns;
	uint32_t n_calls;
	uint32_t n_answered;
	double *latencies_ms;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void ask_one(struct worker *worker)
{
	struct price_request request = {
		.port = worker->port,
		.article = (worker->number + worker->n_calls) % ARTICLES,
	};
	uint64_t began_ns = now_ns();
	SONDE_SPAN(span, "get price");
	SONDE_ERROR_AUTOFREE struct sonde_error *error = worker->ask(worker->user, &request);

	sonde_span_set_int(span, "article", request.article);
	if (error)
		sonde_span_set_status(span, SONDE_SPAN_ERROR, sonde_error_message(error));
	worker->latencies_ms[worker->n_calls++] = (double)(now_ns() - began_ns) / 1e6;
	worker->n_answered += !error;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	uint64_t due_ns = now_ns();

	while (now_ns() < worker->until_ns && worker->n_calls < CALLS_MAX) {
		uint64_t now;

		ask_one(worker);
		due_ns += EVERY_MS * UINT64_C(1000000);
		now = now_ns();
		if (now < due_ns)
			(void)poll(NULL, 0, (int)((due_ns - now) / 1000000));
		else
			due_ns = now;
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double share(const double *sorted, uint64_t n, double part)
{
	return n ? sorted[(uint64_t)((double)(n - 1) * part)] : 0;
}

static void sum_up(const struct worker *workers, uint32_t n_workers, struct load_result *ret)
{
	double *all = calloc((size_t)n_workers * CALLS_MAX, sizeof(*all));

	*ret = (struct load_result){ 0 };
	for (uint32_t i = 0; i < n_workers; i++) {
		for (uint32_t j = 0; all && j < workers[i].n_calls; j++)
			all[ret->n_calls++] = workers[i].latencies_ms[j];
		ret->n_answered += workers[i].n_answered;
	}
	if (!all)
		return;
	qsort(all, ret->n_calls, sizeof(*all), by_size);
	ret->p50_ms = share(all, ret->n_calls, 0.5);
	ret->p99_ms = share(all, ret->n_calls, 0.99);
	ret->longest_ms = share(all, ret->n_calls, 1.0);
	free(all);
}

void load_run(const struct config *config, uint16_t port, ask_fn *ask, void *user,
	      struct load_result *ret)
{
	uint64_t until_ns = now_ns() + config->seconds * UINT64_C(1000000000);
	struct worker *workers = calloc(config->n_threads, sizeof(*workers));
	pthread_t *threads = calloc(config->n_threads, sizeof(*threads));
	uint32_t n_begun = 0;

	*ret = (struct load_result){ 0 };
	for (uint32_t i = 0; workers && threads && i < config->n_threads; i++) {
		workers[i] = (struct worker){
			.config = config,
			.port = port,
			.number = i,
			.ask = ask,
			.user = user,
			.until_ns = until_ns,
			.latencies_ms = calloc(CALLS_MAX, sizeof(double)),
		};
		if (!workers[i].latencies_ms ||
		    pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			break;
		n_begun++;
	}
	for (uint32_t i = 0; i < n_begun; i++)
		pthread_join(threads[i], NULL);
	if (workers)
		sum_up(workers, n_begun, ret);
	for (uint32_t i = 0; workers && i < config->n_threads; i++)
		free(workers[i].latencies_ms);
	free(threads);
	free(workers);
}
