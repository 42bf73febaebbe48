/* SPDX-License-Identifier: Apache-2.0 */
/* Captured errors by type and place: exact, whatever the number of threads, types and places. */

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/process.h"
#include "base/random.h"
#include "box/box.h"
#include "box/shape.h"

#define N_THREADS 4
#define N_ERRORS 100000

static struct sonde__figures figures; /* Some KiB. */

static int box_open(void **state)
{
	struct sonde__box_options options = { .size_bytes = 3 << 20,
					      .service_name = "unit-figures" };
	struct sonde__box_info info;

	(void)state;
	if (sonde__process_init() < 0)
		return -1;
	sonde__process_adopt();
	return sonde__box_open(&options, &info);
}

static int box_close(void **state)
{
	(void)state;
	sonde__box_close();
	return 0;
}

static struct sonde_text text_of(const char *text)
{
	return (struct sonde_text){ text, strlen(text) };
}

static struct sonde__site_view place_of(const char *type, const char *file, uint32_t line,
					const char *function)
{
	return (struct sonde__site_view){ .name = text_of(type),
					  .file = text_of(file),
					  .function = text_of(function),
					  .line = line,
					  .kind = SONDE__SITE_ERROR };
}

static uint64_t count_of(const struct sonde__site_view *place)
{
	return sonde__errors_read(sonde__site_find(place));
}

static uint64_t count_of_all(void)
{
	uint64_t n = 0;

	for (uint32_t site = 1; site <= SONDE__SITES_MAX; site++)
		n += sonde__errors_read(site);
	return n;
}

static void each_type_and_place_counts_for_itself(void **state)
{
	char type[] = "apart_timeout", file[] = "a/very/long/path/gateway.c", function[] = "charge";
	const struct sonde__site_view places[] = {
		place_of("apart_timeout", "a/very/long/path/gateway.c", 7, "charge"),
		place_of("apart_timeouT", "a/very/long/path/gateway.c", 7, "charge"),
		place_of("apart_timeout", "b/very/long/path/gateway.c", 7, "charge"),
		place_of("apart_timeout", "a/very/lang/path/gateway.c", 7, "charge"),
		place_of("apart_timeout", "a/very/long/path/gateway.c", 8, "charge"),
		place_of("apart_timeout", "a/very/long/path/gateway.c", 7, "refund"),
		place_of("apart_timeout", "a/very/long/path/gateway.c", 7, ""),
		place_of("apart_timeout", "", 0, ""),
		place_of("apart_timeoutc", "a/very/long/path/gateway.", 7, "charge"),
	};
	const struct sonde__site_view copy = place_of(type, file, 7, function);

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		for (size_t n = 0; n <= i; n++)
			sonde__errors_count(&places[i]);
	}
	/* From other memory: what it says counts, not where it stands. */
	sonde__errors_count(&copy);
	assert_int_equal(count_of(&places[0]), 2);
	for (size_t i = 1; i < sizeof(places) / sizeof(places[0]); i++)
		assert_int_equal(count_of(&places[i]), i + 1);
	assert_int_equal(sonde__errors_misplaced(), 0);
}

static void a_span_of_the_same_name_is_another_site(void **state)
{
	struct sonde_site site = { "twin", "twin.c", "twin", 3, 0 };
	const struct sonde__site_view place = place_of("twin", "twin.c", 3, "twin");
	struct sonde__site_view view;

	(void)state;
	sonde__errors_count(&place);
	assert_int_not_equal(sonde__site_id(&site), sonde__site_find(&place));
	assert_false(sonde__figures_read(sonde__site_id(&site), &figures));
	/* An error's site has no calls, so no durations are told of it. */
	assert_false(sonde__figures_read(sonde__site_find(&place), &figures));
	sonde__figures_count(sonde__site_id(&site), 5000, /* is_error= */ true);
	assert_int_equal(count_of(&place), 1);
	assert_true(sonde__site_get(sonde__site_find(&place), &view));
	assert_int_equal(view.kind, SONDE__SITE_ERROR);
	assert_true(sonde__site_get(sonde__site_id(&site), &view));
	assert_int_equal(view.kind, SONDE__SITE_CALL);
}

/* ---- Many threads ---------------------------------------------------------------------------- */

static struct sonde__site_view shared[3];
static struct sonde__site_view interrupting;
static _Atomic uint64_t n_signals;

static void on_signal(int number)
{
	(void)number;
	sonde__errors_count(&interrupting);
	atomic_fetch_add_explicit(&n_signals, 1, memory_order_relaxed);
}

static void *count_many(void *user)
{
	cpu_set_t set;

	for (uint64_t i = 0; i < N_ERRORS; i++) {
		if (i % 1024 == 0) {
			CPU_ZERO(&set);
			CPU_SET(sonde__mix64(i + (uintptr_t)user) %
					(uint64_t)sysconf(_SC_NPROCESSORS_ONLN),
				&set);
			(void)sched_setaffinity(0, sizeof(set), &set);
		}
		sonde__errors_count(&shared[i % 3]);
	}
	return NULL;
}

static void threads_count(const char *type)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	pthread_t threads[N_THREADS];
	uint64_t n = 0;

	for (uint32_t i = 0; i < 3; i++)
		shared[i] = place_of(type, "threads.c", i, "count_many");
	interrupting = place_of(type, "threads.c", 4, "on_signal");
	atomic_store_explicit(&n_signals, 0, memory_order_relaxed);
	signal(SIGPROF, on_signal);
	setitimer(ITIMER_PROF, &often, NULL);
	for (uintptr_t t = 0; t < N_THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, count_many, (void *)t), 0);
	for (int i = 0; i < 2000; i++) {
		uint64_t now = count_of(&shared[0]);

		assert_true(now >= n);
		n = now;
	}
	for (int t = 0; t < N_THREADS; t++)
		pthread_join(threads[t], NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	signal(SIGPROF, SIG_IGN);
	assert_int_equal(count_of(&shared[0]) + count_of(&shared[1]) + count_of(&shared[2]),
			 N_THREADS * N_ERRORS);
	assert_int_equal(count_of(&shared[1]), N_THREADS * (N_ERRORS / 3));
	assert_int_equal(count_of(&interrupting), n_signals);
	assert_int_equal(sonde__errors_misplaced(), 0);
}

static void threads_that_move_count_exactly(void **state)
{
	(void)state;
	threads_count("moving");
}

static void cpus_that_share_shards_count_exactly(void **state)
{
	struct sonde__box *box = (struct sonde__box *)(uintptr_t)sonde__box_get();
	const bool has_own_counts = box->has_own_counts;

	(void)state;
	box->has_own_counts = false;
	threads_count("sharing");
	box->has_own_counts = has_own_counts;
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static void count_types(const char *stem, int n_types)
{
	char type[64];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < n_types; i++) {
			struct sonde__site_view place;

			snprintf(type, sizeof(type), "%s_%d", stem, i);
			place = place_of(type, "made_up.c", 1, "make_up");
			sonde__errors_count(&place);
		}
	}
}

/* Processes of their own, because sites are for ever. */
static void make_types_up(void)
{
	const struct sonde__site_view early = place_of("early", "e.c", 1, "e");
	struct sonde_site site = { "a span", "late.c", "late", 1, 0 };
	uint64_t n_misplaced;

	CHECK(box_open(NULL) == SONDE_OK);
	sonde__errors_count(&early);
	count_types("made_up", 2000);
	n_misplaced = sonde__errors_misplaced();
	CHECK(n_misplaced > 0);
	CHECK(count_of_all() + n_misplaced == 6001);
	/* What was there goes on, and spans' sites have the other half. */
	sonde__errors_count(&early);
	CHECK(count_of(&early) == 2);
	CHECK(sonde__errors_misplaced() == n_misplaced);
	CHECK(sonde__site_id(&site) != 0);
	box_close(NULL);
}

static void made_up_types_are_bounded(void **state)
{
	(void)state;
	assert_int_equal(child_run(make_types_up), CHILD_OK);
}

static void use_long_texts(void)
{
	char type[600], file[600], function[600];
	uint32_t n_sites = 0;
	struct sonde_site site = { "a span", "late.c", "late", 1, 0 };
	struct sonde__site_view place;

	CHECK(box_open(NULL) == SONDE_OK);
	memset(type, 't', sizeof(type));
	memset(file, 'f', sizeof(file));
	memset(function, 'u', sizeof(function));
	type[599] = file[599] = function[599] = '\0';
	for (uint32_t line = 1; line <= 300; line++) {
		place = place_of(type, file, line, function);
		sonde__errors_count(&place);
		sonde__errors_count(&place);
		n_sites += sonde__errors_read(sonde__site_find(&place)) == 2;
	}
	CHECK(n_sites > 30 && n_sites < 60);
	CHECK(count_of_all() == 2 * (uint64_t)n_sites);
	CHECK(count_of_all() + sonde__errors_misplaced() == 600);
	CHECK(sonde__site_id(&site) != 0);
	box_close(NULL);
}

static void long_texts_leave_room_for_others(void **state)
{
	(void)state;
	assert_int_equal(child_run(use_long_texts), CHILD_OK);
}

static void count_in_the_smallest_box(void)
{
	struct sonde__box_options options = { .size_bytes = 1, .service_name = "unit-figures" };
	struct sonde__box_info info;

	CHECK(sonde__box_open(&options, &info) == SONDE_OK);
	count_types("small", 400);
	CHECK(sonde__errors_misplaced() > 0);
	CHECK(count_of_all() > 0);
	CHECK(count_of_all() + sonde__errors_misplaced() == 1200);
	sonde__box_close();
}

static void what_finds_no_entry_is_counted_all_the_same(void **state)
{
	(void)state;
	assert_int_equal(child_run(count_in_the_smallest_box), CHILD_OK);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void a_start_begins_at_zero(void **state)
{
	const struct sonde__site_view place = place_of("again", "again.c", 1, "again");
	uint32_t id;

	(void)state;
	sonde__errors_count(&place);
	id = sonde__site_find(&place);
	box_close(NULL);
	assert_int_equal(box_open(NULL), SONDE_OK);
	assert_int_equal(sonde__errors_read(id), 0);
	sonde__errors_count(&place);
	assert_int_equal(sonde__site_find(&place), id);
	assert_int_equal(sonde__errors_read(id), 1);
}

static const struct sonde__site_view *inherited;

static void count_in_a_child(void)
{
	struct sonde__box_info info;

	CHECK(sonde__box_open(/* options= */ NULL, &info) == SONDE_OK);
	sonde__process_adopt();
	CHECK(count_of(inherited) == 0);
	sonde__errors_count(inherited);
	CHECK(count_of(inherited) == 1);
	sonde__box_close();
}

static void a_child_counts_for_itself(void **state)
{
	const struct sonde__site_view place = place_of("forked", "fork.c", 1, "fork");

	(void)state;
	for (int i = 0; i < 5; i++)
		sonde__errors_count(&place);
	inherited = &place;
	assert_int_equal(child_run(count_in_a_child), CHILD_OK);
	assert_int_equal(count_of(&place), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, box_open, box_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, before this process has a box whose size would be theirs. */
		cmocka_unit_test(what_finds_no_entry_is_counted_all_the_same),
		cmocka_unit_test(made_up_types_are_bounded),
		cmocka_unit_test(long_texts_leave_room_for_others),
		TEST(each_type_and_place_counts_for_itself),
		TEST(a_span_of_the_same_name_is_another_site),
		TEST(threads_that_move_count_exactly),
		TEST(cpus_that_share_shards_count_exactly),
		TEST(a_start_begins_at_zero),
		TEST(a_child_counts_for_itself),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
