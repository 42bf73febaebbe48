/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void sonde__otlp_line_init(struct sonde__otlp_line *line, char *data, size_t capacity)
{
	line->data = data;
	line->size = 0;
	line->capacity = capacity;
	line->is_full = false;
	data[0] = '\0';
}

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Length of the UTF-8 character at `data`; 0: there is none (RFC 3629). */
static size_t character_size(const uint8_t *data, size_t size)
{
	uint8_t lead = data[0];
	size_t n = lead < 0x80	 ? 1
		   : lead < 0xc2 ? 0
		   : lead < 0xe0 ? 2
		   : lead < 0xf0 ? 3
		   : lead < 0xf5 ? 4
				 : 0;

	if (!n || n > size)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (!is_continuation(data[i]))
			return 0;
	/* Overlong forms, surrogates, and what lies past U+10FFFF. */
	if ((lead == 0xe0 && data[1] < 0xa0) || (lead == 0xed && data[1] > 0x9f) ||
	    (lead == 0xf0 && data[1] < 0x90) || (lead == 0xf4 && data[1] > 0x8f))
		return 0;
	return n;
}

/* The space, C0, DEL and C1: a terminal obeys the latter. */
static bool is_blank(const uint8_t *data, size_t size)
{
	return (size == 1 && (data[0] <= 0x20 || data[0] == 0x7f)) ||
	       (size == 2 && data[0] == 0xc2 && data[1] < 0xa0);
}

static bool line_put(struct sonde__otlp_line *line, const void *data, size_t size)
{
	if (line->is_full || size >= line->capacity - line->size) {
		line->is_full = true;
		return false;
	}
	memcpy(line->data + line->size, data, size);
	line->size += size;
	line->data[line->size] = '\0';
	return true;
}

static bool ends_in_space(const struct sonde__otlp_line *line)
{
	return !line->size || line->data[line->size - 1] == ' ';
}

/* Returns how many bytes of the text are in the line now. */
static size_t line_add(struct sonde__otlp_line *line, struct sonde_text text, size_t limit)
{
	const uint8_t *data = (const uint8_t *)text.data;
	size_t at = 0;

	while (at < text.size) {
		size_t n = character_size(data + at, text.size - at);
		const void *shown = n ? (const void *)(data + at) : "?";
		size_t shown_size = n ? n : 1;

		n = n ? n : 1;
		if (at + n > limit)
			break;
		if (is_blank(shown, shown_size)) {
			if (!ends_in_space(line) && !line_put(line, " ", 1))
				break;
		} else if (!line_put(line, shown, shown_size)) {
			break;
		}
		at += n;
	}
	return at;
}

void sonde__otlp_line_add_text(struct sonde__otlp_line *line, struct sonde_text text)
{
	line_add(line, text, SIZE_MAX);
}

void sonde__otlp_line_add(struct sonde__otlp_line *line, const char *text)
{
	line_add(line, (struct sonde_text){ text, strlen(text) }, SIZE_MAX);
}

void sonde__otlp_line_add_cut(struct sonde__otlp_line *line, struct sonde_text text, size_t limit)
{
	if (line_add(line, text, limit) < text.size)
		sonde__otlp_line_add(line, "…");
}

void sonde__otlp_line_add_uint(struct sonde__otlp_line *line, uint64_t number)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, number);
	sonde__otlp_line_add(line, digits);
}
