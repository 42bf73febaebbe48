/* SPDX-License-Identifier: Apache-2.0 */

/* What an error says, kept beyond its life. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "error/error.h"

SONDE_ERROR_TYPE(gone, sonde_not_found, "GONE", .http_status = 410);

static uint64_t image[SONDE__ERROR_IMAGE_SIZE / sizeof(uint64_t)];

static struct sonde_error *make(void)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "the root");

	error = sonde_error_wrap(error, &gone, "order %d", 7);
	sonde_error_set_detail(error, "in shard %d", 3);
	sonde_error_set_errno(error, 5);
	return error;
}

static void test_says_the_same(void **state)
{
	struct sonde_error *error = make();
	const uint64_t *frames;
	uint64_t id;
	size_t n_frames = sonde__error_frames(error, &frames);
	int line = sonde_error_line(error);

	(void)state;
	assert_false(sonde__error_mark_captured(error, 4711, &id));
	sonde__error_save(error, /* is_for_others= */ false, image);
	sonde_error_free(error);
	/* More than the pool has, so that some come from the heap. */
	for (int i = 0; i < 100; i++) {
		struct sonde_error *again = sonde__error_restore(image);

		assert_string_equal(sonde_error_message(again), "order 7");
		assert_string_equal(sonde_error_detail(again), "in shard 3");
		assert_string_equal(sonde_error_code(again), "GONE");
		assert_int_equal(sonde_error_http_status(again), 410);
		assert_int_equal(sonde_error_errno(again), 5);
		assert_int_equal(sonde_error_line(again), line);
		assert_string_equal(sonde_error_function(again), "make");
		assert_ptr_equal(sonde_error_type_of(again), &gone);
		assert_true(sonde_error_is(again, &sonde_not_found));
		assert_int_equal(sonde__error_frames(again, &frames), n_frames);
		assert_null(sonde_error_cause(again));
		assert_int_equal(sonde__error_event_id(again), 0);
		assert_false(sonde__error_is_captured(again));
		again = sonde_error_wrap(again, &sonde_unavailable, "and wrapped");
		assert_int_equal(sonde__error_chain_length(again), 2);
		sonde_error_free(again);
	}
}

static void test_for_others(void **state)
{
	struct sonde_error *error = make();
	struct sonde_error *again;

	(void)state;
	sonde__error_save(error, /* is_for_others= */ true, image);
	sonde_error_free(error);
	again = sonde__error_restore(image);
	assert_ptr_equal(sonde_error_type_of(again), &sonde_not_found);
	assert_true(sonde_error_is(again, &gone));
	assert_string_equal(sonde__error_type_name(again), "gone");
	sonde_error_free(again);
}

static void test_join_becomes_one(void **state)
{
	struct sonde_error *error = sonde_error_join(sonde_error_raise(&sonde_timeout, "a"),
						     sonde_error_raise(&sonde_internal, "b"));
	struct sonde_error *again;

	(void)state;
	sonde__error_save(error, /* is_for_others= */ true, image);
	again = sonde__error_restore(image);
	assert_null(sonde_error_joined(again, 0));
	/* It takes nothing in: there is no join any more, but what it said. */
	again = sonde_error_join(again, sonde_error_raise(&sonde_internal, "c"));
	assert_string_equal(sonde_error_message(sonde_error_joined(again, 0)),
			    sonde_error_message(error));
	assert_string_equal(sonde_error_message(sonde_error_joined(again, 1)), "c");
	sonde_error_free(again);
	sonde_error_free(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_the_same),
		cmocka_unit_test(test_for_others),
		cmocka_unit_test(test_join_becomes_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
