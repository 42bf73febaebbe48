/* SPDX-License-Identifier: Apache-2.0 */
/* Figures: exact counts by site, whatever the durations, threads and number of sites. */

#include "box/figures.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_duration_finds_its_bucket),
		cmocka_unit_test_setup_teardown(a_call_is_read_as_it_was_counted, box_open,
						box_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
