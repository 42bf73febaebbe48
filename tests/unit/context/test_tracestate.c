/* SPDX-License-Identifier: Apache-2.0 */

/* The grammar of tracestate, and how a text that is too long is trimmed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "context/context.h"

static void assert_parses(const char *text, const char *wanted)
{
	char members[SONDE_TRACESTATE_LENGTH];
	size_t size = 9999;

	assert_int_equal(sonde__tracestate_parse(text, members, &size), SONDE_OK);
	assert_int_equal(size, strlen(wanted));
	assert_memory_equal(members, wanted, size);
}

static void assert_malformed(const char *text)
{
	char members[SONDE_TRACESTATE_LENGTH];
	size_t size = 9999;

	assert_int_equal(sonde__tracestate_parse(text, members, &size), SONDE_E_MALFORMED);
	assert_int_equal(size, 9999);
}

static void test_grammar(void **state)
{
	(void)state;
	assert_parses("", "");
	assert_parses(" , ,\t,", "");
	assert_parses("a=1", "a=1");
	assert_parses("  a=1\t,\tb=2  ", "a=1,b=2");
	assert_parses("a= 1,b=x y z", "a= 1,b=x y z");
	assert_parses("0tenant@sys-tem_*/=!~", "0tenant@sys-tem_*/=!~");
	assert_malformed("a");
	assert_malformed("=1");
	assert_malformed("a=");
	assert_malformed("a= ");
	assert_malformed("a =1");
	assert_malformed("A=1");
	assert_malformed("_a=1");
	assert_malformed("a=1=2");
	assert_malformed("a=1\x7f");
	assert_malformed("a=\x1f" "1");
	assert_malformed("a=\xc3\xa4");
	assert_malformed("a=1,b");
	assert_malformed("a=1,a=2");
	assert_malformed("a=1;b=2");
}

/* "<key letters>=<value letters>" of the sizes asked for. */
static size_t member(char *ret, char letter, size_t key_size, size_t value_size)
{
	memset(ret, letter, key_size);
	ret[key_size] = '=';
	memset(ret + key_size + 1, 'v', value_size);
	ret[key_size + 1 + value_size] = '\0';
	return key_size + 1 + value_size;
}

static void test_sizes(void **state)
{
	char text[1024];

	(void)state;
	member(text, 'k', 256, 1);
	assert_parses(text, text);
	member(text, 'k', 257, 1);
	assert_malformed(text);
	member(text, 'k', 1, 256);
	assert_parses(text, text);
	member(text, 'k', 1, 257);
	assert_malformed(text);
	/* 256 + 1 + 255 is 512: just fits. One more does not, and there is nothing left. */
	member(text, 'k', 256, 255);
	assert_parses(text, text);
	member(text, 'k', 256, 256);
	assert_parses(text, "");
}

static void test_count(void **state)
{
	char text[1024] = "";
	size_t size = 0;

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%sk%u=%u", i ? "," : "", i, i);
	assert_parses(text, text);
	snprintf(text + size, sizeof(text) - size, ",");
	text[size] = '\0';
	assert_parses(text, text);
	snprintf(text + size, sizeof(text) - size, ",l=1");
	assert_malformed(text);
}

static void test_large_members_go_first(void **state)
{
	char text[2048];
	char wanted[2048];
	size_t size;

	(void)state;
	/*
	 * small a, large b (130), large c (300), small d, small e: the rightmost large one is
	 * enough.
	 */
	size = (size_t)snprintf(text, sizeof(text), "a=1,");
	size += member(text + size, 'b', 1, 128);
	text[size++] = ',';
	size += member(text + size, 'c', 60, 239);
	snprintf(text + size, sizeof(text) - size, ",d=%0100d,e=2", 0);
	size = (size_t)snprintf(wanted, sizeof(wanted), "a=1,");
	size += member(wanted + size, 'b', 1, 128);
	snprintf(wanted + size, sizeof(wanted) - size, ",d=%0100d,e=2", 0);
	assert_parses(text, wanted);
}

static void test_then_from_the_right(void **state)
{
	char text[2048];
	char wanted[2048];
	size_t size = 0;

	(void)state;
	/* Eight members of 102 characters: four and three commas are 411, five would be 514. */
	for (int i = 0; i < 8; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, "%sk%d=%0100d", i ? "," : "", i, i);
	snprintf(wanted, sizeof(wanted), "%.*s", 4 * 103 + 3, text);
	assert_parses(text, wanted);
	/* A member of 128 is not large: it stays, because it stands further left. */
	size = member(text, 'x', 1, 126);
	for (int i = 0; i < 6; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size, ",k%d=%0100d", i, i);
	snprintf(wanted, sizeof(wanted), "%.*s", 128 + 3 * 104, text);
	assert_parses(text, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_large_members_go_first),
		cmocka_unit_test(test_then_from_the_right),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
