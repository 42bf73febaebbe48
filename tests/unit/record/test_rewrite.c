/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not clean comes out valid, within the limits, with everything that changed counted. At
 * the end, thousands of random inputs against a slow model.
 */

#include "mend_fixture.h"

static void test_last_duplicate_wins_at_the_first_place(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_item_view item;

	put(fixture, sonde_int("a", 1));
	put(fixture, sonde_int("b", 2));
	put(fixture, sonde_str("a", "last"));
	mend(fixture);
	first_item(fixture);
	item = next_item();
	check_text(item.name, "a");
	check_text(item.value.as.string, "last");
	check_text(next_item().name, "b");
	assert_int_equal(rest_of.size, 0);
	/* Overwriting is no loss. */
	check_counts(fixture, (struct sonde__mend_counts){ 0 });
}

static void test_duplicates_across_pieces(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_bytes pieces[2];
	struct sonde_item_view item;
	size_t edge;

	put(fixture, sonde_int("a", 1));
	edge = fixture->size;
	put(fixture, sonde_int("a", 2));
	pieces[0] = (struct sonde_bytes){ fixture->fields, edge };
	pieces[1] = (struct sonde_bytes){ fixture->fields + edge, fixture->size - edge };
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, pieces, 2,
				     &fixture->arena, &fixture->counts, &fixture->pieces,
				     &fixture->n_pieces),
			 SONDE_OK);
	first_item(fixture);
	item = next_item();
	assert_int_equal(item.value.as.integer, 2);
	assert_int_equal(rest_of.size, 0);
}

static void test_invalid_text_is_repaired(void **state)
{
	static const char *const strings[] = { "good", "b\xff" };
	struct fixture *fixture = *state;
	const struct sonde_attr attr = sonde_str("n\xff", "x");
	struct sonde_item_view item;

	put(fixture, sonde_str("k\xff", "v\xc3"));
	put(fixture, sonde_str_array("list", strings, 2));
	put(fixture, sonde_bytes("raw", "\xff\xff", 2));
	put_event(fixture, "e\xff", 3, &attr, 1);
	put_link(fixture, "s\xff", NULL, 0);
	mend(fixture);
	first_item(fixture);
	item = next_item();
	check_text(item.name, "k\xef\xbf\xbd");
	check_text(item.value.as.string, "v\xef\xbf\xbd");
	item = next_item();
	assert_true(sonde_value_next(&item.value.as.array, &item.value));
	item = next_item();
	assert_memory_equal(item.value.as.bytes.data, "\xff\xff", 2);
	item = next_item();
	check_text(item.name, "e\xef\xbf\xbd");
	assert_int_equal(item.unix_ns, UINT64_C(1000000000000003));
	item = next_item();
	check_text(item.trace_state, "s\xef\xbf\xbd");
	assert_int_equal(item.dropped_attributes, 1);
	check_counts(fixture, (struct sonde__mend_counts){ .invalid_utf8 = 6 });
}

static void test_repair_may_make_duplicates(void **state)
{
	struct fixture *fixture = *state;

	put(fixture, sonde_int("k\xff", 1));
	put(fixture, sonde_int("k\xfe", 2));
	mend(fixture);
	first_item(fixture);
	assert_int_equal(next_item().value.as.integer, 2);
	assert_int_equal(rest_of.size, 0);
}

static void test_limits_drop_and_count(void **state)
{
	struct fixture *fixture = *state;
	const struct sonde_attr attrs[] = { sonde_int("x", 1), sonde_int("y", 2),
					    sonde_int("z", 3) };
	struct sonde_item_view item;

	fixture->mender.limits = (struct sonde__mend_limits){ 2, 1, 1, 2, 1, UINT32_MAX };
	put(fixture, sonde_int("a", 1));
	put(fixture, sonde_int("b", 2));
	put(fixture, sonde_int("c", 3));
	put(fixture, sonde_int("a", 4));
	put(fixture, sonde_int("", 5));
	put_event(fixture, "kept", 1, attrs, 3);
	put_event(fixture, "gone", 2, attrs, 3);
	put_link(fixture, "", attrs, 3);
	put_link(fixture, "", attrs, 3);
	put_link(fixture, "", attrs, 3);
	mend(fixture);
	first_item(fixture);
	/* Overwriting a key is possible past the limit. */
	assert_int_equal(next_item().value.as.integer, 4);
	check_text(next_item().name, "b");
	item = next_item();
	check_text(item.name, "kept");
	assert_int_equal(item.dropped_attributes, 1);
	item = next_item();
	assert_int_equal(item.type, SONDE_ITEM_LINK);
	assert_int_equal(item.dropped_attributes, 3);
	assert_int_equal(rest_of.size, 0);
	check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = 2,
							   .dropped_nested = 3,
							   .dropped_events = 1,
							   .dropped_links = 2 });
}

static void test_exactly_at_the_limit_is_clean(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 128; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key.%d", i);
		put(fixture, sonde_int(key, i));
	}
	mend(fixture);
	assert_ptr_equal(fixture->pieces, &own_piece);
	put(fixture, sonde_int("one.more", 1));
	mend(fixture);
	check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = 1 });
}

static void test_more_keys_than_slots(void **state)
{
	struct fixture *fixture = *state;
	size_t n = 0;

	fixture->mender.limits.attributes = UINT32_MAX;
	for (int i = 0; i < 1500; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i % 1400);
		put(fixture, sonde_int(key, i));
	}
	mend(fixture);
	for (first_item(fixture); rest_of.size; n++) {
		struct sonde_item_view item = next_item();

		assert_int_equal(item.value.as.integer, n < 100 ? n + 1400 : n);
	}
	assert_int_equal(n, 1400);
	check_counts(fixture, (struct sonde__mend_counts){ 0 });
}

static void test_values_are_cut_by_characters(void **state)
{
	static const char *const strings[] = { "abcdef", "xy",
					       "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac" };
	struct fixture *fixture = *state;
	struct sonde_value_view value;
	struct sonde_item_view item;
	struct sonde_bytes list;

	fixture->mender.limits.value_length = 3;
	put(fixture, sonde_str("a.long.key.is.never.cut", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"));
	mend(fixture);
	/* Nine bytes, but three characters. */
	assert_ptr_equal(fixture->pieces, &own_piece);
	put(fixture, sonde_str("s", "\xe2\x82\xac" "bcd"));
	put(fixture, sonde_bytes("y", "12345", 5));
	put(fixture, sonde_str_array("l", strings, 3));
	put(fixture, sonde_int("i", 123456789));
	mend(fixture);
	first_item(fixture);
	check_text(next_item().value.as.string, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
	check_text(next_item().value.as.string, "\xe2\x82\xac" "bc");
	item = next_item();
	assert_int_equal(item.value.as.bytes.size, 3);
	list = next_item().value.as.array;
	assert_true(sonde_value_next(&list, &value));
	check_text(value.as.string, "abc");
	assert_true(sonde_value_next(&list, &value));
	check_text(value.as.string, "xy");
	assert_true(sonde_value_next(&list, &value));
	check_text(value.as.string, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
	assert_int_equal(next_item().value.as.integer, 123456789);
	check_counts(fixture, (struct sonde__mend_counts){ .cut_values = 3 });
}

static void test_limit_of_nothing(void **state)
{
	struct fixture *fixture = *state;

	fixture->mender.limits = (struct sonde__mend_limits){ 0 };
	put(fixture, sonde_int("a", 1));
	put_event(fixture, "e", 1, NULL, 0);
	put_link(fixture, "", NULL, 0);
	mend(fixture);
	assert_int_equal(fixture->pieces[0].size, 0);
	check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = 1,
							   .dropped_events = 1,
							   .dropped_links = 1 });
}

static void test_log_fields(void **state)
{
	struct fixture *fixture = *state;
	const struct sonde_attr attrs[] = { sonde_int("a", 1), sonde_int("a", 2) };
	struct sonde_item_view item;
	struct sonde_bytes piece;

	for (size_t i = 0; i < 2; i++)
		fixture->size += sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attrs[i],
						    fixture->fields + fixture->size, 100);
	piece = (struct sonde_bytes){ fixture->fields, fixture->size };
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_LOG, &piece, 1, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces),
			 SONDE_OK);
	piece = fixture->pieces[0];
	assert_true(sonde_item_next(SONDE_FIELDS_LOG, &piece, &item));
	assert_int_equal(item.value.as.integer, 2);
	assert_int_equal(piece.size, 0);
}

/* ---- Random inputs against a model ----------------------------------------------------------- */

#define MODEL_KEYS 6

static uint64_t random_seed = 1;

static uint32_t random_below(uint32_t n)
{
	return (uint32_t)(sonde__mix64(random_seed++ * UINT64_C(0x9e3779b97f4a7c15)) % n);
}

static void test_random_attributes_against_a_model(void **state)
{
	static const char *const keys[MODEL_KEYS] = {
		"a", "bb", "a.key.of.more.than.sixteen.bytes", "12345678", "123456789", ""
	};
	struct fixture *fixture = *state;

	for (int round = 0; round < 3000; round++) {
		uint32_t limit = random_below(MODEL_KEYS);
		int64_t values[MODEL_KEYS] = { 0 };
		size_t order[MODEL_KEYS];
		size_t n_order = 0;
		uint32_t n_dropped = 0;
		size_t n = random_below(12);

		fixture->size = 0;
		fixture->mender.limits.attributes = limit;
		memset(&fixture->counts, 0, sizeof(fixture->counts));
		sonde__arena_reset(&fixture->arena);
		for (size_t i = 1; i <= n; i++) {
			size_t key = random_below(MODEL_KEYS);
			size_t at = 0;

			put(fixture, sonde_int(keys[key], (int64_t)i));
			while (at < n_order && order[at] != key)
				at++;
			if (key == MODEL_KEYS - 1 || (at == n_order && n_order >= limit)) {
				n_dropped++;
				continue;
			}
			if (at == n_order)
				order[n_order++] = key;
			values[key] = (int64_t)i;
		}
		mend(fixture);
		first_item(fixture);
		for (size_t i = 0; i < n_order; i++) {
			struct sonde_item_view item = next_item();

			check_text(item.name, keys[order[i]]);
			assert_int_equal(item.value.as.integer, values[order[i]]);
		}
		assert_int_equal(rest_of.size, 0);
		check_counts(fixture,
			     (struct sonde__mend_counts){ .dropped_attributes = n_dropped });
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_duplicate_wins_at_the_first_place, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_duplicates_across_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_invalid_text_is_repaired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair_may_make_duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits_drop_and_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exactly_at_the_limit_is_clean, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_more_keys_than_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_are_cut_by_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_attributes_against_a_model, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
