/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that uses what is installed. Which exporters there are is decided by how it is linked,
 * which are used by the environment. Prints what the agent has to say about itself.
 */

#include <stdio.h>

#include <sonde/sonde.h>

static void print_diagnostic(void *user, enum sonde_level level, const char *text)
{
	(void)user;
	fprintf(stderr, "diagnostic %d %s\n", (int)level, text);
}

static void work(void)
{
	SONDE_SPAN(span, "installed work", .kind = SONDE_KIND_SERVER);

	sonde_span_set_int(span, "answer", 42);
	sonde_message(SONDE_ERROR, "message %d", 1);
}

int main(void)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;
	struct sonde_account account;

	options.service_name = "abi";
	options.diagnostic = print_diagnostic;
	if (sonde_agent_start(&options, &agent) < 0)
		return 1;
	work();
	if (sonde_agent_stop(agent, 5000) != SONDE_OK)
		return 2;
	if (sonde_agent_account(agent, 0, SONDE_SIGNAL_SPAN, &account) == SONDE_OK)
		printf("exported=%d\n", (int)account.exported);
	return 0;
}
