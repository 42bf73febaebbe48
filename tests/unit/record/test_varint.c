/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of every length go there and back; broken ones are refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "record/varint.h"

static void check_round_trip(uint64_t value)
{
	uint8_t bytes[SONDE__VARINT_MAX_SIZE + 1];
	const uint8_t *at = bytes;
	uint64_t back = ~value;
	size_t size = (size_t)(sonde__varint_put(bytes, value) - bytes);

	assert_int_equal(size, sonde__varint_size(value));
	assert_true(sonde__varint_get(&at, bytes + size, &back));
	assert_true(back == value);
	assert_ptr_equal(at, bytes + size);
	for (size_t cut = 0; cut < size; cut++) {
		at = bytes;
		assert_false(sonde__varint_get(&at, bytes + cut, &back));
		assert_ptr_equal(at, bytes);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		check_round_trip(UINT64_C(1) << bit);
		check_round_trip((UINT64_C(1) << bit) - 1);
		check_round_trip((UINT64_C(1) << bit) + 1);
	}
	check_round_trip(UINT64_MAX);
}

static void test_too_long_is_refused(void **state)
{
	uint8_t endless[11] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00 };
	const uint8_t *at = endless;
	uint64_t value;

	(void)state;
	assert_true(sonde__varint_get(&at, endless + 11, &value) && value == UINT64_MAX);
	endless[9] = 0x02;
	at = endless;
	assert_false(sonde__varint_get(&at, endless + 11, &value));
	endless[9] = 0x81;
	assert_false(sonde__varint_get(&at, endless + 11, &value));
}

static void test_bytes_of_every_length(void **state)
{
	uint8_t from[64];
	uint8_t to[66];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i + 1);
	for (size_t size = 0; size <= sizeof(from); size++) {
		memset(to, 0, sizeof(to));
		assert_ptr_equal(sonde__bytes_put(to + 1, from, size), to + 1 + size);
		assert_memory_equal(to + 1, from, size);
		assert_int_equal(to[0], 0);
		assert_int_equal(to[size + 1], 0);
	}
	assert_ptr_equal(sonde__bytes_put(to, NULL, 0), to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_bytes_of_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
