/* SPDX-License-Identifier: Apache-2.0 */

/* A copy says what the original says, and neither needs the other. */

#include "support.h"

#define TEXT_SIZE 16384

static void same_text(const struct sonde_error *a, const struct sonde_error *b)
{
	static char texts[2][TEXT_SIZE];

	sonde_error_format_chain(a, texts[0], TEXT_SIZE);
	sonde_error_format_chain(b, texts[1], TEXT_SIZE);
	assert_string_equal(texts[0], texts[1]);
}

static struct sonde_error *tree_make(void)
{
	struct sonde_error *inner = sonde_error_join(sonde_error_raise(&sonde_timeout, "slow"),
						     sonde_error_raise(&sonde_conflict, "there"));
	struct sonde_error *all;

	inner = sonde_error_wrap(inner, &sonde_unavailable, "not now");
	all = sonde_error_join(inner, sonde_error_raise(&sonde_not_found, "no row %d", 7));
	all = sonde_error_wrap(all, &sonde_external_service, "the batch failed");
	sonde_error_set_detail(all, "shard %d", 3);
	sonde_error_set(all, sonde_int("rows", 100));
	return all;
}

static void test_copy_is_the_same(void **state)
{
	struct sonde_error *error = tree_make();
	struct sonde_error *copy = sonde_error_copy(error);
	struct sonde_error *again;
	const uint64_t *frames[2];
	uint64_t event_id = 0;

	(void)state;
	same_text(error, copy);
	assert_int_equal(sonde__error_frames(error, &frames[0]),
			 sonde__error_frames(copy, &frames[1]));
	assert_memory_equal(frames[0], frames[1],
			    sonde__error_frames(error, &frames[0]) * sizeof(uint64_t));
	/* Each has its own owner, and can be freed, wrapped and joined. */
	sonde_error_free(error);
	error = tree_make();
	same_text(error, copy);
	copy = sonde_error_wrap(copy, &sonde_internal, "seen from above");
	again = sonde_error_copy(copy);
	copy = sonde_error_join(copy, sonde_error_raise(&sonde_conflict, "more"));
	assert_string_equal(sonde_error_message(again), "seen from above");
	assert_false(sonde__error_mark_captured(error, 4711, &event_id));
	sonde_error_free(again);
	again = sonde_error_copy(error);
	assert_true(sonde__error_is_captured(again));
	sonde_error_free(again);
	sonde_error_free(copy);
	sonde_error_free(error);
}

static void test_copy_of_nothing_is_nothing(void **state)
{
	(void)state;
	assert_null(sonde_error_copy(NULL));
}

static void test_copy_of_the_longest_chain(void **state)
{
	struct sonde_error *error = sonde_error_raise(&sonde_timeout, "root");
	struct sonde_error *copy;

	(void)state;
	for (int i = 0; i < 100; i++)
		error = sonde_error_wrap(error, NULL, "level %d", i);
	copy = sonde_error_copy(error);
	same_text(error, copy);
	assert_int_equal(sonde__error_chain_length(copy), SONDE__ERROR_CHAIN_MAX);
	sonde_error_free(error);
	assert_string_equal(sonde_error_message(sonde__error_root(copy)), "root");
	sonde_error_free(copy);
}

/* With room for so many objects of a tree of 7. */
static void copy_with_room(struct sonde_error *tree, size_t n_free)
{
	struct sonde_error *held[SONDE__ERROR_POOL_SIZE];
	struct sonde_error *copy;
	size_t n_held = 0;
	size_t n_found = 0;

	allocator_fails = true;
	for (;;) {
		struct sonde_error *one = sonde_error_raise(&sonde_conflict, "held");

		if (sonde__error_is_static(one))
			break;
		assert_true(n_held < SONDE__ERROR_POOL_SIZE);
		held[n_held++] = one;
	}
	for (size_t i = 0; i < n_free; i++)
		sonde_error_free(held[--n_held]);
	copy = sonde_error_copy(tree);
	if (n_free == 0)
		assert_true(sonde__error_is_static(copy));
	else
		assert_string_equal(sonde_error_message(copy), sonde_error_message(tree));
	if (n_free >= 7)
		same_text(tree, copy);
	else
		assert_null(sonde_error_cause(copy));
	sonde_error_free(copy);
	/* Nothing of it is left. */
	while (n_found < n_free) {
		held[n_held] = sonde_error_raise(&sonde_conflict, "held");
		assert_false(sonde__error_is_static(held[n_held++]));
		n_found++;
	}
	while (n_held)
		sonde_error_free(held[--n_held]);
	allocator_fails = false;
}

static void test_copy_where_memory_runs_out(void **state)
{
	struct sonde_error *tree = tree_make();

	(void)state;
	reports_listen();
	for (size_t n_free = 0; n_free <= 8; n_free++)
		copy_with_room(tree, n_free);
	assert_int_equal(n_reports, 0);
	sonde_error_free(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_is_the_same),
		cmocka_unit_test(test_copy_of_nothing_is_nothing),
		cmocka_unit_test(test_copy_of_the_longest_chain),
		cmocka_unit_test(test_copy_where_memory_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
