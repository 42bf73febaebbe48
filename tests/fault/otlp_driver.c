/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OTLP exporter alone, driven as the pipeline drives it, for tests/fault/test_otlp.py.
 *
 *	otlp_driver [-l | -p] [-n items] [-c batches] [-t timeout_ms] [-x cancel_after_ms] [-d file]
 *		    [-f] [-m n] NAME=value ...
 *
 * -l: log records, -p: metric points, else spans.
 * -f: forks a child after each batch, which closes the exporter as a child does.
 * -m: with failing_malloc.c, the n-th allocation of the first send and all after it fail.
 *
 * Prints a line for each report and each result, and last how long the slowest call took: no call
 * may wait for the other side.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sonde/otlp.h>

#include "support/otlp_batch.h"

void failing_malloc_at(long n) __attribute__((weak));

struct driver {
	const struct sonde_exporter *exporter;
	void *instance;
	char **settings;
	enum sonde_signal signal;
	size_t n_items;
	int n_batches;
	uint32_t timeout_ms;
	int64_t cancel_after_us;
	const char *dump;
	bool fork;
	long fail_at; /* -1: no allocation fails. */
	struct sonde_buffer body;
	int64_t slowest_us;
};

/* Printing must not need memory while there is none. */
static char output_buffer[4096];

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Runs one statement, and remembers how long the slowest took. */
#define TIMED(driver, statement) \
	do { \
		int64_t timed_us = now_us(); \
		statement; \
		timed_us = now_us() - timed_us; \
		if (timed_us > (driver)->slowest_us) \
			(driver)->slowest_us = timed_us; \
	} while (0)

static const char *setting(void *context, const char *name)
{
	const struct driver *driver = context;
	size_t size = strlen(name);

	for (char **at = driver->settings; *at; at++)
		if (!strncmp(*at, name, size) && (*at)[size] == '=')
			return *at + size + 1;
	return NULL;
}

static void report(void *context, enum sonde_level level, const char *text)
{
	(void)context;
	printf("report %d %s\n", (int)level, text);
}

static void print_result(const struct sonde_result *result, int64_t elapsed_us)
{
	static const char *const names[] = { "pending", "accepted", "retry", "refused" };

	printf("result %s rejected=%llu retry_after=%lld elapsed_ms=%lld token=%zu reason=%s\n",
	       names[result->outcome], (unsigned long long)result->n_rejected,
	       (long long)result->retry_after_ms, (long long)(elapsed_us / 1000),
	       (size_t)result->token, result->reason);
}

static int encode(struct driver *driver)
{
	struct otlp_batch made;
	int status;

	if (driver->signal == SONDE_SIGNAL_LOG)
		otlp_batch_logs(&made, driver->n_items);
	else if (driver->signal == SONDE_SIGNAL_METRIC)
		otlp_batch_points(&made, driver->n_items);
	else
		otlp_batch_spans(&made, driver->n_items);
	driver->body.limit = (size_t)256 << 20;
	status = driver->exporter->encode(driver->instance, &made.batch, &driver->body);
	otlp_batch_free(&made);
	return status;
}

static void dump(const struct driver *driver)
{
	FILE *file = fopen(driver->dump, "wb");

	if (!file || fwrite(driver->body.data, 1, driver->body.size, file) != driver->body.size ||
	    fclose(file))
		exit(3);
}

/* Sleeps on what the exporter waits for; never longer than until the cancel. */
static void wait_for_it(struct driver *driver, int64_t cancel_at_us)
{
	struct pollfd fds[32];
	int timeout_ms = 60000;
	size_t n;

	TIMED(driver, n = driver->exporter->poll(driver->instance, fds, 32, &timeout_ms));
	if (cancel_at_us) {
		int64_t left = (cancel_at_us - now_us() + 999) / 1000;

		timeout_ms = left < 0 ? 0 : left < timeout_ms ? (int)left : timeout_ms;
	}
	(void)poll(fds, n, timeout_ms);
}

static void send_one(struct driver *driver, size_t number)
{
	struct sonde_request request = {
		.size = sizeof(request),
		.token = (void *)number,
		.signal = driver->signal,
		.body = { driver->body.data, driver->body.size },
		.n_items = driver->n_items,
		.timeout_ms = driver->timeout_ms,
	};
	struct sonde_result result;
	int64_t began = now_us();
	int64_t cancel_at_us = driver->cancel_after_us ? began + driver->cancel_after_us : 0;
	enum sonde_outcome outcome;
	bool done = false;

	TIMED(driver, outcome = driver->exporter->send(driver->instance, &request, &result));
	if (outcome != SONDE_OUTCOME_PENDING)
		done = true;
	while (!done) {
		if (cancel_at_us && now_us() >= cancel_at_us) {
			TIMED(driver, driver->exporter->cancel(driver->instance, request.token));
			printf("cancelled\n");
			return;
		}
		wait_for_it(driver, cancel_at_us);
		TIMED(driver, done = driver->exporter->progress(driver->instance, &result));
	}
	print_result(&result, now_us() - began);
}

static void fork_one(const struct driver *driver)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		driver->exporter->close(driver->instance, /* forked= */ true);
		_exit(0);
	}
	if (waitpid(child, NULL, 0) != child)
		exit(4);
}

static int run(struct driver *driver)
{
	const struct sonde_exporter_host host = {
		.size = sizeof(host), .context = driver, .setting = setting, .report = report,
	};
	int status = driver->exporter->open(&host, &driver->instance);

	if (status == SONDE_OK)
		status = encode(driver);
	if (status < 0) {
		printf("failed %s\n", sonde_status_name(status));
		return 1;
	}
	if (driver->dump)
		dump(driver);
	for (int i = 0; i < driver->n_batches; i++) {
		if (failing_malloc_at)
			failing_malloc_at(i ? -1 : driver->fail_at);
		send_one(driver, (size_t)i + 1);
		if (driver->fork)
			fork_one(driver);
	}
	if (failing_malloc_at)
		failing_malloc_at(-1);
	TIMED(driver, driver->exporter->close(driver->instance, /* forked= */ false));
	free(driver->body.data);
	printf("slowest_ms=%lld\n", (long long)(driver->slowest_us / 1000));
	return 0;
}

int main(int argc, char **argv)
{
	struct driver driver = { .exporter = &sonde_otlp_exporter, .n_items = 3, .n_batches = 1,
				 .timeout_ms = 30000, .fail_at = -1 };
	sigset_t pipe_signal;
	int option;

	while ((option = getopt(argc, argv, "flpn:c:t:x:d:m:")) != -1) {
		switch (option) {
		case 'f': driver.fork = true; break;
		case 'l': driver.signal = SONDE_SIGNAL_LOG; break;
		case 'p': driver.signal = SONDE_SIGNAL_METRIC; break;
		case 'n': driver.n_items = strtoul(optarg, NULL, 10); break;
		case 'c': driver.n_batches = (int)strtol(optarg, NULL, 10); break;
		case 't': driver.timeout_ms = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'x': driver.cancel_after_us = strtol(optarg, NULL, 10) * 1000; break;
		case 'd': driver.dump = optarg; break;
		case 'm': driver.fail_at = strtol(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	driver.settings = argv + optind;
	setvbuf(stdout, output_buffer, _IOFBF, sizeof(output_buffer));
	/* As the agent's background thread does. */
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_signal, NULL);
	return run(&driver);
}
