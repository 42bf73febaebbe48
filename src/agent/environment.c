/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard: OpenTelemetry environment variable specification, "Parsing empty value", "Boolean
 * value", "Numeric value".
 */
#include "agent/environment.h"

#include <stdlib.h>
#include <string.h>

#include <sonde/base.h>

#include "base/compiler.h"
#include "base/diagnostic.h"
#include "base/text.h"

extern char **environ;

static bool is_ours(const char *entry)
{
	static const char *const prefixes[] = {
		"OTEL_", "SONDE_", "NO_COLOR=", "XDG_RUNTIME_DIR=", "HOME=", "STATE_DIRECTORY=",
		"XDG_STATE_HOME=", "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=",
		"ALL_PROXY=", "no_proxy=", "NO_PROXY=",
	};

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(prefixes); i++) {
		if (!strncmp(entry, prefixes[i], strlen(prefixes[i])))
			return true;
	}
	return false;
}

static size_t count_ours(void)
{
	size_t n = 0;

	for (char **entry = environ; entry && *entry; entry++)
		n += is_ours(*entry);
	return n;
}

int sonde__environment_init(struct sonde__environment *environment)
{
	size_t capacity = count_ours();
	struct sonde__environment copy = { .entries = calloc(capacity + 1, sizeof(char *)) };

	if (!copy.entries)
		return SONDE_E_NOMEM;
	for (char **entry = environ; entry && *entry && copy.n_entries < capacity; entry++) {
		if (!is_ours(*entry))
			continue;
		copy.entries[copy.n_entries] = strdup(*entry);
		if (!copy.entries[copy.n_entries]) {
			sonde__environment_deinit(&copy);
			return SONDE_E_NOMEM;
		}
		copy.n_entries++;
	}
	*environment = copy;
	return SONDE_OK;
}

void sonde__environment_deinit(struct sonde__environment *environment)
{
	for (size_t i = 0; i < environment->n_entries; i++)
		free(environment->entries[i]);
	free(environment->entries);
	environment->entries = NULL;
	environment->n_entries = 0;
}

const char *sonde__environment_get(const struct sonde__environment *environment, const char *name)
{
	size_t size = strlen(name);

	for (size_t i = 0; i < environment->n_entries; i++) {
		const char *entry = environment->entries[i];

		if (!strncmp(entry, name, size) && entry[size] == '=')
			return entry[size + 1] ? entry + size + 1 : NULL;
	}
	return NULL;
}

static bool parse(const struct sonde__number *number, const char *text, uint64_t *ret)
{
	return number->is_size ? sonde__parse_size(text, ret) : sonde__parse_uint(text, ret);
}

static bool is_within(const struct sonde__number *number, uint64_t value)
{
	return value >= number->min && value <= number->max;
}

uint64_t sonde__environment_number(const struct sonde__environment *environment,
				   const struct sonde__number *number)
{
	const char *text = sonde__environment_get(environment, number->name);
	uint64_t value;

	if (number->option) {
		if (is_within(number, number->option))
			return number->option;
		sonde__report(SONDE_WARN, "the option for %s is %llu, outside %llu to %llu: ignored", number->name,
			      (unsigned long long)number->option, (unsigned long long)number->min,
			      (unsigned long long)number->max);
	}
	if (!text)
		return number->fallback;
	if (!parse(number, text, &value)) {
		sonde__report(SONDE_WARN, "%s=%s is not a number: using %llu", number->name, text,
			      (unsigned long long)number->fallback);
		return number->fallback;
	}
	if (number->zero_is_unlimited && value == 0)
		return number->max;
	if (!is_within(number, value)) {
		sonde__report(SONDE_WARN, "%s=%s is outside %llu to %llu: using %llu", number->name, text,
			      (unsigned long long)number->min, (unsigned long long)number->max,
			      (unsigned long long)number->fallback);
		return number->fallback;
	}
	return value;
}

bool sonde__environment_bool(const struct sonde__environment *environment, const char *name,
			     bool fallback)
{
	const char *text = sonde__environment_get(environment, name);

	if (!text)
		return fallback;
	if (sonde__text_equal_nocase(text, "true"))
		return true;
	if (!sonde__text_equal_nocase(text, "false"))
		sonde__report(SONDE_WARN, "%s=%s is neither true nor false: taken as false", name, text);
	return false;
}

bool sonde__environment_switch(const struct sonde__environment *environment, const char *name,
			       bool fallback)
{
	const char *text = sonde__environment_get(environment, name);

	if (!text)
		return fallback;
	if (sonde__text_equal_nocase(text, "on"))
		return true;
	if (sonde__text_equal_nocase(text, "off"))
		return false;
	sonde__report(SONDE_WARN, "%s=%s is neither on nor off: taken as %s", name, text,
		      fallback ? "on" : "off");
	return fallback;
}
