/* SPDX-License-Identifier: Apache-2.0 */

/* Errors as text, measured as snprintf does, and cut at a character. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sonde/error.h>

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

size_t sonde_error_format(const struct sonde_error *error, char *buffer, size_t size)
{
	struct text text = text_begin(buffer, size);

	if (error)
		text_add_line(&text, error);
	return text.length;
}

size_t sonde_error_format_chain(const struct sonde_error *error, char *buffer, size_t size)
{
	struct text text = text_begin(buffer, size);

	for (size_t i = 0; error && i < SONDE__ERROR_CHAIN_MAX;
	     i++, error = sonde_error_cause(error)) {
		if (i > 0)
			text_add(&text, "\ncaused by: ");
		text_add_line(&text, error);
		text_add_place(&text, error);
		if (sonde__error_n_omitted(error)) {
			text_add(&text, "\n… ");
			text_add_number(&text, sonde__error_n_omitted(error));
			text_add(&text, " more left out");
		}
	}
	return text.length;
}
