/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_FINGERPRINT_H
#define SONDE_PIPELINE_FINGERPRINT_H

/*
 * Which bug an error is of: a number that stays the same across restarts, address layouts, hosts
 * and builds. docs/design/fingerprint.md says what goes in and why. One thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/base.h>

#include "pipeline/fingerprint_hook.h"
#include "record/layout.h"

#define SONDE__FINGERPRINT_SETS 64 /* A power of two. */
#define SONDE__FINGERPRINT_WAYS 4

struct sonde__cached_fingerprint {
	uint64_t key; /* 0: empty. */
	uint64_t fingerprint;
};

struct sonde__fingerprinter {
	uint64_t generation; /* Of the names that the cache was made from; 0: none. */
	bool lacks_names; /* Not all that could be known of the record is: not for the cache. */
	uint32_t n_unchecked; /* Errors since the modules were looked at. */
	struct sonde__cached_fingerprint cache[SONDE__FINGERPRINT_SETS][SONDE__FINGERPRINT_WAYS];
	struct sonde__fingerprint_hook hook;
};

/* `hook` may be NULL. */
void sonde__fingerprinter_init(struct sonde__fingerprinter *fingerprinter,
			       sonde_fingerprint_fn *hook, void *user);

/*
 * The fingerprint of a record that passed its check; never 0. An error like one before it (the same
 * types, places and addresses, whatever the messages) costs some tens of nanoseconds; others are
 * named, which reads files.
 */
uint64_t sonde__fingerprint_of(struct sonde__fingerprinter *fingerprinter,
			       const struct sonde__error_record *record);

/* Modules may have changed: looks before the next error. Once for each drain. */
void sonde__fingerprinter_refresh(struct sonde__fingerprinter *fingerprinter);
/*
 * Looks at the modules, if there is reason to; forgets what was made of names of those that are
 * gone.
 */
void sonde__fingerprinter_check(struct sonde__fingerprinter *fingerprinter);

/* The number that a text of the caller's stands for: 16 hexadecimal digits are themselves. */
uint64_t sonde__fingerprint_of_text(struct sonde_text text, uint64_t otherwise);

/* The text that the error's own attributes group it by; false: none. */
bool sonde__fingerprint_text(const struct sonde__error_record *record, struct sonde_text *ret);

#endif
