/* SPDX-License-Identifier: Apache-2.0 */
/* The public readers on what protobuf allows and our own writer never writes, and on rubbish. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>

#define BYTES(text) ((struct sonde_bytes){ text, sizeof(text) - 1 })

static void test_value_of_every_type(void **state)
{
	struct sonde_bytes rest = BYTES(
		"\x0a\x03\x0a\x01v\x0a\x02\x10\x01\x0a\x03\x18\xac\x02"
		"\x0a\x09\x21\0\0\0\0\0\0\xf0\x3f\x0a\x04\x2a\x02\x0a\0\x0a\x03\x3a\x01\xff\x0a\0");
	struct sonde_value_view value;

	(void)state;
	assert_true(sonde_value_next(&rest, &value));
	assert_int_equal(value.type, SONDE_VALUE_STR);
	assert_int_equal(value.as.string.size, 1);
	assert_true(sonde_value_next(&rest, &value));
	assert_true(value.type == SONDE_VALUE_BOOL && value.as.boolean);
	assert_true(sonde_value_next(&rest, &value));
	assert_true(value.type == SONDE_VALUE_INT && value.as.integer == 300);
	assert_true(sonde_value_next(&rest, &value));
	assert_true(value.type == SONDE_VALUE_DOUBLE && value.as.real == 1.0);
	assert_true(sonde_value_next(&rest, &value));
	assert_int_equal(value.type, SONDE_VALUE_ARRAY);
	assert_true(sonde_value_next(&value.as.array, &value));
	assert_int_equal(value.type, SONDE_VALUE_EMPTY);
	assert_true(sonde_value_next(&rest, &value));
	assert_true(value.type == SONDE_VALUE_BYTES && value.as.bytes.size == 1);
	assert_true(sonde_value_next(&rest, &value));
	assert_int_equal(value.type, SONDE_VALUE_EMPTY);
	assert_false(sonde_value_next(&rest, &value));
}

static void test_any_order_and_unknown_fields(void **state)
{
	/*
	 * An unknown varint field, a value before its key, an unknown field inside, the last key
	 * counts.
	 */
	struct sonde_bytes rest = BYTES("\x08\x01\x4a\x0f\x12\x02\x18\x05\x1a\x01?\x0a\x01"
					"a\x0a\x03new");
	struct sonde_item_view item;

	(void)state;
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
	assert_int_equal(item.type, SONDE_ITEM_ATTRIBUTE);
	assert_int_equal(item.name.size, 3);
	assert_memory_equal(item.name.data, "new", 3);
	assert_int_equal(item.value.as.integer, 5);
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
}

static void test_each_message_has_its_numbers(void **state)
{
	struct sonde_item_view item;
	struct sonde_bytes log = BYTES("\x4a\x02\x0a\0\x32\x03\x0a\x01l");
	struct sonde_bytes resource = BYTES("\x0a\x03\x0a\x01r\x10\x05");
	struct sonde_bytes other = BYTES("\x0a\x03\x0a\x01r");

	(void)state;
	assert_true(sonde_item_next(SONDE_FIELDS_LOG, &log, &item));
	assert_memory_equal(item.name.data, "l", 1);
	assert_true(sonde_item_next(SONDE_FIELDS_RESOURCE, &resource, &item));
	assert_memory_equal(item.name.data, "r", 1);
	assert_false(sonde_item_next(SONDE_FIELDS_RESOURCE, &resource, &item));
	assert_false(sonde_item_next((enum sonde_fields)99, &other, &item));
}

static void test_ids_of_another_length_are_none(void **state)
{
	struct sonde_bytes rest = BYTES("\x6a\x07\x0a\x02\x01\x02\x12\x01\x01");
	uint8_t zeros[16] = { 0 };
	struct sonde_item_view item;

	(void)state;
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
	assert_int_equal(item.type, SONDE_ITEM_LINK);
	assert_memory_equal(item.trace_id, zeros, 16);
	assert_memory_equal(item.span_id, zeros, 8);
}

static void check_end(const char *text, size_t size)
{
	/* On the heap, so that a read past the end is seen. */
	char *copy = malloc(size);
	struct sonde_bytes rest = { copy, size };
	struct sonde_item_view item;

	memcpy(copy, text, size);
	memset(&item, 0x55, sizeof(item));
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
	assert_int_equal(rest.size, 0);
	assert_int_equal(item.unix_ns, UINT64_C(0x5555555555555555));
	free(copy);
}

#define CHECK_END(text) check_end(text, sizeof(text) - 1)

static void test_broken_bytes_end_the_walk(void **state)
{
	(void)state;
	CHECK_END("\x4a");
	CHECK_END("\x4a\x05\x0a");
	CHECK_END("\x4a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	CHECK_END("\x4b\x01");
	CHECK_END("\x4c");
	CHECK_END("\x00\x01");
	CHECK_END("\x4a\x02\x0a\x05");
	CHECK_END("\x4a\x05\x12\x03\x0a\x07v");
	CHECK_END("\x5a\x04\x09\x01\x02\x03");
	CHECK_END("\x79\x01\x02");
	CHECK_END("\x7d\x01\x02");
	CHECK_END("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

static void test_nothing_is_nothing(void **state)
{
	struct sonde_bytes rest = { NULL, 0 };
	struct sonde_item_view item;
	struct sonde_value_view value;

	(void)state;
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
	assert_false(sonde_value_next(&rest, &value));
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, NULL, &item));
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &rest, NULL));
	assert_false(sonde_value_next(NULL, &value));
	assert_false(sonde_value_next(&rest, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_of_every_type),
		cmocka_unit_test(test_any_order_and_unknown_fields),
		cmocka_unit_test(test_each_message_has_its_numbers),
		cmocka_unit_test(test_ids_of_another_length_are_none),
		cmocka_unit_test(test_broken_bytes_end_the_walk),
		cmocka_unit_test(test_nothing_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
