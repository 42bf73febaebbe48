/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A paced load on the checkout: so many orders a second for so many seconds, each with a trace id
 * of its own. Prints one JSON object with counts and latencies; --trace-ids FILE takes "trace id,
 * order, status" lines. Requests are sent when they are due, whatever became of the ones before.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#define THREADS_MAX 64

struct load {
	long port;
	long rate;
	long seconds;
	long n_threads;
	long first_order;
	uint64_t run; /* The upper half of each trace id. */
	uint64_t started_ns;
	_Atomic long next;
	long n_requests;
	uint32_t *latency_us; /* By request, as are the statuses. */
	short *statuses;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_until(uint64_t ns)
{
	struct timespec due = { .tv_sec = (time_t)(ns / 1000000000u),
				.tv_nsec = (long)(ns % 1000000000u) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
		;
}

static size_t ignore(char *data, size_t size, size_t n, void *user)
{
	(void)data;
	(void)user;
	return size * n;
}

static void trace_id(const struct load *load, long i, char ret[33])
{
	snprintf(ret, 33, "%016llx%016llx", (unsigned long long)load->run, (unsigned long long)(i + 1));
}

static void order(const struct load *load, CURL *handle, long i)
{
	struct curl_slist *headers = NULL;
	char url[128], header[128], id[33];
	uint64_t started;
	long status = 0;

	trace_id(load, i, id);
	snprintf(header, sizeof(header), "traceparent: 00-%s-%016llx-01", id, (unsigned long long)(i + 1));
	snprintf(url, sizeof(url), "http://127.0.0.1:%ld/orders?id=%ld&items=3", load->port,
		 load->first_order + i);
	headers = curl_slist_append(headers, header);
	curl_easy_setopt(handle, CURLOPT_URL, url);
	curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	started = now_ns();
	if (curl_easy_perform(handle) == CURLE_OK)
		curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
	load->latency_us[i] = (uint32_t)((now_ns() - started) / 1000);
	load->statuses[i] = (short)status;
	curl_slist_free_all(headers);
}

static void *send_orders(void *argument)
{
	struct load *load = argument;
	CURL *handle = curl_easy_init();
	long i;

	curl_easy_setopt(handle, CURLOPT_POSTFIELDS, "");
	curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, ignore);
	curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 30000L);
	while ((i = atomic_fetch_add(&load->next, 1)) < load->n_requests) {
		wait_until(load->started_ns + (uint64_t)i * 1000000000u / (uint64_t)load->rate);
		order(load, handle, i);
	}
	curl_easy_cleanup(handle);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static long count(const struct load *load, int from, int to)
{
	long n = 0;

	for (long i = 0; i < load->n_requests; i++)
		n += load->statuses[i] >= from && load->statuses[i] < to;
	return n;
}

static bool write_ids(const struct load *load, const char *path)
{
	FILE *file = path ? fopen(path, "w") : NULL;
	char id[33];

	for (long i = 0; file && i < load->n_requests; i++) {
		trace_id(load, i, id);
		fprintf(file, "%s %ld %d\n", id, load->first_order + i, load->statuses[i]);
	}
	return !path || (file && fclose(file) == 0);
}

static void print(struct load *load, double seconds)
{
	long n = load->n_requests;

	printf("{\"requests\":%ld,\"seconds\":%.3f,\"rate\":%.1f,\"created\":%ld,\"declined\":%ld,"
	       "\"failed\":%ld,",
	       n, seconds, (double)n / seconds, count(load, 200, 300), count(load, 400, 500),
	       count(load, 0, 200) + count(load, 500, 600));
	qsort(load->latency_us, (size_t)n, sizeof(load->latency_us[0]), compare);
	printf("\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u}\n",
	       load->latency_us[n / 2], load->latency_us[n * 99 / 100],
	       load->latency_us[n * 999 / 1000], load->latency_us[n - 1]);
}

static void run(struct load *load)
{
	pthread_t threads[THREADS_MAX];

	load->started_ns = now_ns();
	for (long i = 0; i < load->n_threads; i++)
		pthread_create(&threads[i], NULL, send_orders, load);
	for (long i = 0; i < load->n_threads; i++)
		pthread_join(threads[i], NULL);
}

static const struct option long_options[] = {
	{ "port", required_argument, NULL, 'p' },      { "rate", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },   { "threads", required_argument, NULL, 't' },
	{ "trace-ids", required_argument, NULL, 'i' }, { "first-order", required_argument, NULL, 'f' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	struct load load = { .rate = 10, .seconds = 1, .n_threads = 16, .first_order = 1 };
	const char *ids = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'i')
			ids = optarg;
		else if (option == '?')
			return 2;
		else
			*(option == 'p' ? &load.port :
			  option == 'r' ? &load.rate :
			  option == 's' ? &load.seconds :
			  option == 't' ? &load.n_threads :
					  &load.first_order) = strtol(optarg, NULL, 10);
	}
	if (load.n_threads < 1 || load.n_threads > THREADS_MAX || load.rate < 1 || load.seconds < 1)
		return 2;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	load.n_requests = load.rate * load.seconds;
	load.run = now_ns() ^ (uint64_t)time(NULL) << 32;
	load.latency_us = calloc((size_t)load.n_requests, sizeof(load.latency_us[0]));
	load.statuses = calloc((size_t)load.n_requests, sizeof(load.statuses[0]));
	if (!load.latency_us || !load.statuses)
		return 1;
	run(&load);
	if (!write_ids(&load, ids))
		return 1;
	print(&load, (double)(now_ns() - load.started_ns) * 1e-9);
	free(load.latency_us);
	free(load.statuses);
	return 0;
}
