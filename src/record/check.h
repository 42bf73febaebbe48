/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_CHECK_H
#define SONDE_RECORD_CHECK_H

/*
 * Whether bytes are a record, and what is in it. The check trusts nothing: sizes, enumerations, the
 * nesting and wire type of every encoded field. What it passes is exactly what capture can have
 * written (in any order of attributes, events and links), but texts may still be invalid UTF-8, keys
 * may be empty or repeat, and counts may be past the limits: that is record/mend.h's work.
 *
 * The readers below take only records that passed. All of it is wait-free and async-signal-safe; the
 * views point into the record.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sonde/exporter.h>

#include "record/layout.h"

/* `available` bytes may be read from `record`, which is aligned to 8. */
bool sonde__record_is_valid(const struct sonde__record *record, size_t available);

/* Whether `fields` holds whole, well-formed fields of that message and nothing else. */
bool sonde__fields_are_valid(enum sonde_fields type, struct sonde_bytes fields);

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
	struct sonde_text type;
	struct sonde_text message;
	struct sonde_text file;
	struct sonde_text function;
};

/* Walks the chain, the outermost first: begins with *walk = NULL; false at the end. */
bool sonde__error_record_next(const struct sonde__error_record *record, const struct sonde__error_link **walk,
			      struct sonde__error_link_view *ret);
/* record->n_frames return addresses, the innermost first. */
const uint64_t *sonde__error_record_frames(const struct sonde__error_record *record);
struct sonde_bytes sonde__error_record_fields(const struct sonde__error_record *record);

#endif
