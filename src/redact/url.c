/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What URLs give away: the name and password before the host (RFC 3986, 3.2.1), and the signatures
 * of signed links. Standard: OpenTelemetry semantic conventions, url.full: both parts become
 * REDACTED, as do the values of the query parameters named there.
 *
 * People write passwords as they are, with all that should have been escaped: the last '@' counts,
 * and where there is none before the path, but something after a colon that is no port, the path
 * was none.
 *
 * Where the text was cut before the path the '@' may be gone: all that stands there might be a name
 * and password, and goes, as it does behind a colon that no port follows.
 */

#include "redact/detect.h"

#include <string.h>

static bool ends_url(uint8_t c)
{
	return c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`';
}

static bool ends_authority(uint8_t c)
{
	return c == '/' || c == '?' || c == '#';
}

/* Where the last '@' of text[from..to) is; `to`: nowhere. */
static size_t last_at(const struct sonde__search *search, size_t from, size_t to)
{
	for (size_t i = to; i-- > from;) {
		if (search->text[i] == '@')
			return i;
	}
	return to;
}

static bool is_port(const struct sonde__search *search, size_t from, size_t to)
{
	for (; from < to; from++) {
		if (!sonde__is_digit(search->text[from]))
			return false;
	}
	return true;
}

/* Whether the authority, which has no '@', is really the beginning of a password. */
static bool is_cut_short(const struct sonde__search *search, size_t from, size_t to)
{
	const uint8_t *colon;

	if (from == to || search->text[from] == '[')
		return false;
	colon = memchr(search->text + from, ':', to - from);
	return colon && !is_port(search, (size_t)(colon + 1 - search->text), to);
}

/* Past what may be a name and password, up to the last '@' or cut; 0: there is none. */
static size_t secret_end(const struct sonde__search *search, size_t from, size_t to)
{
	const size_t cut = sonde__last_cut(search, from, to);
	const size_t at = last_at(search, from, to);

	if (at < to && at > cut)
		return at;
	return sonde__is_cut_at(search, cut) ? cut : at < to ? at : 0;
}

/* The same of what is left of the URL. */
static size_t password_end(const struct sonde__search *search, size_t from)
{
	size_t to = from;
	size_t end;

	if (from < search->looked->password)
		return 0;
	while (to < search->size && !ends_url(search->text[to]))
		to++;
	end = secret_end(search, from, to);
	if (!end)
		search->looked->password = to;
	return end;
}

static struct sonde_text replacement(const uint8_t *user, size_t size)
{
	static const char both[] = SONDE__REDACTED_URL ":" SONDE__REDACTED_URL;
	const uint8_t *colon = memchr(user, ':', size);
	struct sonde_text by = { both, sizeof(both) - 1 };

	if (!colon)
		by.size = sizeof(SONDE__REDACTED_URL) - 1;
	else if (colon == user)
		by = (struct sonde_text){ both + sizeof(SONDE__REDACTED_URL) - 1,
					  sizeof(SONDE__REDACTED_URL) };
	return by;
}

bool sonde__url_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	size_t from = at + 3;
	size_t authority = from;
	size_t to;

	if (search->size - at < 4 || memcmp(search->text + at, "://", 3) != 0)
		return false;
	while (authority < search->size && !ends_url(search->text[authority]) &&
	       !ends_authority(search->text[authority]))
		authority++;
	to = secret_end(search, from, authority);
	if (!to) {
		if (!is_cut_short(search, from, authority))
			return false;
		to = password_end(search, authority);
	}
	if (to <= from || (to == from + 1 && search->text[from] == ':'))
		return false;
	*ret = (struct sonde__match){ .from = from,
				      .to = to,
				      .by = replacement(search->text + from, to - from),
				      .kind = SONDE_REDACTION_URL };
	/* What is there already is no find. */
	return ret->by.size != to - from ||
	       memcmp(ret->by.data, search->text + from, to - from) != 0;
}

/* Whether the name before the '=' begins a query's member. */
static bool is_member(const struct sonde__search *search, size_t name)
{
	uint8_t before;

	if (name == 0)
		return !memchr(search->text, ' ', search->size);
	before = search->text[name - 1];
	return before == '?' || before == '&' || before == ';';
}

bool sonde__query_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	static const char *const names[] = {
		"x_amz_signature", "x_amz_credential", "x_amz_security_token", "awsaccesskeyid",
		"signature", "sig", "x_goog_signature", "x_goog_credential",
	};
	size_t name = at;
	size_t to = at + 1;
	bool is_known = false;

	while (name > search->done && at - name < 32 &&
	       (sonde__is_alnum(search->text[name - 1]) || search->text[name - 1] == '-'))
		name--;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		is_known |= sonde__folded_equal(search->text + name, at - name, names[i]);
	if (!is_known || !is_member(search, name))
		return false;
	while (to < search->size && !ends_url(search->text[to]) && search->text[to] != '&' &&
	       search->text[to] != '#')
		to++;
	if (to == at + 1 || sonde__folded_equal(search->text + at + 1, to - at - 1, "redacted"))
		return false;
	*ret = (struct sonde__match){
		.from = at + 1,
		.to = to,
		.by = { SONDE__REDACTED_URL, sizeof(SONDE__REDACTED_URL) - 1 },
		.kind = SONDE_REDACTION_URL,
	};
	return true;
}
