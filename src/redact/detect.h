/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_REDACT_DETECT_H
#define SONDE_REDACT_DETECT_H

/*
 * The detectors, each in a file of its own. They are asked at a place `at` of the text where a byte
 * stands that they cannot be without, and may look back as far as `done`, up to where the text is
 * settled. True: *ret says what goes, from `done` on.
 */

#include <string.h>

#include "redact/redact.h"

struct sonde__search {
	const struct sonde__redactor *redactor;
	const uint8_t *text;
	size_t size;
	size_t done;
	struct sonde__looked *looked;
};

/* At a digit. *ret_next: where to look for the next card if there is none here. */
bool sonde__card_find(const struct sonde__search *search, size_t at, struct sonde__match *ret,
		      size_t *ret_next);
bool sonde__card_number_is_valid(const uint8_t *digits, size_t n);

/* At the blank after a word; at the J of eyJ; at the dashes of a key block. */
bool sonde__token_find(const struct sonde__search *search, size_t at, struct sonde__match *ret);
bool sonde__web_token_find(const struct sonde__search *search, size_t at,
			   struct sonde__match *ret);
bool sonde__key_block_find(const struct sonde__search *search, size_t at,
			   struct sonde__match *ret);

/* At "://"; at '=' of a query. */
bool sonde__url_find(const struct sonde__search *search, size_t at, struct sonde__match *ret);
bool sonde__query_find(const struct sonde__search *search, size_t at, struct sonde__match *ret);

/* At '=' or ':'. */
bool sonde__pair_find(const struct sonde__search *search, size_t at, struct sonde__match *ret);

/* At '@'. */
bool sonde__email_find(const struct sonde__search *search, size_t at, struct sonde__match *ret);

/*
 * Whether the text was cut at `at`: half a secret may stand before it, which is known for one by
 * what it would be the beginning of.
 */
#define SONDE__CUT_MARK "\xe2\x80\xa6"
static inline bool sonde__is_cut_at(const struct sonde__search *search, size_t at)
{
	const size_t mark_size = sizeof(SONDE__CUT_MARK) - 1;

	if (at == search->size)
		return search->redactor->is_cut && search->size >= search->redactor->cut_min;
	return search->size - at >= mark_size &&
	       memcmp(search->text + at, SONDE__CUT_MARK, mark_size) == 0;
}

/* The last cut of text[from..to), or at its end; `from`: there is none behind it. */
static inline size_t sonde__last_cut(const struct sonde__search *search, size_t from, size_t to)
{
	while (to > from && !sonde__is_cut_at(search, to))
		to--;
	return to;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

static inline bool sonde__is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool sonde__is_letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool sonde__is_alnum(uint8_t c)
{
	return sonde__is_digit(c) || sonde__is_letter(c);
}

static inline bool sonde__is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool sonde__is_quote(uint8_t c)
{
	return c == '"' || c == '\'' || c == '`';
}

#endif
