/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and lists, and everything that only looks like one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static void test_uint(void **state)
{
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "0x10",
					   "1.0",
					   "1e3",
					   "18446744073709551616",
					   "99999999999999999999999",
					   "1\n",
					   "one" };
	uint64_t value = 5;

	(void)state;
	assert_true(sonde__parse_uint("0", &value) && value == 0);
	assert_true(sonde__parse_uint("007", &value) && value == 7);
	assert_true(sonde__parse_uint("18446744073709551615", &value) && value == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = 5;
		assert_false(sonde__parse_uint(bad[i], &value));
		assert_int_equal(value, 5);
	}
}

static void test_double(void **state)
{
	static const char *const good[] = { "0",	  "1",	    "0.1",   "0.25",
					    "1e3",	  "1E-3",   "-2.5",  "+3",
					    "0.001",	  "0.0001", ".5",    "5.",
					    "123456.789", "1e22",   "1e-22", "9007199254740993",
					    "0.3" };
	static const char *const bad[] = { "",	    ".",   "-",	    "e3",	    "1e", "1e+",
					   "nan",   "inf", "0x1p3", "1,5",	    " 1", "1 ",
					   "1.2.3", "--1", "1e400", "1e99999999999" };
	double value;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		value = -77;
		assert_true(sonde__parse_double(good[i], &value));
		assert_true(value == strtod(good[i], NULL));
	}
	assert_true(sonde__parse_double("1e-999", &value) && value == 0.0);
	assert_true(sonde__parse_double("0e9999", &value) && value == 0.0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = -77;
		assert_false(sonde__parse_double(bad[i], &value));
		assert_true(value == -77);
	}
}

/* Every sampling ratio with up to four places is the double that the compiler would have made. */
static void test_double_is_exact_for_settings(void **state)
{
	(void)state;
	for (int i = 0; i <= 10000; i++) {
		char text[] = "0.0000";
		double value;

		text[0] = (char)('0' + i / 10000);
		text[2] = (char)('0' + i / 1000 % 10);
		text[3] = (char)('0' + i / 100 % 10);
		text[4] = (char)('0' + i / 10 % 10);
		text[5] = (char)('0' + i % 10);
		assert_true(sonde__parse_double(text, &value));
		assert_true(value == i / 10000.0);
	}
}

static void test_size(void **state)
{
	static const char *const bad[] = { "",	   "MiB", "1 MiB",	    "1.5MiB", "1M",
					   "1TiB", "-1",  "17179869184GiB", "1MiBs" };
	uint64_t value;

	(void)state;
	assert_true(sonde__parse_size("1048576", &value) && value == 1048576);
	assert_true(sonde__parse_size("12MiB", &value) && value == 12u << 20);
	assert_true(sonde__parse_size("512kib", &value) && value == 512u << 10);
	assert_true(sonde__parse_size("1GiB", &value) && value == 1u << 30);
	assert_true(sonde__parse_size("2MB", &value) && value == 2000000);
	assert_true(sonde__parse_size("7B", &value) && value == 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		value = 5;
		assert_false(sonde__parse_size(bad[i], &value));
		assert_int_equal(value, 5);
	}
}

static void test_percent(void **state)
{
	static const char *const bad[] = { "%", "%4", "a%", "%zz", "%4g", "%-1", "% 1" };
	char out[32];
	size_t size;

	(void)state;
	assert_int_equal(sonde__percent_decode("a%20b%2C+%e2%82%AC", 18, out, &size), SONDE_OK);
	assert_int_equal(size, 8);
	assert_memory_equal(out, "a b,+\xe2\x82\xac", 8);
	assert_int_equal(sonde__percent_decode("%00", 3, out, &size), SONDE_OK);
	assert_int_equal(size, 1);
	assert_int_equal(sonde__percent_decode("", 0, out, &size), SONDE_OK);
	assert_int_equal(size, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size = 99;
		assert_int_equal(sonde__percent_decode(bad[i], strlen(bad[i]), out, &size),
				 SONDE_E_MALFORMED);
		assert_int_equal(size, 99);
	}
}

static void check_pair(const struct sonde__pair *pair, const char *key, const char *value)
{
	assert_int_equal(pair->key.size, strlen(key));
	assert_memory_equal(pair->key.data, key, strlen(key));
	assert_int_equal(pair->value.size, strlen(value));
	assert_memory_equal(pair->value.data, value, strlen(value));
}

static void test_pairs(void **state)
{
	const char *rest = "a=1, b%20c = x=y ,,\t,empty=, d=%2C%3D ,";
	struct sonde__pair pair;
	char scratch[64];

	(void)state;
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 1);
	check_pair(&pair, "a", "1");
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 1);
	check_pair(&pair, "b c", "x=y");
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 1);
	check_pair(&pair, "empty", "");
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 1);
	check_pair(&pair, "d", ",=");
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 0);
	assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 0);
}

static void test_bad_pairs(void **state)
{
	static const char *const bad[] = { "a", "=1", " =1", "a=%", "%4=1", "a=1%2", "a;b" };
	struct sonde__pair pair;
	char scratch[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char list[64];
		const char *rest = list;

		snprintf(list, sizeof(list), "%s,good=1", bad[i]);
		assert_int_equal(sonde__pair_next(&rest, scratch, &pair), SONDE_E_MALFORMED);
		assert_int_equal(sonde__pair_next(&rest, scratch, &pair), 1);
		check_pair(&pair, "good", "1");
	}
}

static void test_equal_nocase(void **state)
{
	(void)state;
	assert_true(sonde__text_equal_nocase("", ""));
	assert_true(sonde__text_equal_nocase("TRUE", "true"));
	assert_false(sonde__text_equal_nocase("true", "truee"));
	assert_false(sonde__text_equal_nocase("true", "tru"));
	assert_false(sonde__text_equal_nocase("@", "`"));
	assert_false(sonde__text_equal_nocase("\xc3\x84", "\xc3\xa4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uint),
		cmocka_unit_test(test_double),
		cmocka_unit_test(test_double_is_exact_for_settings),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_bad_pairs),
		cmocka_unit_test(test_equal_nocase),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
