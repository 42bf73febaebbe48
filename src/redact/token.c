/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What proves who somebody is: what follows "Bearer" and "Basic" (RFC 6750, RFC 7617), JSON web
 * tokens wherever they stand (RFC 7519: "eyJ" is how `{"` looks in base64), and private keys in PEM
 * (RFC 7468).
 *
 * "basic usage" and "the bearer of bad news" are prose: what follows must not look like a word. But
 * where the text was cut a word may be the beginning of a token, and a web token's head all there
 * is.
 */

#include "redact/detect.h"

#include <string.h>

#define WORD_MAX 16

static bool is_token_byte(uint8_t c)
{
	return sonde__is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '+' ||
	       c == '/' || c == '=';
}

static bool is_base64url(uint8_t c)
{
	return sonde__is_alnum(c) || c == '-' || c == '_';
}

/* Letters alone, of which the first may be a capital, and not too many of them. */
static bool is_word(const uint8_t *text, size_t size)
{
	if (size >= WORD_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		bool is_inner_capital = i && text[i] >= 'A' && text[i] <= 'Z';

		if (is_inner_capital ||
		    (!sonde__is_letter(text[i]) && text[i] != '-' && text[i] != '.'))
			return false;
	}
	return true;
}

/* Whether the word, and not the end of a longer one, stands before `at`. */
static bool ends_with(const struct sonde__search *search, size_t at, const char *word)
{
	size_t size = strlen(word);

	return size <= at - search->done &&
	       sonde__folded_equal(search->text + at - size, size, word) &&
	       (size == at || !sonde__is_alnum(search->text[at - size - 1]));
}

bool sonde__token_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	const uint8_t last = at > search->done ? search->text[at - 1] | 0x20 : 0;
	size_t from = at;
	size_t to;

	if (!(last == 'r' && ends_with(search, at, "bearer")) &&
	    !(last == 'c' && ends_with(search, at, "basic")))
		return false;
	while (from < search->size && (search->text[from] == ' ' || search->text[from] == '\t'))
		from++;
	for (to = from; to < search->size && is_token_byte(search->text[to]); to++)
		continue;
	if (from == to ||
	    (is_word(search->text + from, to - from) && !sonde__is_cut_at(search, to)))
		return false;
	*ret = (struct sonde__match){ .from = from, .to = to, .kind = SONDE_REDACTION_TOKEN };
	return true;
}

/* At least a head and some of a body, or what a cut has left of them: a head alone says nothing. */
bool sonde__web_token_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	size_t to = at;
	size_t body;

	if (at - search->done < 2 || memcmp(search->text + at - 2, "ey", 2) != 0 ||
	    (at > 2 && sonde__is_alnum(search->text[at - 3])))
		return false;
	if (at < search->looked->web_token)
		return false;
	at -= 2;
	while (to < search->size && is_base64url(search->text[to]))
		to++;
	body = to + 1;
	if (to < search->size && search->text[to] == '.')
		while (to < search->size &&
		       (is_base64url(search->text[to]) || search->text[to] == '.'))
			to++;
	if (to <= body && !sonde__is_cut_at(search, to)) {
		search->looked->web_token = to;
		return false;
	}
	*ret = (struct sonde__match){ .from = at, .to = to, .kind = SONDE_REDACTION_TOKEN };
	return true;
}

/* To the end of the block, or of the text where the end was cut off. */
bool sonde__key_block_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	static const char begin[] = "-----BEGIN ";
	static const char kind[] = "PRIVATE KEY-----";
	static const char end[] = "-----END ";
	const uint8_t *text = search->text;
	const size_t line_end = at + 64 < search->size ? at + 64 : search->size;
	const uint8_t *found;
	size_t to = search->size;

	if (search->size - at < sizeof(begin) - 1 ||
	    memcmp(text + at, begin, sizeof(begin) - 1) != 0)
		return false;
	found = memmem(text + at, line_end - at, kind, sizeof(kind) - 1);
	if (!found)
		return false;
	found = memmem(found, (size_t)(text + search->size - found), end, sizeof(end) - 1);
	if (found) {
		const uint8_t *rest = found + sizeof(end) - 1;
		const uint8_t *dashes = memmem(rest, (size_t)(text + search->size - rest), "-----",
					       5);

		if (dashes)
			to = (size_t)(dashes + 5 - text);
	}
	*ret = (struct sonde__match){ .from = at, .to = to, .kind = SONDE_REDACTION_TOKEN };
	return true;
}
