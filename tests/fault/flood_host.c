/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service in trouble, for tests/fault/test_flood.py:
 *
 *	flood-host ERRORS THREADS QUIET
 *
 * Captures so many errors of one kind on so many threads as fast as it can, and QUIET of another in
 * between, each in a span that is not sampled unless the environment says so. Says how many there
 * were of each, by place, and the accounts:
 *
 *	made TYPE LINE FUNCTION COUNT
 *	account SIGNAL CAPTURED EXPORTED QUEUED LOST
 *	lost SIGNAL REASON COUNT
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <sonde/sonde.h>

#define THREADS_MAX 64
#define DEADLINE_MS 60000

SONDE_ERROR_TYPE(gateway_down, sonde_external_service, "GATEWAY_DOWN");
SONDE_ERROR_TYPE(row_missing, sonde_not_found, "ROW_MISSING");

static long n_each;

static const int loud_line = __LINE__ + 5;

static void err_loudly(void)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&gateway_down, "the gateway does not answer");

	sonde_error_capture(error);
	/* By the layers above, who have no part in the count. */
	sonde_error_capture(error);
}

static const int quiet_line = __LINE__ + 6;

static void err_quietly(long row)
{
	SONDE_SPAN(look, "look up");
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_raise(&row_missing, "no row %ld", row);

	sonde_error_capture(error);
}

static void *err_often(void *unused)
{
	(void)unused;
	for (long i = 0; i < n_each; i++)
		err_loudly();
	return NULL;
}

static void print_accounts(struct sonde_agent *agent)
{
	for (int signal = 0; signal <= SONDE_SIGNAL_METRIC; signal++) {
		struct sonde_account account = { 0 };
		uint64_t lost = 0;

		sonde_agent_account(agent, 0, (enum sonde_signal)signal, &account);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
			lost += account.lost[reason];
			if (account.lost[reason])
				printf("lost %d %s %" PRIu64 "\n", signal,
				       sonde_loss_name((enum sonde_loss)reason),
				       account.lost[reason]);
		}
		printf("account %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", signal,
		       account.captured, account.exported, account.queued, lost);
	}
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	pthread_t threads[THREADS_MAX];
	struct sonde_agent *agent;
	long n_threads;
	long n_quiet;

	if (argc != 4)
		return 2;
	n_threads = strtol(argv[2], NULL, 10);
	n_quiet = strtol(argv[3], NULL, 10);
	if (n_threads < 1 || n_threads > THREADS_MAX)
		return 2;
	n_each = strtol(argv[1], NULL, 10) / n_threads;
	options.service_name = "flooded";
	if (sonde_agent_start(&options, &agent) != SONDE_OK)
		return 3;
	for (long i = 0; i < n_threads; i++) {
		if (pthread_create(&threads[i], NULL, err_often, NULL) != 0)
			return 4;
	}
	for (long i = 0; i < n_quiet; i++)
		err_quietly(i);
	for (long i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	sonde_agent_stop(agent, DEADLINE_MS);
	printf("made gateway_down %d err_loudly %ld\n", loud_line, n_each * n_threads);
	printf("made row_missing %d err_quietly %ld\n", quiet_line, n_quiet);
	print_accounts(agent);
	return 0;
}
