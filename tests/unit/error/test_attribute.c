/* SPDX-License-Identifier: Apache-2.0 */

/* Attributes are encoded as LogRecord has them; what does not fit is counted. */

#include "support.h"

#include "record/layout.h"

static struct sonde_bytes attributes_of(const struct sonde_error *error, uint16_t *n_dropped)
{
	*n_dropped = 99;
	return sonde__error_attributes(error, n_dropped);
}

static void test_bytes(void **state)
{
	static const uint8_t expected[] = {
		SONDE__TAG_LOG_ATTRIBUTE, 7, 0x0a, 1, 'a', 0x12, 2, 0x18, 5,
		SONDE__TAG_LOG_ATTRIBUTE, 8, 0x0a, 1, 'b', 0x12, 3, 0x0a, 1, 'x'
	};
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	struct sonde_bytes bytes;
	uint16_t n_dropped;

	(void)state;
	assert_int_equal(attributes_of(error, &n_dropped).size, 0);
	assert_int_equal(n_dropped, 0);
	sonde_error_set(error, sonde_int("a", 5));
	sonde_error_set(error, sonde_str("b", "x"));
	bytes = attributes_of(error, &n_dropped);
	assert_int_equal(bytes.size, sizeof(expected));
	assert_memory_equal(bytes.data, expected, sizeof(expected));
}

static void test_setting_again_replaces(void **state)
{
	static const uint8_t expected[] = {
		SONDE__TAG_LOG_ATTRIBUTE, 7, 0x0a, 1, 'b', 0x12, 2, 0x18, 9,
		SONDE__TAG_LOG_ATTRIBUTE, 8, 0x0a, 2, 'a', 'b', 0x12, 2, 0x18, 1,
		SONDE__TAG_LOG_ATTRIBUTE, 9, 0x0a, 1, 'a', 0x12, 4, 0x0a, 2, 'y', 'z'
	};
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	struct sonde_bytes bytes;
	uint16_t n_dropped;

	(void)state;
	sonde_error_set(error, sonde_int("b", 9));
	for (int64_t i = 0; i < 1000; i++)
		sonde_error_set(error, sonde_int("a", i * 1000000));
	sonde_error_set(error, sonde_int("ab", 1));
	sonde_error_set(error, sonde_str("a", "yz"));
	bytes = attributes_of(error, &n_dropped);
	assert_int_equal(n_dropped, 0);
	assert_int_equal(bytes.size, sizeof(expected));
	assert_memory_equal(bytes.data, expected, sizeof(expected));
}

static void test_fingerprint(void **state)
{
	static const uint8_t expected[] = { SONDE__TAG_LOG_ATTRIBUTE, 24, 0x0a, 17, 's', 'o', 'n',
					    'd', 'e', '.', 'e', 'r', 'r', 'o', 'r', '.', 'g', 'r',
					    'o', 'u', 'p', 0x12, 3, 0x0a, 1, 'x' };
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	char text[500];
	struct sonde_bytes bytes;
	uint16_t n_dropped;

	(void)state;
	sonde_error_set_fingerprint(NULL, "x");
	sonde_error_set_fingerprint(error, "other");
	sonde_error_set_fingerprint(error, "x");
	bytes = attributes_of(error, &n_dropped);
	assert_int_equal(bytes.size, sizeof(expected));
	assert_memory_equal(bytes.data, expected, sizeof(expected));
	/* Cut, not in the middle of a character, and marked. */
	memset(text, 'y', sizeof(text));
	memcpy(text + 124, "\xc3\xa9", 2);
	text[sizeof(text) - 1] = '\0';
	sonde_error_set_fingerprint(error, text);
	bytes = attributes_of(error, &n_dropped);
	assert_int_equal(((const uint8_t *)bytes.data)[bytes.size - 128], 127);
	assert_memory_equal((const uint8_t *)bytes.data + bytes.size - 4, "y…", 4);
	assert_int_equal(n_dropped, 0);
	sonde_error_set_fingerprint(error, NULL);
	bytes = attributes_of(error, &n_dropped);
	assert_int_equal(((const uint8_t *)bytes.data)[bytes.size - 1], 0);
}

static void test_full(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	char big[2000];
	size_t used;
	uint16_t n_dropped;

	(void)state;
	memset(big, 'x', sizeof(big));
	sonde_error_set(error, sonde_int("small", 1));
	used = attributes_of(error, &n_dropped).size;
	sonde_error_set(error, sonde_strn("big", big, sizeof(big)));
	sonde_error_set(error, sonde_strn("small", big, sizeof(big)));
	sonde_error_set(error, sonde_strn("huge", big, SIZE_MAX));
	assert_int_equal(attributes_of(error, &n_dropped).size, used);
	assert_int_equal(n_dropped, 3);
	/* Every size around the last byte. */
	for (size_t size = 560; size < ERROR_BYTES_SIZE; size++) {
		struct sonde_error *other = sonde_error_raise(&sonde_conflict, "m");
		size_t room = sonde__error_room(other);

		sonde_error_set(other, sonde_strn("k", big, size));
		used = attributes_of(other, &n_dropped).size;
		assert_true((used == 0) == (n_dropped == 1));
		assert_true((used == 0) == (size + 12 > room));
		assert_true(used == 0 || (used > size && used <= room));
		sonde_error_free(other);
	}
	for (int i = 0; i < 70000; i++)
		sonde_error_set(error, sonde_strn("big", big, sizeof(big)));
	attributes_of(error, &n_dropped);
	assert_int_equal(n_dropped, UINT16_MAX);
}

static void test_what_is_no_attribute(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	struct sonde_attr strange = sonde_int("strange", 1);
	uint16_t n_dropped;

	(void)state;
	sonde_error_set(NULL, sonde_int("a", 1));
	assert_int_equal(attributes_of(NULL, &n_dropped).size, 0);
	strange.type = (enum sonde_attr_type)77;
	sonde_error_set(error, strange);
	sonde_error_set(error, sonde_int(NULL, 1));
	sonde_error_set(error, sonde_int("", 1));
	sonde_error_set(error, sonde_str("null", NULL));
	assert_in_range(attributes_of(error, &n_dropped).size, 1, 60);
}

static void test_detail_shares_the_room(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error = sonde_error_raise(&sonde_conflict, "m");
	char text[400];
	uint16_t n_dropped = 0;
	size_t room;

	(void)state;
	assert_string_equal(sonde_error_detail(error), "");
	assert_string_equal(sonde_error_detail(NULL), "");
	sonde_error_set_detail(NULL, "x");
	room = sonde__error_room(error);
	sonde_error_set_detail(error, "row %d", 7);
	assert_string_equal(sonde_error_detail(error), "row 7");
	assert_int_equal(sonde__error_room(error), room - sizeof("row 7"));
	sonde_error_set_detail(error, "%s", "");
	assert_int_equal(sonde__error_room(error), room - 1);
	/* As much as is left, at every size of it. */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (size_t left = 300; left > 0; left--) {
		struct sonde_error *other = sonde_error_raise(&sonde_conflict, "m");
		char filling[ERROR_BYTES_SIZE];

		memset(filling, 'f', sizeof(filling));
		sonde_error_set(other, sonde_strn("f", filling, room - left - 12));
		assert_int_equal(sonde__error_room(other), left);
		sonde_error_set_detail(other, "%s", text);
		attributes_of(other, &n_dropped);
		assert_int_equal(n_dropped, left <= 4);
		assert_int_equal(strlen(sonde_error_detail(other)),
				 left <= 4	? 0 :
				 left < 256 ? left - 1 : 255);
		sonde_error_set(other, sonde_int("f", 1));
		assert_true(attributes_of(other, &n_dropped).size < 20);
		sonde_error_free(other);
	}
}

static void test_several_at_once(void **state)
{
	SONDE_ERROR_AUTOFREE struct sonde_error *error =
		sonde_error_with(sonde_error_raise(&sonde_conflict, "m"),
				 SONDE_ATTRS(sonde_int("a", 5), sonde_str("b", "x")));
	uint16_t n_dropped;

	(void)state;
	assert_int_equal(attributes_of(error, &n_dropped).size, 19);
	assert_ptr_equal(sonde_error_with(error, SONDE_NO_ATTRS), error);
	assert_ptr_equal(sonde_error_with(error, NULL, 3), error);
	assert_null(sonde_error_with(NULL, SONDE_ATTRS(sonde_int("a", 5))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_setting_again_replaces),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_what_is_no_attribute),
		cmocka_unit_test(test_detail_shares_the_room),
		cmocka_unit_test(test_several_at_once),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
