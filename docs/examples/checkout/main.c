/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "checkout.h"

static const struct option long_options[] = {
	{ "role", required_argument, NULL, 'r' },	{ "port", required_argument, NULL, 'p' },
	{ "payment-port", required_argument, NULL, 'P' }, { "database", required_argument, NULL, 'd' },
	{ "fail-every", required_argument, NULL, 'f' },	{ "slow-every", required_argument, NULL, 's' },
	{ "slow-ms", required_argument, NULL, 'm' },	{ "break-every", required_argument, NULL, 'b' },
	{ NULL, 0, NULL, 0 },
};

static bool parse(int argc, char **argv, struct config *config, const char **ret_role)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			*ret_role = optarg;
			break;
		case 'p':
			config->port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'P':
			config->payment_port = (uint16_t)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			config->database = optarg;
			break;
		case 'f':
			config->fail_every = strtol(optarg, NULL, 10);
			break;
		case 'b':
			config->break_every = strtol(optarg, NULL, 10);
			break;
		case 's':
			config->slow_every = strtol(optarg, NULL, 10);
			break;
		case 'm':
			config->slow_ms = strtol(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	}
	return true;
}

/* Serves until SIGTERM or SIGINT, which every thread has blocked. */
static int serve(const struct config *config, const struct route *routes, void *service)
{
	struct http_server *server = http_start(config->port, routes, service);
	sigset_t ends;
	int number;

	if (!server) {
		fprintf(stderr, "cannot listen on port %u\n", config->port);
		return 1;
	}
	printf("listening on 127.0.0.1:%u\n", http_port(server));
	fflush(stdout);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigwait(&ends, &number);
	http_stop(server);
	return 0;
}

static int run_checkout(const struct config *config)
{
	struct checkout checkout = { .config = config };
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		orders_open(config->database, &checkout.orders);
	int status;

	if (error) {
		char text[1024];

		sonde_error_format_chain(error, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	status = serve(config, checkout_routes, &checkout);
	orders_close(checkout.orders);
	return status;
}

static void block_ends(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
}

int main(int argc, char **argv)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct config config = { .database = "orders.db", .slow_ms = 1200 };
	const char *role = "checkout";
	struct sonde_agent *agent = NULL;
	int status;

	if (!parse(argc, argv, &config, &role)) {
		fprintf(stderr, "usage: checkout [--role checkout|payment] [--port N] [--payment-port N] "
				"[--database FILE] [--fail-every N] [--break-every N] [--slow-every N] [--slow-ms N]\n");
		return 2;
	}
	block_ends();
	curl_global_init(CURL_GLOBAL_DEFAULT);

	options.service_name = role; /* The rest comes from OTEL_* and SONDE_*. */
	options.service_version = "1.0.0";
	if (sonde_agent_start(&options, &agent) < 0)
		fprintf(stderr, "no agent; serving all the same\n");

	status = !strcmp(role, "payment") ? serve(&config, payment_routes, &config) :
					    run_checkout(&config);

	sonde_agent_stop(agent, /* deadline_ms= */ 2000);
	curl_global_cleanup();
	return status;
}
