/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and values in running text, by the same names that attributes have: password=…, "token":
 * "…", and headers as they stand in requests, Authorization: …. Where a value ends is a guess that
 * takes more rather than less:
 *
 *	in quotes or brackets	where these close, or at the end of a text that was cut
 *	after '='		before a blank, '&', ';', ',' or a quote
 *	"name":			before a blank, ',', '}' or ']'
 *	a header		at the end of the line
 *	name: in prose		before the next blank, and only for a few names
 */

#include "redact/detect.h"

#include <string.h>

#define NAME_MAX_SIZE 64

struct pair {
	size_t at; /* Of the '=' or ':'. */
	size_t name;
	size_t name_end;
	bool is_quoted; /* The name is. */
};

static bool is_name_byte(uint8_t c)
{
	return sonde__is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* What stands before the sign: a name, perhaps in quotes, perhaps with a blank behind it. */
static bool name_find(const struct sonde__search *search, struct pair *pair)
{
	const uint8_t *text = search->text;
	size_t end = pair->at;
	size_t begin;

	while (end > search->done && pair->at - end < 2 && text[end - 1] == ' ')
		end--;
	if (end > search->done && sonde__is_quote(text[end - 1])) {
		pair->is_quoted = true;
		end--;
		if (end > search->done && text[end - 1] == '\\')
			end--;
	}
	begin = end;
	while (begin > search->done && end - begin < NAME_MAX_SIZE && is_name_byte(text[begin - 1]))
		begin--;
	while (begin < end && text[begin] == '-')
		begin++;
	pair->name = begin;
	pair->name_end = end;
	return begin < end;
}

static bool is_one_of(const struct sonde__search *search, const struct pair *pair,
		      const char *const *names)
{
	const uint8_t *name = search->text + pair->name;
	size_t size = pair->name_end - pair->name;

	for (; *names; names++) {
		if (sonde__folded_equal(name, size, *names))
			return true;
	}
	return false;
}

/* Past the closing quote's text, which is where it stands; `size` where there is none. */
static size_t quote_end(const struct sonde__search *search, size_t from, uint8_t quote,
			bool is_escaped)
{
	const uint8_t *text = search->text;

	for (size_t i = from; i < search->size; i++) {
		if (text[i] == '\\' && i + 1 < search->size) {
			if (is_escaped && text[i + 1] == quote)
				return i;
			i++;
		} else if (text[i] == quote) {
			/* SQL's way of writing a quote. */
			if (i + 1 == search->size || text[i + 1] != quote)
				return i;
			i++;
		}
	}
	return search->size;
}

static size_t bracket_end(const struct sonde__search *search, size_t from)
{
	const uint8_t *text = search->text;
	size_t depth = 0;

	for (size_t i = from; i < search->size; i++) {
		if (text[i] == '"')
			i = quote_end(search, i + 1, '"', /* is_escaped= */ false);
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if ((text[i] == ']' || text[i] == '}') && --depth == 0)
			return i + 1;
	}
	return search->size;
}

static bool ends_value(const struct pair *pair, uint8_t c)
{
	if (sonde__is_space(c) || c == ',' || sonde__is_quote(c))
		return true;
	return pair->is_quoted ? c == '}' || c == ']' : c == '&' || c == ';';
}

static size_t word_end(const struct sonde__search *search, const struct pair *pair, size_t from)
{
	while (from < search->size && !ends_value(pair, search->text[from]))
		from++;
	return from;
}

/* "Bearer abc": the scheme and what follows it. */
static size_t scheme_end(const struct sonde__search *search, const struct pair *pair, size_t from,
			 size_t to)
{
	static const char *const schemes[] = { "bearer", "basic", "digest", "token", "negotiate" };
	size_t next = to;

	while (next < search->size && search->text[next] == ' ')
		next++;
	for (size_t i = 0; next > to && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (sonde__folded_equal(search->text + from, to - from, schemes[i]))
			return word_end(search, pair, next);
	}
	return to;
}

static size_t line_end(const struct sonde__search *search, size_t from)
{
	while (from < search->size && search->text[from] != '\n' && search->text[from] != '\r')
		from++;
	return from;
}

/* From the value's first byte, which *from is moved to where a quote stands before it. */
static size_t value_end(const struct sonde__search *search, const struct pair *pair,
			bool is_header, size_t *from)
{
	const uint8_t *text = search->text;
	bool is_escaped = text[*from] == '\\' && *from + 1 < search->size;
	uint8_t first = text[*from + is_escaped];

	if (sonde__is_quote(first)) {
		*from += 1 + is_escaped;
		return quote_end(search, *from, first, is_escaped);
	}
	if (is_header)
		return line_end(search, *from);
	if (first == '[' || first == '{')
		return bracket_end(search, *from + is_escaped);
	return scheme_end(search, pair, *from, word_end(search, pair, *from));
}

/* Whether the pair is a secret's. *ret_is_header: its value fills the line. */
static bool is_secret(const struct sonde__search *search, const struct pair *pair,
		      bool *ret_is_header)
{
	static const char *const headers[] = { "authorization",	      "proxy_authorization",
					       "cookie",	      "set_cookie",
					       "x_api_key",	      "x_auth_token",
					       "x_amz_security_token", NULL };
	static const char *const words[] = { "password", "passwd",     "pwd",	     "passphrase",
					     "secret",	 "api_key",    "apikey",     "access_key",
					     "secret_key", "client_secret", "private_key",
					     "access_token", "refresh_token", "auth_token", NULL };
	bool is_colon = search->text[pair->at] == ':';

	*ret_is_header = is_colon && !pair->is_quoted && is_one_of(search, pair, headers);
	/* Colons are many and these names few: so they are asked for before the globs are. */
	if (is_colon && !pair->is_quoted && !*ret_is_header && !is_one_of(search, pair, words))
		return false;
	return sonde__redact_key(search->redactor, search->text + pair->name,
				 pair->name_end - pair->name) == SONDE__KEY_SECRET;
}

/* Whether what has been replaced already stands in text[from..to), or at its beginning. */
static bool begins_done(const struct sonde__search *search, size_t from, size_t to)
{
	return to - from >= sizeof(SONDE__REDACTED) - 1 &&
	       memcmp(search->text + from, SONDE__REDACTED, sizeof(SONDE__REDACTED) - 1) == 0;
}

static bool is_done(const struct sonde__search *search, size_t from, size_t to)
{
	const size_t size = to - from;

	return size == 0 || begins_done(search, from, to) ||
	       (size == sizeof(SONDE__REDACTED_URL) - 1 &&
		memcmp(search->text + from, SONDE__REDACTED_URL, size) == 0);
}

bool sonde__pair_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	struct pair pair = { .at = at };
	size_t from = at + 1;
	bool is_header;
	size_t to;

	if (from == search->size || search->text[from] == '=' || search->text[from] == '/' ||
	    !name_find(search, &pair) || !is_secret(search, &pair, &is_header))
		return false;
	while (from < search->size && (search->text[from] == ' ' || search->text[from] == '\t'))
		from++;
	/* Before its end is looked for, which may be that of a long line, again and again. */
	if (from == search->size || begins_done(search, from, search->size))
		return false;
	to = value_end(search, &pair, is_header, &from);
	if (is_done(search, from, to))
		return false;
	*ret = (struct sonde__match){ .from = from, .to = to, .kind = SONDE_REDACTION_PAIR };
	return true;
}
