/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_LINE_H
#define SONDE_EXPORTERS_CONSOLE_LINE_H

/*
 * Text for a terminal, into a buffer that may run full: the first failure sticks. What was captured
 * is never trusted: control characters are shown, not obeyed.
 */

#include <sonde/exporter.h>

/* Where attributes go on to the next line. */
#define LINE_COLUMNS 100

enum style {
	STYLE_PLAIN,
	STYLE_STRONG,
	STYLE_DIM,
	STYLE_GOOD,
	STYLE_WARNING,
	STYLE_BAD,
};

struct text {
	struct sonde_buffer *out;
	int status;
	bool has_colour;
	size_t column; /* Characters since the line began. */
};

void sonde__line_put(struct text *text, const char *plain);
void sonde__line_format(struct text *text, const char *format, ...) SONDE_PRINTF(2, 3);
/* What was captured, on one line. */
void sonde__line_put_captured(struct text *text, struct sonde_text captured);
/* Cuts the first line off `rest`; false when nothing is left. */
bool sonde__line_next(struct sonde_text *rest, struct sonde_text *ret);
void sonde__line_style(struct text *text, enum style style);

/* "12.3 ms" */
void sonde__line_put_duration(struct text *text, uint64_t ns);
/* "08:15:30.123Z" */
void sonde__line_put_time(struct text *text, uint64_t unix_ns);
void sonde__line_put_hex(struct text *text, const uint8_t *id, size_t size);

bool sonde__line_starts_with(struct sonde_text text, const char *prefix);

#endif
