/* SPDX-License-Identifier: Apache-2.0 */
#include "headers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sonde/base.h>

/* What the exporter sets itself, because the body depends on it. */
static bool is_ours(const char *name)
{
	static const char *const names[] = {
		"Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection", "Expect",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(name, names[i]))
			return true;
	return false;
}

/* A token of RFC 9110. */
static bool is_name(const char *name)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *name && name[strspn(name, allowed)] == '\0';
}

/* No line end, which would begin another header, and no other control but the tab. */
static bool is_value(const char *value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
			return false;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* In place; false for a broken escape. */
static bool percent_decode(char *text, size_t *size)
{
	size_t to = 0;

	for (size_t at = 0; at < *size; at++) {
		if (text[at] == '%') {
			int high = at + 1 < *size ? hex_digit(text[at + 1]) : -1;
			int low = at + 2 < *size ? hex_digit(text[at + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			text[to++] = (char)(high * 16 + low);
			at += 2;
		} else {
			text[to++] = text[at];
		}
	}
	text[to] = '\0';
	*size = to;
	return true;
}

/* Terminates the text at its end without white space, and returns its begin without. */
static char *trim(char *text, char *end)
{
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	return text;
}

static int append(struct curl_slist **headers, const char *name, const char *value)
{
	struct curl_slist *longer;
	char *line = NULL;

	/* libcurl's way to say that a header is to be sent without a value. */
	if ((*value ? asprintf(&line, "%s: %s", name, value) : asprintf(&line, "%s;", name)) < 0)
		return SONDE_E_NOMEM;
	longer = curl_slist_append(*headers, line);
	free(line);
	if (!longer)
		return SONDE_E_NOMEM;
	*headers = longer;
	return SONDE_OK;
}

/* Adds the pair between `text` and `end`; *why is set where it was skipped. */
static int add_pair(struct curl_slist **headers, char *text, char *end, const char **why)
{
	char *equals = memchr(text, '=', (size_t)(end - text));
	char *name, *value;
	size_t name_size, value_size;

	if (!equals) {
		*why = "has no '='";
		return SONDE_OK;
	}
	value = trim(equals + 1, end);
	name = trim(text, equals);
	name_size = strlen(name);
	value_size = strlen(value);
	if (!percent_decode(name, &name_size) || !percent_decode(value, &value_size)) {
		*why = "has a broken % escape";
		return SONDE_OK;
	}
	if (!is_name(name) || strlen(name) != name_size)
		*why = "has no valid header name";
	else if (!is_value(value, value_size))
		*why = "has a line end or another control character in its value";
	else if (is_ours(name))
		*why = "names a header that the exporter sets itself";
	return *why ? SONDE_OK : append(headers, name, value);
}

int sonde__otlp_headers_add(struct curl_slist **headers, const char *list,
			    sonde__otlp_skipped_fn *skipped, void *user)
{
	char *copy = strdup(list);
	char *at = copy;
	int status = SONDE_OK;

	if (!copy)
		return SONDE_E_NOMEM;
	for (size_t place = 1; at && status == SONDE_OK; place++) {
		char *comma = strchrnul(at, ',');
		char *next = *comma ? comma + 1 : NULL;
		const char *why = NULL;

		/* Empty members are allowed. */
		if (*trim(at, comma))
			status = add_pair(headers, at, at + strlen(at), &why);
		if (why)
			skipped(user, place, why);
		at = next;
	}
	free(copy);
	return status;
}
