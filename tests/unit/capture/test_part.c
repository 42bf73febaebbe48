/* SPDX-License-Identifier: Apache-2.0 */

/* What is said about the current span by code that has no span in hand. */

#include "fixture.h"

#include <errno.h>

static void test_parts_have_the_current_ids(void **state)
{
	struct sonde_context context;
	const struct sonde__part_record *parts[3];

	(void)state;
	{
		SONDE_SPAN(span, "x");
		context = sonde_span_context(span);
		errno = 42;
		sonde_current_set(sonde_int("k", 7));
		sonde_current_add_event("happened", SONDE_ATTRS(sonde_str("a", "b")));
		sonde_current_set_status(SONDE_SPAN_ERROR, "why");
		assert_int_equal(errno, 42);
	}
	assert_int_equal(fixture_take(), 4);
	for (size_t i = 0; i < 3; i++) {
		parts[i] = (const void *)fixture_record(i);
		assert_int_equal(parts[i]->head.type, SONDE__RECORD_PART);
		assert_memory_equal(parts[i]->trace_id, context.trace_id, 16);
		assert_memory_equal(parts[i]->span_id, context.span_id, 8);
		assert_int_equal(parts[i]->trace_flags, context.trace_flags);
		assert_int_equal(parts[i]->name_size, 0);
		assert_true(parts[i]->head.time <= fixture_span()->head.time);
	}
	assert_int_equal(fixture_attribute(SONDE_FIELDS_SPAN, sonde__part_record_fields(parts[0]), "k").as.integer,
			 7);
	assert_int_equal(parts[0]->status, SONDE_SPAN_UNSET);
	assert_int_equal(fixture_count_items(SONDE_FIELDS_SPAN, sonde__part_record_fields(parts[1]),
					     SONDE_ITEM_EVENT),
			 1);
	assert_int_equal(parts[2]->status, SONDE_SPAN_ERROR);
	fixture_assert_text(sonde__part_record_description(parts[2]), "why");
	/* The span's owner wrote none of them. */
	assert_int_equal(fixture_span()->head.flags, SONDE__RECORD_FAILED);
}

static void test_texts_of_status(void **state)
{
	(void)state;
	SONDE_SPAN(span, "x");
	sonde_current_set_status(SONDE_SPAN_OK, "not kept");
	fixture_take();
	assert_int_equal(fixture_part()->status, SONDE_SPAN_OK);
	assert_int_equal(fixture_part()->description_size, 0);
	sonde_current_set_status(SONDE_SPAN_UNSET, "x");
	sonde_current_set_status((enum sonde_span_status)9, "x");
	assert_int_equal(fixture_take(), 0);
}

static void test_nothing_without_a_span(void **state)
{
	(void)state;
	sonde_current_set(sonde_int("k", 7));
	sonde_current_add_event("happened", SONDE_NO_ATTRS);
	sonde_current_set_status(SONDE_SPAN_ERROR, "why");
	assert_int_equal(fixture_take(), 0);
}

static void test_handed_to_another_place(void **state)
{
	struct sonde_span span;
	struct sonde_context context;

	(void)state;
	sonde_span_begin(&span, "x", &(struct sonde_span_options){ .size = sizeof(struct sonde_span_options),
								   .detached = true });
	context = sonde_span_context(&span);
	{
		SONDE_CONTEXT_SCOPE(&context);
		sonde_current_set(sonde_int("k", 7));
	}
	sonde_span_end(&span);
	fixture_take();
	assert_memory_equal(fixture_part()->span_id, fixture_span()->span_id, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parts_have_the_current_ids),
		TEST(test_texts_of_status),
		TEST(test_nothing_without_a_span),
		TEST(test_handed_to_another_place),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
