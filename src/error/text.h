/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_ERROR_TEXT_H
#define SONDE_ERROR_TEXT_H

/* Inside the error layer: writing an object's texts. Nothing here allocates. */

#include <stdarg.h>

#include "error/object.h"

/* What stands at the end of a text that was cut. */
#define ERROR_CUT_MARK "…"

/*
 * Copies text, cut at a character and marked where it takes more than `capacity` bytes with its
 * zero; `capacity` is more than the mark takes. Returns its length.
 */
size_t sonde__error_text_copy(char *ret, size_t capacity, const char *text);

/* The same for a path; of one that is too long the end, which says more. */
size_t sonde__error_path_copy(char *ret, size_t capacity, const char *path);

/*
 * The same for a format. One that cannot be followed (a wide string that is none) is copied: what
 * was meant is better than nothing.
 */
size_t sonde__error_text_format(char *ret, size_t capacity, const char *format, va_list arguments)
	SONDE_PRINTF(3, 0);

#endif
