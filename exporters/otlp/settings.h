/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_SETTINGS_H
#define SONDE_OTLP_SETTINGS_H

/*
 * The OTEL_EXPORTER_OTLP_* settings, for each signal: the signal's own name beats the general one.
 * A value that cannot be used is reported by name and value, and passed over for the
 * next source, at last the default: settings never keep a service from starting.
 */

#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <sonde/exporter.h>

/* Rows by enum sonde_signal; that of parts, which never leave alone, is empty. */
#define SONDE__OTLP_SIGNALS (SONDE_SIGNAL_METRIC + 1)

/* Where one signal goes, and how. All owned. */
struct sonde__otlp_target {
	char *url;
	char *shown; /* The same for people: without credentials, query and fragment. */
	const char *setting; /* The setting to look at when the URL is wrong; static. */
	struct curl_slist *headers; /* All that a request carries. */
	char *certificate; /* Paths of PEM files; NULL: not set. */
	char *client_key;
	char *client_certificate;
	char *proxy; /* "": none. */
	char *no_proxy;
	uint32_t timeout_ms; /* 0: no limit. */
	uint16_t port;
	bool is_https;
	bool gzip;
};

struct sonde__otlp_settings {
	struct sonde__otlp_target targets[SONDE__OTLP_SIGNALS]; /* By enum sonde_signal. */
};

/* SONDE_E_NOMEM, or SONDE_OK: nothing else stops it. */
int sonde__otlp_settings_init(struct sonde__otlp_settings *settings,
			      const struct sonde_exporter_host *host);
void sonde__otlp_settings_deinit(struct sonde__otlp_settings *settings);

#endif
