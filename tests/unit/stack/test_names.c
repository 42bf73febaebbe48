/* SPDX-License-Identifier: Apache-2.0 */

/* What a provider says about a place, whatever it says, becomes lines that can be read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/stack.h>

#include "base/utf8.h"
#include "stack/frame.h"
#include "stack/options.h"
#include "stack/stack.h"

static struct {
	struct sonde_symbol_frame frame;
	uint32_t wanted; /* The last time. */
	size_t n_asked;
} answer;

static size_t resolve(const struct sonde_symbol_query *query, struct sonde_symbol_frame *ret,
		      size_t capacity)
{
	assert_true(capacity > 0);
	answer.wanted = query->source_lines;
	answer.n_asked++;
	*ret = answer.frame;
	return 1;
}

static void do_nothing(void)
{
}

static const struct sonde_symbol_provider provider = {
	.size = sizeof(provider),
	.name = "test",
	.resolve = resolve,
	.abandon = do_nothing,
	.clear = do_nothing,
};

static uint64_t place(size_t i)
{
	static const char code[4096];

	assert_true(i < sizeof(code));
	return (uint64_t)(uintptr_t)code + i;
}

/* What is shown below the frame. */
static const char *shown(uint32_t line, uint32_t first, const char *source, size_t size)
{
	static char text[8192];
	uint64_t address = place(answer.n_asked % 4000 + 1);
	const char *end;

	answer.frame = (struct sonde_symbol_frame){
		.function = "f",
		.file = "f.c",
		.source = source,
		.source_first = first,
		.line = line,
	};
	size = size < sizeof(text) ? size : sizeof(text);
	assert_true(sonde__stack_format(&address, 1, text, size) > 0);
	assert_true(sonde__utf8_is_valid(text, strlen(text)));
	end = strchr(text, '\n');
	assert_non_null(end);
	return end + 1;
}

static void configure(const struct sonde__stack_options *options)
{
	assert_true(sonde__stack_configure(options));
}

static void test_lines(void **state)
{
	(void)state;
	assert_string_equal(shown(8, 7, "a\n\tb\n\nc", 4096),
			    "          7 | a\n    >     8 |  b\n          9 |\n"
			    "         10 | c\n");
	assert_string_equal(shown(1, 1, "a", 4096), "    >     1 | a\n");
	assert_string_equal(shown(UINT32_MAX, UINT32_MAX, "a", 4096), "    > 4294967295 | a\n");
}

/* Where there is no room, first those around it go, then the line. */
static void test_as_many_as_fit(void **state)
{
	static const char *const expected[] = {
		"", "    >     8 | b\n", "          7 | a\n    >     8 | b\n          9 | c\n"
	};
	size_t level = 0;

	(void)state;
	for (size_t size = 120; size < 300; size++) {
		const char *text = shown(8, 7, "a\nb\nc", size);

		if (level < 2 && strcmp(text, expected[level]) != 0)
			level++;
		assert_string_equal(text, expected[level]);
	}
	assert_int_equal(level, 2);
}

static void test_what_a_provider_must_not_say(void **state)
{
	(void)state;
	/* The line is not in it. */
	assert_string_equal(shown(3, 4, "a\nb", 4096), "");
	assert_string_equal(shown(3, 1, "a\nb", 4096), "");
	assert_string_equal(shown(0, 0, "a\nb", 4096), "");
	assert_string_equal(shown(UINT32_MAX, 0, "a\nb", 4096), "");
	assert_string_equal(shown(3, 1, NULL, 4096), "");
	/* More than was wanted. */
	assert_string_equal(shown(5, 4, "4\n5\n6\n7\n8\n9\n10", 4096),
			    "          4 | 4\n    >     5 | 5\n          6 | 6\n"
			    "          7 | 7\n          8 | 8\n");
	assert_string_equal(shown(9, 4, "4\n5\n6\n7\n8\n9\n10", 4096), "");
	assert_string_equal(shown(1, 1, "\033[31m\r\xff\xc3\n", 4096),
			    "    >     1 |  [31m \xef\xbf\xbd\xef\xbf\xbd\n          2 |\n");
}

static void test_long_lines(void **state)
{
	static char source[100000];
	const char *text;

	(void)state;
	memset(source, 'x', sizeof(source) - 1);
	text = shown(1, 1, source, 4096);
	assert_int_equal(strlen(text), strlen("    >     1 | …\n") + 123);
	assert_string_equal(text + strlen(text) - 4, "…\n");
	/* Invalid bytes become three each. */
	memset(source, 0xff, sizeof(source) - 1);
	text = shown(1, 1, source, 4096);
	assert_in_range(strlen(text), 100, 150);
}

static void test_as_many_as_wanted(void **state)
{
	(void)state;
	configure(&(struct sonde__stack_options){ .source_lines = 2 });
	assert_string_equal(shown(1, 1, "a\nb\nc", 4096), "    >     1 | a\n          2 | b\n");
	assert_int_equal(answer.wanted, 2);
	configure(&(struct sonde__stack_options){ .source_lines = 1000 });
	shown(1, 1, "a\nb\nc", 4096);
	assert_int_equal(answer.wanted, SONDE__SOURCE_LINES_MAX);
	configure(&(struct sonde__stack_options){ .has_no_source = true });
	assert_string_equal(shown(1, 1, "a\nb\nc", 4096), "");
	assert_int_equal(answer.wanted, 0);
	configure(&(struct sonde__stack_options){ .in_app = "!*" });
	assert_string_equal(shown(1, 1, "a\nb\nc", 4096), "");
	assert_int_equal(answer.wanted, 0);
	configure(&(struct sonde__stack_options){ .in_app = NULL });
	shown(1, 1, "a\nb\nc", 4096);
	assert_int_equal(answer.wanted, SONDE__SOURCE_LINES);
}

/* What was overwritten is asked for again, and never shown as another's. */
static void test_more_than_is_kept(void **state)
{
	static char source[3][2000];
	char expected[64];

	(void)state;
	configure(&(struct sonde__stack_options){ .source_lines = SONDE__SOURCE_LINES_MAX });
	for (int i = 0; i < 3; i++)
		for (size_t k = 0; k + 101 < sizeof(source[i]); k += 101)
			snprintf(source[i] + k, 103, "%0100d\n", i);
	for (uint32_t i = 0; i < 3000; i++) {
		snprintf(expected, sizeof(expected), "    >     1 | %020u", i % 3);
		assert_memory_equal(shown(1, 1, source[i % 3], 8192), expected, 30);
	}
	configure(&(struct sonde__stack_options){ .in_app = NULL });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_as_many_as_fit),
		cmocka_unit_test(test_what_a_provider_must_not_say),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_as_many_as_wanted),
		cmocka_unit_test(test_more_than_is_kept),
	};

	if (sonde_symbol_provider_register(&provider) != SONDE_OK)
		return 1;
	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
