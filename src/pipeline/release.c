/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Releases by the rules that most have in common (semver.org, item 11, and strverscmp): numbers
 * separated by dots, compared as numbers; a text behind - or ~ makes it earlier than the release
 * without, and so do rc, a and b as Python has them; one behind + does not count; any other makes
 * it later. Hashes of commits have no order.
 */

#include <stddef.h>
#include <string.h>

#include "base/compiler.h"
#include "pipeline/seen_marks.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The numbers with their dots; 0: it has not got the form of a release. */
static size_t core_size(const char *text)
{
	size_t size = strspn(text, "0123456789.");
	char next = text[size];

	if (!is_digit(text[0]))
		return 0;
	/* 1.1.1w is one, the hash 4f3a9c1 is none. */
	if (next && !strchr("-~+", next) && !memchr(text, '.', size))
		return 0;
	return size;
}

static int sign(int difference)
{
	return (difference > 0) - (difference < 0);
}

static size_t skip_zeros(const char **at, const char *end)
{
	const char *start;

	while (*at < end && **at == '0')
		++*at;
	start = *at;
	while (*at < end && is_digit(**at))
		++*at;
	return (size_t)(*at - start);
}

/* Numbers of any length. */
static int numbers_compare(const char **a, const char *a_end, const char **b, const char *b_end)
{
	size_t a_size = skip_zeros(a, a_end);
	size_t b_size = skip_zeros(b, b_end);

	if (a_size != b_size)
		return a_size > b_size ? 1 : -1;
	return sign(memcmp(*a - a_size, *b - b_size, a_size));
}

/* Runs of digits as numbers, all else by its bytes; what ends first is the smaller one. */
static int runs_compare(const char *a, const char *a_end, const char *b, const char *b_end)
{
	while (a < a_end && b < b_end) {
		int order;

		if (is_digit(*a) && is_digit(*b)) {
			order = numbers_compare(&a, a_end, &b, b_end);
		} else {
			order = sign((unsigned char)*a - (unsigned char)*b);
			a++;
			b++;
		}
		if (order)
			return order;
	}
	return (a < a_end) - (b < b_end);
}

/* 1.2 is 1.2.0. */
static size_t without_zeros(const char *text, size_t size)
{
	for (;;) {
		if (size >= 2 && text[size - 1] == '0' && text[size - 2] == '.')
			size -= 2;
		else if (size >= 1 && text[size - 1] == '.')
			size--;
		else
			return size;
	}
}

/* Where a release with this text behind its numbers stands to the one without: -1, 0, 1. */
static int rank_of(const char *rest)
{
	static const char *const early[] = { "-", "~", "rc", "a", "b", "pre", "dev" };

	if (*rest == '\0' || *rest == '+')
		return 0;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(early); i++)
		if (strncmp(rest, early[i], strlen(early[i])) == 0)
			return -1;
	return 1;
}

static int rests_compare(const char *a, const char *b)
{
	int order = rank_of(a) - rank_of(b);

	if (order || rank_of(a) == 0)
		return sign(order);
	return runs_compare(a, a + strcspn(a, "+"), b, b + strcspn(b, "+"));
}

enum sonde__release_order sonde__release_compare(const char *release, const char *other)
{
	size_t size;
	size_t other_size;
	int order;

	if (strcmp(release, other) == 0)
		return SONDE__RELEASE_SAME;
	release += *release == 'v' && is_digit(release[1]);
	other += *other == 'v' && is_digit(other[1]);
	size = core_size(release);
	other_size = core_size(other);
	if (!size || !other_size)
		return SONDE__RELEASE_UNKNOWN;
	order = runs_compare(release, release + without_zeros(release, size), other,
			     other + without_zeros(other, other_size));
	if (!order)
		order = rests_compare(release + size, other + other_size);
	if (!order)
		return SONDE__RELEASE_SAME;
	return order < 0 ? SONDE__RELEASE_BEFORE : SONDE__RELEASE_AFTER;
}
