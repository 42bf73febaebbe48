/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 against a slow decoder written from the RFC's table, over every short sequence there is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* RFC 3629, section 4, as a regular expression by hand. */
static size_t reference_character(const uint8_t *b, size_t n)
{
#define IN(i, low, high) ((i) < n && b[i] >= (low) && b[i] <= (high))
	if (IN(0, 0x00, 0x7f))
		return 1;
	if (IN(0, 0xc2, 0xdf) && IN(1, 0x80, 0xbf))
		return 2;
	if ((IN(0, 0xe0, 0xe0) && IN(1, 0xa0, 0xbf) && IN(2, 0x80, 0xbf)) ||
	    (IN(0, 0xe1, 0xec) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf)) ||
	    (IN(0, 0xed, 0xed) && IN(1, 0x80, 0x9f) && IN(2, 0x80, 0xbf)) ||
	    (IN(0, 0xee, 0xef) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf)))
		return 3;
	if ((IN(0, 0xf0, 0xf0) && IN(1, 0x90, 0xbf) && IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf)) ||
	    (IN(0, 0xf1, 0xf3) && IN(1, 0x80, 0xbf) && IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf)) ||
	    (IN(0, 0xf4, 0xf4) && IN(1, 0x80, 0x8f) && IN(2, 0x80, 0xbf) && IN(3, 0x80, 0xbf)))
		return 4;
	return 0;
#undef IN
}

static size_t reference_prefix(const uint8_t *bytes, size_t size)
{
	size_t done = 0;
	size_t length;

	while (done < size && (length = reference_character(bytes + done, size - done)) > 0)
		done += length;
	return done;
}

static void test_prefix_agrees_with_the_table(void **state)
{
	static const uint8_t edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
					 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
					 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
	const size_t n = sizeof(edges);
	uint8_t text[4];

	(void)state;
	for (size_t i = 0; i < n * n * n * n; i++) {
		text[0] = edges[i % n];
		text[1] = edges[i / n % n];
		text[2] = edges[i / n / n % n];
		text[3] = edges[i / n / n / n];
		for (size_t size = 1; size <= 4; size++)
			if (sonde__utf8_valid_prefix(text, size) != reference_prefix(text, size))
				fail_msg("%02x %02x %02x %02x, %zu bytes", text[0], text[1],
					 text[2], text[3], size);
	}
}

static void test_position_does_not_matter(void **state)
{
	(void)state;
	for (size_t size = 1; size < 40; size++) {
		for (size_t at = 0; at < size; at++) {
			uint8_t *text = malloc(size);

			memset(text, 'a', size);
			assert_true(sonde__utf8_is_valid(text, size));
			text[at] = 0xff;
			assert_int_equal(sonde__utf8_valid_prefix(text, size), at);
			free(text);
		}
	}
	assert_true(sonde__utf8_is_valid(NULL, 0));
	assert_true(sonde__utf8_is_valid("a\0b", 3));
}

static void check_repair(const char *text, size_t size, const char *expected)
{
	char repaired[256];
	size_t length = sonde__utf8_repair(text, size, repaired);

	assert_int_equal(length, strlen(expected));
	assert_memory_equal(repaired, expected, length);
	assert_true(sonde__utf8_is_valid(repaired, length));
}

#define CHECK_REPAIR(text, expected) check_repair(text, sizeof(text) - 1, expected)
#define FFFD "\xef\xbf\xbd"

/* Unicode, section 3.9, tables 3-8 to 3-11. */
static void test_repair_replaces_maximal_parts(void **state)
{
	(void)state;
	CHECK_REPAIR("plain", "plain");
	CHECK_REPAIR("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82" "A",
		     FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
	CHECK_REPAIR("\xed\xa0\x80\xed\xbf\xbf\xed\xaf" "A",
		     FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A");
	CHECK_REPAIR("\xf4\x91\x92\x93\xff"
		     "A\x80\xbf"
		     "B",
		     FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B");
	CHECK_REPAIR("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf" "A", FFFD FFFD FFFD FFFD "A");
	CHECK_REPAIR("\xe2\x82", FFFD);
	CHECK_REPAIR("\xff\xff\xff\xff\xff", FFFD FFFD FFFD FFFD FFFD);
}

static void test_cut_never_splits_a_character(void **state)
{
	/* 1, 2, 3 and 4 bytes. */
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t edges[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };

	(void)state;
	for (size_t limit = 0; limit <= 11; limit++)
		assert_int_equal(sonde__utf8_cut(text, sizeof(text) - 1, limit), edges[limit]);
	assert_int_equal(sonde__utf8_cut(text, sizeof(text) - 1, 1000), sizeof(text) - 1);
	/* Text that is none may be cut anywhere, but not before its beginning. */
	for (size_t limit = 0; limit < 6; limit++)
		assert_int_equal(sonde__utf8_cut("\x80\x80\x80\x80\x80\x80", 6, limit), limit);
}

static void test_cut_counts_characters(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t edges[] = { 0, 1, 3, 6, 10, 11, 11 };

	(void)state;
	for (size_t n = 0; n <= 6; n++)
		assert_int_equal(sonde__utf8_cut_characters(text, sizeof(text) - 1, n), edges[n]);
	assert_int_equal(sonde__utf8_cut_characters("\xff\xe2\x82" "a", 4, 2), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_agrees_with_the_table),
		cmocka_unit_test(test_position_does_not_matter),
		cmocka_unit_test(test_repair_replaces_maximal_parts),
		cmocka_unit_test(test_cut_never_splits_a_character),
		cmocka_unit_test(test_cut_counts_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
