/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TEST_ALERT_BATCH_H
#define SONDE_TEST_ALERT_BATCH_H

/*
 * Batches of log records and spans with errors on them, as the pipeline hands them to an exporter.
 * Texts may be anything: what cannot come from the pipeline too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#define ALERT_ITEMS_MAX 64

struct alert_batch {
	struct sonde_batch batch;
	struct sonde_resource resource;
	struct sonde_buffer resource_attributes;
	struct sonde_log_view logs[ALERT_ITEMS_MAX];
	struct sonde_span_view spans[ALERT_ITEMS_MAX];
	struct sonde_buffer fields[ALERT_ITEMS_MAX]; /* Of each item, */
	struct sonde_bytes pieces[ALERT_ITEMS_MAX]; /* in one piece. */
};

/* What an error, or a log record, is to be; NULL and 0: not there. */
struct alert_spec {
	const char *type;
	struct sonde_text message; /* exception.message */
	struct sonde_text body;
	const char *event_name; /* "exception" for an error. */
	const char *function;
	const char *file;
	const char *fingerprint;
	const char *version;
	int line;
	uint8_t severity; /* SONDE_ERROR */
	uint8_t trace; /* Fills the trace's id, and the span's. */
	bool first_seen;
	bool regressed;
	bool marked_by_text; /* first_seen = "true", which is no mark. */
};

void alert_batch_init(struct alert_batch *made, enum sonde_signal signal);
void alert_batch_deinit(struct alert_batch *made);
void alert_batch_resource(struct alert_batch *made, const char *key, struct sonde_text value);

void alert_batch_add_log(struct alert_batch *made, const struct alert_spec *spec);
/* A span without an event. */
void alert_batch_add_span(struct alert_batch *made);
/* An event on the span that was added last. */
void alert_batch_add_event(struct alert_batch *made, const struct alert_spec *spec);

static inline struct sonde_text alert_text(const char *text)
{
	return (struct sonde_text){ text, __builtin_strlen(text) };
}

#endif
