/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_TEXT_H
#define SONDE_BASE_TEXT_H

/* Texts compared, and numbers and lists as the OpenTelemetry environment variables write them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sonde/base.h>

#include "base/utf8.h"

/* Whole-string parses; false for anything else, also out of range. */
bool sonde__parse_uint(const char *text, uint64_t *ret);
bool sonde__parse_double(const char *text, double *ret);
/* "12MiB", "512KiB", "1048576": bytes. */
bool sonde__parse_size(const char *text, uint64_t *ret);

/* Percent-decodes into `ret` (room for `size`); SONDE_E_MALFORMED for a broken escape. */
int sonde__percent_decode(const char *text, size_t size, char *ret, size_t *ret_size);

/*
 * Walks "k1=v1,k2=v2" (OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS): optional white space
 * around keys and values is trimmed, both are percent-decoded into `scratch`, which has room for
 * the whole list and is used again by the next call. Empty members (",,") are passed over. 1: a
 * pair; 0: the end; SONDE_E_MALFORMED: a pair without '=', an empty key or a broken escape; the
 * walk may go on after it.
 */
struct sonde__pair {
	struct sonde_text key;
	struct sonde_text value;
};

int sonde__pair_next(const char **rest, char *scratch, struct sonde__pair *ret);

static inline bool sonde__text_equal(struct sonde_text a, struct sonde_text b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Equal without regard to ASCII case. */
bool sonde__text_equal_nocase(const char *a, const char *b);

#endif
