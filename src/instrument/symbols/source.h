/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_SYMBOLS_SOURCE_H
#define SONDE_INSTRUMENT_SYMBOLS_SOURCE_H

/* Names of source files for people, and lines of what is in them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * Writes a path without "." and ".." in it, and relative to `folder` (NULL: none) if it lies in
 * there. What does not fit loses its beginning.
 */
void sonde__source_name(const char *path, const char *folder, char *ret, size_t size);

struct sonde__source_place {
	const char *path;
	uint32_t line; /* The first is 1. */
	uint32_t n_lines; /* With as many before it as after it, or one more. */
};

/*
 * Reads the lines around a place in a source file, with newlines between them, less the blanks that
 * all of them begin with; *ret_first is the number of the first. Fewer at the file's beginning and
 * end. False: there is no such file, no such line, nothing on it, it is no text, or the file was
 * changed after `built`.
 */
bool sonde__source_lines(const struct sonde__source_place *place, struct timespec built, char *ret,
			 size_t size, uint32_t *ret_first);

#endif
