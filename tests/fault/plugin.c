/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that brings the agent along: starts it, records at sites of its own, stops it. */
#include <sonde/sonde.h>

SONDE_ERROR_TYPE(plugin_failed, sonde_internal, "PLUGIN_FAILED");

int plugin_serve(long round);

static void record(long round)
{
	SONDE_SPAN(span, "in plugin", .kind = SONDE_KIND_SERVER);
	SONDE_TIMED("plugin work");
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&plugin_failed, "round %ld", round);

	sonde_span_set_int(span, "round", round);
	sonde_error_capture(error);
}

int plugin_serve(long round)
{
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;

	options.service_name = "plugin";
	if (sonde_agent_start(&options, &agent) < 0)
		return -1;
	for (int i = 0; i < 100; i++)
		record(round);
	return sonde_agent_stop(agent, 5000);
}
