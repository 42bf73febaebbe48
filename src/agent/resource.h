/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_RESOURCE_H
#define SONDE_AGENT_RESOURCE_H

#include <sonde/exporter.h>

#include "agent/settings.h"
#include "redact/redact.h"

#define SONDE__RESOURCE_SIZE 8192
#define SONDE__RESOURCE_ATTRIBUTES 128

/*
 * Who sends: the resource's attributes, encoded. Later sources win: what the process finds out
 * about itself, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, the options. What is to be redacted
 * is, once: nobody counts it. Made anew in a forked
 * child, which has its own pid and service.instance.id.
 */
struct sonde__resource {
	struct sonde_resource view; /* Points into `encoded`. */
	uint8_t encoded[SONDE__RESOURCE_SIZE];
};

/* May read files under /proc and /etc. Not async-signal-safe. */
void sonde__resource_init(struct sonde__resource *resource, const struct sonde__settings *settings,
			  const struct sonde__redactor *redactor);

#endif
