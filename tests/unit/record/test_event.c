/* SPDX-License-Identifier: Apache-2.0 */
/* Events and links, whole and in every smaller room, read back with the public reader. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include <sonde/exporter.h>

#include "record/check.h"
#include "record/event.h"

static struct sonde__event an_event(const struct sonde_attr *attrs, size_t n_attrs)
{
	return (struct sonde__event){ .name = "cache miss",
				      .name_size = 10,
				      .time = 1234567,
				      .time_is_unix = true,
				      .attrs = attrs,
				      .n_attrs = n_attrs };
}

static void test_event_bytes(void **state)
{
	const struct sonde_attr attr = sonde_int("k", 5);
	struct sonde__event event = {
		.name = "e", .name_size = 1, .time = 1, .attrs = &attr, .n_attrs = 1, .n_dropped = 2
	};
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(sonde__event_encode(&event, bytes, sizeof(bytes)), 25);
	assert_memory_equal(bytes,
			    "\x5a\x17\x79\x01\0\0\0\0\0\0\0\x12\x01"
			    "e\x1a\x07\x0a\x01k\x12\x02\x18\x05\x20\x02",
			    25);
	event.time_is_unix = true;
	assert_int_equal(sonde__event_encode(&event, bytes, 25), 25);
	assert_int_equal(bytes[2], 0x09);
	assert_int_equal(sonde__event_encode(&event, bytes, 24), 0);
	assert_int_equal(sonde__event_size(&event), 25);
}

static void test_link_bytes(void **state)
{
	struct sonde__link link = { .trace_id = { 1 },
				    .span_id = { 2 },
				    .flags = 0x101,
				    .trace_state = "a=b",
				    .trace_state_size = 3 };
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(sonde__link_encode(&link, bytes, sizeof(bytes)), 40);
	assert_memory_equal(
		bytes,
		"\x6a\x26\x0a\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x08\x02\0\0\0\0\0\0\0"
		"\x1a\x03"
		"a=b\x35\x01\x01\0\0",
		40);
	assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, (struct sonde_bytes){ bytes, 40 }));
	assert_int_equal(sonde__link_encode(&link, bytes, 39), 0);
}

static void test_event_reads_back(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("cache.name", "users"),
					    sonde_bool("cache.hit", false) };
	struct sonde__event event = an_event(attrs, 2);
	uint8_t bytes[256];
	struct sonde_bytes rest = { bytes, sonde__event_encode(&event, bytes, sizeof(bytes)) };
	struct sonde_item_view item;
	struct sonde_item_view attribute;

	(void)state;
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
	assert_int_equal(item.type, SONDE_ITEM_EVENT);
	assert_int_equal(item.unix_ns, 1234567);
	assert_memory_equal(item.name.data, "cache miss", item.name.size);
	assert_true(sonde_item_next(SONDE_FIELDS_EVENT, &item.attributes, &attribute));
	assert_memory_equal(attribute.name.data, "cache.name", 10);
	assert_true(sonde_item_next(SONDE_FIELDS_EVENT, &item.attributes, &attribute));
	assert_int_equal(attribute.value.type, SONDE_VALUE_BOOL);
	assert_false(sonde_item_next(SONDE_FIELDS_EVENT, &item.attributes, &attribute));
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
}

static size_t attributes_count(enum sonde_fields type, struct sonde_bytes fields)
{
	struct sonde_item_view attribute;
	size_t n = 0;

	while (sonde_item_next(type, &fields, &attribute))
		n++;
	return n;
}

/* Whatever the room: valid, inside it, and every attribute is there or counted. */
static void test_event_cut_loses_nothing_uncounted(void **state)
{
	static const char *const words[] = { "one", "two", "three" };
	const struct sonde_attr attrs[] = {
		sonde_str("first", "a value of some length"),
		sonde_int("second", 123456789),
		sonde_str_array("third", words, 3),
		sonde_double("fourth", 0.5),
		sonde_str("fifth", "x"),
	};
	struct sonde__event event = an_event(attrs, 5);
	size_t whole;

	(void)state;
	event.n_dropped = 3;
	whole = sonde__event_size(&event);
	for (size_t capacity = 0; capacity <= whole; capacity++) {
		uint8_t *bytes = malloc(capacity ? capacity : 1);
		bool is_cut = false;
		struct sonde_bytes rest = { bytes, sonde__event_encode_cut(&event, bytes, capacity,
									   &is_cut) };
		struct sonde_item_view item;

		assert_true(rest.size <= capacity);
		if (capacity >= 40)
			assert_true(rest.size > 0);
		if (rest.size) {
			assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, rest));
			assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
			assert_int_equal(attributes_count(SONDE_FIELDS_EVENT, item.attributes) +
					 item.dropped_attributes, 5 + 3);
			assert_int_equal(item.unix_ns, 1234567);
		}
		free(bytes);
	}
}

static void test_link_cut_loses_nothing_uncounted(void **state)
{
	const struct sonde_attr attrs[] = { sonde_str("first", "a value of some length"),
					    sonde_int("second", 1) };
	struct sonde__link link = { .trace_id = { 1 },
				    .span_id = { 2 },
				    .trace_state = "vendor=value",
				    .trace_state_size = 12,
				    .attrs = attrs,
				    .n_attrs = 2 };
	size_t whole = sonde__link_size(&link);

	(void)state;
	for (size_t capacity = 0; capacity <= whole; capacity++) {
		uint8_t *bytes = malloc(capacity ? capacity : 1);
		bool is_cut = false;
		struct sonde_bytes rest = { bytes, sonde__link_encode_cut(&link, bytes, capacity,
									  &is_cut) };
		struct sonde_item_view item;

		assert_true(rest.size <= capacity);
		if (capacity >= 45)
			assert_true(rest.size > 0);
		if (rest.size) {
			assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, rest));
			assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item));
			assert_int_equal(attributes_count(SONDE_FIELDS_LINK, item.attributes) +
					 item.dropped_attributes, 2);
			assert_int_equal(item.trace_id[0], 1);
			assert_int_equal(item.span_id[0], 2);
			/* Whole or not at all. */
			assert_true(item.trace_state.size == 0 || item.trace_state.size == 12);
		}
		free(bytes);
	}
}

static void test_lies_are_refused(void **state)
{
	struct sonde__event event = {
		.name = "e", .name_size = SIZE_MAX, .attrs = NULL, .n_attrs = 5
	};
	struct sonde__link link = { .trace_state = "x", .trace_state_size = SIZE_MAX };
	uint8_t bytes[128];

	(void)state;
	assert_int_equal(sonde__event_encode(&event, bytes, sizeof(bytes)), 0);
	assert_int_equal(sonde__link_encode(&link, bytes, sizeof(bytes)), 0);
	event.name_size = 1;
	assert_int_equal(sonde__event_encode(&event, bytes, sizeof(bytes)), 14);
}

static void test_endless_name_is_cut(void **state)
{
	static char name[100000];
	struct sonde__event event = { .name = name, .name_size = sizeof(name) };
	uint8_t bytes[1000];
	bool is_cut = false;
	size_t size;

	(void)state;
	memset(name, 'n', sizeof(name));
	size = sonde__event_encode_cut(&event, bytes, sizeof(bytes), &is_cut);
	assert_true(is_cut);
	assert_true(size > 970 && size <= 1000);
	assert_true(
		sonde__fields_are_valid(SONDE_FIELDS_SPAN, (struct sonde_bytes){ bytes, size }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_bytes),
		cmocka_unit_test(test_link_bytes),
		cmocka_unit_test(test_event_reads_back),
		cmocka_unit_test(test_event_cut_loses_nothing_uncounted),
		cmocka_unit_test(test_link_cut_loses_nothing_uncounted),
		cmocka_unit_test(test_lies_are_refused),
		cmocka_unit_test(test_endless_name_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
