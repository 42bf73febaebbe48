/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_LINE_H
#define SONDE_BOX_LINE_H

/*
 * A line of text, put together without stdio, which may not be called in a forked child. What does
 * not fit is cut; the text always ends with a zero.
 */

#include <stddef.h>
#include <stdint.h>

struct sonde__line {
	char *data;
	size_t capacity; /* At least 1: the zero. */
	size_t size;
};

static inline struct sonde__line sonde__line_begin(char *data, size_t capacity)
{
	struct sonde__line line = { .data = data, .capacity = capacity, .size = 0 };

	data[0] = '\0';
	return line;
}

static inline void sonde__line_add_char(struct sonde__line *line, char c)
{
	if (line->size + 1 >= line->capacity)
		return;
	line->data[line->size++] = c;
	line->data[line->size] = '\0';
}

static inline void sonde__line_add(struct sonde__line *line, const char *text)
{
	for (; *text; text++)
		sonde__line_add_char(line, *text);
}

static inline void sonde__line_add_number(struct sonde__line *line, uint64_t value, unsigned base)
{
	char digits[24];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	while (n > 0)
		sonde__line_add_char(line, digits[--n]);
}

#endif
