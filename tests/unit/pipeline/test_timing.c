/* SPDX-License-Identifier: Apache-2.0 */
/* Every duration is in the bucket whose bounds it lies between. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/timing.h"

static void check(uint64_t ns, int32_t index)
{
	struct sonde__timing timing = { 0 };
	struct sonde_histogram_view view;
	uint64_t buckets[SONDE__TIMING_BUCKETS];

	sonde__timing_add(&timing, ns);
	sonde__timing_read(&timing, buckets, &view);
	assert_int_equal(view.count, 1);
	assert_true(fabs(view.sum - (double)ns * 1e-9) <= 1e-12 * (double)ns);
	assert_int_equal(view.zero_count, index < view.offset);
	for (size_t i = 0; i < view.n_buckets; i++)
		assert_int_equal(view.buckets[i], view.offset + (int32_t)i == index);
}

static void bounds_are_kept(void **state)
{
	(void)state;
	check(0, -21);
	check(1, -21);
	check(953, -21); /* 2^-20 s are 953.67 ns. */
	check(954, -20);
	check(1000000, -10); /* Between 2^-10 and 2^-9. */
	check(500000000, -2); /* An upper bound belongs to its bucket. */
	check(500000001, -1);
	check(1000000000, -1);
	check(2000000000, 0);
	check(2000000001, 1);
	check(UINT64_C(3600000000000), 11);
	check(UINT64_MAX, 11); /* The last one takes what is longer. */
}

static void counts_and_times_add_up(void **state)
{
	struct sonde__timing timing = { 0 };
	struct sonde_histogram_view view;
	uint64_t buckets[SONDE__TIMING_BUCKETS], count = 0;

	(void)state;
	for (uint64_t ns = 1; ns < UINT64_C(1) << 50; ns = ns * 3 + 1)
		sonde__timing_add(&timing, ns), count++;
	sonde__timing_read(&timing, buckets, &view);
	assert_int_equal(view.count, count);
	count -= view.zero_count;
	for (size_t i = 0; i < view.n_buckets; i++)
		count -= view.buckets[i];
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_kept),
		cmocka_unit_test(counts_and_times_add_up),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
