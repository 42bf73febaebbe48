/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What having an agent costs a process that does nothing: its start and its stop, its memory, and
 * how often its thread wakes up. All defaults, a collector that answers.
 *
 *	bench-life PORT SECONDS
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "account.h"
#include "collector.h"
#include "measure.h"
#include "operations.h"

#define DEADLINE_MS 2000

static uint64_t switches_of(const char *thread)
{
	static const char key[] = "voluntary_ctxt_switches:";
	char path[300];
	char line[256];
	uint64_t n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			n = strtoull(line + sizeof(key) - 1, NULL, 10);
	if (file)
		fclose(file);
	return n;
}

/* How often the threads but our own have gone to rest so far. */
static uint64_t switches(void)
{
	DIR *folder = opendir("/proc/self/task");
	uint64_t n = 0;
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != getpid())
			n += switches_of(entry->d_name);
	if (folder)
		closedir(folder);
	return n;
}

static void rest_measure(double seconds, double rss_anon_before)
{
	const struct timespec pause = { .tv_sec = (time_t)seconds };
	double rss_anon;
	double box = (double)measure_box_bytes();
	uint64_t before = switches();

	nanosleep(&pause, NULL);
	measure_print_value((double)(switches() - before) / seconds, "1/s", "rest_wakeups");
	rss_anon = (double)measure_memory("RssAnon");
	measure_print_value(rss_anon, "B", "rest_rss_anon");
	measure_print_value(box, "B", "rest_box");
	measure_print_value(rss_anon + box, "B", "rest_bytes");
	measure_print_value(rss_anon - rss_anon_before + box, "B", "rest_added_bytes");
}

int main(int argc, char **argv)
{
	double rss_anon = (double)measure_memory("RssAnon");
	double start;
	struct sonde_agent *agent;

	if (argc != 3)
		return 2;
	start = measure_wall_ns();
	agent = collector_agent_start(argv[1]);
	measure_print_value((measure_wall_ns() - start) / 1e6, "ms", "start_ms");
	if (argv[2][0] != '0')
		rest_measure(strtod(argv[2], NULL), rss_anon);
	operation_find("root")->run(100);
	start = measure_wall_ns();
	sonde_agent_stop(agent, DEADLINE_MS);
	measure_print_value((measure_wall_ns() - start) / 1e6, "ms", "stop_ms");
	return !account_adds_up(agent) || !account_is_lossless(agent, /* expected= */ -1);
}
