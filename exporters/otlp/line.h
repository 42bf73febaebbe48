/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_OTLP_LINE_H
#define SONDE_OTLP_LINE_H

/*
 * One line for people, built piece by piece in the caller's memory. Whatever is added, the line
 * stays terminated, printable, valid UTF-8 and within its room: what a stranger's server sent can
 * be shown.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/base.h>

struct sonde__otlp_line {
	char *data;
	size_t size; /* Without the terminator. */
	size_t capacity; /* With it; not 0. */
	bool is_full; /* Something did not fit: nothing is added behind it. */
};

void sonde__otlp_line_init(struct sonde__otlp_line *line, char *data, size_t capacity);

/* Spaces, line ends, controls and runs of them become one space; what is not UTF-8 becomes '?'. */
void sonde__otlp_line_add(struct sonde__otlp_line *line, const char *text);
void sonde__otlp_line_add_text(struct sonde__otlp_line *line, struct sonde_text text);
/* At most `limit` bytes of it; "..." where it was cut. */
void sonde__otlp_line_add_cut(struct sonde__otlp_line *line, struct sonde_text text, size_t limit);
void sonde__otlp_line_add_uint(struct sonde__otlp_line *line, uint64_t number);

#endif
