/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_SETTINGS_H
#define SONDE_OTLP_SETTINGS_H

/*
 * The OTEL_EXPORTER_OTLP_* settings, for each signal: the signal's own name beats the general one.
 * A value that cannot be used is reported by name and value, and passed over for the next source,
 * at last the default: settings never keep a service from starting.
 */

#include <sonde/exporter.h>

#include "http.h"

struct sonde__otlp_settings {
	/* By enum sonde_signal; that of parts is empty. */
	struct sonde__otlp_target targets[SONDE__OTLP_SIGNALS];
};

/* SONDE_E_NOMEM, or SONDE_OK: nothing else stops it. */
int sonde__otlp_settings_init(struct sonde__otlp_settings *settings,
			      const struct sonde_exporter_host *host);
void sonde__otlp_settings_deinit(struct sonde__otlp_settings *settings);

#endif
