/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness comes from the kernel, also where getrandom is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/random.h>

#include "base/random.h"

static bool is_refused;

ssize_t __real_getrandom(void *buffer, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *buffer, size_t size, unsigned flags)
{
	if (is_refused) {
		errno = ENOSYS;
		return -1;
	}
	/* A short answer must be completed. */
	return __real_getrandom(buffer, size > 5 ? 5 : size, flags);
}

static void check_bytes(void)
{
	uint8_t a[64] = { 0 };
	uint8_t b[64] = { 0 };
	uint8_t zeros[16] = { 0 };

	errno = 77;
	assert_int_equal(sonde__random_bytes(a, sizeof(a)), 0);
	assert_int_equal(sonde__random_bytes(b, sizeof(b)), 0);
	assert_int_equal(errno, 77);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 48, zeros, 16);
}

static void test_bytes_from_the_call(void **state)
{
	(void)state;
	is_refused = false;
	check_bytes();
}

static void test_bytes_from_the_file(void **state)
{
	(void)state;
	is_refused = true;
	check_bytes();
	is_refused = false;
}

static void test_no_bytes_asked(void **state)
{
	(void)state;
	assert_int_equal(sonde__random_bytes(NULL, 0), 0);
}

static void test_mix_is_bijective_on_neighbours(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		for (uint64_t j = 0; j < i; j++)
			assert_true(sonde__mix64(i) != sonde__mix64(j));
	/* SplitMix64's published first outputs for seed 0. */
	assert_true(sonde__mix64(UINT64_C(0x9e3779b97f4a7c15)) == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(sonde__mix64(UINT64_C(0x3c6ef372fe94f82a)) == UINT64_C(0x6e789e6aa1b965f4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_from_the_call),
		cmocka_unit_test(test_bytes_from_the_file),
		cmocka_unit_test(test_no_bytes_asked),
		cmocka_unit_test(test_mix_is_bijective_on_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
