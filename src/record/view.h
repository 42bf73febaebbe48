/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_VIEW_H
#define SONDE_RECORD_VIEW_H

/*
 * What is in a record that passed its check (record/check.h). The views point into the record.
 * Wait-free, async-signal-safe.
 */

#include <sonde/base.h>

#include "record/layout.h"

struct sonde_text sonde__span_record_name(const struct sonde__span_record *record);
struct sonde_text sonde__span_record_trace_state(const struct sonde__span_record *record);
struct sonde_text sonde__span_record_description(const struct sonde__span_record *record);
struct sonde_bytes sonde__span_record_fields(const struct sonde__span_record *record);

struct sonde_text sonde__part_record_name(const struct sonde__part_record *record);
struct sonde_text sonde__part_record_description(const struct sonde__part_record *record);
struct sonde_bytes sonde__part_record_fields(const struct sonde__part_record *record);

struct sonde_text sonde__log_record_body(const struct sonde__log_record *record);
struct sonde_bytes sonde__log_record_fields(const struct sonde__log_record *record);

/* One error of the chain. */
struct sonde__error_link_view {
	uint32_t line;
	uint32_t errno_value;
	uint32_t n_omitted;
	uint8_t level;
	uint8_t flags; /* SONDE__LINK_… */
	struct sonde_text type;
	struct sonde_text message;
	struct sonde_text detail; /* For those who run the service alone. */
	struct sonde_text file;
	struct sonde_text function;
};

/* Walks the chain, the outermost first: begins with *walk = NULL; false at the end. */
bool sonde__error_record_next(const struct sonde__error_record *record,
			      const struct sonde__error_link **walk,
			      struct sonde__error_link_view *ret);
/* record->n_frames return addresses, the innermost first. */
const uint64_t *sonde__error_record_frames(const struct sonde__error_record *record);
struct sonde_bytes sonde__error_record_fields(const struct sonde__error_record *record);

/* Walks the breadcrumbs, the oldest first: begins with *walk = NULL; false at the end. */
struct sonde__crumb_view {
	uint64_t ticks;
	uint8_t level;
	uint8_t cuts;
	struct sonde_text category;
	struct sonde_text message;
};

bool sonde__error_record_crumb(const struct sonde__error_record *record,
			       const struct sonde__crumb **walk, struct sonde__crumb_view *ret);

/* With its texts and padding. */
size_t sonde__error_link_size(const struct sonde__error_link *link);

static inline size_t sonde__crumb_size(const struct sonde__crumb *crumb)
{
	const size_t texts = (size_t)crumb->category_size + crumb->message_size;

	return (sizeof(*crumb) + texts + 7) & ~(size_t)7;
}

#endif
