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
	size_t size;
	size_t length; /* Of the whole text. */
};

static void text_add(struct text *text, const char *part)
{
	size_t size = strlen(part);

	if (text->length < text->size) {
		size_t room = text->size - text->length;

		memcpy(text->buffer + text->length, part, size < room ? size : room);
	}
	text->length += size;
}

static void text_add_number(struct text *text, int64_t number)
{
	char digits[NUMBER_SIZE];

	snprintf(digits, sizeof(digits), "%" PRId64, number);
	text_add(text, digits);
}

/* Ends the text and returns its whole length. */
static size_t text_end(struct text *text)
{
	if (text->size > 0 && text->length < text->size)
		text->buffer[text->length] = '\0';
	else if (text->size > 0)
		text->buffer[sonde__utf8_cut(text->buffer, text->size, text->size - 1)] = '\0';
	return text->length;
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
	struct text text = { .buffer = buffer, .size = buffer ? size : 0 };

	if (error)
		text_add_line(&text, error);
	return text_end(&text);
}

size_t sonde_error_format_chain(const struct sonde_error *error, char *buffer, size_t size)
{
	struct text text = { .buffer = buffer, .size = buffer ? size : 0 };

	for (size_t i = 0; error && i < SONDE__ERROR_CHAIN_MAX; i++, error = sonde_error_cause(error)) {
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
	return text_end(&text);
}
