/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WEBHOOK_SETTINGS_H
#define SONDE_WEBHOOK_SETTINGS_H

/*
 *	SONDE_WEBHOOK_URL                 where to; who knows it may send there: it is not shown
 *	SONDE_WEBHOOK_FORMAT              generic or slack; slack for hooks.slack.com, else generic
 *	SONDE_WEBHOOK_ON                  a list of first_seen, regressed, fatal; the first two
 *	SONDE_WEBHOOK_PER_MINUTE          messages; 10, and 0 is no limit
 *	SONDE_WEBHOOK_TIMEOUT             milliseconds of an attempt; 10000
 *	SONDE_WEBHOOK_HEADERS             as OTEL_EXPORTER_OTLP_HEADERS
 *	SONDE_WEBHOOK_CERTIFICATE         the authority to trust
 *	SONDE_WEBHOOK_CLIENT_KEY, _CLIENT_CERTIFICATE
 *	SONDE_TRACE_URL                   a trace's page, with {trace_id} and perhaps {span_id}
 *
 * A bad URL is an error, for without it there is nowhere to send; any other value that cannot be
 * used is reported by name and value, and its default is taken.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "otlp/target.h"

enum sonde__webhook_format {
	SONDE__WEBHOOK_GENERIC = 0,
	SONDE__WEBHOOK_SLACK = 1,
};

#define SONDE__WEBHOOK_TRACE_URL_MAX 512

struct sonde__webhook_settings {
	struct sonde__otlp_target target;
	enum sonde__webhook_format format;
	unsigned int wanted; /* Bits of enum sonde__webhook_reason. */
	uint32_t per_minute;
	char trace_url[SONDE__WEBHOOK_TRACE_URL_MAX]; /* "": none. */
};

/* SONDE_E_INVALID: no URL, or none that can be used, and it was said; SONDE_E_NOMEM. */
int sonde__webhook_settings_init(struct sonde__webhook_settings *settings,
				 const struct sonde_exporter_host *host);
void sonde__webhook_settings_deinit(struct sonde__webhook_settings *settings);

#endif
