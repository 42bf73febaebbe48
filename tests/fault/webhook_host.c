/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service whose errors are alerts, for tests/fault/test_webhook.py. Each argument is a step:
 *
 *	new=TEXT       an error marked as never seen, inside a span; back=TEXT: as come back
 *	bug=TEXT       an error without a mark: the pipeline knows whether it is new
 *	many=N         N new ones, each with a message of its own
 *	fork=TEXT      a child that raises a new one and leaves by exit
 *	log=TEXT       a log record that is no error; fatal=TEXT: one that is fatal
 *	span=NAME      a span
 *	say=TEXT       prints "said TEXT", for the driver's clock
 *	wait           until the driver writes a line
 *	flush=MS, stop=MS
 *
 * TEXT of "@" is read from the environment variable HOSTILE; WEBHOOK_OPTION and EXCEPTION_SIGNAL
 * are for options that have no variable of their own. Last it prints a line for each
 * destination and signal: account DESTINATION SIGNAL CAPTURED EXPORTED QUEUED LOST REFUSED LIMITED.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sonde/sonde.h>

static struct sonde_agent *agent;

SONDE_ERROR_TYPE(payment_declined, sonde_external_service, "DECLINED");

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void raise_marked(const char *mark, const char *text)
{
	SONDE_SPAN(charge, "charge");
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&payment_declined, "%s", text);

	sonde_error_set(error, sonde_bool(mark, true));
	sonde_error_capture(error);
}

static void raise_bug(const char *text)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&payment_declined, "%s", text);

	sonde_error_capture(error);
}

static void fork_child(const char *text)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		raise_marked("sonde.error.first_seen", text);
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		printf("child_failed\n");
}

static void make_span(const char *text)
{
	SONDE_SPAN(plain, "plain");

	sonde_span_set_str(plain, "text", text);
}

static void raise_many(long n)
{
	for (long i = 0; i < n; i++) {
		char text[32];

		snprintf(text, sizeof(text), "bug %ld", i);
		raise_marked("sonde.error.first_seen", text);
	}
}

static void print_account(size_t destination, enum sonde_signal signal)
{
	struct sonde_account account;
	unsigned long long lost = 0;

	if (sonde_agent_account(agent, destination, signal, &account) < 0)
		return;
	for (size_t i = 0; i < sizeof(account.lost) / sizeof(account.lost[0]); i++)
		lost += account.lost[i];
	printf("account %zu %d %llu %llu %llu %llu %llu %llu\n", destination, (int)signal,
	       (unsigned long long)account.captured, (unsigned long long)account.exported,
	       (unsigned long long)account.queued, lost,
	       (unsigned long long)account.lost[SONDE_LOSS_REFUSED],
	       (unsigned long long)account.lost[SONDE_LOSS_LIMITED]);
}

static void print_accounts(void)
{
	for (size_t d = 0; d < 8; d++) {
		for (int s = 0; s < SONDE_SIGNAL_COUNT; s++)
			print_account(d, (enum sonde_signal)s);
	}
	fflush(stdout);
}

static void stop(unsigned deadline_ms)
{
	double began = now_s();
	int status = sonde_agent_stop(agent, deadline_ms);

	printf("stop %d %.3f\n", status, now_s() - began);
}

static void wait_for_line(void)
{
	int c;

	fflush(stdout);
	do
		c = getchar();
	while (c != '\n' && c != EOF);
}

static int step(const char *name, const char *text)
{
	if (!strcmp(text, "@"))
		text = getenv("HOSTILE");
	if (!strcmp(name, "new"))
		raise_marked("sonde.error.first_seen", text);
	else if (!strcmp(name, "back"))
		raise_marked("sonde.error.regressed", text);
	else if (!strcmp(name, "bug"))
		raise_bug(text);
	else if (!strcmp(name, "fork"))
		fork_child(text);
	else if (!strcmp(name, "many"))
		raise_many(strtol(text, NULL, 10));
	else if (!strcmp(name, "log"))
		sonde_message(SONDE_INFO, "%s", text);
	else if (!strcmp(name, "fatal"))
		sonde_message(SONDE_FATAL, "%s", text);
	else if (!strcmp(name, "span"))
		make_span(text);
	else if (!strcmp(name, "say"))
		printf("said %s\n", text);
	else if (!strcmp(name, "wait"))
		wait_for_line();
	else if (!strcmp(name, "flush"))
		printf("flush %d\n", sonde_agent_flush(agent, (uint32_t)strtoul(text, NULL, 10)));
	else if (!strcmp(name, "stop"))
		stop((unsigned)strtoul(text, NULL, 10));
	else
		return 2;
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;

	options.service_name = "shop";
	options.service_version = "1.4.2";
	options.deployment_environment = "test";
	options.webhook_url = getenv("WEBHOOK_OPTION");
	if (getenv("EXCEPTION_SIGNAL"))
		options.exception_signal = SONDE_EXCEPTION_SPAN_EVENT;
	if (sonde_agent_start(&options, &agent) < 0)
		return 2;
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals)
			*equals = '\0';
		if (step(argv[i], equals ? equals + 1 : "")) {
			fprintf(stderr, "no such step: %s\n", argv[i]);
			return 2;
		}
	}
	print_accounts();
	return 0;
}
