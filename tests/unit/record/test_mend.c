/* SPDX-License-Identifier: Apache-2.0 */
/* Mending as a whole: what is clean comes out as the same memory, and a refusal changes nothing. */

#include "mend_fixture.h"

static void test_clean_fields_stay_where_they_are(void **state)
{
	struct fixture *fixture = *state;
	const struct sonde_attr attr = sonde_str("k", "v");

	put(fixture, sonde_str("k", "\xe2\x82\xac"));
	put(fixture, sonde_int("l", 1));
	put_link(fixture, "a=b", &attr, 1);
	mend(fixture);
	assert_ptr_equal(fixture->pieces, &own_piece);
	assert_int_equal(fixture->arena.used, 0);
	check_counts(fixture, (struct sonde__mend_counts){ 0 });
}

static void test_ticks_become_times_in_a_copy(void **state)
{
	struct fixture *fixture = *state;
	uint8_t before[ROOM];
	struct sonde_item_view item;

	put(fixture, sonde_int("l", 1));
	put_event(fixture, "one", 5, NULL, 0);
	put_event(fixture, "two", 7, NULL, 0);
	memcpy(before, fixture->fields, fixture->size);
	mend(fixture);
	assert_memory_equal(before, fixture->fields, fixture->size);
	assert_int_equal(fixture->pieces[0].size, fixture->size);
	first_item(fixture);
	next_item();
	item = next_item();
	check_text(item.name, "one");
	assert_int_equal(item.unix_ns, UINT64_C(1000000000000005));
	item = next_item();
	assert_int_equal(item.unix_ns, UINT64_C(1000000000000007));
}

static void test_pieces_without_ticks_are_not_copied(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_bytes pieces[3];
	size_t edge;

	put(fixture, sonde_int("a", 1));
	edge = fixture->size;
	put_event(fixture, "one", 5, NULL, 0);
	pieces[0] = (struct sonde_bytes){ fixture->fields, edge };
	pieces[1] = (struct sonde_bytes){ fixture->fields + edge, fixture->size - edge };
	pieces[2] = (struct sonde_bytes){ NULL, 0 };
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, pieces, 3,
				     &fixture->arena, &fixture->counts, &fixture->pieces,
				     &fixture->n_pieces),
			 SONDE_OK);
	assert_int_equal(fixture->n_pieces, 3);
	assert_ptr_equal(fixture->pieces[0].data, pieces[0].data);
	assert_ptr_not_equal(fixture->pieces[1].data, pieces[1].data);
	assert_int_equal(fixture->pieces[2].size, 0);
}

/* Two keys that only their repair makes equal. */
/* Every size of arena: done right, or refused with nothing changed. */
static void test_small_arena_is_refused(void **state)
{
	struct fixture *fixture = *state;
	const struct sonde_attr attr = sonde_str("x", "\xff");
	bool was_done = false;

	put(fixture, sonde_str("a", "\xff\xff\xff"));
	put(fixture, sonde_int("\xff", 2));
	put_event(fixture, "e\xff", 1, &attr, 1);
	own_piece = (struct sonde_bytes){ fixture->fields, fixture->size };
	for (size_t capacity = 0; capacity < 1024; capacity++) {
		struct sonde__mend_counts counts = { 0 };
		const struct sonde_bytes *pieces = NULL;
		struct sonde__arena arena;
		size_t n_pieces = 99;
		int r;

		assert_int_equal(sonde__arena_init(&arena, capacity), SONDE_OK);
		r = sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &own_piece, 1, &arena, &counts,
				&pieces, &n_pieces);
		if (r < 0) {
			assert_int_equal(r, SONDE_E_NOMEM);
			assert_false(was_done);
			assert_null(pieces);
			assert_int_equal(n_pieces, 99);
			assert_int_equal(counts.invalid_utf8, 0);
		} else {
			was_done = true;
			assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, pieces[0]));
			assert_int_equal(counts.invalid_utf8, 4);
		}
		sonde__arena_deinit(&arena);
	}
	assert_true(was_done);
}

static void test_broken_fields_are_refused(void **state)
{
	static const char broken[] = "\x4a\x04\x0a\0\x12\x09";
	struct fixture *fixture = *state;
	struct sonde_bytes piece = { broken, sizeof(broken) - 1 };

	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &piece, 1,
				     &fixture->arena, &fixture->counts, &fixture->pieces,
				     &fixture->n_pieces),
			 SONDE_E_MALFORMED);
	piece = (struct sonde_bytes){ "\x4a\x50", 2 };
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &piece, 1,
				     &fixture->arena, &fixture->counts, &fixture->pieces,
				     &fixture->n_pieces),
			 SONDE_E_MALFORMED);
}

static void test_text(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_text text = { "good", 4 };
	struct sonde_text mended;

	assert_int_equal(sonde__mend_text(/* redactor= */ NULL, text, &fixture->arena,
					  &fixture->counts, &mended),
			 SONDE_OK);
	assert_ptr_equal(mended.data, text.data);
	text = (struct sonde_text){ "b\xff" "d", 3 };
	assert_int_equal(sonde__mend_text(/* redactor= */ NULL, text, &fixture->arena,
					  &fixture->counts, &mended),
			 SONDE_OK);
	check_text(mended, "b\xef\xbf\xbd" "d");
	assert_int_equal(fixture->arena.used, 5);
	assert_int_equal(fixture->counts.invalid_utf8, 1);
	fixture->arena.capacity = 0;
	assert_int_equal(sonde__mend_text(/* redactor= */ NULL, text, &fixture->arena,
					  &fixture->counts, &mended),
			 SONDE_E_NOMEM);
	fixture->arena.capacity = 8 * ROOM;
}

/* The round number that marks slots wraps around: old slots must not count as new. */
static void test_round_wraps(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, sonde_int("a", 1));
	mend(fixture);
	fixture->mender.round = UINT32_MAX;
	mend(fixture);
	assert_int_equal(fixture->mender.round, 1);
	assert_ptr_equal(fixture->pieces, &own_piece);
	check_counts(fixture, (struct sonde__mend_counts){ 0 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_clean_fields_stay_where_they_are, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_ticks_become_times_in_a_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces_without_ticks_are_not_copied, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_small_arena_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_fields_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_wraps, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
