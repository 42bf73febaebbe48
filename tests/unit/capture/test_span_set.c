/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the usual attributes end and the others begin: every length around it, and every room that
 * a span can have left, gives what was set.
 */

#include "fixture.h"

#include <string.h>

#define KEY_MAX 140
#define VALUE_MAX 140

/* No two neighbours are alike, so that bytes copied to the wrong place are seen. */
static void text_fill(char *text, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + (i * 7 + seed) % 26);
	text[size] = '\0';
}

static struct sonde_value_view attribute_of_one(const char *key)
{
	fixture_take();
	if (fixture_count(SONDE__RECORD_PART))
		return fixture_attribute(SONDE_FIELDS_SPAN,
					 sonde__part_record_fields(fixture_part()), key);
	return fixture_attribute(SONDE_FIELDS_SPAN, sonde__span_record_fields(fixture_span()), key);
}

static void test_every_key_and_value_size(void **state)
{
	char key[KEY_MAX + 1];
	char value[VALUE_MAX + 1];

	(void)state;
	for (size_t n = 1; n <= KEY_MAX; n++) {
		text_fill(key, n, /* seed= */ 3);
		for (size_t m = 0; m <= VALUE_MAX; m += m < 40 || m > 55 ? 1 : 5) {
			struct sonde_value_view got;

			text_fill(value, m, (unsigned)n);
			{
				SONDE_SPAN(span, "x");
				sonde_span_set_strn(span, key, value, m);
			}
			got = attribute_of_one(key);
			assert_int_equal(got.type, SONDE_VALUE_STR);
			fixture_assert_text(got.as.string, value);
		}
	}
}

static void test_every_key_size_with_numbers(void **state)
{
	static const int64_t integers[] = { 0, 1, 127, 128, -1, INT64_MIN, INT64_MAX, 1 << 14 };
	char key[KEY_MAX + 1];

	(void)state;
	for (size_t n = 1; n <= KEY_MAX; n++) {
		text_fill(key, n, /* seed= */ 5);
		for (size_t i = 0; i < sizeof(integers) / sizeof(*integers); i++) {
			{
				SONDE_SPAN(span, "x");
				sonde_span_set_int(span, key, integers[i]);
			}
			assert_true(attribute_of_one(key).as.integer == integers[i]);
		}
		{
			SONDE_SPAN(span, "x");
			sonde_span_set_double(span, key, -1.5);
		}
		assert_true(attribute_of_one(key).as.real == -1.5);
		{
			SONDE_SPAN(span, "x");
			sonde_span_set_bool(span, key, true);
		}
		assert_true(attribute_of_one(key).as.boolean);
	}
}

/* A first attribute leaves every room from all to none; the second stands there or in a part. */
static void test_every_room(void **state)
{
	char filler[512];

	(void)state;
	for (size_t n = 0; n < 400; n++) {
		struct sonde_value_view got = { 0 };

		text_fill(filler, n, /* seed= */ 1);
		{
			SONDE_SPAN(span, "x");
			sonde_span_set_strn(span, "filler", filler, n);
			sonde_span_set_int(span, "n", INT64_MIN);
			sonde_span_set_bool(span, "b", true);
		}
		fixture_take();
		got.type = SONDE_VALUE_EMPTY;
		for (size_t i = 0; i < fixture_count(SONDE__RECORD_PART) + 1; i++) {
			const struct sonde__record *record = fixture_record(i);
			struct sonde_bytes fields =
				record->type == SONDE__RECORD_PART
					? sonde__part_record_fields((const void *)record)
					: sonde__span_record_fields((const void *)record);
			struct sonde_item_view item;

			while (sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item))
				if (item.name.size == 1 && item.name.data[0] == 'n')
					got = item.value;
		}
		assert_int_equal(got.type, SONDE_VALUE_INT);
		assert_true(got.as.integer == INT64_MIN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_key_and_value_size, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_every_key_size_with_numbers, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(test_every_room, fixture_open, fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
