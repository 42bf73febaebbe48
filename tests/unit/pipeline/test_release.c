/* SPDX-License-Identifier: Apache-2.0 */

/* Releases in their order, as semver.org and common habits have it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "pipeline/seen_marks.h"

static void test_ascending(void **state)
{
	static const char *const releases[] = {
		"0", "0.0.1", "0.1.0-alpha", "0.1.0-alpha.1", "0.1.0-beta", "0.1.0-beta.2",
		"0.1.0-beta.11", "0.1.0-rc1", "0.1.0", "1.0.9", "v1.0.10", "1.1.1", "1.1.1v", "1.1.1w",
		"1.2rc1", "1.2", "1.9", "1.10~rc2", "1.10", "2.0.0-1", "2.0.0+build7", "3", "20241121",
		"99999999999999999999998.1", "99999999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(releases); i++) {
		for (size_t k = 0; k < SONDE__ARRAY_SIZE(releases); k++) {
			enum sonde__release_order order = sonde__release_compare(releases[i],
										 releases[k]);
			enum sonde__release_order expected =
				i < k ? SONDE__RELEASE_BEFORE :
				i > k ? SONDE__RELEASE_AFTER : SONDE__RELEASE_SAME;

			if (order != expected)
				fail_msg("%s and %s", releases[i], releases[k]);
		}
	}
}

static void test_same(void **state)
{
	static const char *const pairs[][2] = {
		{ "1.2.0", "1.2" }, { "v1.2", "1.2" }, { "1.02", "1.2" }, { "1.2+a", "1.2+b" },
		{ "1.2.0.0.0", "1.2" }, { "4f3a9c1", "4f3a9c1" }, { "", "" },
	};

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(pairs); i++)
		assert_int_equal(sonde__release_compare(pairs[i][0], pairs[i][1]),
				 SONDE__RELEASE_SAME);
}

static void test_unknown(void **state)
{
	static const char *const names[] = { "4f3a9c1", "b81d02e", "release", "v", "vx", "-1", "" };

	(void)state;
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(names); i++) {
		assert_int_equal(sonde__release_compare(names[i], "1.2.3"), SONDE__RELEASE_UNKNOWN);
		assert_int_equal(sonde__release_compare("1.2.3", names[i]), SONDE__RELEASE_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ascending),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
