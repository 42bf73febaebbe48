/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and lists as environment variables write them. Nothing here asks the host's locale, and
 * nothing allocates.
 */

#include "base/text.h"

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool sonde__text_equal_nocase(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

/* Reads digits; false without any or past 64 bits. */
static bool uint_read(const char **text, uint64_t *ret)
{
	const char *c = *text;
	uint64_t value = 0;

	if (!is_digit(*c))
		return false;
	for (; is_digit(*c); c++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
			return false;
	*text = c;
	*ret = value;
	return true;
}

bool sonde__parse_uint(const char *text, uint64_t *ret)
{
	uint64_t value;

	if (!uint_read(&text, &value) || *text)
		return false;
	*ret = value;
	return true;
}

/* A decimal number on its way: mantissa * 10^exponent. */
struct decimal {
	uint64_t mantissa;
	int exponent;
	bool has_digits;
};

static void decimal_digit(struct decimal *decimal, char digit, bool is_fraction)
{
	decimal->has_digits = true;
	/* 18 digits are more than a double holds; further ones only move the point. */
	if (decimal->mantissa < UINT64_C(100000000000000000)) {
		decimal->mantissa = decimal->mantissa * 10 + (uint64_t)(digit - '0');
		decimal->exponent -= is_fraction;
	} else {
		decimal->exponent += !is_fraction;
	}
}

static bool exponent_read(const char **text, int *ret)
{
	const char *c = *text;
	bool is_negative = *c == '-';
	uint64_t value;

	if (*c == '-' || *c == '+')
		c++;
	if (!uint_read(&c, &value) || value > 9999)
		return false;
	*text = c;
	*ret = is_negative ? -(int)value : (int)value;
	return true;
}

static bool decimal_scale(const struct decimal *decimal, double *ret)
{
	/* Exact for up to 15 digits and 22 places, which is every setting that people write. */
	double scale = 1.0;
	double value = (double)decimal->mantissa;

	if (!decimal->mantissa || decimal->exponent < -400) {
		*ret = 0.0;
		return true;
	}
	if (decimal->exponent > 400)
		return false;
	for (int i = decimal->exponent < 0 ? -decimal->exponent : decimal->exponent; i > 0; i--) {
		scale *= 10.0;
		/* Powers beyond the range are taken in two steps. */
		if (scale < 1e300)
			continue;
		value = decimal->exponent < 0 ? value / scale : value * scale;
		scale = 1.0;
	}
	value = decimal->exponent < 0 ? value / scale : value * scale;
	if (__builtin_isinf(value))
		return false;
	*ret = value;
	return true;
}

bool sonde__parse_double(const char *text, double *ret)
{
	struct decimal decimal = { 0, 0, false };
	bool is_negative = *text == '-';
	double value;
	int exponent = 0;

	if (*text == '-' || *text == '+')
		text++;
	for (; is_digit(*text); text++)
		decimal_digit(&decimal, *text, false);
	if (*text == '.')
		for (text++; is_digit(*text); text++)
			decimal_digit(&decimal, *text, true);
	if (!decimal.has_digits)
		return false;
	if (lower(*text) == 'e') {
		text++;
		if (!exponent_read(&text, &exponent))
			return false;
	}
	if (*text)
		return false;
	decimal.exponent += exponent;
	if (!decimal_scale(&decimal, &value))
		return false;
	*ret = is_negative ? -value : value;
	return true;
}

bool sonde__parse_size(const char *text, uint64_t *ret)
{
	static const struct {
		const char *name;
		uint64_t factor;
	} units[] = {
		{ "", 1 },
		{ "b", 1 },
		{ "kib", UINT64_C(1) << 10 },
		{ "mib", UINT64_C(1) << 20 },
		{ "gib", UINT64_C(1) << 30 },
		{ "kb", 1000 },
		{ "mb", 1000000 },
		{ "gb", 1000000000 },
	};
	uint64_t value;

	if (!uint_read(&text, &value))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!sonde__text_equal_nocase(text, units[i].name))
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return false;
		*ret = value;
		return true;
	}
	return false;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sonde__percent_decode(const char *text, size_t size, char *ret, size_t *ret_size)
{
	size_t written = 0;

	for (size_t i = 0; i < size; i++) {
		int high;
		int low;

		if (text[i] != '%') {
			ret[written++] = text[i];
			continue;
		}
		if (size - i < 3)
			return SONDE_E_MALFORMED;
		high = hex_value(text[i + 1]);
		low = hex_value(text[i + 2]);
		if (high < 0 || low < 0)
			return SONDE_E_MALFORMED;
		ret[written++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret_size = written;
	return SONDE_OK;
}

static struct sonde_text trim(const char *data, size_t size)
{
	while (size && (*data == ' ' || *data == '\t')) {
		data++;
		size--;
	}
	while (size && (data[size - 1] == ' ' || data[size - 1] == '\t'))
		size--;
	return (struct sonde_text){ data, size };
}

static int pair_parse(struct sonde_text member, char *scratch, struct sonde__pair *ret)
{
	const char *equals = memchr(member.data, '=', member.size);
	struct sonde_text key;
	struct sonde_text value;
	size_t key_size;
	size_t value_size;

	if (!equals)
		return SONDE_E_MALFORMED;
	key = trim(member.data, (size_t)(equals - member.data));
	value = trim(equals + 1, (size_t)(member.data + member.size - equals - 1));
	if (!key.size || sonde__percent_decode(key.data, key.size, scratch, &key_size) < 0 ||
	    sonde__percent_decode(value.data, value.size, scratch + key_size, &value_size) < 0)
		return SONDE_E_MALFORMED;
	ret->key = (struct sonde_text){ scratch, key_size };
	ret->value = (struct sonde_text){ scratch + key_size, value_size };
	return 1;
}

int sonde__pair_next(const char **rest, char *scratch, struct sonde__pair *ret)
{
	while (**rest) {
		const char *end = strchr(*rest, ',');
		size_t size = end ? (size_t)(end - *rest) : strlen(*rest);
		struct sonde_text member = trim(*rest, size);

		*rest += size + (end != NULL);
		if (member.size)
			return pair_parse(member, scratch, ret);
	}
	return 0;
}
