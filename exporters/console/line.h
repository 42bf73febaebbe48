/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_LINE_H
#define SONDE_EXPORTERS_CONSOLE_LINE_H

/*
 * Text for a terminal, into a buffer that may run full: the first failure sticks. What was captured
 * is never trusted: control characters are shown, not obeyed.
 */

#include <sonde/exporter.h>

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
};

void sonde__line_put(struct text *text, const char *plain);
void sonde__line_format(struct text *text, const char *format, ...) SONDE_PRINTF(2, 3);
/* What was captured, on one line. */
void sonde__line_put_captured(struct text *text, struct sonde_text captured);
/* What was captured, each of its lines after `indent` blanks, each ended. */
void sonde__line_put_lines(struct text *text, struct sonde_text captured, int indent);
void sonde__line_indent(struct text *text, int n);
void sonde__line_style(struct text *text, enum style style);

/* "12.3 ms" */
void sonde__line_put_duration(struct text *text, uint64_t ns);
/* "08:15:30.123": UTC. */
void sonde__line_put_time(struct text *text, uint64_t unix_ns);

/* "  key=value" for each attribute among the fields but those whose key starts with `without`. */
void sonde__line_put_attributes(struct text *text, enum sonde_fields fields,
			 const struct sonde_bytes *pieces, size_t n_pieces, const char *without);
/* The string value of an attribute among the fields; false where there is none. */
bool sonde__line_find(enum sonde_fields fields, const struct sonde_bytes *pieces, size_t n_pieces,
	       const char *key, struct sonde_text *ret);

#endif
