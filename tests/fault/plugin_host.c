/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads and unloads the plugin again and again while threads of its own record without a pause, and
 * prints the numbers of threads and mappings after the second and after the last round.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/sonde.h>

#define THREADS 2

static _Atomic bool is_over;

static void *record(void *argument)
{
	unsigned long long n = 0;

	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		SONDE_SPAN(span, "in host");
		sonde_span_set_int(span, "n", (int64_t)n++);
	}
	return argument;
}

static int count_lines(const char *path, const char *prefix)
{
	FILE *file = fopen(path, "r");
	char line[1024];
	int n = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (!prefix)
			n++;
		else if (!strncmp(line, prefix, strlen(prefix)))
			n = (int)strtol(line + strlen(prefix), NULL, 10);
	}
	if (file)
		fclose(file);
	return n;
}

static int load_and_serve(const char *path, long round)
{
	void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int (*serve)(long);
	int status;

	if (!plugin)
		return -100;
	*(void **)&serve = dlsym(plugin, "plugin_serve");
	status = serve ? serve(round) : -101;
	dlclose(plugin);
	return status;
}

int main(int argc, char **argv)
{
	long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 100;
	pthread_t threads[THREADS];

	if (argc < 2)
		return 2;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, record, NULL);
	for (long round = 1; round <= rounds; round++) {
		int status = load_and_serve(argv[1], round);

		if (status)
			printf("round_failed %ld %d\n", round, status);
		if (round == 2 || round == rounds)
			printf("after %ld threads %d mappings %d\n", round,
			       count_lines("/proc/self/status", "Threads:"), count_lines("/proc/self/maps", NULL));
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
