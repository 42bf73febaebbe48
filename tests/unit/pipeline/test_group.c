/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and series: bounded, found again, forgotten in order, and every error in one count. */

#include "pipeline/group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define S UINT64_C(1000000000)
#define CAPACITY 16
#define SERIES 24

static const struct sonde_text type = { "declined", 8 };
static struct sonde__limiter limiter;
static struct sonde__groups groups;

static int begin(void **state)
{
	static const struct sonde__flood_options options = { .group = { 1, S }, .total = { 9, S } };

	(void)state;
	sonde__limiter_init(&limiter, &options, /* now_ns= */ 0);
	return sonde__groups_init(&groups, CAPACITY, SERIES);
}

static int end(void **state)
{
	(void)state;
	sonde__groups_deinit(&groups);
	return 0;
}

static struct sonde__group *see(uint64_t fingerprint, uint64_t now_ns)
{
	return sonde__groups_see(&groups, &limiter, fingerprint, type, now_ns);
}

static uint64_t count_of(uint64_t fingerprint)
{
	for (uint32_t i = 0; i < groups.n_series; i++) {
		if (groups.series[i].fingerprint == fingerprint)
			return groups.series[i].n;
	}
	return 0;
}

static uint64_t count_of_all(void)
{
	uint64_t n = groups.n_overflow;

	for (uint32_t i = 0; i < groups.n_series; i++)
		n += groups.series[i].n;
	return n;
}

static void a_group_is_found_again(void **state)
{
	struct sonde__group *group = see(7, 1);

	(void)state;
	group->share.has_passed = true;
	assert_ptr_not_equal(see(8, 2), group);
	assert_ptr_equal(see(7, 3), group);
	assert_true(group->share.has_passed);
	assert_int_equal(group->seen_ns, 3);
	assert_memory_equal(group->type, "declined", 8);
	assert_int_equal(count_of(7), 2);
	assert_int_equal(count_of(8), 1);
	assert_int_equal(groups.n, 2);
}

static void what_was_seen_longest_ago_is_forgotten(void **state)
{
	struct sonde__error_record record = { 0 };

	(void)state;
	for (uint64_t i = 0; i < CAPACITY; i++)
		see(i, i);
	sonde__group_hold(see(1, 100), &record, type);
	see(0, 101); /* Now 2 is the oldest, and 1 the newest but one. */
	see(1000, 102);
	assert_int_equal(groups.n, CAPACITY);
	for (uint64_t i = 3; i < CAPACITY; i++)
		assert_int_equal(see(i, 103)->share.has_passed, false);
	/* 1 was not forgotten: what it holds is still there. */
	assert_int_equal(see(1, 104)->held.n, 1);
	assert_int_equal(groups.n_forgotten, 0);
	/* All others are seen; then it goes, and what it held is in the common count. */
	for (uint64_t i = 0; i < CAPACITY; i++)
		see(2000 + i, 200 + i);
	assert_int_equal(groups.n_forgotten, 1);
	assert_int_equal(see(1, 300)->held.n, 0);
}

static void series_stay_when_groups_go(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 40; i++)
			see(i, i);
	}
	assert_int_equal(groups.n_series, SERIES);
	for (uint64_t i = 0; i < SERIES; i++)
		assert_int_equal(count_of(i), 3);
	assert_int_equal(groups.n_overflow, 3 * (40 - SERIES));
}

static void a_type_is_cut_at_a_character(void **state)
{
	char text[100];
	struct sonde__group *group;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	group = sonde__groups_see(&groups, &limiter, 1,
				  (struct sonde_text){ text, sizeof(text) }, 0);
	assert_int_equal(group->type_size, 62);
}

static void held_back_is_the_last_and_how_many(void **state)
{
	struct sonde__error_record record = { .event_id = 5, .severity = 17, .trace_flags = 1 };
	struct sonde__group *group = see(1, 1);
	char message[1000];

	(void)state;
	memset(message, 'm', sizeof(message));
	sonde__group_hold(group, &record, type);
	record.event_id = 6;
	record.trace_id[15] = 9;
	sonde__group_hold(group, &record, (struct sonde_text){ message, sizeof(message) });
	assert_int_equal(group->held.n, 2);
	assert_int_equal(group->held.event_id, 6);
	assert_int_equal(group->held.trace_id[15], 9);
	assert_int_equal(group->held.message_size, SONDE__GROUP_MESSAGE_SIZE);
	see(2, 2);
	assert_ptr_equal(sonde__groups_next_held(&groups, NULL), group);
	assert_null(sonde__groups_next_held(&groups, group));
}

static void the_active_are_counted_once_a_second(void **state)
{
	(void)state;
	assert_int_equal(sonde__groups_active(&groups, 0), 1);
	for (uint64_t i = 0; i < 5; i++)
		see(i, S);
	assert_int_equal(sonde__groups_active(&groups, S - 1), 1);
	assert_int_equal(sonde__groups_active(&groups, S), 5);
	see(0, 11 * S);
	assert_int_equal(sonde__groups_active(&groups, 11 * S), 5);
	see(0, 12 * S);
	assert_int_equal(sonde__groups_active(&groups, 12 * S), 1);
}

/* Against lists that are searched from end to end. */
static void they_do_as_a_simple_list(void **state)
{
	uint64_t list[CAPACITY];
	uint64_t counts[64] = { 0 };
	size_t n = 0;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t random = sonde__mix64(i + 1);
		uint64_t fingerprint = random % 64 < 48 ? random % 12 : random % 64;
		size_t at = 0;
		bool is_known;
		struct sonde__group *group;

		while (at < n && list[at] != fingerprint)
			at++;
		is_known = at < n;
		if (!is_known && n == CAPACITY)
			at = 0;
		else if (!is_known)
			at = n++;
		memmove(&list[at], &list[at + 1], (n - at - 1) * sizeof(list[0]));
		list[n - 1] = fingerprint;
		group = see(fingerprint, i);
		assert_int_equal(group->share.has_passed, is_known);
		group->share.has_passed = true;
		counts[fingerprint]++;
		assert_int_equal(groups.n, n);
	}
	for (uint64_t i = 0; i < 64; i++) {
		if (count_of(i))
			assert_int_equal(count_of(i), counts[i]);
	}
	assert_int_equal(count_of_all(), 20000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_group_is_found_again),
		TEST(what_was_seen_longest_ago_is_forgotten),
		TEST(series_stay_when_groups_go),
		TEST(a_type_is_cut_at_a_character),
		TEST(held_back_is_the_last_and_how_many),
		TEST(the_active_are_counted_once_a_second),
		TEST(they_do_as_a_simple_list),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
