/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_UTF8_H
#define SONDE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool sonde__utf8_is_valid(const void *data, size_t size);
/* Length of the longest valid prefix. */
size_t sonde__utf8_valid_prefix(const void *data, size_t size);
/*
 * Copies, with U+FFFD for each maximal invalid part; returns the length; needs room for 3 * size.
 */
size_t sonde__utf8_repair(const void *data, size_t size, char *ret);
/* The largest length <= limit that does not cut a character. */
size_t sonde__utf8_cut(const char *data, size_t size, size_t limit);
/* The length of the first `n_characters` characters; each invalid part counts as one. */
size_t sonde__utf8_cut_characters(const char *data, size_t size, size_t n_characters);

#endif
