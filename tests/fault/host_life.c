/* SPDX-License-Identifier: Apache-2.0 */
/* Odd ways to begin and to end. */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

static atomic_bool is_over;

static void *record_on(void *unused)
{
	(void)unused;
	while (!atomic_load(&is_over))
		record_request(1);
	return NULL;
}

static void *stop_too(void *unused)
{
	(void)unused;
	(void)sonde_agent_stop(agent, 2000);
	return NULL;
}

/* n threads stop at once while others record. */
static int stop_from_many(long n)
{
	pthread_t recorders[2];
	pthread_t *stoppers = calloc((size_t)n, sizeof(*stoppers));

	require(stoppers != NULL, "memory");
	require(host_start() == SONDE_OK, "started");
	for (int i = 0; i < 2; i++)
		pthread_create(&recorders[i], NULL, record_on, NULL);
	usleep(20000);
	for (long i = 0; i < n; i++)
		pthread_create(&stoppers[i], NULL, stop_too, NULL);
	for (long i = 0; i < n; i++)
		pthread_join(stoppers[i], NULL);
	atomic_store(&is_over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(recorders[i], NULL);
	host_stop(2000);
	free(stoppers);
	return 0;
}

static void stop_in_handler(void)
{
	host_stop(2000);
}

/* Registered before the agent's own, so it runs after it; and after, so it runs before it. */
static int stop_in_atexit(long after)
{
	if (!after)
		atexit(stop_in_handler);
	require(host_start() == SONDE_OK, "started");
	if (after)
		atexit(stop_in_handler);
	record("span");
	return 0;
}

/* The driver measures how long the exit takes. */
static int exit_while_sending(long n)
{
	require(host_start() == SONDE_OK, "started");
	for (long i = 0; i < n; i++)
		record("span");
	(void)sonde_agent_flush(agent, 50);
	printf("exit %.6f\n", now_s());
	return 0;
}

static void leave(int number)
{
	(void)number;
	_exit(5);
}

static int exit_in_signal(long n)
{
	pthread_t thread;

	(void)n;
	signal(SIGALRM, leave);
	require(host_start() == SONDE_OK, "started");
	pthread_create(&thread, NULL, record_on, NULL);
	ualarm(30000, 0);
	pthread_join(thread, NULL);
	return 0;
}

static void *end_the_process(void *unused)
{
	(void)unused;
	usleep(50000);
	for (int i = 0; i < 10; i++)
		record_numbered("after main", i);
	host_flush(2000);
	print_accounts();
	exit(0);
}

/* The main thread leaves; the process goes on. */
static int leave_main(long n)
{
	pthread_t thread;

	(void)n;
	require(host_start() == SONDE_OK, "started");
	record("in main");
	pthread_create(&thread, NULL, end_the_process, NULL);
	pthread_exit(NULL);
	return 0;
}

static int n_entries(const char *path)
{
	DIR *folder = opendir(path);
	int n = 0;

	while (folder && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

/* What the C library keeps of what was freed is not ours, and is now more, now less. */
static void print_size(const char *key)
{
	char line[256];
	FILE *file;
	long kib = 0;

	malloc_trim(0);
	file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "RssAnon:", 8))
			kib = strtol(line + 8, NULL, 10);
	if (file)
		fclose(file);
	printf("%s %ld %d %d\n", key, kib, n_entries("/proc/self/fd"), n_entries("/proc/self/task"));
}

static void live_again(long n)
{
	for (long i = 0; i < n; i++) {
		struct sonde_options options = SONDE_OPTIONS_INIT;
		struct sonde_agent *second = NULL;

		require(sonde_agent_start(&options, &agent) == SONDE_OK, "started again");
		require(sonde_agent_start(&options, &second) == SONDE_E_EXISTS && !second, "one at a time");
		for (int k = 0; k < 5; k++)
			record_request(k);
		require(sonde_agent_stop(agent, 5000) >= 0, "stopped");
		if (i == n / 4)
			print_size("early");
	}
	print_size("late");
}

/* Start and stop n times with records in each, */
static int start_and_stop(long n)
{
	live_again(n);
	print_accounts();
	return 0;
}

/* and the same beside a thread that never stops recording. */
static int start_and_stop_under_load(long n)
{
	pthread_t recorder;

	pthread_create(&recorder, NULL, record_on, NULL);
	live_again(n);
	atomic_store(&is_over, true);
	pthread_join(recorder, NULL);
	print_accounts();
	return 0;
}

/* Stays to be looked at, then stops with the deadline. */
static int wait_and_stop(long deadline_ms)
{
	require(host_start() == SONDE_OK, "started");
	record("span");
	(void)sonde_agent_flush(agent, 100);
	wait_for_driver("running");
	host_stop((unsigned)deadline_ms);
	return 0;
}

const struct mode life_modes[] = {
	{ "stop-from-many", stop_from_many },
	{ "stop-in-atexit", stop_in_atexit },
	{ "exit-while-sending", exit_while_sending },
	{ "exit-in-signal", exit_in_signal },
	{ "leave-main", leave_main },
	{ "start-and-stop", start_and_stop },
	{ "start-and-stop-under-load", start_and_stop_under_load },
	{ "wait-and-stop", wait_and_stop },
	{ NULL, NULL },
};
