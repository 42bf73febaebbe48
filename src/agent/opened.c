/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/opened.h"

#include <string.h>

#include "base/diagnostic.h"
#include "base/text.h"

/* What an exporter that opens may ask: its own settings first, then the environment's copy. */
struct asker {
	const struct sonde__settings *settings;
	const struct sonde__destination *destination;
};

static const char *setting(void *context, const char *name)
{
	const struct asker *asker = context;
	size_t size = strlen(name);

	for (char **entry = asker->destination->settings; entry && *entry; entry++) {
		if (!strncmp(*entry, name, size) && (*entry)[size] == '=')
			return (*entry)[size + 1] ? *entry + size + 1 : NULL;
	}
	return sonde__environment_get(&asker->settings->environment, name);
}

/* Outlives the call, unlike the asker: it takes no context. */
static void report(void *context, enum sonde_level level, const char *text)
{
	(void)context;
	sonde__report(level, "%s", text);
}

static bool accepts(const struct sonde__opened *opened, enum sonde_signal signal)
{
	if (!opened->exporter->accepts)
		return signal != SONDE_SIGNAL_METRIC;
	return opened->exporter->accepts(opened->instance, signal);
}

/* The standard has one name for all exporters of OTLP's metrics, whatever the transport. */
static enum sonde__temporality read_temporality(struct asker *asker)
{
	static const char name[] = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
	static const char *const words[SONDE__TEMPORALITIES] = {
		[SONDE__CUMULATIVE] = "cumulative",
		[SONDE__DELTA] = "delta",
		[SONDE__LOW_MEMORY] = "lowmemory",
	};
	const char *value = setting(asker, name);

	for (int i = 0; value && i < SONDE__TEMPORALITIES; i++) {
		if (sonde__text_equal_nocase(value, words[i]))
			return (enum sonde__temporality)i;
	}
	if (value)
		sonde__report(SONDE_WARN, "%s=%s is none of cumulative, delta, lowmemory: using the default",
			      name, value);
	/* People are shown what has changed. */
	return asker->destination->exporter == &sonde_console_exporter ? SONDE__DELTA :
									 SONDE__CUMULATIVE;
}

static bool open_one(const struct sonde__settings *settings,
		     const struct sonde__destination *destination, struct sonde__opened *ret)
{
	struct asker asker = { settings, destination };
	struct sonde_exporter_host host = { sizeof(host), &asker, setting, report };
	int status;

	*ret = (struct sonde__opened){ .exporter = destination->exporter };
	status = destination->exporter->open(&host, &ret->instance);
	if (status < 0) {
		sonde__report(SONDE_ERROR, "the exporter \"%s\" cannot be used: %s", destination->exporter->name,
			      sonde_status_text(status));
		return false;
	}
	ret->takes_spans = destination->takes_spans && accepts(ret, SONDE_SIGNAL_SPAN);
	ret->takes_logs = destination->takes_logs && accepts(ret, SONDE_SIGNAL_LOG);
	ret->takes_metrics = destination->takes_metrics && accepts(ret, SONDE_SIGNAL_METRIC);
	if (ret->takes_metrics)
		ret->temporality = read_temporality(&asker);
	return true;
}

size_t sonde__destinations_open(const struct sonde__settings *settings, struct sonde__opened *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < settings->n_destinations; i++) {
		if (open_one(settings, &settings->destinations[i], &ret[n]))
			n++;
	}
	return n;
}

void sonde__destinations_close(struct sonde__opened *opened, size_t n_opened, bool forked)
{
	for (size_t i = 0; i < n_opened; i++)
		opened[i].exporter->close(opened[i].instance, forked);
}
