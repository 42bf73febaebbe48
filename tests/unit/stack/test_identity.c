/* SPDX-License-Identifier: Apache-2.0 */

/* A function keeps its identity whatever the compiler makes of its name, and no other has it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stack/identity.h"

static uint64_t identity(const char *name)
{
	char *exact = malloc(strlen(name) + 1); /* For the sanitizer: not a byte too far. */
	uint64_t ret;

	memcpy(exact, name, strlen(name));
	ret = sonde__name_identity(exact, strlen(name));
	free(exact);
	return ret;
}

static void test_suffixes(void **state)
{
	static const char *const same[][2] = {
		{ "charge", "charge.constprop.0" },
		{ "charge", "charge.isra.0.cold" },
		{ "charge", "charge.part.12" },
		{ "charge", "charge.lto_priv.3" },
		{ "charge", "charge.avx2.1" },
		{ "charge", "charge@@VERS_2.1" },
		{ "charge", "charge@VERS_1" },
		{ "_ZN4shop6chargeEi", "_ZN4shop6chargeEi.cold" },
		{ "_ZN4core9panicking5panic17h0123456789abcdefE",
		  "_ZN4core9panicking5panic17hfedcba9876543210E" },
		{ "_ZN4core9panicking5panic17h0123456789abcdefE",
		  "_ZN4core9panicking5panic17h0123456789abcdefE.llvm.77" },
		{ "_ZN6_$LT$..a$GT$3fmt17h0123456789abcdefE",
		  "_ZN6_$LT$..a$GT$3fmt17h1111111111111111E" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		if (identity(same[i][0]) != identity(same[i][1]))
			fail_msg("%s and %s", same[i][0], same[i][1]);
	}
}

static void test_different(void **state)
{
	static const char *const names[] = {
		"charge",
		"charge2",
		"charg",
		"charge_part_12",
		"_ZN4shop6chargeEi",
		"_ZN4shop6chargeEl",
		"_ZN4shop6charge17h0123456789abcdeE",
		"_ZN4shop6charge17h0123456789abcdexE",
		"_ZN6_$LT$..a$GT$3fmt17h0123456789abcdefE",
		"_ZN6_$LT$..b$GT$3fmt17h0123456789abcdefE",
		".hidden",
		".",
		"@",
		"a",
		"b",
	};
	size_t n = sizeof(names) / sizeof(names[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(identity(names[i]) != 0);
		for (size_t k = i + 1; k < n; k++)
			if (identity(names[i]) == identity(names[k]))
				fail_msg("%s and %s", names[i], names[k]);
	}
}

/* The numbers are stored and compared between versions: they must not change. */
static void test_numbers_stay(void **state)
{
	(void)state;
	assert_int_equal(sonde__name_identity("", 0), 0);
	assert_true(identity("main") == UINT64_C(0xc7dd25a80fb8cb1e));
	assert_true(identity("_ZN4shop6chargeEi") == UINT64_C(0xf9bc82071ee1a5d6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suffixes),
		cmocka_unit_test(test_different),
		cmocka_unit_test(test_numbers_stay),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
