/* SPDX-License-Identifier: Apache-2.0 */

/* Errors as text, measured as snprintf does, and cut at a character. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sonde/error.h>

#include "base/error_number.h"
#include "base/text.h"
#include "error/error.h"

#define NUMBER_SIZE 24

struct text {
	char *buffer;
	size_t room; /* Left before the terminating zero. */
	size_t used;
	size_t length; /* Of the whole text. */
};

static struct text text_begin(char *buffer, size_t size)
{
	if (buffer && size > 0) {
		buffer[0] = '\0';
		return (struct text){ .buffer = buffer, .room = size - 1 };
	}
	return (struct text){ 0 };
}

static void text_add(struct text *text, const char *part)
{
	size_t size = strlen(part);
	size_t fits = sonde__utf8_cut(part, size, text->room);

	text->length += size;
	if (fits > 0) {
		memcpy(text->buffer + text->used, part, fits);
		text->used += fits;
		text->buffer[text->used] = '\0';
	}
	/* After a cut nothing more, however short. */
	text->room = fits < size ? 0 : text->room - fits;
}

static void text_add_number(struct text *text, int64_t number)
{
	char digits[NUMBER_SIZE];

	snprintf(digits, sizeof(digits), "%" PRId64, number);
	text_add(text, digits);
}

static void text_add_line(struct text *text, const struct sonde_error *error)
{
	text_add(text, sonde__error_type_name(error));
	text_add(text, ": ");
	text_add(text, sonde_error_message(error));
}

static void text_add_place(struct text *text, const struct sonde_error *error)
{
	if (!sonde_error_file(error)[0])
		return;
	text_add(text, " (");
	text_add(text, sonde_error_file(error));
	text_add(text, ":");
	text_add_number(text, sonde_error_line(error));
	if (sonde_error_function(error)[0]) {
		text_add(text, " in ");
		text_add(text, sonde_error_function(error));
	}
	text_add(text, ")");
}

static void text_add_errno(struct text *text, int number)
{
	const char *name = sonde__errno_name(number);

	if (!number)
		return;
	text_add(text, " [");
	if (*name) {
		text_add(text, name);
	} else {
		text_add(text, "errno ");
		text_add_number(text, number);
	}
	text_add(text, "]");
}

/* A new line, as deep as its error is joined in others. */
static void text_add_break(struct text *text, unsigned level)
{
	text_add(text, "\n");
	while (level--)
		text_add(text, "    ");
}

static void text_add_error(struct text *text, const struct sonde_error *error, unsigned level)
{
	text_add_line(text, error);
	text_add_place(text, error);
	text_add_errno(text, sonde__error_said_errno(error));
	if (sonde_error_detail(error)[0]) {
		text_add_break(text, level);
		text_add(text, "detail: ");
		text_add(text, sonde_error_detail(error));
	}
	if (sonde__error_n_omitted(error)) {
		text_add_break(text, level);
		text_add(text, "… ");
		text_add_number(text, sonde__error_n_omitted(error));
		text_add(text, " more left out");
	}
}

size_t sonde_error_format(const struct sonde_error *error, char *buffer, size_t size)
{
	struct text text = text_begin(buffer, size);

	if (error)
		text_add_line(&text, error);
	return text.length;
}

/*
 *	sonde_validation: 2 errors: no name; no place (form.c:12 in check)
 *	  + sonde_validation: no name (form.c:7 in check_name)
 *	  + sonde_validation: no place (form.c:9 in check_place)
 *	    caused by: sonde_not_found: … (…) [ENOENT]
 */
size_t sonde_error_format_chain(const struct sonde_error *error, char *buffer, size_t size)
{
	struct sonde__error_walk walk = { .next = error };
	struct text text = text_begin(buffer, size);

	for (bool is_first = true; (error = sonde__error_walk(&walk)) != NULL; is_first = false) {
		if (walk.is_joined) {
			text_add_break(&text, walk.level - 1u);
			text_add(&text, "  + ");
		} else if (!is_first) {
			text_add_break(&text, walk.level);
			text_add(&text, "caused by: ");
		}
		text_add_error(&text, error, walk.level);
	}
	return text.length;
}
