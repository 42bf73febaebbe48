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

/*
 * Reads a line (the first is 1) of a source file, without blanks around it. False: there is no such
 * file, no such line, nothing on it, it is no text, or the file was changed after `built`.
 */
bool sonde__source_line(const char *path, uint32_t line, struct timespec built, char *ret,
			size_t size);

#endif
