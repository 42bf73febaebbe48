/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_EXCEPTION_H
#define SONDE_PIPELINE_EXCEPTION_H

/*
 * A captured error, read for export once: its texts, and the attributes that its log record and its
 * span event carry.
 */

#include <stddef.h>

#include <sonde/attribute.h>
#include <sonde/span.h>

#include "pipeline/breadcrumbs.h"
#include "record/view.h"

#define SONDE__EXCEPTION_ATTRS_MAX 16
#define SONDE__STACKTRACE_SIZE 12288

struct sonde__part;

/* What the pipeline found out about an error. */
struct sonde__error_news {
	uint64_t fingerprint;
	bool is_first_seen;
	bool is_regressed;
	const struct sonde__breadcrumbs *breadcrumbs; /* NULL: none. */
	struct sonde_text again; /* Lines about later captures; may be empty. */
};

struct sonde__exception {
	struct sonde__error_link_view outermost;
	struct sonde_text detail; /* The outermost that there is; empty: none. */
	uint32_t errno_value; /* The same; 0: none. */
	char id[17];
	char fingerprint[17];
	/*
	 * exception.* and sonde.error.* for both; then, for the log alone, error.type and code.*.
	 */
	struct sonde_attr attrs[SONDE__EXCEPTION_ATTRS_MAX];
	size_t n_event_attrs;
	size_t n_attrs;
	char stacktrace[SONDE__STACKTRACE_SIZE];
};

/* Reads the record, names the stack's frames. The texts point into the record. False: no chain. */
bool sonde__exception_read(struct sonde__exception *exception,
			   const struct sonde__error_record *record,
			   const struct sonde__error_news *news);

/*
 * Allocates the part that brings the error to its span: status ERROR, error.type and, if that is
 * one of its forms, an event `exception`. NULL: out of memory.
 */
struct sonde__part *sonde__exception_part(const struct sonde__exception *exception,
					  const struct sonde__error_record *record);

#endif
