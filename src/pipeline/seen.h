/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_SEEN_H
#define SONDE_PIPELINE_SEEN_H

/*
 * Which bugs are known: a bounded set of fingerprints, in memory and, for a service's other
 * processes and its next ones, in a file. docs/design/seen.md argues it. One thread; several
 * processes may share a file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/seen_file.h"

struct sonde__seen_options {
	/*
	 * Absolute; copied. NULL, or one that may not be written to: in memory alone. The latter is
	 * said at the first error, and so is "".
	 */
	const char *directory;
	struct sonde_text service;
	struct sonde_text release; /* Of this process; may be empty. */
	uint32_t
		/* Not seen for longer than this, then again: regressed. 0: never. */
		regression_days;
	size_t n_slots; /* In memory; a power of two, at least 8. */
};

struct sonde__seen_slot {
	uint64_t fingerprint; /* 0: empty. */
	uint32_t last_s;
	uint32_t written_s; /* When the file was told; 0: not yet. */
};

struct sonde__seen {
	struct sonde__seen_place place;
	struct sonde__seen_slot *slots;
	size_t n_slots;
	uint64_t regression_s;
	uint64_t marks_stamp; /* Which marks the slots were filled under. */
	uint64_t marks_looked_s;
	uint64_t retry_s; /* The file is left alone before. */
	bool must_complain; /* That there is no directory. */
	uint64_t said; /* The last complaint, so that it is made once. */
};

struct sonde__seen_answer {
	bool is_first; /* Nobody of this service has seen it before, as far as is remembered. */
	bool is_regressed; /* It was gone, or said to be. Never both. */
};

/* Touches no file. SONDE_E_NOMEM. */
int sonde__seen_init(struct sonde__seen *seen, const struct sonde__seen_options *options);
void sonde__seen_deinit(struct sonde__seen *seen);

/*
 * Somebody saw `fingerprint`, which is not 0, at Unix second `unix_s`. What this process has seen
 * lately is answered from memory; else a file is read and written, within some tens of
 * microseconds, or, where others hold it, some milliseconds.
 */
struct sonde__seen_answer sonde__seen_ask(struct sonde__seen *seen, uint64_t fingerprint,
					  uint64_t unix_s);

/* Bytes that a set of so many slots takes. */
size_t sonde__seen_memory(size_t n_slots);

#endif
