/* SPDX-License-Identifier: Apache-2.0 */
/*
 * E-mail addresses as people write them: the part of RFC 5321's grammar that mail providers accept,
 * without quoted names. The domain has a dot and ends with letters, which tells an address from
 * `user@host`. Where the text was cut any beginning of a domain will do, and none. What stands
 * before an '@' that was cut off is a word like others.
 */

#include "redact/detect.h"

#include <string.h>

static bool is_local(uint8_t c)
{
	return sonde__is_alnum(c) || c >= 0x80 || (c && strchr(".!#$%&*+-/=?^_{|}~", c));
}

static bool is_domain(uint8_t c)
{
	return sonde__is_alnum(c) || c >= 0x80 || c == '-' || c == '.';
}

/* The end of the domain without what ends the sentence; 0: it is none. */
static size_t domain_end(const struct sonde__search *search, size_t from)
{
	size_t to = from;
	bool has_dot = false;

	while (to < search->size && is_domain(search->text[to]) && !sonde__is_cut_at(search, to))
		to++;
	if (sonde__is_cut_at(search, to))
		return to;
	while (to > from && (search->text[to - 1] == '.' || search->text[to - 1] == '-'))
		to--;
	for (size_t i = from + 1; i < to; i++)
		has_dot |= search->text[i] == '.';
	return has_dot && !sonde__is_digit(search->text[to - 1]) ? to : 0;
}

bool sonde__email_find(const struct sonde__search *search, size_t at, struct sonde__match *ret)
{
	size_t from = at;
	size_t to = domain_end(search, at + 1);

	if (!to)
		return false;
	while (from > search->done && is_local(search->text[from - 1]))
		from--;
	/* "mail=a@b.c": the name before the '=' is none of it. */
	for (size_t i = at; i-- > from;) {
		if (search->text[i] == '=' || search->text[i] == '/' || search->text[i] == '?' ||
		    search->text[i] == '&') {
			from = i + 1;
			break;
		}
	}
	if (from == at)
		return false;
	*ret = (struct sonde__match){ .from = from, .to = to, .kind = SONDE_REDACTION_EMAIL };
	return true;
}
