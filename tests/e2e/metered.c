/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a known number of things of known durations, flushes in between, and forks a child that does
 * some of its own. What is to be counted was written down a second time in test_metrics.py, by
 * hand.
 *
 *	metered		as above
 *	metered wait	instead, waits until metrics were exported twice without anybody asking
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sonde/breaker.h>
#include <sonde/sonde.h>

#define BASE UINT64_C(1700000000000000000)
#define MS UINT64_C(1000000)

static void charge(size_t n, uint64_t duration_ns, bool is_error)
{
	while (n--) {
		SONDE_SPAN(span, "charge card", .root = true, .start_unix_ns = BASE);
		if (is_error)
			sonde_span_set_status(span, SONDE_SPAN_ERROR, "declined");
		sonde_span_end_with_time(span, BASE + duration_ns);
	}
}

static void look(size_t n)
{
	while (n--) {
		SONDE_TIMED("fraud check");
	}
}

static void nameless(size_t n)
{
	while (n--) {
		struct sonde_span span;

		sonde_span_begin(&span, "made up at run time", /* options= */ NULL);
		sonde_span_end(&span);
	}
}

static struct sonde_error *never_called(void *argument)
{
	(void)argument;
	return NULL;
}

/* Isolated by hand: so many calls are turned away. */
static void isolate(struct sonde_breaker *breaker, size_t n)
{
	(void)sonde_breaker_force(breaker, SONDE_BREAKER_FORCED_OPEN);
	while (n--)
		sonde_error_free(sonde_breaker_run(breaker, never_called, /* argument= */ NULL));
}

static void print_accounts(struct sonde_agent *agent, const char *who)
{
	for (int signal = 0; signal <= SONDE_SIGNAL_METRIC; signal++) {
		struct sonde_account account = { 0 };
		uint64_t lost = 0;

		sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			lost += account.lost[reason];
		printf("%s %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", who, signal,
		       account.captured, account.exported, account.queued, lost);
	}
	fflush(stdout);
}

static void child(struct sonde_agent *agent)
{
	charge(5, 1 * MS, /* is_error= */ false);
	sonde_agent_stop(agent, 10000);
	print_accounts(agent, "child");
	_exit(0);
}

static uint64_t exported_points(struct sonde_agent *agent)
{
	struct sonde_account account = { 0 };

	sonde_agent_account(agent, 0, SONDE_SIGNAL_METRIC, &account);
	return account.exported;
}

static int wait_for_two_exports(struct sonde_agent *agent)
{
	const struct timespec moment = { .tv_nsec = 2000000 };
	uint64_t before = 0;
	int n_exports = 0;

	for (int i = 0; i < 5000 && n_exports < 2; i++) {
		uint64_t now = exported_points(agent);

		n_exports += now > before;
		before = now;
		nanosleep(&moment, NULL);
	}
	return n_exports == 2 ? 0 : 5;
}

int main(int argc, char **argv)
{
	const struct sonde_breaker_options breaker_options = { .name = "payments" };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_breaker breaker;
	struct sonde_agent *agent;
	int status;
	pid_t pid;

	options.service_name = "metered";
	if (sonde_agent_start(&options, &agent) < 0)
		return 1;
	if (argc > 1 && !strcmp(argv[1], "wait")) {
		charge(3, 1 * MS, /* is_error= */ false);
		return wait_for_two_exports(agent);
	}
	charge(300, 1 * MS, /* is_error= */ false);
	charge(100, 3 * MS, /* is_error= */ true);
	charge(10, 250 * MS, /* is_error= */ false);
	if (sonde_breaker_init(&breaker, &breaker_options) < 0)
		return 6;
	isolate(&breaker, 3);
	look(50);
	nameless(7);
	for (int i = 0; i < 12; i++)
		sonde_message(SONDE_INFO, "message %d", i);
	if (sonde_agent_flush(agent, 10000) != SONDE_OK)
		return 2;
	charge(20, 2500 * MS, /* is_error= */ false);
	pid = fork();
	if (pid == 0)
		child(agent);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return 3;
	(void)sonde_breaker_force(&breaker, SONDE_BREAKER_CLOSED);
	sonde_breaker_deinit(&breaker);
	if (sonde_agent_stop(agent, 10000) != SONDE_OK)
		return 4;
	print_accounts(agent, "parent");
	return 0;
}
