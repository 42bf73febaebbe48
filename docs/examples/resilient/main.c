/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same load twice: with a timeout alone, and through a policy
 *
 *	fallback ( deadline > retry > breaker > bulkhead > ask )
 *
 * whose parts tell the agent what they decide: each call's span has their events, and their counts
 * and durations are metrics. An observer of our own counts here for what is printed at the end.
 */
#include "resilient.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/deadline.h>
#include <sonde/policy.h>

#define CLIENT_TIMEOUT_MS 1000 /* As clients have it that have nothing else. */

struct client {
	struct sonde_retry_budget budget;
	struct sonde_retry retry;
	struct sonde_breaker breaker;
	struct sonde_bulkhead bulkhead;
	struct sonde_policy policy;
	_Atomic uint64_t n_fallbacks;
	_Atomic uint64_t n_attempts;
	_Atomic uint64_t n_rejected_breaker;
	_Atomic uint64_t n_rejected_bulkhead;
	_Atomic uint64_t n_openings;
};

static struct sonde_error *ask_plainly(void *user, struct price_request *request)
{
	SONDE_DEADLINE(CLIENT_TIMEOUT_MS);
	struct sonde_error *error;

	atomic_fetch_add((_Atomic uint64_t *)user, 1);
	error = price_ask(request);
	if (!error)
		price_remember(request);
	return error;
}

/* ---- The policy ------------------------------------------------------------------------------ */

static void observe(void *user, const struct sonde_observation *seen)
{
	struct client *client = user;

	if (seen->what == SONDE_OBSERVED_REJECTION && seen->pattern == SONDE_PATTERN_BREAKER)
		atomic_fetch_add(&client->n_rejected_breaker, 1);
	if (seen->what == SONDE_OBSERVED_REJECTION && seen->pattern == SONDE_PATTERN_BULKHEAD)
		atomic_fetch_add(&client->n_rejected_bulkhead, 1);
	if (seen->what == SONDE_OBSERVED_STATE && strcmp(seen->to, "open") == 0)
		atomic_fetch_add(&client->n_openings, 1);
}

/* What the policy runs, for each attempt. */
struct attempt {
	struct client *client;
	struct price_request *request;
};

static struct sonde_error *ask_once(void *argument)
{
	struct attempt *attempt = argument;
	struct sonde_error *error;

	atomic_fetch_add(&attempt->client->n_attempts, 1);
	error = price_ask(attempt->request);
	if (!error)
		price_remember(attempt->request);
	return error;
}

/* An old price is better than none. */
static struct sonde_error *fall_back(void *user, void *argument, struct sonde_error *error)
{
	struct client *client = user;
	struct attempt *attempt = argument;

	if (!price_recall(attempt->request))
		return error;
	atomic_fetch_add(&client->n_fallbacks, 1);
	sonde_error_free(error);
	return NULL;
}

static struct sonde_error *ask_by_policy(void *user, struct price_request *request)
{
	struct client *client = user;
	struct attempt attempt = { client, request };

	return sonde_policy_run(&client->policy, ask_once, &attempt, /* cancel= */ NULL);
}

static int client_init(struct client *client, const struct sonde_observer *observer)
{
	const struct sonde_retry_budget_options budget = { .name = "prices", .ratio = 0.5 };
	const struct sonde_retry_options retry = {
		.name = "prices",
		.attempts = 3,
		.first_delay_ms = 5,
		.attempt_timeout_ms = 100,
		.budget = &client->budget,
		.observer = observer,
	};
	const struct sonde_breaker_options breaker = {
		.name = "prices",
		.failures = 10,
		.reset_ms = 50,
		.half_open_calls = 1,
		.observer = observer,
	};
	const struct sonde_bulkhead_options bulkhead = {
		.name = "prices",
		.limit = 12,
		.max_queue = 8,
		.max_wait_ms = 50,
		.observer = observer,
	};
	const struct sonde_policy_options policy = {
		.name = "prices",
		.timeout_ms = 300,
		.retry = &client->retry,
		.breaker = &client->breaker,
		.bulkhead = &client->bulkhead,
		.fallback = fall_back,
		.fallback_user = client,
		.observer = observer,
	};

	if (sonde_retry_budget_init(&client->budget, &budget) < 0 ||
	    sonde_retry_init(&client->retry, &retry) < 0 ||
	    sonde_breaker_init(&client->breaker, &breaker) < 0 ||
	    sonde_bulkhead_init(&client->bulkhead, &bulkhead) < 0)
		return -1;
	return sonde_policy_init(&client->policy, &policy);
}

static void client_deinit(struct client *client)
{
	sonde_policy_deinit(&client->policy);
	sonde_bulkhead_deinit(&client->bulkhead);
	sonde_breaker_deinit(&client->breaker);
	sonde_retry_deinit(&client->retry);
	sonde_retry_budget_deinit(&client->budget);
}

/* ---- What is printed ------------------------------------------------------------------------- */

static void print(const char *title, const struct load_result *result, uint64_t n_attempts,
		  const struct client *client)
{
	printf("%s: calls=%" PRIu64 " answered=%" PRIu64 " failed=%" PRIu64
	       " fallback=%" PRIu64 " attempts=%" PRIu64 " rejected_breaker=%" PRIu64
	       " rejected_bulkhead=%" PRIu64 " openings=%" PRIu64
	       " p50_ms=%.1f p99_ms=%.1f longest_ms=%.1f\n",
	       title, result->n_calls, result->n_answered, result->n_calls - result->n_answered,
	       client->n_fallbacks, n_attempts, client->n_rejected_breaker,
	       client->n_rejected_bulkhead, client->n_openings, result->p50_ms, result->p99_ms,
	       result->longest_ms);
	fflush(stdout);
}

static int run(const struct config *config, uint16_t port)
{
	static struct client client;
	const struct sonde_observer observer = { observe, &client };
	_Atomic uint64_t n_plain = 0;
	struct load_result result;

	if (client_init(&client, &observer) < 0) {
		fputs("the policy's options are not valid\n", stderr);
		return 1;
	}
	printf("policy: %s\n", sonde_policy_order(&client.policy));
	load_run(config, port, ask_plainly, &n_plain, &result);
	print("without", &result, n_plain, &client);
	load_run(config, port, ask_by_policy, &client, &result);
	print("with", &result, client.n_attempts, &client);
	client_deinit(&client);
	return 0;
}

/* ---- The program ----------------------------------------------------------------------------- */

static const struct option long_options[] = {
	{ "seed", required_argument, NULL, 's' },
	{ "seconds", required_argument, NULL, 't' },
	{ "threads", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

static bool parse(int argc, char **argv, struct config *config)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 's')
			config->seed = strtoull(optarg, NULL, 10);
		else if (option == 't')
			config->seconds = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'n')
			config->n_threads = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return false;
	}
	return config->seconds > 0 && config->n_threads > 0;
}

int main(int argc, char **argv)
{
	struct config config = { .seed = 1, .seconds = 5, .n_threads = 16 };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent = NULL;
	uint16_t port;
	pid_t server;
	int status;

	if (!parse(argc, argv, &config)) {
		fputs("usage: resilient [--seed N] [--seconds N] [--threads N]\n", stderr);
		return 2;
	}
	server = server_start(config.seed, &port);
	if (server < 0) {
		perror("no server");
		return 1;
	}
	options.service_name = "resilient"; /* The rest comes from OTEL_* and SONDE_*. */
	if (sonde_agent_start(&options, &agent) < 0)
		fputs("no agent; asking all the same\n", stderr);
	status = run(&config, port);
	sonde_agent_stop(agent, /* deadline_ms= */ 2000);
	server_stop(server);
	return status;
}
