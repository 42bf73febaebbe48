/* SPDX-License-Identifier: Apache-2.0 */
/* What the modes share, and the table that finds them. */
#include "host.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct sonde_agent *agent;

SONDE_ERROR_TYPE(declined, sonde_conflict, "DECLINED");

double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double cpu_s(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

int host_start(void)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	double started = now_s();
	int status;

	options.service_name = "host";
	status = sonde_agent_start(&options, &agent);
	printf("start %d %.3f\n", status, now_s() - started);
	return status;
}

void host_stop(unsigned deadline_ms)
{
	double started = now_s();
	int status = sonde_agent_stop(agent, deadline_ms);

	printf("stop %d %.3f\n", status, now_s() - started);
	print_accounts();
}

int host_flush(unsigned deadline_ms)
{
	double started = now_s();
	int status = sonde_agent_flush(agent, deadline_ms);

	printf("flush %d %.3f\n", status, now_s() - started);
	return status;
}

void print_accounts(void)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde_account account;
		unsigned long long lost = 0;

		if (sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account) < 0)
			continue;
		for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++) {
			lost += account.lost[i];
			if (account.lost[i])
				printf("lost %d %s %llu\n", signal, sonde_loss_name((enum sonde_loss)i),
				       (unsigned long long)account.lost[i]);
		}
		printf("account %d %llu %llu %llu %llu\n", signal,
		       (unsigned long long)account.captured, (unsigned long long)account.exported,
		       (unsigned long long)account.queued, lost);
	}
	fflush(stdout);
}

void record(const char *name)
{
	struct sonde_span span;

	sonde_span_begin(&span, name, /* options= */ NULL);
	sonde_span_end(&span);
}

void record_numbered(const char *prefix, long i)
{
	char name[64];

	snprintf(name, sizeof(name), "%s %ld", prefix, i);
	record(name);
}

void record_request(long i)
{
	SONDE_SPAN(span, "request", .kind = SONDE_KIND_SERVER);
	SONDE_TIMED("step", .slow_ms = 60000);
	struct sonde_error *error;

	sonde_span_set_int(span, "n", i);
	sonde_span_set_str(span, "text", "some text of a usual length");
	sonde_span_add_event(span, "event", SONDE_ATTRS(sonde_int("i", i)));
	record("child");
	error = sonde_error_wrap(sonde_error_raise(&sonde_timeout, "after %ld ms", i), &declined, "card");
	sonde_error_capture(error);
	sonde_error_free(error);
	sonde_message(SONDE_INFO, "message %ld", i);
}

void wait_for_driver(const char *what)
{
	char line[64];

	printf("ready %s\n", what);
	fflush(stdout);
	require(fgets(line, sizeof(line), stdin) != NULL, "the driver is gone");
}

void require(bool fact, const char *words)
{
	if (fact)
		return;
	fprintf(stderr, "not so: %s\n", words);
	_exit(1);
}

static const struct mode *find(const char *name)
{
	const struct mode *const tables[] = { file_modes, limit_modes, thread_modes, life_modes,
					      world_modes };

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct mode *mode = tables[t]; mode->name; mode++)
			if (!strcmp(mode->name, name))
				return mode;
	return NULL;
}

int main(int argc, char **argv)
{
	const struct mode *mode = argc > 1 ? find(argv[1]) : NULL;

	if (!mode) {
		fprintf(stderr, "no such mode\n");
		return 2;
	}
	return mode->run(argc > 2 ? strtol(argv[2], NULL, 10) : 0);
}
