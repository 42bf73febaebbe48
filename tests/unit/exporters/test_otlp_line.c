/* SPDX-License-Identifier: Apache-2.0 */
/* A line stays printable, valid and in its room, whatever is added. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "line.h"

#define LINE(name, size) \
	char name##_data[size]; \
	struct sonde__otlp_line name; \
	sonde__otlp_line_init(&name, name##_data, sizeof(name##_data))

static void test_pieces_follow_each_other(void **state)
{
	LINE(line, 64);

	(void)state;
	assert_string_equal(line.data, "");
	sonde__otlp_line_add(&line, "took ");
	sonde__otlp_line_add_uint(&line, UINT64_MAX);
	sonde__otlp_line_add_text(&line, (struct sonde_text){ " of", 3 });
	assert_string_equal(line.data, "took 18446744073709551615 of");
	assert_int_equal(line.size, strlen(line.data));
}

static void test_blanks_become_one_space(void **state)
{
	LINE(line, 64);

	(void)state;
	sonde__otlp_line_add(&line, "\r\n a\t\t b\x1b[31m c\x7f\xc2\x9b" "d  \n");
	assert_string_equal(line.data, "a b [31m c d ");
}

static void test_what_is_not_utf8_is_shown_as_such(void **state)
{
	static const struct {
		const char *text;
		const char *shown;
	} cases[] = {
		{ "\xc3\xa9", "\xc3\xa9" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\xc3", "?" }, { "\xff" "a", "?a" },
		{ "\xc0\xaf", "??" }, { "\xe0\x80\xaf", "???" }, { "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" }, { "\xf5\x80", "??" }, { "\xe2\x82", "??" }, { "\x80", "?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		LINE(line, 16);

		sonde__otlp_line_add(&line, cases[i].text);
		assert_string_equal(line.data, cases[i].shown);
	}
}

static void test_the_room_is_kept_at_every_size(void **state)
{
	(void)state;
	for (size_t capacity = 1; capacity < 20; capacity++) {
		char *data = malloc(capacity);
		struct sonde__otlp_line line;

		sonde__otlp_line_init(&line, data, capacity);
		for (int i = 0; i < 3; i++)
			sonde__otlp_line_add(&line, "x\xe2\x82\xac\xc3\xa9");
		assert_true(strlen(data) < capacity);
		/* Never half a character: the first 1 + 3 + 2 bytes repeat. */
		assert_true(memchr("\0\1\4\6\7\12\14\15\20\22", (int)strlen(data), 10) != NULL);
		free(data);
	}
}

static void test_a_cut_is_marked(void **state)
{
	LINE(line, 64);

	(void)state;
	sonde__otlp_line_add_cut(&line, (struct sonde_text){ "abcdef", 6 }, 3);
	sonde__otlp_line_add_cut(&line, (struct sonde_text){ "xyz", 3 }, 3);
	sonde__otlp_line_add_cut(&line, (struct sonde_text){ "a\xe2\x82\xac", 4 }, 3);
	assert_string_equal(line.data, "abc…xyza…");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_follow_each_other),
		cmocka_unit_test(test_blanks_become_one_space),
		cmocka_unit_test(test_what_is_not_utf8_is_shown_as_such),
		cmocka_unit_test(test_the_room_is_kept_at_every_size),
		cmocka_unit_test(test_a_cut_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
