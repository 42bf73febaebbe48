/* SPDX-License-Identifier: Apache-2.0 */

/* SipHash-1-3 against OpenSSL's: openssl mac -macopt c-rounds:1 -macopt d-rounds:3 … SIPHASH */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/siphash.h"

static void test_is_openssls(void **state)
{
	/* The bytes 0 to 15. */
	const struct sonde__siphash_key key = { { UINT64_C(0x0706050403020100),
						  UINT64_C(0x0f0e0d0c0b0a0908) } };
	/* OpenSSL writes the lowest byte first. */
	const struct {
		const char *text;
		uint64_t hash;
	} known[] = {
		{ "", UINT64_C(0xabac0158050fc4dc) },
		{ "abc", UINT64_C(0x6fce24e8af8146eb) },
		{ "01234567", UINT64_C(0x69c395f895410575) },
		{ "0123456789abcdef", UINT64_C(0xe393c48ea7bc21ef) },
		{ "0123456789abcdefXYZ", UINT64_C(0x1677f00006830286) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(sonde__siphash(&key, known[i].text, strlen(known[i].text)) ==
			    known[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_openssls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
