/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_CHECK_H
#define SONDE_RECORD_CHECK_H

/*
 * Whether bytes are a record. The check trusts nothing: sizes, enumerations, the nesting and wire
 * type of every encoded field. What it passes is exactly what capture can have written (in any
 * order of attributes, events and links), but texts may still be invalid UTF-8, keys may be empty
 * or repeat, and counts may be past the limits: that is record/mend.h's work.
 *
 * Wait-free, async-signal-safe.
 */

#include <stdbool.h>
#include <stddef.h>

#include <sonde/exporter.h>

#include "record/layout.h"
#include "record/view.h"

/* `available` bytes may be read from `record`, which is aligned to 8. */
bool sonde__record_is_valid(const struct sonde__record *record, size_t available);

/* As above of a record of a span, but for its fields: those are for the one who reads them. */
bool sonde__span_head_is_valid(const struct sonde__record *record, size_t available);

/* Whether `fields` holds whole, well-formed fields of that message and nothing else. */
bool sonde__fields_are_valid(enum sonde_fields type, struct sonde_bytes fields);

#endif
