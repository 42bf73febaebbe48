/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts with little: address space, threads, room for the box, a collector that hangs. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host.h"

#define NOBODY 54321

static long status_kib(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long value = -1;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			value = strtol(line + strlen(key) + 1, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

static void limit(int what, rlim_t n)
{
	struct rlimit both;

	require(getrlimit((__rlimit_resource_t)what, &both) == 0, "a limit");
	both.rlim_cur = n < both.rlim_max ? n : both.rlim_max;
	require(setrlimit((__rlimit_resource_t)what, &both) == 0, "the limit is set");
}

/* `kib` more than there is: the start fails cleanly or works. */
static int little_memory_at_start(long kib)
{
	limit(RLIMIT_AS, (rlim_t)(status_kib("VmSize:") + kib) * 1024);
	if (host_start() < 0) {
		for (int i = 0; i < 100; i++)
			record_request(i);
		limit(RLIMIT_AS, RLIM_INFINITY);
		printf("again\n");
		require(host_start() == SONDE_OK, "with memory, it starts");
	}
	for (int i = 0; i < 300; i++)
		record_request(i);
	host_flush(2000);
	limit(RLIMIT_AS, RLIM_INFINITY);
	host_stop(2000);
	return 0;
}

static int little_memory_while_running(long kib)
{
	require(host_start() == SONDE_OK, "started");
	limit(RLIMIT_AS, (rlim_t)(status_kib("VmSize:") + kib) * 1024);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 200; k++)
			record_request(k);
		(void)sonde_agent_flush(agent, 500);
	}
	limit(RLIMIT_AS, RLIM_INFINITY);
	host_flush(2000);
	host_stop(2000);
	return 0;
}

/* Not even one thread more. Root has no such limit, so the program becomes somebody. */
static int no_threads(long n)
{
	int status;

	(void)n;
	require(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "became nobody");
	limit(RLIMIT_NPROC, 0);
	status = host_start();
	for (int i = 0; i < 100; i++)
		record_request(i);
	printf("size_before %ld\n", status_kib("RssAnon:"));
	for (int i = 0; i < 50; i++) {
		struct sonde_options options = SONDE_OPTIONS_INIT;

		require(sonde_agent_start(&options, &agent) == status, "the same again");
	}
	printf("size_after %ld\n", status_kib("RssAnon:"));
	wait_for_driver("no-thread");
	limit(RLIMIT_NPROC, RLIM_INFINITY);
	host_start();
	record("with a thread");
	host_stop(2000);
	return 0;
}

/* A flood in a box whose tmpfs the driver fills meanwhile. */
static int flood(long seconds)
{
	double began;
	long n = 0;

	if (host_start() < 0)
		return 0;
	record("first");
	wait_for_driver("flood");
	for (began = now_s(); now_s() - began < (double)seconds * 0.1;)
		record_request(n++);
	host_stop(2000);
	return 0;
}

/*
 * n errors in all, 10,000 a second, while the collector hangs: memory at a tenth of them and at the
 * end.
 */
static int hang_and_err(long n)
{
	double began;

	require(host_start() == SONDE_OK, "started");
	began = now_s();
	for (long i = 0; i < n; i++) {
		struct sonde_error *error = sonde_error_raise(&sonde_timeout, "number %ld", i);

		sonde_error_capture(error);
		sonde_error_free(error);
		if (i % 100 == 99 && now_s() - began < (double)i * 1e-4)
			usleep((useconds_t)(((double)i * 1e-4 - (now_s() - began)) * 1e6));
		if (i == n / 10)
			printf("early %ld\n", status_kib("RssAnon:"));
	}
	printf("late %ld\n", status_kib("RssAnon:"));
	host_stop(300);
	return 0;
}

const struct mode limit_modes[] = {
	{ "little-memory-at-start", little_memory_at_start },
	{ "little-memory-while-running", little_memory_while_running },
	{ "no-threads", no_threads },
	{ "flood", flood },
	{ "hang-and-err", hang_and_err },
	{ NULL, NULL },
};
