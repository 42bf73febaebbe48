/* SPDX-License-Identifier: Apache-2.0 */
/* What the toolkit says, by who says it: exact, bounded, apart from spans and errors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/process.h"
#include "box/box.h"
#include "box/layout.h"

#define SECOND (UINT64_C(1) << 32) /* In units of figures. */

static struct sonde__figures figures; /* Some KiB. */

static int box_open_sized(uint64_t size)
{
	struct sonde__box_options options = { .size_bytes = size, .service_name = "unit-figures" };
	struct sonde__box_info info;

	if (sonde__process_init() < 0)
		return -1;
	sonde__process_adopt();
	return sonde__box_open(&options, &info);
}

static int box_open(void **state)
{
	(void)state;
	return box_open_sized(3 << 20);
}

static int box_close(void **state)
{
	(void)state;
	sonde__box_close();
	return 0;
}

static struct sonde__site_view place_of(const char *name, uint32_t line)
{
	return (struct sonde__site_view){ .name = { name, strlen(name) },
					  .file = { "", 0 },
					  .function = { "", 0 },
					  .line = line,
					  .kind = SONDE__SITE_EVENT };
}

static uint64_t count_of(const struct sonde__site_view *place)
{
	uint32_t site = sonde__site_find(place);

	return sonde__errors_read(site) +
	       (sonde__figures_read(site, &figures) ? figures.calls : 0);
}

static void counts_and_durations_are_exact(void **state)
{
	const struct sonde__site_view counted = place_of("payments", 1);
	const struct sonde__site_view timed = place_of("payments", 2);
	struct sonde__site_view items = place_of("payments", 2);

	(void)state;
	items.kind = SONDE__SITE_ITEM;
	for (int i = 0; i < 1000; i++) {
		sonde__events_count(&counted, 3);
		sonde__events_time(&timed, SECOND);
		sonde__events_count(&items, 7);
	}
	assert_int_equal(count_of(&counted), 3000);
	assert_int_equal(count_of(&timed), 1000);
	assert_int_equal((int)figures.sum_seconds, 1000);
	assert_int_equal(figures.errors, 0);
	assert_int_equal(sonde__errors_read(sonde__site_find(&items)), 7000);
	assert_int_equal(sonde__events_misplaced(SONDE__SITE_EVENT), 0);
	assert_int_equal(sonde__events_misplaced(SONDE__SITE_ITEM), 0);
	assert_int_equal(sonde__errors_misplaced(), 0);
}

static void a_start_begins_at_zero(void **state)
{
	const struct sonde__site_view place = place_of("again", 1);

	(void)state;
	sonde__events_count(&place, 1);
	box_close(NULL);
	assert_int_equal(box_open(NULL), SONDE_OK);
	assert_int_equal(count_of(&place), 0);
}

/* Returns how many names found room. */
static uint32_t count_names(uint32_t n_names, uint64_t *ret_sum)
{
	uint32_t n_placed = 0;
	char name[32];

	for (uint32_t i = 0; i < n_names; i++) {
		struct sonde__site_view place;

		snprintf(name, sizeof(name), "made up %u", i);
		place = place_of(name, i % 2);
		if (i % 2)
			sonde__events_count(&place, 2);
		else
			sonde__events_time(&place, SECOND);
		n_placed += count_of(&place) > 0;
		*ret_sum += count_of(&place);
	}
	return n_placed;
}

static void make_names_up(void)
{
	struct sonde_site span = { "a span", "late.c", "late", 1, 0 };
	const struct sonde__site_view error = { .name = { "late", 4 },
						.file = { "l.c", 3 },
						.function = { "l", 1 },
						.line = 1,
						.kind = SONDE__SITE_ERROR };
	uint64_t sum = 0;
	uint32_t n_placed;

	CHECK(box_open(NULL) == SONDE_OK);
	n_placed = count_names(2000, &sum);
	CHECK(n_placed >= 200 && n_placed <= SONDE__EVENT_SITES_MAX);
	CHECK(sum + sonde__events_misplaced(SONDE__SITE_EVENT) == 3000);
	/* Three quarters are left to spans and errors. */
	CHECK(sonde__site_id(&span) != 0);
	sonde__errors_count(&error);
	CHECK(sonde__errors_read(sonde__site_find(&error)) == 1);
	CHECK(sonde__figures_misplaced() == 0 && sonde__errors_misplaced() == 0);
	box_close(NULL);
}

static void made_up_names_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(child_run(make_names_up), CHILD_OK);
}

/* Where there is no line for a duration, it is not told as some span's. */
static void count_in_the_smallest_box(void)
{
	uint64_t sum = 0;

	CHECK(box_open_sized(1) == SONDE_OK);
	(void)count_names(400, &sum);
	CHECK(sonde__events_misplaced(SONDE__SITE_EVENT) > 0);
	CHECK(sum + sonde__events_misplaced(SONDE__SITE_EVENT) == 600);
	CHECK(!sonde__figures_read(/* site= */ 0, &figures));
	CHECK(sonde__figures_misplaced() == 0);
	box_close(NULL);
}

static void what_finds_no_room_is_counted_apart_from_spans(void **state)
{
	(void)state;
	assert_int_equal(child_run(count_in_the_smallest_box), CHILD_OK);
}

static void count_without_a_box(void)
{
	const struct sonde__site_view place = place_of("nowhere", 1);

	sonde__events_count(&place, 1);
	sonde__events_time(&place, SECOND);
	CHECK(sonde__events_misplaced(SONDE__SITE_EVENT) == 0);
}

static void without_a_box_nothing_is_counted(void **state)
{
	(void)state;
	assert_int_equal(child_run(count_without_a_box), CHILD_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* These in processes of their own, because sites are for ever. */
		cmocka_unit_test(made_up_names_are_bounded),
		cmocka_unit_test(what_finds_no_room_is_counted_apart_from_spans),
		cmocka_unit_test(without_a_box_nothing_is_counted),
		cmocka_unit_test_setup_teardown(counts_and_durations_are_exact, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(a_start_begins_at_zero, box_open, box_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
