/* SPDX-License-Identifier: Apache-2.0 */
#include "collector.h"

#include <stdio.h>
#include <stdlib.h>

#include <sonde/otlp.h>

struct sonde_agent *collector_agent_start(const char *port)
{
	char endpoint[100];
	const char *const settings[] = { endpoint, NULL };
	const struct sonde_destination otlp = { .exporter = &sonde_otlp_exporter,
						.settings = settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;

	snprintf(endpoint, sizeof(endpoint), "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:%s",
		 port);
	options.service_name = "bench";
	options.destinations = &otlp;
	options.n_destinations = 1;
	if (sonde_agent_start(&options, &agent) == SONDE_OK)
		return agent;
	fputs("no agent\n", stderr);
	exit(1);
}
