/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded attributes, byte for byte against what protobuf's own encoder writes, in every capacity
 * around the one they need, in memory that has a guard on both sides.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include <sonde/exporter.h>

#include "record/attribute.h"
#include "record/check.h"

#define GUARD 0xa5
#define ROOM 512

/* Encodes with `capacity` and fails when a byte outside is touched. */
static size_t encode_guarded(const struct sonde_attr *attr, uint8_t *ret, size_t capacity)
{
	uint8_t memory[ROOM + 2];
	size_t size;

	memset(memory, GUARD, sizeof(memory));
	size = sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, attr, memory + 1, capacity);
	assert_true(size <= capacity);
	assert_int_equal(memory[0], GUARD);
	for (size_t i = 1 + size; i < sizeof(memory); i++)
		if (size || i > capacity)
			assert_int_equal(memory[i], GUARD);
	memcpy(ret, memory + 1, size);
	return size;
}

static void check_encoding(struct sonde_attr attr, const char *expected, size_t expected_size)
{
	uint8_t bytes[ROOM];
	size_t size;

	assert_int_equal(sonde__attr_size(&attr), expected_size);
	size = encode_guarded(&attr, bytes, ROOM);
	assert_int_equal(size, expected_size);
	assert_memory_equal(bytes, expected, expected_size);
	assert_true(
		sonde__fields_are_valid(SONDE_FIELDS_SPAN, (struct sonde_bytes){ bytes, size }));
	assert_int_equal(encode_guarded(&attr, bytes, size), size);
	for (size_t capacity = 0; capacity < size; capacity++)
		assert_int_equal(encode_guarded(&attr, bytes, capacity), 0);
}

#define CHECK(attr, expected) check_encoding(attr, expected, sizeof(expected) - 1)

static void test_scalars(void **state)
{
	(void)state;
	CHECK(sonde_str("k", "v"), "\x4a\x08\x0a\x01k\x12\x03\x0a\x01v");
	CHECK(sonde_str("k", ""), "\x4a\x07\x0a\x01k\x12\x02\x0a\x00");
	CHECK(sonde_str("k", NULL), "\x4a\x07\x0a\x01k\x12\x02\x0a\x00");
	CHECK(sonde_strn("k", "a\0b", 3), "\x4a\x0a\x0a\x01k\x12\x05\x0a\x03" "a\0b");
	CHECK(sonde_int("k", 5), "\x4a\x07\x0a\x01k\x12\x02\x18\x05");
	CHECK(sonde_int("k", 300), "\x4a\x08\x0a\x01k\x12\x03\x18\xac\x02");
	CHECK(sonde_int("k", -1),
	      "\x4a\x10\x0a\x01k\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	CHECK(sonde_int("k", INT64_MIN),
	      "\x4a\x10\x0a\x01k\x12\x0b\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
	CHECK(sonde_bool("k", true), "\x4a\x07\x0a\x01k\x12\x02\x10\x01");
	CHECK(sonde_bool("k", false), "\x4a\x07\x0a\x01k\x12\x02\x10\x00");
	CHECK(sonde_double("k", 1.0),
	      "\x4a\x0e\x0a\x01k\x12\x09\x21\x00\x00\x00\x00\x00\x00\xf0\x3f");
	CHECK(sonde_bytes("k", "\xff\x00", 2), "\x4a\x09\x0a\x01k\x12\x04\x3a\x02\xff\x00");
	CHECK(sonde_bytes("k", NULL, 7), "\x4a\x07\x0a\x01k\x12\x02\x3a\x00");
	CHECK(sonde__attr("k", SONDE_ATTR_EMPTY, 0), "\x4a\x05\x0a\x01k\x12\x00");
	CHECK(sonde_int(NULL, 5), "\x4a\x06\x0a\x00\x12\x02\x18\x05");
}

static void test_arrays(void **state)
{
	static const char *const strings[] = { "a", NULL, "bc" };
	static const bool booleans[] = { true, false };
	static const int64_t integers[] = { 1, -1 };
	static const double reals[] = { 1.0 };

	(void)state;
	CHECK(sonde_str_array("k", strings, 3), "\x4a\x16\x0a\x01k\x12\x11\x2a\x0f\x0a\x03\x0a\x01"
						"a\x0a\x02\x0a\x00\x0a\x04\x0a\x02"
						"bc");
	CHECK(sonde_bool_array("k", booleans, 2),
	      "\x4a\x0f\x0a\x01k\x12\x0a\x2a\x08\x0a\x02\x10\x01\x0a\x02\x10\x00");
	CHECK(sonde_int_array("k", integers, 2),
	      "\x4a\x18\x0a\x01k\x12\x13\x2a\x11\x0a\x02\x18\x01\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
	CHECK(sonde_double_array("k", reals, 1),
	      "\x4a\x12\x0a\x01k\x12\x0d\x2a\x0b\x0a\x09\x21\x00\x00\x00\x00\x00\x00\xf0\x3f");
	CHECK(sonde_int_array("k", integers, 0), "\x4a\x07\x0a\x01k\x12\x02\x2a\x00");
	CHECK(sonde_str_array("k", NULL, 9), "\x4a\x07\x0a\x01k\x12\x02\x2a\x00");
}

/* The inline writers agree with the general one for every key length around the copying's edges. */
static void test_inline_writers_agree(void **state)
{
	char key[200];
	char value[200];

	(void)state;
	memset(key, 'k', sizeof(key));
	memset(value, 'v', sizeof(value));
	for (size_t n = 0; n < 199; n++) {
		uint8_t a[ROOM];
		uint8_t b[ROOM];
		struct sonde_attr attr;
		size_t size;

		key[n] = '\0';
		attr = sonde_strn(key, value, n);
		size = encode_guarded(&attr, a, ROOM);
		assert_int_equal(
			sonde__attr_put_str(SONDE__TAG_SPAN_ATTRIBUTE, key, n, value, n, b, ROOM),
			size);
		assert_memory_equal(a, b, size);
		assert_int_equal(sonde__attr_put_str(SONDE__TAG_SPAN_ATTRIBUTE, key, n, value, n, b,
						     size - 1),
				 0);
		attr = sonde_int(key, (int64_t)(n * n * n) - 1000);
		size = encode_guarded(&attr, a, ROOM);
		assert_int_equal(sonde__attr_put_int(SONDE__TAG_SPAN_ATTRIBUTE, key, n,
						     (int64_t)(n * n * n) - 1000, b, size),
				 size);
		assert_memory_equal(a, b, size);
		attr = sonde_double(key, (double)n / 3);
		size = encode_guarded(&attr, a, ROOM);
		assert_int_equal(sonde__attr_put_double(SONDE__TAG_SPAN_ATTRIBUTE, key, n,
							(double)n / 3, b, size),
				 size);
		assert_memory_equal(a, b, size);
		attr = sonde_bool(key, n % 2);
		size = encode_guarded(&attr, a, ROOM);
		assert_int_equal(
			sonde__attr_put_bool(SONDE__TAG_SPAN_ATTRIBUTE, key, n, n % 2, b, size),
			size);
		assert_memory_equal(a, b, size);
		key[n] = 'k';
	}
}

static void test_lengths_that_lie_are_refused(void **state)
{
	uint8_t bytes[ROOM];
	struct sonde_attr attr = sonde_strn("k", "v", SIZE_MAX);

	(void)state;
	assert_int_equal(sonde__attr_size(&attr), 0);
	assert_int_equal(sonde__attr_encode(0x4a, &attr, bytes, ROOM), 0);
	attr = sonde_bytes("k", "v", SIZE_MAX - 3);
	assert_int_equal(sonde__attr_encode(0x4a, &attr, bytes, ROOM), 0);
	assert_int_equal(sonde__attr_put_str(0x4a, "k", 1, "v", SIZE_MAX - 20, bytes, ROOM), 0);
	assert_int_equal(sonde__attr_put_int(0x4a, "k", SIZE_MAX - 4, 1, bytes, ROOM), 0);
	attr = sonde__attr("k", (enum sonde_attr_type)77, 3);
	assert_int_equal(sonde__attr_encode(0x4a, &attr, bytes, ROOM), 7);
}

/* Cut values are valid, and shorter than they need be by no more than the lengths around them. */
static void check_cut(const struct sonde_attr *attr)
{
	size_t whole = sonde__attr_size(attr);
	size_t last = 0;

	assert_true(whole > 0 && whole < ROOM);
	for (size_t capacity = 0; capacity <= whole; capacity++) {
		uint8_t *bytes = malloc(capacity ? capacity : 1);
		bool is_cut = false;
		size_t size = sonde__attr_encode_cut(SONDE__TAG_SPAN_ATTRIBUTE, attr, bytes,
						     capacity, &is_cut);

		assert_true(size <= capacity);
		assert_true(size + 4 >= last);
		assert_int_equal(is_cut, size > 0 && size < whole);
		if (is_cut && attr->type != SONDE_ATTR_STR_ARRAY &&
		    attr->type != SONDE_ATTR_INT_ARRAY)
			assert_true(size + 8 >= capacity);
		if (size)
			assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN,
							    (struct sonde_bytes){ bytes, size }));
		last = size;
		free(bytes);
	}
	assert_int_equal(last, whole);
}

static void test_cut(void **state)
{
	static const char *const strings[] = { "first", "second", "", "fourth" };
	static const int64_t integers[] = { 1, 1000000, -1, 7 };
	char text[301];
	struct sonde_attr attr;

	(void)state;
	memset(text, 't', sizeof(text));
	attr = sonde_strn("some.key", text, 300);
	check_cut(&attr);
	attr = sonde_bytes("some.key", text, 300);
	check_cut(&attr);
	attr = sonde_str_array("some.key", strings, 4);
	check_cut(&attr);
	attr = sonde_int_array("some.key", integers, 4);
	check_cut(&attr);
	attr = sonde_int("some.key", 1000);
	check_cut(&attr);
}

static void test_cut_keeps_characters_whole(void **state)
{
	static const char text[] =
		"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
	struct sonde_attr attr = sonde_str("k", text);

	(void)state;
	for (size_t capacity = 14; capacity < sonde__attr_size(&attr); capacity++) {
		uint8_t bytes[64];
		struct sonde_bytes rest = { bytes, 0 };
		struct sonde_item_view item;
		bool is_cut = false;

		rest.size = sonde__attr_encode_cut(SONDE__TAG_SPAN_ATTRIBUTE, &attr, bytes,
						   capacity, &is_cut);
		assert_true(is_cut);
		assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
		assert_int_equal(item.value.as.string.size % 3, 0);
		assert_memory_equal(item.value.as.string.data, text, item.value.as.string.size);
	}
}

static void test_endless_value_is_cut(void **state)
{
	static const char *strings[100000];
	struct sonde_attr attr = sonde_str_array("k", strings, 100000);
	uint8_t bytes[ROOM];
	bool is_cut = false;
	size_t size;

	(void)state;
	assert_int_equal(sonde__attr_size(&attr), 0);
	size = sonde__attr_encode_cut(SONDE__TAG_SPAN_ATTRIBUTE, &attr, bytes, ROOM, &is_cut);
	assert_true(size > ROOM - 16 && is_cut);
	assert_true(
		sonde__fields_are_valid(SONDE_FIELDS_SPAN, (struct sonde_bytes){ bytes, size }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_inline_writers_agree),
		cmocka_unit_test(test_lengths_that_lie_are_refused),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_keeps_characters_whole),
		cmocka_unit_test(test_endless_value_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
