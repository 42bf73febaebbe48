/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WEBHOOK_MESSAGE_H
#define SONDE_WEBHOOK_MESSAGE_H

/* One message for all alerts of a batch, in the form that the receiver reads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "otlp/line.h"
#include "webhook/alert.h"
#include "webhook/settings.h"

/* So many alerts are told in full, the others in number. */
#define SONDE__WEBHOOK_LISTED_MAX 10

/* How much of a text is shown. */
#define SONDE__WEBHOOK_NAME_MAX 160
#define SONDE__WEBHOOK_MESSAGE_MAX 512
#define SONDE__WEBHOOK_HEADLINE_SIZE 640
/* As much as the template, and ids for their names. */
#define SONDE__WEBHOOK_LINK_SIZE (SONDE__WEBHOOK_TRACE_URL_MAX + 256)
/* "2026-11-21T12:44:06.123456Z" */
#define SONDE__WEBHOOK_TIME_SIZE 32

/* Out of the resource; empty where it does not say. */
struct sonde__webhook_service {
	struct sonde_text name;
	struct sonde_text namespace;
	struct sonde_text version;
	struct sonde_text environment;
	struct sonde_text host;
	struct sonde_text instance;
};

struct sonde__webhook_message {
	const struct sonde__webhook_settings *settings;
	const struct sonde_batch *batch;
	struct sonde__webhook_service service;
	size_t n_alerts;
	size_t n_regressed;
	size_t n_fatal; /* The others are new. */
	uint64_t n_held; /* Alerts that the limit held back since the last message. */
	bool is_limit_reached; /* The next ones will be. */
};

/* Reads the batch; `n_held` and what follows are the caller's to set. */
void sonde__webhook_message_init(struct sonde__webhook_message *message,
				 const struct sonde__webhook_settings *settings,
				 const struct sonde_batch *batch);

/* Appends it to `out`. SONDE_E_NOMEM past the buffer's limit, with the buffer as it was. */
int sonde__webhook_message_write(const struct sonde__webhook_message *message,
				 struct sonde_buffer *out);

/* ---- For the templates ----------------------------------------------------------------------- */

struct sonde__json;

void sonde__webhook_generic(const struct sonde__webhook_message *message, struct sonde__json *json);
void sonde__webhook_slack(const struct sonde__webhook_message *message, struct sonde__json *json);

/* "checkout 1.4.2 (production): new error: payment_declined: card of order 7 was declined" */
void sonde__webhook_headline(const struct sonde__webhook_message *message,
			     struct sonde__otlp_line *line);
/* "new error", "error is back" or "fatal". */
const char *sonde__webhook_reason_text(const struct sonde__webhook_alert *alert);
/* The page of the alert's trace; empty where there is none. */
struct sonde_text sonde__webhook_link(const struct sonde__webhook_settings *settings,
				      const struct sonde__webhook_alert *alert,
				      char buffer[SONDE__WEBHOOK_LINK_SIZE]);
/* Of RFC 3339, in UTC. */
struct sonde_text sonde__webhook_time(uint64_t unix_ns, char buffer[SONDE__WEBHOOK_TIME_SIZE]);

static inline struct sonde_text sonde__webhook_line_text(const struct sonde__otlp_line *line)
{
	return (struct sonde_text){ line->data, line->size };
}

#endif
