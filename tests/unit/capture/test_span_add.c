/* SPDX-License-Identifier: Apache-2.0 */

/* What is said about a span in hand: where it ends up, in which order, and what the limits do. */

#include "fixture.h"

#include <errno.h>
#include <stdio.h>

static void test_every_type(void **state)
{
	static const char *const strings[] = { "a", NULL, "c" };
	static const int64_t integers[] = { 1, -1 };
	struct sonde_value_view value;
	struct sonde_value_view element;
	struct sonde_bytes fields;

	(void)state;
	{
		SONDE_SPAN(span, "x");
		errno = 42;
		sonde_span_set_str(span, "str", "text");
		sonde_span_set_str(span, "null", NULL);
		sonde_span_set_strn(span, "strn", "textual", 4);
		sonde_span_set_int(span, "int", INT64_MIN);
		sonde_span_set_double(span, "double", -0.5);
		sonde_span_set_bool(span, "bool", true);
		sonde_span_set(span, sonde_bytes("bytes", "\0\1", 2));
		sonde_span_set(span, sonde_str_array("strs", strings, 3));
		sonde_span_set(span, sonde_int_array("ints", integers, 2));
		assert_int_equal(errno, 42);
	}
	fixture_take();
	fields = sonde__span_record_fields(fixture_span());
	assert_int_equal(fixture_count_items(SONDE_FIELDS_SPAN, fields, SONDE_ITEM_ATTRIBUTE), 9);
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "str").as.string, "text");
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "null").as.string, "");
	fixture_assert_text(fixture_attribute(SONDE_FIELDS_SPAN, fields, "strn").as.string, "text");
	assert_true(fixture_attribute(SONDE_FIELDS_SPAN, fields, "int").as.integer == INT64_MIN);
	assert_true(fixture_attribute(SONDE_FIELDS_SPAN, fields, "double").as.real == -0.5);
	assert_true(fixture_attribute(SONDE_FIELDS_SPAN, fields, "bool").as.boolean);
	assert_int_equal(fixture_attribute(SONDE_FIELDS_SPAN, fields, "bytes").as.bytes.size, 2);
	value = fixture_attribute(SONDE_FIELDS_SPAN, fields, "strs");
	assert_int_equal(value.type, SONDE_VALUE_ARRAY);
	assert_true(sonde_value_next(&value.as.array, &element));
	fixture_assert_text(element.as.string, "a");
	assert_true(sonde_value_next(&value.as.array, &element));
	fixture_assert_text(element.as.string, "");
	assert_int_equal(fixture_span()->head.n_dropped_attributes, 0);
}

static void test_bad_keys_are_counted(void **state)
{
	(void)state;
	{
		SONDE_SPAN(span, "x");
		sonde_span_set_int(span, NULL, 1);
		sonde_span_set_int(span, "", 1);
		sonde_span_set(span, sonde_str("", "v"));
		sonde_span_set(span, sonde_str(NULL, "v"));
	}
	fixture_take();
	assert_int_equal(fixture_span()->fields_size, 0);
	assert_int_equal(fixture_span()->head.n_dropped_attributes, 4);
}

/*
 * Fills the span's memory and goes on: the span's own fields, then the parts, are what was set, in
 * order.
 */
static void test_what_does_not_fit_becomes_parts(void **state)
{
	size_t next = 0;
	struct sonde_context context;

	(void)state;
	{
		SONDE_SPAN(span, "x");
		context = sonde_span_context(span);
		for (int i = 0; i < 100; i++) {
			char key[16];

			/*
			 * Of changing size, so that a later one would still fit where one did not.
			 */
			snprintf(key, sizeof(key), "k%d", i);
			sonde_span_set_strn(span, key, "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", i % 3 ? 40 : 0);
		}
	}
	assert_true(fixture_take() > 50);
	assert_int_equal(fixture_span()->head.flags, SONDE__RECORD_HAS_PARTS);
	assert_int_equal(fixture_span()->head.n_dropped_attributes, 0);
	/* The span's record is the last; its fields come first. */
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < fixture_count(SONDE__RECORD_PART) + 1; i++) {
			const struct sonde__record *record = fixture_record(i);
			struct sonde_item_view item;
			struct sonde_bytes fields;
			char key[16];

			if ((record->type == SONDE__RECORD_SPAN) != (pass == 0))
				continue;
			fields = pass == 0 ? sonde__span_record_fields(fixture_span()) :
					     sonde__part_record_fields((const void *)record);
			if (pass == 1)
				assert_memory_equal(
					((const struct sonde__part_record *)record)->span_id,
					context.span_id, 8);
			while (sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item)) {
				snprintf(key, sizeof(key), "k%zu", next++);
				fixture_assert_text(item.name, key);
			}
		}
	}
	assert_int_equal(next, 100);
}

static void test_attribute_flood(void **state)
{
	size_t n = 0;

	(void)state;
	fixture_reopen(/* limit= */ 10, SONDE_EXCEPTION_BOTH);
	{
		SONDE_SPAN(span, "x");
		for (int i = 0; i < 100000; i++)
			sonde_span_set_int(span, "again", i);
	}
	fixture_take();
	for (size_t i = 0; i < fixture_count(SONDE__RECORD_PART); i++)
		n++;
	n += fixture_count_items(SONDE_FIELDS_SPAN, sonde__span_record_fields(fixture_span()),
				 SONDE_ITEM_ATTRIBUTE);
	assert_int_equal(n, 20);
	assert_int_equal(fixture_span()->head.n_dropped_attributes, UINT16_MAX);
}

static void test_event_and_link_flood(void **state)
{
	struct sonde_context to;
	size_t n_events = 0;
	size_t n_links = 0;

	(void)state;
	sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL, &to);
	{
		SONDE_SPAN(span, "x");
		for (int i = 0; i < 200; i++) {
			sonde_span_add_event(span, "e", SONDE_ATTRS(sonde_int("i", i)));
			sonde_span_add_link(span, &to, SONDE_NO_ATTRS);
		}
	}
	fixture_take();
	for (size_t i = 0; i < fixture_count(SONDE__RECORD_PART) + 1; i++) {
		const struct sonde__record *record = fixture_record(i);
		struct sonde_bytes fields =
			record->type == SONDE__RECORD_SPAN
				? sonde__span_record_fields((const void *)record)
				: sonde__part_record_fields((const void *)record);

		n_events += fixture_count_items(SONDE_FIELDS_SPAN, fields, SONDE_ITEM_EVENT);
		n_links += fixture_count_items(SONDE_FIELDS_SPAN, fields, SONDE_ITEM_LINK);
	}
	assert_int_equal(n_events, 128);
	assert_int_equal(n_links, 128);
	assert_int_equal(fixture_span()->n_dropped_events, 72);
	assert_int_equal(fixture_span()->n_dropped_links, 72);
}

static void test_events_and_links(void **state)
{
	struct sonde_context nowhere = SONDE_CONTEXT_INIT;
	struct sonde_context to;
	struct sonde_bytes fields;
	struct sonde_item_view item;

	(void)state;
	sonde_context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "v=1", &to);
	{
		SONDE_SPAN(span, "x");
		sonde_span_add_event(span, "first", SONDE_ATTRS(sonde_str("k", "v"), sonde_int("n", 2)));
		sonde_span_add_event_with_time(span, "", 777, SONDE_NO_ATTRS);
		sonde_span_add_event(span, NULL, NULL, 5);
		sonde_span_add_link(span, &to, SONDE_ATTRS(sonde_bool("b", true)));
		sonde_span_add_link(span, &nowhere, SONDE_NO_ATTRS);
		sonde_span_add_link(span, NULL, SONDE_NO_ATTRS);
		sonde_span_add_link(span, &nowhere, SONDE_ATTRS(sonde_bool("b", true)));
	}
	fixture_take();
	fields = sonde__span_record_fields(fixture_span());
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
	fixture_assert_text(item.name, "first");
	assert_int_equal(
		fixture_count_items(SONDE_FIELDS_EVENT, item.attributes, SONDE_ITEM_ATTRIBUTE), 2);
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
	fixture_assert_text(item.name, "unnamed");
	assert_int_equal(item.unix_ns, 777);
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
	assert_int_equal(item.type, SONDE_ITEM_LINK);
	assert_memory_equal(item.trace_id, to.trace_id, 16);
	assert_memory_equal(item.span_id, to.span_id, 8);
	fixture_assert_text(item.trace_state, "v=1");
	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
	assert_memory_equal(item.trace_id, nowhere.trace_id, 16);
	assert_false(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
}

/* An event of its own begins with the ticks that the pipeline replaces. */
static void test_event_begins_with_ticks(void **state)
{
	const uint8_t *bytes;

	(void)state;
	{
		SONDE_SPAN(span, "x");
		sonde_span_add_event(span, "e", SONDE_NO_ATTRS);
	}
	fixture_take();
	bytes = sonde__span_record_fields(fixture_span()).data;
	assert_int_equal(bytes[0], SONDE__TAG_SPAN_EVENT);
	assert_int_equal(bytes[2], SONDE__TAG_EVENT_TICKS);
}

static void test_a_value_beyond_a_record_is_cut(void **state)
{
	static char value[100000];
	struct sonde_text text;

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(value); i += 2)
		memcpy(value + i, "\xc3\xa4", 2);
	{
		SONDE_SPAN(span, "x");
		sonde_span_set_strn(span, "k", value, sizeof(value));
		sonde_span_add_event(span, "e", SONDE_ATTRS(sonde_strn("k", value, sizeof(value))));
	}
	assert_int_equal(fixture_take(), 3);
	for (size_t i = 0; i < 2; i++) {
		const struct sonde__part_record *part = (const void *)fixture_record(i);
		struct sonde_bytes fields = sonde__part_record_fields(part);
		struct sonde_item_view item;

		assert_int_equal(part->head.type, SONDE__RECORD_PART);
		assert_int_equal(part->head.flags, SONDE__RECORD_TEXT_CUT);
		assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &fields, &item));
		text = item.type == SONDE_ITEM_EVENT ?
			       fixture_attribute(SONDE_FIELDS_EVENT, item.attributes, "k").as.string :
			       item.value.as.string;
		assert_in_range(text.size, 16000, SONDE__RECORD_MAX_SIZE);
		assert_int_equal(text.size % 2, 0);
	}
}

static void test_status_precedence(void **state)
{
	static const struct {
		enum sonde_span_status set[3];
		enum sonde_span_status wanted;
		const char *description;
	} cases[] = {
		{ { SONDE_SPAN_UNSET, SONDE_SPAN_UNSET, SONDE_SPAN_UNSET }, SONDE_SPAN_UNSET, "" },
		{ { SONDE_SPAN_ERROR, SONDE_SPAN_UNSET, SONDE_SPAN_UNSET }, SONDE_SPAN_ERROR, "0" },
		{ { SONDE_SPAN_ERROR, SONDE_SPAN_ERROR, SONDE_SPAN_UNSET }, SONDE_SPAN_ERROR, "1" },
		{ { SONDE_SPAN_ERROR, SONDE_SPAN_OK, SONDE_SPAN_ERROR }, SONDE_SPAN_OK, "" },
		{ { SONDE_SPAN_OK, SONDE_SPAN_UNSET, SONDE_SPAN_ERROR }, SONDE_SPAN_OK, "" },
		{ { SONDE_SPAN_UNSET, (enum sonde_span_status)7, SONDE_SPAN_ERROR }, SONDE_SPAN_ERROR, "2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		{
			SONDE_SPAN(span, "x");
			sonde_span_set_status(span, cases[i].set[0], "0");
			sonde_span_set_status(span, cases[i].set[1], "1");
			sonde_span_set_status(span, cases[i].set[2], "2");
		}
		fixture_take();
		assert_int_equal(fixture_span()->status, cases[i].wanted);
		fixture_assert_text(sonde__span_record_description(fixture_span()),
				    cases[i].description);
	}
}

static void test_a_long_description_goes_as_part(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'd', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	{
		SONDE_SPAN(span, "x");
		sonde_span_set_status(span, SONDE_SPAN_ERROR, "short");
		sonde_span_set_status(span, SONDE_SPAN_ERROR, text);
	}
	assert_int_equal(fixture_take(), 2);
	assert_int_equal(fixture_part()->status, SONDE_SPAN_ERROR);
	fixture_assert_text(sonde__part_record_description(fixture_part()), text);
	assert_int_equal(fixture_span()->status, SONDE_SPAN_ERROR);
	assert_int_equal(fixture_span()->description_size, 0);
	assert_int_equal(fixture_span()->head.flags,
			 SONDE__RECORD_HAS_PARTS | SONDE__RECORD_FAILED);
}

/* Name, description and attributes share the memory without touching each other. */
static void test_texts_and_fields_side_by_side(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		char name[400];
		char description[400];
		struct sonde_span span;
		struct sonde_text text;

		memset(name, 'n', n);
		memset(description, 'd', 300 - n);
		name[n] = description[300 - n] = '\0';
		sonde_span_begin(&span, "x", /* options= */ NULL);
		sonde_span_set_int(&span, "first", 1);
		sonde_span_set_name(&span, name);
		sonde_span_set_status(&span, SONDE_SPAN_ERROR, description);
		sonde_span_set_int(&span, "last", 2);
		sonde_span_end(&span);
		fixture_take();
		text = sonde__span_record_name(fixture_span());
		assert_true(text.size == (n ? n : 1) || text.size == 128);
		for (size_t i = 0; n && i < text.size; i++)
			assert_int_equal(text.data[i], 'n');
		text = sonde__span_record_description(fixture_span());
		assert_true(text.size == 300 - n || text.size == 0);
		for (size_t i = 0; i < text.size; i++)
			assert_int_equal(text.data[i], 'd');
		assert_int_equal(fixture_attribute(SONDE_FIELDS_SPAN,
						   sonde__span_record_fields(fixture_span()),
						   "first")
					 .as.integer,
				 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_type),
		TEST(test_bad_keys_are_counted),
		TEST(test_what_does_not_fit_becomes_parts),
		TEST(test_attribute_flood),
		TEST(test_event_and_link_flood),
		TEST(test_events_and_links),
		TEST(test_event_begins_with_ticks),
		TEST(test_a_value_beyond_a_record_is_cut),
		TEST(test_status_precedence),
		TEST(test_a_long_description_goes_as_part),
		TEST(test_texts_and_fields_side_by_side),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
