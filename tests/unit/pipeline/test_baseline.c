/* SPDX-License-Identifier: Apache-2.0 */
/* What was added since: against a model that keeps every series in a plain array. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/baseline.h"
#include "pipeline/budget.h"
#include "pipeline/points.h"

#define N_SERIES 700
#define N_BUCKETS 24

static const struct sonde__metric one = { "one", "1", "", SONDE__COUNTER, false };
static const struct sonde__metric two = { "two", "1", "", SONDE__COUNTER, false };
static struct sonde__baseline baseline;
static struct sonde__budget budget;
static uint64_t seed;

static int begin(void **state)
{
	(void)state;
	seed = 1;
	baseline = (struct sonde__baseline){ 0 };
	budget = (struct sonde__budget){ .blobs_limit = 2 << 20, .pasts_limit = 1 << 20 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	sonde__baseline_deinit(&baseline, &budget);
	assert_int_equal(budget.blobs, 0);
	return 0;
}

static uint64_t draw(uint64_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (seed >> 33) % limit;
}

static uint64_t advance(const struct sonde__metric *metric, uint64_t number, uint64_t value)
{
	uint64_t added = UINT64_MAX;

	assert_true(sonde__baseline_advance(&baseline, &budget,
					    (struct sonde__series){ metric, number }, value,
					    &added));
	return added;
}

static void what_is_added_is_told_once(void **state)
{
	static uint64_t totals[2][N_SERIES], told[2][N_SERIES];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t m = draw(2), number = draw(N_SERIES), more = draw(5);

		totals[m][number] += more;
		told[m][number] += advance(m ? &two : &one, number, totals[m][number]);
		assert_int_equal(told[m][number], totals[m][number]);
	}
	assert_true(budget.blobs > 0);
	assert_int_equal(budget.blobs, budget.pasts);
}

static void what_goes_down_adds_nothing_until_it_is_back(void **state)
{
	(void)state;
	assert_int_equal(advance(&one, 1, 100), 100);
	assert_int_equal(advance(&one, 1, 90), 0);
	assert_int_equal(advance(&one, 1, 95), 0);
	assert_int_equal(advance(&one, 1, 103), 3);
}

/* A histogram whose range of buckets moves and grows from one look to the next. */
static void histograms_are_told_bucket_by_bucket(void **state)
{
	uint64_t totals[N_BUCKETS] = { 0 }, told[N_BUCKETS] = { 0 }, buckets[N_BUCKETS];
	const struct sonde__series series = { &one, 7 };
	uint64_t count = 0, told_count = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		size_t first = 0, last = N_BUCKETS;
		struct sonde_histogram_view now, added;

		for (uint64_t n = draw(4); n; n--) {
			/* Narrow at first. */
			totals[10 + draw(1 + (uint64_t)i / 150)]++;
			count++;
		}
		while (first < N_BUCKETS && !totals[first])
			first++;
		while (last > first && !totals[last - 1])
			last--;
		now = (struct sonde_histogram_view){
			.count = count,
			.sum = (double)count / 2,
			.scale = 2,
			.offset = (int32_t)first - 12,
			.buckets = totals + first,
			.n_buckets = last - first,
		};
		assert_true(sonde__baseline_advance_histogram(&baseline, &budget, series, &now,
							      buckets, &added));
		told_count += added.count;
		assert_true(added.sum >= 0.0);
		for (size_t k = 0; k < added.n_buckets; k++)
			told[(size_t)(added.offset + 12) + k] += added.buckets[k];
		assert_memory_equal(told, totals, sizeof(totals));
		assert_int_equal(told_count, count);
	}
}

static void without_room_nothing_is_told_and_nothing_moved(void **state)
{
	const struct sonde__series series = { &one, 1 };
	const uint64_t totals[2] = { 3, 4 };
	struct sonde_histogram_view now = { .count = 7, .buckets = totals, .n_buckets = 2 }, added;
	uint64_t buckets[2], more;

	(void)state;
	budget.pasts_limit = 0;
	assert_false(sonde__baseline_advance(&baseline, &budget, series, 5, &more));
	assert_false(sonde__baseline_advance_histogram(&baseline, &budget, series, &now, buckets,
						       &added));
	budget.pasts_limit = 1 << 20;
	assert_true(sonde__baseline_advance_histogram(&baseline, &budget, series, &now, buckets,
						      &added));
	assert_int_equal(added.count, 7);
	/* It was there, and now there is no room for it to grow. */
	budget.pasts_limit = budget.pasts;
	now.offset = 1;
	assert_false(sonde__baseline_advance_histogram(&baseline, &budget, series, &now, buckets,
						       &added));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_added_is_told_once),
		TEST(what_goes_down_adds_nothing_until_it_is_back),
		TEST(histograms_are_told_bucket_by_bucket),
		TEST(without_room_nothing_is_told_and_nothing_moved),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
