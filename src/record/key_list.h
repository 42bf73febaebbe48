/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_KEY_LIST_H
#define SONDE_RECORD_KEY_LIST_H

/*
 * The attributes of one message by their keys: each key once, at the place of its first appearance,
 * with its last value; keys are redacted, and those that are the same then are one; empty keys and
 * keys past the limit are dropped and counted. In an arena.
 */

#include "base/arena.h"
#include "record/cursor.h"
#include "record/mend.h"

struct sonde__key_entry {
	struct sonde_bytes key; /* Redacted and repaired. */
	enum sonde__key_verdict verdict; /* Of the key as it came. */
	struct sonde__cursor value; /* An AnyValue as it came. */
};

struct sonde__key_list {
	struct sonde__key_entry *entries;
	uint32_t n;
	uint32_t limit;
	uint32_t n_dropped;
	uint32_t n_repaired;
	struct sonde__redact_counts redacted;
	const struct sonde__mender *mender;
	uint32_t *index; /* Open addressing; an entry's number + 1. */
	uint32_t mask;
};

/* For at most `n_max` calls of add. SONDE_E_NOMEM leaves an empty list. */
int sonde__key_list_init(const struct sonde__mender *mender, struct sonde__arena *arena,
			 size_t n_max, uint32_t limit, struct sonde__key_list *ret);

/* Adds a KeyValue. SONDE_E_MALFORMED, or SONDE_E_NOMEM for a key that must be written anew. */
int sonde__key_list_add(struct sonde__key_list *list, struct sonde__arena *arena,
			struct sonde__cursor attribute);

#endif
