/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_REDACT_GLOB_H
#define SONDE_REDACT_GLOB_H

/*
 * Lists of globs over keys: `*` any run, `?` any one byte, without regard to ASCII case, and with
 * '-' and '_' the same. "!glob" excepts what others match.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sonde__glob {
	const char *pattern; /* Folded. */
	uint32_t size;
	bool is_exception;
};

struct sonde__globs {
	const struct sonde__glob *globs;
	size_t n;
	struct sonde__glob *own; /* The same, where they were compiled; else NULL. */
	char *text;
};

/* Compiles a comma-separated list; SONDE_E_NOMEM. */
int sonde__globs_init(struct sonde__globs *globs, const char *list);
void sonde__globs_deinit(struct sonde__globs *globs);

bool sonde__globs_match(const struct sonde__globs *globs, const void *key, size_t size);

/* Lower case, and '_' for '-'. */
static inline uint8_t sonde__fold(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c | 0x20;
	return c == '-' ? '_' : c;
}

/* Whether the bytes, folded, are the terminated text. */
bool sonde__folded_equal(const void *data, size_t size, const char *folded);

#endif
