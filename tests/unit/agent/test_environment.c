/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/diagnostic.h"

static char said[4096];

static void listen(void *user SONDE__UNUSED, enum sonde_level level SONDE__UNUSED, const char *text)
{
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static int set_up(void **state SONDE__UNUSED)
{
	said[0] = '\0';
	sonde__diagnostic_set(listen, /* user= */ NULL);
	return 0;
}

static uint64_t read_number(const char *value, struct sonde__number number)
{
	struct sonde__environment environment;
	uint64_t result;

	number.name = "SONDE_TEST_NUMBER";
	if (value)
		setenv(number.name, value, 1);
	else
		unsetenv(number.name);
	assert_int_equal(sonde__environment_init(&environment), SONDE_OK);
	result = sonde__environment_number(&environment, &number);
	sonde__environment_deinit(&environment);
	return result;
}

static void test_copies_what_is_ours(void **state SONDE__UNUSED)
{
	struct sonde__environment environment;

	setenv("OTEL_TEST_ONE", "1", 1);
	setenv("OTEL_TEST_EMPTY", "", 1);
	setenv("UNRELATED_VARIABLE", "x", 1);
	setenv("http_proxy", "http://proxy.example", 1);
	setenv("HTTP_PROXY", "http://stranger.example", 1);
	setenv("NO_PROXY", "localhost", 1);
	assert_int_equal(sonde__environment_init(&environment), SONDE_OK);
	setenv("OTEL_TEST_ONE", "2", 1);
	assert_string_equal(sonde__environment_get(&environment, "OTEL_TEST_ONE"), "1");
	assert_null(sonde__environment_get(&environment, "OTEL_TEST_EMPTY"));
	assert_null(sonde__environment_get(&environment, "OTEL_TEST"));
	assert_null(sonde__environment_get(&environment, "UNRELATED_VARIABLE"));
	assert_string_equal(sonde__environment_get(&environment, "http_proxy"), "http://proxy.example");
	assert_null(sonde__environment_get(&environment, "HTTP_PROXY"));
	assert_string_equal(sonde__environment_get(&environment, "NO_PROXY"), "localhost");
	sonde__environment_deinit(&environment);
}

static void test_number_order_is_option_variable_default(void **state SONDE__UNUSED)
{
	const struct sonde__number number = { .option = 7, .fallback = 3, .min = 1, .max = 100 };
	struct sonde__number unset = number;

	unset.option = 0;
	assert_int_equal(read_number("5", number), 7);
	assert_int_equal(read_number("5", unset), 5);
	assert_int_equal(read_number(NULL, unset), 3);
	assert_int_equal(read_number("", unset), 3);
	assert_string_equal(said, "");
}

static void test_bad_number_is_said_and_replaced(void **state SONDE__UNUSED)
{
	static const char *const bad[] = { "abc", "-5", "1.5", "12x", "0", "101", "99999999999999999999999" };
	const struct sonde__number number = { .fallback = 3, .min = 1, .max = 100 };

	for (size_t i = 0; i < SONDE__ARRAY_SIZE(bad); i++) {
		said[0] = '\0';
		assert_int_equal(read_number(bad[i], number), 3);
		assert_non_null(strstr(said, "SONDE_TEST_NUMBER"));
		assert_non_null(strstr(said, bad[i]));
	}
}

static void test_option_out_of_bounds_is_said(void **state SONDE__UNUSED)
{
	assert_int_equal(read_number("5", (struct sonde__number){ .option = 1000, .fallback = 3, .min = 1, .max = 100 }),
			 5);
	assert_non_null(strstr(said, "1000"));
}

static void test_zero_timeout_is_no_limit(void **state SONDE__UNUSED)
{
	const struct sonde__number number = {
		.fallback = 3, .min = 1, .max = 100, .zero_is_unlimited = true
	};

	assert_int_equal(read_number("0", number), 100);
	assert_string_equal(said, "");
}

static void test_sizes_take_units(void **state SONDE__UNUSED)
{
	const struct sonde__number number = {
		.fallback = 3, .min = 1, .max = UINT64_C(1) << 40, .is_size = true
	};

	assert_int_equal(read_number("2MiB", number), 2 << 20);
	assert_int_equal(read_number("1048576", number), 1 << 20);
}

static bool read_bool(const char *value, bool fallback)
{
	struct sonde__environment environment;
	bool result;

	setenv("OTEL_TEST_BOOL", value, 1);
	assert_int_equal(sonde__environment_init(&environment), SONDE_OK);
	result = sonde__environment_bool(&environment, "OTEL_TEST_BOOL", fallback);
	sonde__environment_deinit(&environment);
	return result;
}

static void test_booleans(void **state SONDE__UNUSED)
{
	assert_true(read_bool("true", false));
	assert_true(read_bool("TRUE", false));
	assert_false(read_bool("false", true));
	assert_true(read_bool("", true));
	assert_string_equal(said, "");
	assert_false(read_bool("1", true));
	assert_non_null(strstr(said, "OTEL_TEST_BOOL=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_copies_what_is_ours, set_up),
		cmocka_unit_test_setup(test_number_order_is_option_variable_default, set_up),
		cmocka_unit_test_setup(test_bad_number_is_said_and_replaced, set_up),
		cmocka_unit_test_setup(test_option_out_of_bounds_is_said, set_up),
		cmocka_unit_test_setup(test_zero_timeout_is_no_limit, set_up),
		cmocka_unit_test_setup(test_sizes_take_units, set_up),
		cmocka_unit_test_setup(test_booleans, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
