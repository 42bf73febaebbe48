/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORTERS_CONSOLE_FIELDS_H
#define SONDE_EXPORTERS_CONSOLE_FIELDS_H

/* Attributes and errors as text, within a margin that is put at the beginning of each line. */

#include "console/line.h"

struct margin {
	void (*put)(struct text *text, const void *user);
	const void *user;
};

/* Where attributes are: encoded fields of a span, an event or a log record. */
struct fields {
	enum sonde_fields kind;
	const struct sonde_bytes *pieces;
	size_t n_pieces;
};

/* The value of the last attribute called `key`; false where there is none. */
bool sonde__fields_find(const struct fields *fields, const char *key, struct sonde_value_view *ret);
bool sonde__fields_find_text(const struct fields *fields, const char *key, struct sonde_text *ret);

/*
 * "key=value" for each attribute but those whose key begins with one of `without` (ends with NULL),
 * on as many lines as it takes; none where there are none.
 */
void sonde__fields_put(struct text *text, const struct fields *fields, const char *const *without,
		       const struct margin *margin);

enum stack_detail {
	STACK_CHAIN, /* What caused the error. */
	STACK_FRAMES, /* And the stack, and the breadcrumbs that led to it. */
};

/*
 * The error that exception.* describes: "type: message" and the place, on the line that was begun,
 * then a line for each cause and, where wanted, each frame.
 */
void sonde__fields_put_error(struct text *text, const struct fields *fields, enum style style,
			     enum stack_detail detail, const struct margin *margin);

#endif
