/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_SEEN_MARKS_H
#define SONDE_PIPELINE_SEEN_MARKS_H

/*
 * Which bugs people say are resolved: a text file that they append lines to,
 *
 *	228fa42ba1ac12c3 2.4.1
 *
 * a fingerprint and the release that has the fix, or no release: from now on. The last line about a
 * fingerprint counts; # begins a comment.
 */

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/seen_file.h"

struct sonde__seen_mark {
	uint32_t hash; /* Never 0. The same line again is another mark. */
	char release[SONDE__SEEN_RELEASE_SIZE]; /* "": from now on. */
};

/* A number that changes when the file does; 0: there is none. One system call. */
uint64_t sonde__seen_marks_stamp(const struct sonde__seen_place *place);

/* The mark of a fingerprint; false: none. Reads the file, up to 256 KiB of it. */
bool sonde__seen_mark_find(const struct sonde__seen_place *place, uint64_t fingerprint,
			   struct sonde__seen_mark *ret);

/* How two releases stand to each other, if their names say it: 2.10.0 is after 2.9.1-rc2. */
enum sonde__release_order {
	SONDE__RELEASE_BEFORE,
	SONDE__RELEASE_SAME,
	SONDE__RELEASE_AFTER,
	SONDE__RELEASE_UNKNOWN,
};

enum sonde__release_order sonde__release_compare(const char *release, const char *other);

#endif
