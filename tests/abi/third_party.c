/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody else's exporter, and a service that names it: written against what is installed alone.
 */

#include <stdio.h>
#include <stdlib.h>

#include <sonde/exporter.h>
#include <sonde/sonde.h>

static int counter_open(const struct sonde_exporter_host *host, void **ret)
{
	const char *greeting = host->setting(host->context, "COUNTER_GREETING");

	printf("open %s\n", greeting ? greeting : "-");
	*ret = calloc(1, sizeof(size_t));
	return *ret ? SONDE_OK : SONDE_E_NOMEM;
}

static int counter_encode(void *instance, const struct sonde_batch *batch, struct sonde_buffer *out)
{
	(void)instance;
	for (size_t i = 0; i < batch->n_items; i++) {
		struct sonde_bytes rest;
		struct sonde_item_view item;

		if (batch->signal != SONDE_SIGNAL_SPAN)
			continue;
		for (size_t k = 0; k < batch->spans[i].n_pieces; k++) {
			rest = batch->spans[i].pieces[k];
			while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item))
				printf("item %d %.*s\n", (int)item.type, (int)item.name.size, item.name.data);
		}
	}
	return sonde_buffer_append(out, "x", 1);
}

static enum sonde_outcome counter_send(void *instance, const struct sonde_request *request,
				       struct sonde_result *ret)
{
	*(size_t *)instance += request->n_items;
	ret->outcome = SONDE_OUTCOME_ACCEPTED;
	ret->token = request->token;
	ret->n_rejected = 0;
	ret->retry_after_ms = -1;
	ret->reason[0] = '\0';
	return ret->outcome;
}

static void counter_close(void *instance, bool forked)
{
	(void)forked;
	printf("close %zu\n", *(size_t *)instance);
	free(instance);
}

static const struct sonde_exporter counter = {
	.size = sizeof(counter), .name = "counter", .open = counter_open, .encode = counter_encode,
	.send = counter_send, .close = counter_close,
};

int main(void)
{
	static const char *const settings[] = { "COUNTER_GREETING=hello", NULL };
	const struct sonde_destination destination = { "counter", NULL, settings };
	struct sonde_options options = SONDE_OPTIONS_INIT;
	struct sonde_agent *agent;

	if (sonde_exporter_register(&counter) != SONDE_OK)
		return 1;
	options.destinations = &destination;
	options.n_destinations = 1;
	if (sonde_agent_start(&options, &agent) < 0)
		return 2;
	{
		SONDE_SPAN(span, "work");
		sonde_span_set_str(span, "key", "value");
		sonde_span_add_event(span, "event", SONDE_NO_ATTRS);
	}
	return sonde_agent_stop(agent, 5000) == SONDE_OK ? 0 : 3;
}
