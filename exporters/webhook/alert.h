/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WEBHOOK_ALERT_H
#define SONDE_WEBHOOK_ALERT_H

/*
 * What in a batch is worth waking somebody for: errors that the pipeline marked as new or as come
 * back, and, where wanted, fatal log records. An error is an event "exception", as a log record or
 * on a span.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sonde/exporter.h>

static inline bool sonde__webhook_text_is(struct sonde_text text, const char *plain)
{
	return text.size == strlen(plain) && !memcmp(text.data, plain, text.size);
}

/* Why; bits. */
enum sonde__webhook_reason {
	SONDE__WEBHOOK_FIRST_SEEN = 1,
	SONDE__WEBHOOK_REGRESSED = 2,
	SONDE__WEBHOOK_FATAL = 4,
};

/* Borrows from the batch; texts may be empty, ids all zero. */
struct sonde__webhook_alert {
	unsigned int reasons;
	uint64_t unix_ns;
	uint8_t severity; /* enum sonde_level; 0: an event on a span. */
	uint8_t trace_id[16];
	uint8_t span_id[8];
	struct sonde_text type;
	struct sonde_text message;
	struct sonde_text fingerprint;
	struct sonde_text id;
	struct sonde_text function; /* Where it was raised. */
	struct sonde_text file;
	int64_t line; /* 0: not known. */
	struct sonde_text version; /* Of the request that failed, where it is not the service's. */
	struct sonde_text environment;
};

/* A walk through a batch. */
struct sonde__webhook_walk {
	const struct sonde_batch *batch;
	unsigned int wanted; /* Reasons. */
	size_t item; /* The one that the last alert was of, and the next to look at. */
	size_t next_item;
	size_t piece; /* Of a span that may have more events. */
	struct sonde_bytes rest;
	bool is_inside;
};

void sonde__webhook_walk_init(struct sonde__webhook_walk *walk, const struct sonde_batch *batch,
			      unsigned int wanted);
/* Fills all of *ret, or returns false at the end. */
bool sonde__webhook_walk_next(struct sonde__webhook_walk *walk, struct sonde__webhook_alert *ret);

/* How many log records, or spans, have an alert. */
size_t sonde__webhook_count_items(const struct sonde_batch *batch, unsigned int wanted);

#endif
