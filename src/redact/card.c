/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Card numbers: 13 to 19 digits, in groups parted by one space or dash each or in one, that begin
 * as an issuer's do, have a length that the issuer gives out, and end with the right check digit
 * (Luhn). Ids and times that are as long rarely pass all three: nanoseconds since 1970 begin with
 * a 1 until 2033, as milliseconds do, and no issuer does.
 *
 * Digits that are part of a longer word of hexadecimal digits, of a fraction or of a telephone
 * number are none. Numbers may stand beside the card's: so every run of groups is tried.
 *
 * Where the text was cut the check digit is gone: there seven digits are enough, and that a number
 * which begins so could have gone on. The first six say who issued the card, which payment
 * standards let anybody see (PCI DSS 4.0, 3.4.1).
 *
 * Standard: ISO/IEC 7812-1; ranges as the issuers publish them.
 */

#include "redact/detect.h"

#define DIGITS_MIN 13
#define DIGITS_MAX 19
/* Of a number that was cut. */
#define DIGITS_SHOWN 6
/* Longer words of hexadecimal digits are ids whatever else they are. */
#define ID_MAX 128
/* Larger ones are ids and times. */
#define NUMBER_MAX UINT64_C(9999999999999999)
#define LENGTHS(from, to) ((1u << ((to) + 1)) - (1u << (from)))

/* The first six digits lie in the range, and the length is one of the bits. */
static const struct issuer {
	uint32_t first;
	uint32_t last;
	uint32_t lengths;
} issuers[] = {
	{ 400000, 499999, 1u << 13 | 1u << 16 | 1u << 19 }, /* Visa */
	{ 510000, 559999, 1u << 16 }, /* Mastercard */
	{ 222100, 272099, 1u << 16 },
	{ 340000, 349999, 1u << 15 }, /* American Express */
	{ 370000, 379999, 1u << 15 },
	{ 601100, 601199, LENGTHS(16, 19) }, /* Discover */
	{ 644000, 659999, LENGTHS(16, 19) },
	{ 300000, 305999, LENGTHS(14, 19) }, /* Diners Club */
	{ 309500, 309599, LENGTHS(14, 19) },
	{ 360000, 369999, LENGTHS(14, 19) },
	{ 380000, 399999, LENGTHS(14, 19) },
	{ 352800, 358999, LENGTHS(16, 19) }, /* JCB */
	{ 620000, 629999, LENGTHS(16, 19) }, /* UnionPay */
	{ 810000, 817199, LENGTHS(16, 19) },
	{ 500000, 509999, LENGTHS(13, 19) }, /* Maestro and its kin */
	{ 560000, 589999, LENGTHS(13, 19) },
	{ 630000, 639999, LENGTHS(13, 19) },
	{ 670000, 679999, LENGTHS(13, 19) },
	{ 220000, 220499, LENGTHS(16, 19) }, /* Mir */
	{ 979200, 979299, 1u << 16 }, /* Troy */
};

/* The digits of one run, and after which of them a group ends. */
struct run {
	uint8_t digits[DIGITS_MAX];
	size_t n;
	size_t to; /* In the text. */
};

/* Whether numbers of one of the lengths begin with the six digits. */
static bool is_issued(const uint8_t *digits, uint32_t lengths)
{
	uint32_t head = 0;

	for (size_t i = 0; i < 6; i++)
		head = head * 10 + digits[i];
	for (size_t i = 0; i < sizeof(issuers) / sizeof(issuers[0]); i++) {
		if (head >= issuers[i].first && head <= issuers[i].last &&
		    issuers[i].lengths & lengths)
			return true;
	}
	return false;
}

static bool has_check_digit(const uint8_t *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned digit = digits[n - 1 - i];

		if (i % 2)
			digit = digit < 5 ? 2 * digit : 2 * digit - 9;
		sum += digit;
	}
	return sum % 10 == 0;
}

bool sonde__card_number_is_valid(const uint8_t *digits, size_t n)
{
	return n >= DIGITS_MIN && n <= DIGITS_MAX &&
	       is_issued(digits, LENGTHS(n, n)) && has_check_digit(digits, n);
}

static bool is_hex_letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'f';
}

static bool is_hex_digit(uint8_t c)
{
	return sonde__is_digit(c) || is_hex_letter(c);
}

/* Whether the digits are part of a word of hexadecimal digits: an id, then. */
static bool is_hex(const struct sonde__search *search, size_t from, size_t to)
{
	const uint8_t *text = search->text;
	size_t begin = from;
	size_t end = to;

	while (begin > 0 && from - begin < ID_MAX && is_hex_digit(text[begin - 1]))
		begin--;
	while (end < search->size && end - to < ID_MAX && is_hex_digit(text[end]))
		end++;
	if (begin == from && end == to)
		return false;
	return (begin == 0 || !sonde__is_alnum(text[begin - 1]) || from - begin == ID_MAX) &&
	       (end == search->size || !sonde__is_alnum(text[end]) || end - to == ID_MAX);
}

/* "+49 151…", "0.4111…" and "4111….5" */
static bool is_other_number(const struct sonde__search *search, size_t from, size_t to)
{
	const uint8_t *text = search->text;

	if (from > 0 && text[from - 1] == '+')
		return true;
	if (from > 1 && text[from - 1] == '.' && sonde__is_digit(text[from - 2]))
		return true;
	return to + 1 < search->size && text[to] == '.' && sonde__is_digit(text[to + 1]);
}

/* Takes one group of digits; false: it makes too many. */
static bool group_take(const struct sonde__search *search, struct run *run)
{
	while (run->to < search->size && sonde__is_digit(search->text[run->to])) {
		if (run->n == DIGITS_MAX)
			return false;
		run->digits[run->n++] = search->text[run->to++] - '0';
	}
	return true;
}

/* Whether the digits end where the text was cut, and a card's number may begin with them. */
static bool is_cut_card(const struct sonde__search *search, const struct run *run)
{
	size_t to = run->to;

	if (run->n <= DIGITS_SHOWN || run->n >= DIGITS_MAX)
		return false;
	if (to < search->size && (search->text[to] == ' ' || search->text[to] == '-'))
		to++;
	return sonde__is_cut_at(search, to) &&
	       is_issued(run->digits, LENGTHS(run->n + 1, DIGITS_MAX));
}

/* The longest number that begins at `from`, where a group begins. 0: none. */
static size_t number_end(const struct sonde__search *search, size_t from)
{
	struct run run = { .to = from };
	size_t end = 0;

	while (group_take(search, &run)) {
		if ((sonde__card_number_is_valid(run.digits, run.n) || is_cut_card(search, &run)) &&
		    !is_other_number(search, from, run.to) && !is_hex(search, from, run.to))
			end = run.to;
		if (run.to + 1 >= search->size ||
		    (search->text[run.to] != ' ' && search->text[run.to] != '-') ||
		    !sonde__is_digit(search->text[run.to + 1]))
			break;
		run.to++;
	}
	return end;
}

bool sonde__card_find(const struct sonde__search *search, size_t at, struct sonde__match *ret,
		      size_t *ret_next)
{
	size_t end = number_end(search, at);

	if (end) {
		*ret = (struct sonde__match){ .from = at, .to = end, .kind = SONDE_REDACTION_CARD };
		return true;
	}
	while (at < search->size && sonde__is_digit(search->text[at]))
		at++;
	*ret_next = at;
	return false;
}

bool sonde__redact_number(const struct sonde__redactor *redactor, int64_t number)
{
	uint8_t digits[DIGITS_MAX];
	uint64_t left = (uint64_t)number;
	size_t n = 0;

	if (!(redactor->detectors >> SONDE_REDACTION_CARD & 1) ||
	    left < SONDE__CARD_NUMBER_MIN || left > NUMBER_MAX)
		return false;
	for (uint64_t rest = left; rest; rest /= 10)
		n++;
	for (size_t i = n; i-- > 0; left /= 10)
		digits[i] = (uint8_t)(left % 10);
	return sonde__card_number_is_valid(digits, n);
}
