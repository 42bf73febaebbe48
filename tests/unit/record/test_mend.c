/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending: what is clean comes out as the same memory, what is not comes out valid, within the limits,
 * with everything that changed counted. At the end, thousands of random inputs against a slow model.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/utf8.h"
#include "record/check.h"
#include "record/event.h"
#include "record/mend.h"

#define ROOM 32768

static const struct sonde__mend_limits default_limits = { 128, 128, 128, 128, 128, UINT32_MAX };

struct fixture {
	struct sonde__mender mender;
	struct sonde__clock clock;
	struct sonde__arena arena;
	struct sonde__mend_counts counts;
	uint8_t fields[ROOM];
	size_t size;
	const struct sonde_bytes *pieces;
	size_t n_pieces;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	/* One tick is one nanosecond, a million seconds after 1970. */
	sonde__clock_add(&fixture->clock, &(struct sonde__anchor){ 0, 0, UINT64_C(1000000000000000) });
	sonde__clock_add(&fixture->clock, &(struct sonde__anchor){ UINT64_C(10000000000), UINT64_C(10000000000),
								   UINT64_C(1000010000000000) });
	sonde__mender_init(&fixture->mender, &default_limits, &fixture->clock);
	*state = fixture;
	return sonde__arena_init(&fixture->arena, 8 * ROOM);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	sonde__arena_deinit(&fixture->arena);
	free(fixture);
	return 0;
}

static void put(struct fixture *fixture, struct sonde_attr attr)
{
	size_t size = sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, &attr, fixture->fields + fixture->size,
					 ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static void put_event(struct fixture *fixture, const char *name, uint64_t ticks, const struct sonde_attr *attrs,
		      size_t n_attrs)
{
	struct sonde__event event = { .name = name, .name_size = strlen(name), .time = ticks, .attrs = attrs,
				      .n_attrs = n_attrs };
	size_t size = sonde__event_encode(&event, fixture->fields + fixture->size, ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static void put_link(struct fixture *fixture, const char *trace_state, const struct sonde_attr *attrs,
		     size_t n_attrs)
{
	struct sonde__link link = { .trace_id = { 7 }, .span_id = { 8 }, .flags = 0x301, .trace_state = trace_state,
				    .trace_state_size = strlen(trace_state), .attrs = attrs, .n_attrs = n_attrs,
				    .n_dropped = 1 };
	size_t size = sonde__link_encode(&link, fixture->fields + fixture->size, ROOM - fixture->size);

	assert_true(size > 0);
	fixture->size += size;
}

static struct sonde_bytes own_piece;

static void mend(struct fixture *fixture)
{
	own_piece = (struct sonde_bytes){ fixture->fields, fixture->size };
	assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, own_piece));
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &own_piece, 1, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_OK);
	for (size_t i = 0; i < fixture->n_pieces; i++)
		assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, fixture->pieces[i]));
}

static struct sonde_bytes rest_of;

/* The next item of the one piece. */
static struct sonde_item_view next_item(void)
{
	struct sonde_item_view item;

	assert_true(sonde_item_next(SONDE_FIELDS_SPAN, &rest_of, &item));
	return item;
}

static void first_item(const struct fixture *fixture)
{
	assert_int_equal(fixture->n_pieces, 1);
	rest_of = fixture->pieces[0];
}

static void check_text(struct sonde_text text, const char *expected)
{
	assert_int_equal(text.size, strlen(expected));
	assert_memory_equal(text.data, expected, text.size);
}

static void check_counts(const struct fixture *fixture, struct sonde__mend_counts expected)
{
	assert_int_equal(fixture->counts.invalid_utf8, expected.invalid_utf8);
	assert_int_equal(fixture->counts.dropped_attributes, expected.dropped_attributes);
	assert_int_equal(fixture->counts.dropped_nested, expected.dropped_nested);
	assert_int_equal(fixture->counts.dropped_events, expected.dropped_events);
	assert_int_equal(fixture->counts.dropped_links, expected.dropped_links);
	assert_int_equal(fixture->counts.cut_values, expected.cut_values);
}

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
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, pieces, 3, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_OK);
	assert_int_equal(fixture->n_pieces, 3);
	assert_ptr_equal(fixture->pieces[0].data, pieces[0].data);
	assert_ptr_not_equal(fixture->pieces[1].data, pieces[1].data);
	assert_int_equal(fixture->pieces[2].size, 0);
}

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
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, pieces, 2, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_OK);
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

/* Two keys that only their repair makes equal. */
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
	const struct sonde_attr attrs[] = { sonde_int("x", 1), sonde_int("y", 2), sonde_int("z", 3) };
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
	check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = 2, .dropped_nested = 3,
							   .dropped_events = 1, .dropped_links = 2 });
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
	static const char *const strings[] = { "abcdef", "xy", "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac" };
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
	check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = 1, .dropped_events = 1,
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
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_OK);
	piece = fixture->pieces[0];
	assert_true(sonde_item_next(SONDE_FIELDS_LOG, &piece, &item));
	assert_int_equal(item.value.as.integer, 2);
	assert_int_equal(piece.size, 0);
}

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
		r = sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &own_piece, 1, &arena, &counts, &pieces,
				&n_pieces);
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

	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &piece, 1, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_E_MALFORMED);
	piece = (struct sonde_bytes){ "\x4a\x50", 2 };
	assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &piece, 1, &fixture->arena,
				     &fixture->counts, &fixture->pieces, &fixture->n_pieces), SONDE_E_MALFORMED);
}

static void test_text(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_text text = { "good", 4 };
	struct sonde_text mended;

	assert_int_equal(sonde__mend_text(text, &fixture->arena, &fixture->counts, &mended), SONDE_OK);
	assert_ptr_equal(mended.data, text.data);
	text = (struct sonde_text){ "b\xff" "d", 3 };
	assert_int_equal(sonde__mend_text(text, &fixture->arena, &fixture->counts, &mended), SONDE_OK);
	check_text(mended, "b\xef\xbf\xbd" "d");
	assert_int_equal(fixture->arena.used, 5);
	assert_int_equal(fixture->counts.invalid_utf8, 1);
	fixture->arena.capacity = 0;
	assert_int_equal(sonde__mend_text(text, &fixture->arena, &fixture->counts, &mended), SONDE_E_NOMEM);
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

/* ---- Random inputs against a model ---------------------------------------------------------------- */

#define MODEL_KEYS 6

static uint64_t random_seed = 1;

static uint32_t random_below(uint32_t n)
{
	return (uint32_t)(sonde__mix64(random_seed++ * UINT64_C(0x9e3779b97f4a7c15)) % n);
}

static void test_random_attributes_against_a_model(void **state)
{
	static const char *const keys[MODEL_KEYS] = { "a", "bb", "a.key.of.more.than.sixteen.bytes", "12345678",
						      "123456789", "" };
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
		check_counts(fixture, (struct sonde__mend_counts){ .dropped_attributes = n_dropped });
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_clean_fields_stay_where_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ticks_become_times_in_a_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces_without_ticks_are_not_copied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_duplicate_wins_at_the_first_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_duplicates_across_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_invalid_text_is_repaired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair_may_make_duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits_drop_and_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exactly_at_the_limit_is_clean, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_keys_than_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_are_cut_by_characters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_arena_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_fields_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_round_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_attributes_against_a_model, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
