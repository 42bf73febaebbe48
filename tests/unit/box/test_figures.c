/* SPDX-License-Identifier: Apache-2.0 */
/* Figures: exact counts by site, whatever the durations, threads and number of sites. */

#include "box/figures.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/clock.h"
#include "base/process.h"
#include "base/random.h"
#include "box/box.h"

#define N_THREADS 4

static struct sonde__figures figures; /* Some KiB. */

static int box_open(void **state)
{
	struct sonde__box_options options = { .size_bytes = 3 << 20,
					      .service_name = "unit-figures" };
	struct sonde__box_info info;

	(void)state;
	return sonde__box_open(&options, &info);
}

static int box_close(void **state)
{
	(void)state;
	sonde__box_close();
	return 0;
}

/* By the definition: bucket i is (base^i, base^(i + 1)], base = 2^(1/4). */
static int32_t bucket_expected(uint64_t units)
{
	if (units < SONDE__FIGURES_UNITS_MIN)
		return SONDE__FIGURES_INDEX;
	if (units >= SONDE__FIGURES_UNITS_MAX)
		return SONDE__FIGURES_INDEX + (int32_t)SONDE__FIGURES_SLOTS - 1;
	return (int32_t)floorl(4 * (log2l((long double)units) - 32));
}

static void bucket_check(uint64_t units)
{
	int32_t bucket = bucket_expected(units);

	assert_int_equal(sonde__figures_has_slot(units),
			 units >= SONDE__FIGURES_UNITS_MIN && units < SONDE__FIGURES_UNITS_MAX);
	if (sonde__figures_has_slot(units))
		bucket = SONDE__FIGURES_INDEX +
			 (int32_t)(sonde__figures_line(units) * SONDE__FIGURES_LINE +
				   sonde__figures_place(units));
	if (bucket != bucket_expected(units))
		fail_msg("%llu units: bucket %d, expected %d", (unsigned long long)units, bucket,
			 bucket_expected(units));
}

static void every_duration_finds_its_bucket(void **state)
{
	(void)state;
	for (uint64_t units = 0; units < 100000; units++)
		bucket_check(units);
	for (int i = 0; i <= 63; i++) {
		uint64_t power = UINT64_C(1) << i;

		for (uint64_t d = 0; d < 3 && power > d; d++) {
			bucket_check(power - d);
			bucket_check(power + d);
		}
	}
	for (uint64_t i = 0; i < 1000000; i++)
		bucket_check(sonde__mix64(i + 1) >> (i % 64));
	/* Next to the boundaries between powers of two. */
	for (int i = 12; i < 52 * 4; i++) {
		uint64_t boundary = (uint64_t)exp2l((long double)i / 4);

		for (uint64_t d = 0; d < 3; d++) {
			bucket_check(boundary - d);
			bucket_check(boundary + d);
		}
	}
	bucket_check(UINT64_MAX);
}

static void a_call_is_read_as_it_was_counted(void **state)
{
	(void)state;
	assert_false(sonde__figures_read(7, &figures));
	sonde__figures_count(7, UINT64_C(1) << 32, false);
	sonde__figures_count(7, UINT64_C(3) << 31, true);
	sonde__figures_count(7, 0, false);
	sonde__figures_count(7, 4, false);
	assert_true(sonde__figures_read(7, &figures));
	assert_int_equal(figures.site, 7);
	assert_int_equal(figures.calls, 4);
	assert_int_equal(figures.errors, 1);
	assert_int_equal(figures.zero_count, 2);
	assert_int_equal(figures.scale, 2);
	assert_true(fabs(figures.sum_seconds - 2.5) < 1e-8);
	/* From one second on it is bucket 0; 1.5 s lies in (2^0.5, 2^0.75]. */
	assert_int_equal(figures.offset, 0);
	assert_int_equal(figures.n_buckets, 3);
	assert_int_equal(figures.buckets[0], 1);
	assert_int_equal(figures.buckets[1], 0);
	assert_int_equal(figures.buckets[2], 1);
	assert_false(sonde__figures_read(8, &figures));
	assert_false(sonde__figures_read(SONDE__FIGURES_READ_SITES, &figures));
	assert_false(sonde__figures_read(UINT32_MAX, &figures));
}

/* ---- Many threads ---------------------------------------------------------------------------- */

#define N_CALLS 150000
#define N_OWN_SITES 6

/* What a thread has counted, by its own reckoning. */
struct tally {
	pthread_t thread;
	uint64_t seed;
	uint64_t buckets[N_OWN_SITES][SONDE__FIGURES_SLOTS];
	uint64_t errors[N_OWN_SITES];
	double units[N_OWN_SITES];
};

static struct tally tallies[N_THREADS];
static _Atomic uint64_t n_signals;

/* Interrupts whatever the thread is at with a count of its own. */
static void on_signal(int number)
{
	(void)number;
	sonde__figures_count(100, 5000, true);
	atomic_fetch_add_explicit(&n_signals, 1, memory_order_relaxed);
}

static void cpu_change(uint64_t i)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(i % (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void *count_many(void *user)
{
	struct tally *tally = user;

	for (uint64_t i = 0; i < N_CALLS; i++) {
		uint64_t random = sonde__mix64(tally->seed + i);
		uint64_t units = (random >> 20) >> (20 + random % 16);
		uint32_t site = 1 + (uint32_t)(random >> 8) % N_OWN_SITES;
		bool is_error = (random >> 16) % 8 == 0;

		if (i % 1024 == 0)
			cpu_change(random >> 30);
		sonde__figures_count(site, units, is_error);
		tally->buckets[site - 1][bucket_expected(units) - SONDE__FIGURES_INDEX]++;
		tally->errors[site - 1] += is_error;
		tally->units[site - 1] += (double)units;
	}
	return NULL;
}

static void site_compare(uint32_t site)
{
	uint64_t buckets[SONDE__FIGURES_SLOTS] = { 0 };
	uint64_t errors = 0;
	uint64_t calls = 0;
	double units = 0;

	for (int t = 0; t < N_THREADS; t++) {
		for (uint32_t i = 0; i < SONDE__FIGURES_SLOTS; i++) {
			buckets[i] += tallies[t].buckets[site - 1][i];
			calls += tallies[t].buckets[site - 1][i];
		}
		errors += tallies[t].errors[site - 1];
		units += tallies[t].units[site - 1];
	}
	assert_true(sonde__figures_read(site, &figures));
	assert_int_equal(figures.calls, calls);
	assert_int_equal(figures.errors, errors);
	assert_true(figures.sum_seconds * 0x1p32 == units);
	assert_int_equal(figures.zero_count, buckets[0]);
	for (uint32_t i = 0; i < figures.n_buckets; i++)
		assert_int_equal(figures.buckets[i],
				 buckets[figures.offset + (int32_t)i - SONDE__FIGURES_INDEX]);
}

/* While others write: nothing goes down, no error without its call. */
static void read_along(void)
{
	static struct sonde__figures last;
	uint64_t calls = 0;
	uint64_t errors = 0;

	for (int i = 0; i < 2000; i++) {
		if (!sonde__figures_read(1, &last))
			continue;
		assert_true(last.calls >= calls && last.errors >= errors &&
			    last.errors <= last.calls);
		calls = last.calls;
		errors = last.errors;
	}
}

static void threads_count(void)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };

	memset(tallies, 0, sizeof(tallies));
	atomic_store_explicit(&n_signals, 0, memory_order_relaxed);
	signal(SIGPROF, on_signal);
	setitimer(ITIMER_PROF, &often, NULL);
	for (uint64_t t = 0; t < N_THREADS; t++) {
		tallies[t].seed = t << 40;
		assert_int_equal(pthread_create(&tallies[t].thread, NULL, count_many, &tallies[t]),
				 0);
	}
	read_along();
	for (int t = 0; t < N_THREADS; t++)
		pthread_join(tallies[t].thread, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	signal(SIGPROF, SIG_IGN);
	for (uint32_t site = 1; site <= N_OWN_SITES; site++)
		site_compare(site);
	if (atomic_load_explicit(&n_signals, memory_order_relaxed) > 0) {
		assert_true(sonde__figures_read(100, &figures));
		assert_int_equal(figures.calls, n_signals);
		assert_int_equal(figures.errors, n_signals);
	}
	assert_int_equal(sonde__figures_misplaced(), 0);
}

static void threads_that_move_count_exactly(void **state)
{
	(void)state;
	threads_count();
}

/* As where there are more CPUs than shards, or no restartable sequences. */
static void cpus_that_share_shards_count_exactly(void **state)
{
	struct sonde__box *box = (struct sonde__box *)(uintptr_t)sonde__box_get();
	const bool has_own_counts = box->has_own_counts;

	(void)state;
	box->has_own_counts = false;
	threads_count();
	box->has_own_counts = has_own_counts;
}

/* ---- Many sites ------------------------------------------------------------------------------ */

static uint64_t calls_of(uint32_t site)
{
	return sonde__figures_read(site, &figures) ? figures.calls : 0;
}

static void a_thousand_sites_are_kept_apart(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t site = 1; site <= 1000; site++)
			sonde__figures_count(site, UINT64_C(3000) << i, i == 0);
	for (uint32_t site = 1; site <= 1000; site++) {
		assert_int_equal(calls_of(site), 4);
		assert_int_equal(figures.errors, 1);
		assert_int_equal(figures.n_buckets, 13);
	}
	assert_int_equal(sonde__figures_misplaced(), 0);
	assert_int_equal(calls_of(0), 0);
}

/* In a process of its own, because the first box fixes the size of those to come. */
static void count_in_the_smallest_box(void)
{
	struct sonde__box_options options = { .size_bytes = 1, .service_name = "unit-figures" };
	struct sonde__box_info info;
	uint64_t n = 0;

	CHECK(sonde__box_open(&options, &info) == SONDE_OK);
	for (uint32_t i = 0; i < 20; i++)
		for (uint32_t site = 1; site < SONDE__FIGURES_SITES; site++)
			sonde__figures_count(site, UINT64_C(5) << i, false);
	/* No site at all, or none there can be. */
	sonde__figures_count(0, 77, false);
	sonde__figures_count(UINT32_MAX, 77, false);
	CHECK(sonde__figures_misplaced() > 0);
	CHECK(calls_of(0) == sonde__figures_misplaced() + 2);
	for (uint32_t site = 0; site < SONDE__FIGURES_SITES; site++)
		n += calls_of(site);
	CHECK(n == 20 * SONDE__SITES_MAX + 2);
	sonde__box_close();
}

static void what_finds_no_room_is_with_the_others(void **state)
{
	(void)state;
	assert_int_equal(child_run(count_in_the_smallest_box), CHILD_OK);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void record_leave(void)
{
	struct sonde__slot slot;

	assert_true(sonde__box_reserve(64, SONDE_SIGNAL_LOG, /* urgent= */ false, &slot));
	((struct sonde__record *)slot.record)->size = 64;
	sonde__box_commit(&slot);
}

static void records_take(void)
{
	struct sonde__record_ref refs[16];
	bool is_complete = false;

	while (!is_complete) {
		size_t n = sonde__box_collect(refs, 16, &is_complete);

		for (size_t i = 0; i < n; i++)
			sonde__box_release(&refs[i]);
	}
}

static void a_start_begins_at_zero(void **state)
{
	(void)state;
	for (int is_continued = 0; is_continued < 2; is_continued++) {
		for (uint32_t i = 0; i < 1000; i++)
			sonde__figures_count(9, 5000, i % 2);
		assert_int_equal(calls_of(9), 1000);
		if (is_continued)
			record_leave();
		sonde__box_close();
		assert_int_equal(box_open(NULL), SONDE_OK);
		assert_int_equal(calls_of(9), 0);
		sonde__figures_count(9, 5000, true);
		assert_int_equal(calls_of(9), 1);
		assert_int_equal(figures.errors, 1);
		assert_true(figures.sum_seconds == 5000 / 0x1p32);
		records_take();
		sonde__box_close();
		assert_int_equal(box_open(NULL), SONDE_OK);
	}
}

static void unsampled_captures_are_counted_by_shards(void **state)
{
	struct sonde__box *box = (struct sonde__box *)(uintptr_t)sonde__box_get();
	const bool has_own_counts = box->has_own_counts;
	struct sonde__box_account account;

	(void)state;
	for (int i = 0; i < 100; i++) {
		cpu_change((uint64_t)i);
		box->has_own_counts = has_own_counts && i < 50;
		sonde__box_count_unsampled(SONDE_SIGNAL_SPAN);
		sonde__box_count_unsampled(SONDE_SIGNAL_PART);
	}
	box->has_own_counts = has_own_counts;
	sonde__box_account(SONDE_SIGNAL_SPAN, &account);
	assert_int_equal(account.lost[SONDE_LOSS_UNSAMPLED], 100);
	assert_int_equal(account.captured, 100);
	sonde__box_account(SONDE_SIGNAL_LOG, &account);
	assert_int_equal(account.lost[SONDE_LOSS_UNSAMPLED], 0);
}

/* ---- Memory that somebody scribbled on ------------------------------------------------------- */

/* A copy of its exact size, so that the sanitizer sees a read past its end. */
static void scribbled_figures_are_read_within_bounds(void **state)
{
	const struct sonde__box *box = sonde__box_get();
	const size_t size = box->figures_shape.size;
	struct sonde__figures_region region;
	uint8_t *copy = malloc(size);
	unsigned n_readable = 0;

	(void)state;
	for (uint32_t site = 0; site < 50; site++)
		sonde__figures_count(site, 5000 * (site + 1), false);
	for (uint64_t i = 1; i <= 300; i++) {
		memcpy(copy, box->figures, size);
		for (uint64_t k = 0; k < i % 64; k++) {
			uint64_t random = sonde__mix64(i << 20 | k);
			size_t limit = k % 2 ? size : 64;

			copy[random % limit] = (uint8_t)(random >> 40);
		}
		if (!sonde__figures_region_find(copy, size, &region))
			continue;
		n_readable++;
		for (uint32_t site = 0; site < 60; site++)
			(void)sonde__figures_region_read(&region, site, &figures);
	}
	assert_true(n_readable > 0 && n_readable < 300);
	memcpy(copy, box->figures, size);
	assert_false(sonde__figures_region_find(copy, size - 1, &region));
	assert_false(sonde__figures_region_find(copy, 8, &region));
	assert_true(sonde__figures_region_find(copy, size, &region));
	assert_true(sonde__figures_region_read(&region, 49, &figures));
	assert_int_equal(figures.calls, 1);
	free(copy);
}

static void scribbled_figures_lead_no_writer_astray(void **state)
{
	const struct sonde__box *box = sonde__box_get();
	const size_t begin = sizeof(struct sonde__figures_head);

	(void)state;
	for (int pattern = 0; pattern < 2; pattern++) {
		memset(box->figures + begin, pattern ? 0xff : 0x7f,
		       box->figures_shape.size - begin);
		for (uint32_t site = 0; site < 100; site++)
			sonde__figures_count(site, UINT64_C(9) << (site % 40), true);
		for (uint32_t site = 0; site < 100; site++)
			(void)sonde__figures_read(site, &figures);
	}
	memset(box->figures + begin, 0, box->figures_shape.size - begin);
	assert_int_equal(calls_of(5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: its child's box must be that process's first. */
		cmocka_unit_test(what_finds_no_room_is_with_the_others),
		cmocka_unit_test(every_duration_finds_its_bucket),
		cmocka_unit_test_setup_teardown(a_call_is_read_as_it_was_counted, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(threads_that_move_count_exactly, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(cpus_that_share_shards_count_exactly, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(a_thousand_sites_are_kept_apart, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(a_start_begins_at_zero, box_open, box_close),
		cmocka_unit_test_setup_teardown(unsampled_captures_are_counted_by_shards, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(scribbled_figures_are_read_within_bounds, box_open,
						box_close),
		cmocka_unit_test_setup_teardown(scribbled_figures_lead_no_writer_astray, box_open,
						box_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
