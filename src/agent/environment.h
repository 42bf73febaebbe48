/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_ENVIRONMENT_H
#define SONDE_AGENT_ENVIRONMENT_H

/*
 * The environment, copied once on the thread that starts the agent: getenv beside somebody's setenv
 * is a data race, so nobody else in the library reads it, and the background threads of this
 * process and of its forked children use the copy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sonde__environment {
	char **entries; /* "NAME=value" */
	size_t n_entries;
};

/*
 * Copies OTEL_*, SONDE_*, NO_COLOR, what says where files go, and what curl reads of proxies: not
 * HTTP_PROXY, which a CGI server sets to what a stranger's request says. SONDE_E_NOMEM.
 */
int sonde__environment_init(struct sonde__environment *environment);
void sonde__environment_deinit(struct sonde__environment *environment);

/* The value, or NULL when it is not set or empty: the standard treats both alike. */
const char *sonde__environment_get(const struct sonde__environment *environment, const char *name);

/*
 * Numbers and switches by the rules of the OpenTelemetry environment specification: the option
 * given in code if it is not 0, else the variable, else the default. What cannot be parsed or lies
 * outside the bounds is reported by name and value and does not count.
 */
struct sonde__number {
	const char *name;
	uint64_t option; /* 0: not given in code. */
	uint64_t fallback;
	uint64_t min;
	uint64_t max;
	bool is_size; /* Takes KiB, MiB and GiB. */
	bool zero_is_unlimited; /* A timeout of 0 is no limit: `max`. */
};

uint64_t sonde__environment_number(const struct sonde__environment *environment,
				   const struct sonde__number *number);
bool sonde__environment_bool(const struct sonde__environment *environment, const char *name,
			     bool fallback);

/* For our own switches: on or off, else reported, and the fallback. */
bool sonde__environment_switch(const struct sonde__environment *environment, const char *name,
			       bool fallback);

#endif
