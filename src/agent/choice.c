/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where to: the destinations named in the options, else the lists in OTEL_TRACES_EXPORTER and
 * OTEL_LOGS_EXPORTER, each "otlp" unless set. A name in both lists is one destination that takes
 * both signals. A name that no linked library answers to is said, with those that are there.
 *
 * Metrics go where OTEL_METRICS_EXPORTER says. Where it is not set they go along with the rest: to
 * "otlp" if that is where traces or logs go, and not to a collector that nobody has named. The
 * console and memory exporters get none unasked: people who read traces there, and tests that look
 * for spans, would find figures between them every minute and at each flush.
 *
 * The webhook joins them where it is told a URL, by whomever they were chosen: it replaces none. It
 * looks for errors in log records, and in spans only where errors leave on no log record: so each
 * is told once.
 */
#include "agent/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/registry.h"
#include "base/diagnostic.h"
#include "base/text.h"

#define NAME_SIZE 64
#define METRICS_VARIABLE "OTEL_METRICS_EXPORTER"
#define WEBHOOK "webhook"
#define WEBHOOK_VARIABLE "SONDE_WEBHOOK_URL"

static void free_strings(char **strings)
{
	for (char **string = strings; string && *string; string++)
		free(*string);
	free(strings);
}

static int copy_strings(const char *const *strings, char ***ret)
{
	size_t n = 0;
	char **copy;

	while (strings && strings[n])
		n++;
	if (!n)
		return SONDE_OK;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(strings[i]);
		if (!copy[i]) {
			free_strings(copy);
			return SONDE_E_NOMEM;
		}
	}
	*ret = copy;
	return SONDE_OK;
}

static void report_missing(const char *source, const char *name)
{
	char linked[256] = "";

	sonde__registry_list(linked, sizeof(linked));
	sonde__report(SONDE_ERROR, "%s names the exporter \"%s\", which is not linked into this program (linked: %s)%s",
		      source, name, linked,
		      strcmp(name, "otlp") && strcmp(name, WEBHOOK) ? "" : "; link with `pkg-config --libs sonde`");
}

static struct sonde__destination *add(struct sonde__settings *settings,
				      const struct sonde_exporter *exporter)
{
	struct sonde__destination *destination;

	if (settings->n_destinations == SONDE__DESTINATIONS_MAX) {
		sonde__report(SONDE_WARN, "more than %d destinations: \"%s\" is left out", SONDE__DESTINATIONS_MAX,
			      exporter->name);
		return NULL;
	}
	destination = &settings->destinations[settings->n_destinations++];
	*destination = (struct sonde__destination){ .exporter = exporter };
	return destination;
}

/* The next name of a comma-separated list in lower case; false at the end. */
static bool next_name(const char **rest, char name[NAME_SIZE])
{
	const char *at = *rest + strspn(*rest, " \t,");
	size_t size = strcspn(at, ",");
	size_t used = 0;

	if (!at[0])
		return false;
	*rest = at + size;
	while (size && (at[size - 1] == ' ' || at[size - 1] == '\t'))
		size--;
	for (; used < size && used < NAME_SIZE - 1; used++)
		name[used] = at[used] >= 'A' && at[used] <= 'Z' ? (char)(at[used] + 32) : at[used];
	name[used] = '\0';
	return true;
}

static int add_chosen(struct sonde__settings *settings, const struct sonde_destination *chosen)
{
	const struct sonde_exporter *exporter = chosen->exporter;
	struct sonde__destination *destination;

	if (!exporter && chosen->name)
		exporter = sonde__registry_find(chosen->name);
	if (!exporter) {
		report_missing("the options", chosen->name ? chosen->name : "(no name)");
		return SONDE_OK;
	}
	destination = add(settings, exporter);
	if (!destination)
		return SONDE_OK;
	destination->takes_spans = true;
	destination->takes_logs = true;
	return copy_strings(chosen->settings, &destination->settings);
}

/* The destination's own setting, else the environment's; NULL: not set. */
static const char *metrics_list(const struct sonde__settings *settings,
				const struct sonde__destination *destination)
{
	size_t size = sizeof(METRICS_VARIABLE) - 1;

	for (char **entry = destination->settings; entry && *entry; entry++) {
		if (!strncmp(*entry, METRICS_VARIABLE "=", size + 1) && (*entry)[size + 1])
			return *entry + size + 1;
	}
	return sonde__environment_get(&settings->environment, METRICS_VARIABLE);
}

static bool is_listed(const char *list, const char *wanted)
{
	char name[NAME_SIZE];

	while (next_name(&list, name)) {
		if (!strcmp(name, wanted))
			return true;
	}
	return false;
}

/* Whether a destination that takes the other signals takes metrics along with them. */
static bool takes_metrics(const struct sonde__settings *settings,
			  const struct sonde__destination *destination)
{
	const char *list = metrics_list(settings, destination);

	if (list)
		return is_listed(list, destination->exporter->name);
	return destination->exporter != &sonde_console_exporter &&
	       destination->exporter != &sonde_memory_exporter;
}

static struct sonde__destination *find_or_add(struct sonde__settings *settings,
					      const struct sonde_exporter *exporter)
{
	for (size_t i = 0; i < settings->n_destinations; i++) {
		if (settings->destinations[i].exporter == exporter)
			return &settings->destinations[i];
	}
	return add(settings, exporter);
}

static void add_named(struct sonde__settings *settings, const char *variable, const char *name,
		      enum sonde_signal signal)
{
	const struct sonde_exporter *exporter;
	struct sonde__destination *destination;

	if (sonde__text_equal_nocase(name, "none"))
		return;
	exporter = sonde__registry_find(name);
	if (!exporter) {
		report_missing(variable, name);
		return;
	}
	destination = find_or_add(settings, exporter);
	if (destination && signal == SONDE_SIGNAL_SPAN)
		destination->takes_spans = true;
	if (destination && signal == SONDE_SIGNAL_LOG)
		destination->takes_logs = true;
	if (destination && signal == SONDE_SIGNAL_METRIC)
		destination->takes_metrics = true;
}

static void add_listed(struct sonde__settings *settings, const char *variable,
		       enum sonde_signal signal)
{
	const char *list = sonde__environment_get(&settings->environment, variable);
	const char *rest = list ? list : "otlp";
	char name[NAME_SIZE];

	while (next_name(&rest, name))
		add_named(settings, list ? variable : "the default", name, signal);
}

static int add_all_chosen(struct sonde__settings *settings, const struct sonde_options *options)
{
	for (size_t i = 0; options->destinations && i < options->n_destinations; i++) {
		int status = add_chosen(settings, &options->destinations[i]);

		if (status < 0)
			return status;
	}
	return SONDE_OK;
}

static bool is_webhook(const struct sonde__destination *destination)
{
	return !strcmp(destination->exporter->name, WEBHOOK);
}

static void add_webhook(struct sonde__settings *settings)
{
	const struct sonde_exporter *exporter = sonde__registry_find(WEBHOOK);

	for (size_t i = 0; i < settings->n_destinations; i++) {
		if (is_webhook(&settings->destinations[i]))
			return;
	}
	if (exporter)
		(void)add(settings, exporter);
	else
		report_missing(WEBHOOK_VARIABLE, WEBHOOK);
}

/* The option stands behind the destination's own settings, and before the environment. */
static int set_webhook_url(struct sonde__destination *destination, const char *url)
{
	size_t n = 0;
	char **settings;
	char *entry;

	while (destination->settings && destination->settings[n])
		n++;
	settings = realloc(destination->settings, (n + 2) * sizeof(*settings));
	if (!settings)
		return SONDE_E_NOMEM;
	settings[n] = NULL;
	destination->settings = settings;
	if (asprintf(&entry, WEBHOOK_VARIABLE "=%s", url) < 0)
		return SONDE_E_NOMEM;
	settings[n] = entry;
	settings[n + 1] = NULL;
	return SONDE_OK;
}

static int join_webhook(struct sonde__settings *settings, const struct sonde_options *options)
{
	bool has_option = options->webhook_url && options->webhook_url[0];
	int status = SONDE_OK;

	if (has_option || sonde__environment_get(&settings->environment, WEBHOOK_VARIABLE))
		add_webhook(settings);
	for (size_t i = 0; i < settings->n_destinations && status == SONDE_OK; i++) {
		struct sonde__destination *destination = &settings->destinations[i];

		if (!is_webhook(destination))
			continue;
		destination->takes_spans = settings->exception_signal == SONDE_EXCEPTION_SPAN_EVENT;
		destination->takes_logs = true;
		destination->takes_metrics = false;
		if (has_option)
			status = set_webhook_url(destination, options->webhook_url);
	}
	return status;
}

int sonde__destinations_init(struct sonde__settings *settings, const struct sonde_options *options)
{
	bool is_in_code = options->n_destinations > 0;

	if (is_in_code) {
		int status = add_all_chosen(settings, options);

		if (status < 0)
			return status;
	} else {
		add_listed(settings, "OTEL_TRACES_EXPORTER", SONDE_SIGNAL_SPAN);
		add_listed(settings, "OTEL_LOGS_EXPORTER", SONDE_SIGNAL_LOG);
	}
	if (!is_in_code && sonde__environment_get(&settings->environment, METRICS_VARIABLE)) {
		add_listed(settings, METRICS_VARIABLE, SONDE_SIGNAL_METRIC);
		return join_webhook(settings, options);
	}
	for (size_t i = 0; i < settings->n_destinations; i++)
		settings->destinations[i].takes_metrics =
			takes_metrics(settings, &settings->destinations[i]);
	return join_webhook(settings, options);
}

void sonde__destinations_deinit(struct sonde__settings *settings)
{
	for (size_t i = 0; i < settings->n_destinations; i++)
		free_strings(settings->destinations[i].settings);
	settings->n_destinations = 0;
}
