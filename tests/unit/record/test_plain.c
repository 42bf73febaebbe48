/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quick way against the thorough ones: what it takes they pass, and make the same bytes of;
 * what has to be mended, or is no field at all, it leaves to them. On chosen fields, on each of
 * them cut short, on random ones, and on random damage.
 */

#include "mend_fixture.h"

#include "record/plain.h"

static struct sonde_bytes quick;
/* Not a byte more than the copy and its slack may take: a sanitizer sees a read past it. */
static struct sonde__arena exact_arena;

static void exact_arena_renew(size_t size)
{
	sonde__arena_deinit(&exact_arena);
	assert_int_equal(sonde__arena_init(&exact_arena, size + SONDE__PLAIN_SLACK), SONDE_OK);
}

static int teardown_all(void **state)
{
	sonde__arena_deinit(&exact_arena);
	return teardown(state);
}

/* Whether the quick way takes what is in the fixture; if so, it is right to. */
static bool is_plain(struct fixture *fixture)
{
	/* At the end of a block of its own, where a read past it is seen. */
	uint8_t *exact = malloc(fixture->size ? fixture->size : 1);
	struct sonde_bytes fields = { exact, fixture->size };
	struct sonde__mend_counts counts = { 0 };
	size_t used = fixture->arena.used;
	bool is_taken;

	memcpy(exact, fixture->fields, fixture->size);
	exact_arena_renew(fixture->size);
	is_taken = sonde__plain_copy(&fixture->mender, fields, &exact_arena, &quick);
	assert_memory_equal(exact, fixture->fields, fixture->size);
	if (is_taken) {
		assert_true(sonde__fields_are_valid(SONDE_FIELDS_SPAN, fields));
		assert_int_equal(sonde__mend(&fixture->mender, SONDE_FIELDS_SPAN, &fields, 1,
					     &fixture->arena, &counts, &fixture->pieces,
					     &fixture->n_pieces),
				 SONDE_OK);
		assert_int_equal(fixture->n_pieces, 1);
		assert_int_equal(quick.size, fixture->pieces[0].size);
		assert_memory_equal(quick.data, fixture->pieces[0].data, quick.size);
		assert_int_equal(counts.invalid_utf8 + counts.dropped_attributes +
					 counts.dropped_nested + counts.dropped_events +
					 counts.cut_values,
				 0);
	} else {
		assert_int_equal(exact_arena.used, 0);
	}
	fixture->arena.used = used;
	free(exact);
	return is_taken;
}

static void put_typical(struct fixture *fixture)
{
	const struct sonde_attr attr = sonde_str("reason", "stock");

	put(fixture, sonde_int("order.items", 3));
	put(fixture, sonde_str("order.currency", "EUR"));
	put(fixture, sonde_double("order.total", 2.5));
	put_event(fixture, "order placed", 7, &attr, 1);
}

static void test_typical_fields_are_taken(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_item_view item;

	put_typical(fixture);
	put(fixture, sonde_bool("late", true));
	put(fixture, sonde_bytes("b", "\xff", 1));
	put(fixture, sonde_str("k", "\xe2\x82\xac"));
	put_event(fixture, "e", 9, NULL, 0);
	assert_true(is_plain(fixture));
	rest_of = quick;
	for (int i = 0; i < 3; i++)
		next_item();
	item = next_item();
	check_text(item.name, "order placed");
	assert_int_equal(item.unix_ns, UINT64_C(1000000000000007));
}

static void test_no_fields_are_taken(void **state)
{
	assert_true(is_plain(*state));
	assert_int_equal(quick.size, 0);
}

/* Each of these alone makes it give up. */
static void test_what_must_be_mended_is_left(void **state)
{
	const struct sonde_attr cases[] = {
		sonde_int("order.items", 4), sonde_str("x", "\xff"),  sonde_str("\xff", "x"),
		sonde_str("", "x"),	     sonde_str("x", "12345"), sonde_bytes("x", "12345", 5),
	};
	struct fixture *fixture = *state;

	fixture->mender.limits.value_length = 4;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture->size = 0;
		put(fixture, sonde_int("order.items", 3));
		assert_true(is_plain(fixture));
		put(fixture, cases[i]);
		assert_false(is_plain(fixture));
	}
}

static void test_events_are_looked_into(void **state)
{
	const struct sonde_attr twice[] = { sonde_int("k", 1), sonde_int("k", 2) };
	const struct sonde_attr invalid = sonde_str("k", "\xff");
	struct fixture *fixture = *state;

	put(fixture, sonde_int("k", 1));
	put_event(fixture, "one", 1, twice, 1);
	put_event(fixture, "two", 1, twice, 1);
	assert_true(is_plain(fixture));
	put_event(fixture, "three", 1, twice, 2);
	assert_false(is_plain(fixture));
	fixture->size = 0;
	put_event(fixture, "\xff", 1, NULL, 0);
	assert_false(is_plain(fixture));
	fixture->size = 0;
	put_event(fixture, "e", 1, &invalid, 1);
	assert_false(is_plain(fixture));
}

static void test_limits_are_kept(void **state)
{
	const struct sonde_attr attrs[] = { sonde_int("k", 1), sonde_int("l", 2) };
	struct fixture *fixture = *state;
	struct sonde__mend_limits *limits = &fixture->mender.limits;

	put_typical(fixture);
	put_event(fixture, "e", 1, attrs, 2);
	limits->attributes = 3;
	limits->events = 2;
	limits->event_attributes = 2;
	assert_true(is_plain(fixture));
	limits->attributes = 2;
	assert_false(is_plain(fixture));
	limits->attributes = 3;
	limits->events = 1;
	assert_false(is_plain(fixture));
	limits->events = 2;
	limits->event_attributes = 1;
	assert_false(is_plain(fixture));
}

/* Keys with the same beginning, the same end, and more than it looks at. */
static void test_many_keys(void **state)
{
	struct fixture *fixture = *state;
	char key[64];
	int n = 0;

	do {
		snprintf(key, sizeof(key), "http.request.header.x-%02d-http.request.header", n);
		put(fixture, sonde_int(key, n));
	} while (is_plain(fixture) && n++ < 1000);
	assert_in_range(n, 16, 128);
}

/* Every length of the fields but the whole ends in the middle of one, or before one. */
static void test_short_fields(void **state)
{
	struct fixture *fixture = *state;
	size_t whole;

	put_typical(fixture);
	whole = fixture->size;
	for (fixture->size = 0; fixture->size < whole; fixture->size++)
		(void)is_plain(fixture);
	assert_true(is_plain(fixture));
}

static void test_small_arena_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct sonde_bytes fields = { fixture->fields, 0 };
	size_t capacity = fixture->arena.capacity;

	put_typical(fixture);
	fields.size = fixture->size;
	for (fixture->arena.capacity = 0; fixture->arena.capacity < fixture->size;
	     fixture->arena.capacity++) {
		assert_false(sonde__plain_copy(&fixture->mender, fields, &fixture->arena, &quick));
		assert_int_equal(fixture->arena.used, 0);
	}
	fixture->arena.capacity = capacity;
}

static uint64_t random_state = 1;

static uint64_t draw(uint64_t n)
{
	random_state += UINT64_C(0x9e3779b97f4a7c15);
	return sonde__mix64(random_state) % n;
}

static struct sonde_attr random_attr(void)
{
	static const char *const keys[] = { "a", "ab", "abcdefg", "abcdefgh", "abcdefghi",
					    "order.items", "order.total", "\xc3\xa4", "http.route.name.that.is.long" };
	static const char *const texts[] = { "", "x", "\xe2\x82\xac", "1234567", "12345678",
					     "a value of more than sixteen bytes", "\xff" };
	const char *key = keys[draw(9)];

	switch (draw(5)) {
	case 0:
		return sonde_int(key, (int64_t)(draw(UINT64_MAX) >> draw(64)));
	case 1:
		return sonde_double(key, 0.5);
	case 2:
		return sonde_bool(key, true);
	default:
		return sonde_str(key, texts[draw(7)]);
	}
}

static void put_random(struct fixture *fixture)
{
	struct sonde_attr attrs[3];

	fixture->size = 0;
	for (uint64_t n = draw(6); n > 0; n--)
		put(fixture, random_attr());
	for (uint64_t n = draw(3); n > 0; n--) {
		for (int i = 0; i < 3; i++)
			attrs[i] = random_attr();
		put_event(fixture, "event", draw(1000), attrs, draw(4));
	}
	if (draw(20) == 0)
		put_link(fixture, "", attrs, 0);
}

static void test_random_fields(void **state)
{
	struct fixture *fixture = *state;
	size_t n_taken = 0;

	for (int i = 0; i < 20000; i++) {
		put_random(fixture);
		n_taken += is_plain(fixture);
	}
	assert_in_range(n_taken, 2000, 18000);
}

static void test_damaged_fields(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 50000; i++) {
		put_random(fixture);
		for (uint64_t n = 1 + draw(3); n > 0 && fixture->size; n--)
			fixture->fields[draw(fixture->size)] = (uint8_t)draw(256);
		(void)is_plain(fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_typical_fields_are_taken, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_no_fields_are_taken, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_what_must_be_mended_is_left, setup,
						teardown_all),
		cmocka_unit_test_setup_teardown(test_events_are_looked_into, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_limits_are_kept, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_many_keys, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_short_fields, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_small_arena_is_refused, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_random_fields, setup, teardown_all),
		cmocka_unit_test_setup_teardown(test_damaged_fields, setup, teardown_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
