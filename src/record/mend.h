/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_MEND_H
#define SONDE_RECORD_MEND_H

/*
 * From fields as capture wrote them to fields as an exporter may copy them: event times in place of
 * ticks, valid UTF-8, unique keys that are not empty (the last value wins, at the place of the
 * first), nothing that is to be redacted, nothing past the limits, in this order: a secret that was
 * cut in two would not be known for one. One pass finds out what must change. For nearly every span
 * that is nothing, or the event times alone; only the rest is written anew.
 *
 * For the pipeline's one thread; not for signal handlers.
 */

#include <sonde/exporter.h>

#include "base/arena.h"
#include "base/clock.h"
#include "record/layout.h"
#include "redact/redact.h"

/*
 * For one signal. UINT32_MAX: no limit. Lengths are in characters of strings, in bytes of byte
 * values.
 */
struct sonde__mend_limits {
	uint32_t attributes;
	uint32_t events;
	uint32_t links;
	uint32_t event_attributes;
	uint32_t link_attributes;
	uint32_t value_length;
};

struct sonde__mend_counts {
	uint32_t invalid_utf8; /* Strings repaired: keys, values, names. */
	uint32_t dropped_attributes; /* Of the span or log: for its dropped_attributes_count. */
	uint32_t dropped_nested; /* Of its events and links; each says so itself. */
	uint32_t dropped_events;
	uint32_t dropped_links;
	uint32_t cut_values;
	struct sonde__redact_counts redacted;
};

/* Slots for the keys of one list while it is searched for duplicates. */
#define SONDE__MEND_SLOTS 512

struct sonde__mend_slot {
	uint32_t round; /* Belongs to the current list if it is the mender's. */
	uint32_t hash;
	const uint8_t *key;
	size_t key_size;
};

/* What is kept between calls. Caller's memory; nothing to free. */
struct sonde__mender {
	struct sonde__mend_limits limits;
	const struct sonde__clock
		*clock; /* Of the process that captured; anchored by the caller. */
	/* NULL, as after init: nothing is redacted. The caller's; it learns keys. */
	struct sonde__redactor *redactor;
	uint32_t round;
	struct sonde__mend_slot slots[SONDE__MEND_SLOTS];
};

void sonde__mender_init(struct sonde__mender *mender, const struct sonde__mend_limits *limits,
			const struct sonde__clock *clock);

/*
 * Mends the fields of one span (SONDE_FIELDS_SPAN) or log (SONDE_FIELDS_LOG): `pieces` in the order
 * in which they were captured, the span's own and those of its parts. *ret_pieces is `pieces`
 * itself where nothing had to change, else it and what it names lie in the arena. Adds to *counts.
 * SONDE_E_NOMEM: the arena is full; SONDE_E_MALFORMED: not fields that passed the check. Both leave
 * everything untouched but what was taken from the arena.
 */
int sonde__mend(struct sonde__mender *mender, enum sonde_fields type,
		const struct sonde_bytes *pieces, size_t n_pieces, struct sonde__arena *arena,
		struct sonde__mend_counts *counts, const struct sonde_bytes **ret_pieces,
		size_t *ret_n_pieces);

/*
 * A name, body or description: itself if it is valid and nothing in it is to be redacted, else
 * written anew in the arena. NULL redactor: nothing is.
 */
int sonde__mend_text(const struct sonde__redactor *redactor, struct sonde_text text,
		     struct sonde__arena *arena, struct sonde__mend_counts *counts,
		     struct sonde_text *ret);

#endif
