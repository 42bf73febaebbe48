/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_OPENED_H
#define SONDE_AGENT_OPENED_H

/* From a chosen destination to an open exporter. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/settings.h"

struct sonde__opened {
	const struct sonde_exporter *exporter;
	void *instance;
	bool takes_spans;
	bool takes_logs;
	bool takes_metrics;
	enum sonde__temporality temporality;
};

/*
 * Opens all that can be opened, reports the rest; returns how many. `ret`: SONDE__DESTINATIONS_MAX.
 */
size_t sonde__destinations_open(const struct sonde__settings *settings, struct sonde__opened *ret);
void sonde__destinations_close(struct sonde__opened *opened, size_t n_opened, bool forked);

#endif
