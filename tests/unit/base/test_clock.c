/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion on anchors that the test makes up; the real clocks only where nothing else would do.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

#define BOOT UINT64_C(5000000000)
#define EPOCH UINT64_C(1700000000000000000)
/* A counter of 2.5 GHz. */
#define TICKS_PER_S UINT64_C(2500000000)

static struct sonde__anchor anchor_at(uint64_t seconds, int64_t wall_step_ns)
{
	return (struct sonde__anchor){
		.ticks = 777 + seconds * TICKS_PER_S,
		.monotonic_ns = BOOT + seconds * SONDE__NS_PER_S,
		.realtime_ns = EPOCH + seconds * SONDE__NS_PER_S + (uint64_t)wall_step_ns,
	};
}

static void add(struct sonde__clock *clock, uint64_t seconds, int64_t wall_step_ns)
{
	struct sonde__anchor anchor = anchor_at(seconds, wall_step_ns);

	sonde__clock_add(clock, &anchor);
}

static void test_interpolates_between_anchors(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	add(&clock, 0, 0);
	add(&clock, 10, 0);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777), EPOCH);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777 + 10 * TICKS_PER_S),
			 EPOCH + 10 * SONDE__NS_PER_S);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777 + 4 * TICKS_PER_S),
			 EPOCH + 4 * SONDE__NS_PER_S);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777 + 2500), EPOCH + 1000);
}

static void test_extrapolates_outside(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	add(&clock, 10, 0);
	add(&clock, 20, 0);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777), EPOCH);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777 + 25 * TICKS_PER_S),
			 EPOCH + 25 * SONDE__NS_PER_S);
}

static void test_no_anchor_is_no_time(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	assert_int_equal(sonde__clock_unix_ns(&clock, 12345), 0);
}

/* The administrator sets the clock back an hour in the middle of a span. */
static void test_backward_step_keeps_durations(void **state)
{
	const int64_t hour = 3600 * (int64_t)SONDE__NS_PER_S;
	struct sonde__clock clock = { .n_anchors = 0 };
	uint64_t start;
	uint64_t end;

	(void)state;
	add(&clock, 0, 0);
	add(&clock, 10, 0);
	add(&clock, 20, -hour);
	start = sonde__clock_unix_ns(&clock, 777 + 9 * TICKS_PER_S);
	end = sonde__clock_unix_ns(&clock, 777 + 19 * TICKS_PER_S);
	assert_int_equal(end - start, 10 * SONDE__NS_PER_S);
	assert_int_equal(end, EPOCH + 19 * SONDE__NS_PER_S - (uint64_t)hour);
}

static void test_noise_in_the_offset_does_not_show(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	add(&clock, 0, 0);
	for (uint64_t s = 1; s < 500; s++)
		add(&clock, s, s % 2 ? 300 : -300);
	assert_int_equal(sonde__clock_unix_ns(&clock, 777 + 100 * TICKS_PER_S),
			 EPOCH + 100 * SONDE__NS_PER_S);
}

/* What the noise filter swallows must not add up. */
static void test_small_steps_do_not_accumulate(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };
	uint64_t now;

	(void)state;
	for (uint64_t s = 0; s < 1000; s++)
		add(&clock, s, (int64_t)s * 100);
	now = sonde__clock_unix_ns(&clock, 777 + 999 * TICKS_PER_S);
	assert_in_range(now, EPOCH + 999 * SONDE__NS_PER_S + 999 * 100 - 10000,
			EPOCH + 999 * SONDE__NS_PER_S + 999 * 100 + 10000);
}

static void test_full_array_keeps_first_and_last(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };
	uint64_t last = 0;

	(void)state;
	for (uint64_t s = 0; s < 10000; s++) {
		add(&clock, s, 0);
		assert_true(clock.n_anchors <= SONDE__CLOCK_ANCHORS);
		assert_int_equal(clock.anchors[0].ticks, 777);
		assert_int_equal(clock.anchors[clock.n_anchors - 1].ticks, 777 + s * TICKS_PER_S);
	}
	for (size_t i = 1; i < clock.n_anchors; i++)
		assert_true(clock.anchors[i].ticks > clock.anchors[i - 1].ticks);
	for (uint64_t s = 0; s < 10000; s += 7) {
		uint64_t ns = sonde__clock_unix_ns(&clock, 777 + s * TICKS_PER_S);

		assert_true(s == 0 || ns > last);
		assert_in_range(ns, EPOCH + s * SONDE__NS_PER_S - 2,
				EPOCH + s * SONDE__NS_PER_S + 2);
		last = ns;
	}
}

/* Anchors of a drifting clock: later ticks never give earlier times, not by one nanosecond. */
static void test_order_is_kept_across_anchors(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };
	uint64_t last = 0;

	(void)state;
	for (uint64_t s = 0; s < 40; s++) {
		struct sonde__anchor anchor = anchor_at(2 * s, 0);

		anchor.monotonic_ns += (s * s * 37) % 91;
		anchor.realtime_ns = anchor.monotonic_ns + (EPOCH - BOOT);
		sonde__clock_add(&clock, &anchor);
	}
	for (size_t i = 0; i < clock.n_anchors; i++) {
		for (uint64_t t = clock.anchors[i].ticks - 40; t < clock.anchors[i].ticks + 40;
		     t++) {
			uint64_t ns = sonde__clock_unix_ns(&clock, t);

			assert_true(ns >= last);
			last = ns;
		}
	}
}

static void test_counter_reset_begins_anew(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };
	struct sonde__anchor anchor = anchor_at(30, 0);

	(void)state;
	add(&clock, 0, 0);
	add(&clock, 10, 0);
	anchor.ticks = 5;
	sonde__clock_add(&clock, &anchor);
	assert_int_equal(clock.n_anchors, 1);
	assert_int_equal(sonde__clock_unix_ns(&clock, 5), EPOCH + 30 * SONDE__NS_PER_S);
}

static void test_equal_anchors_are_one(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	for (int i = 0; i < 200; i++)
		add(&clock, 3, 0);
	assert_int_equal(clock.n_anchors, 1);
}

static void test_crowded_anchors_are_one(void **state)
{
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct sonde__anchor anchor = { 1000 + i * 2500, BOOT + i * 1000,
						EPOCH + i * 1000 };

		sonde__clock_add(&clock, &anchor);
	}
	assert_true(clock.n_anchors <= 3);
	assert_int_equal(sonde__clock_unix_ns(&clock, 1000 + 999 * 2500), EPOCH + 999 * 1000);
}

static void test_nonsense_is_harmless(void **state)
{
	const uint64_t stamps[] = { 0, 1, UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 63 };
	struct sonde__clock clock = { .n_anchors = 0 };

	(void)state;
	/* A counter so slow that the end of its range is beyond 64 bits of nanoseconds. */
	sonde__clock_add(&clock, &(struct sonde__anchor){ 100, BOOT, EPOCH });
	sonde__clock_add(&clock,
			 &(struct sonde__anchor){ 101, BOOT + 10 * SONDE__NS_PER_S, EPOCH });
	for (size_t i = 0; i < 5; i++)
		sonde__clock_unix_ns(&clock, stamps[i]);
	assert_int_equal(sonde__clock_unix_ns(&clock, 101), EPOCH);
	assert_true(sonde__clock_unix_ns(&clock, UINT64_MAX) ==
		    EPOCH + UINT64_C(9000000000000000000));
}

/* Stretches so long that a double no longer holds each nanosecond of them. */
static void test_order_is_kept_across_endless_stretches(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 2000; i++) {
		struct sonde__anchor first = { 1, 1, EPOCH };
		struct sonde__anchor last = { UINT64_C(90000000000000000) + 17 * i,
					      UINT64_C(9000000000000000) + i * i, EPOCH };
		struct sonde__clock clock = { .n_anchors = 0 };

		sonde__clock_add(&clock, &first);
		sonde__clock_add(&clock, &last);
		assert_true(sonde__clock_unix_ns(&clock, last.ticks - 1) <=
			    sonde__clock_unix_ns(&clock, last.ticks));
	}
}

static void test_real_clock_tells_the_time(void **state)
{
	struct sonde__clock clock;
	uint64_t before;
	uint64_t tick;
	uint64_t after;

	(void)state;
	errno = 77;
	sonde__clock_init();
	sonde__clock_init();
	assert_int_equal(errno, 77);
	sonde__clock_open(&clock);
	before = sonde__realtime_ns();
	tick = sonde__ticks();
	after = sonde__realtime_ns();
	sonde__clock_anchor(&clock);
	assert_in_range(sonde__clock_unix_ns(&clock, tick), before - 100000, after + 100000);
}

static void test_ticks_per_ms_is_near(void **state)
{
	uint64_t ticks[2];
	uint64_t ns[2];
	double rate;

	(void)state;
	sonde__clock_init();
	ns[0] = sonde__monotonic_ns();
	ticks[0] = sonde__ticks();
	do
		ns[1] = sonde__monotonic_ns();
	while (ns[1] - ns[0] < 5 * SONDE__NS_PER_MS);
	ticks[1] = sonde__ticks();
	rate = (double)(ticks[1] - ticks[0]) * 1e6 / (double)(sonde__monotonic_ns() - ns[0]);
	/* The readings here may be torn apart by the scheduler; the calibration's own are not. */
	assert_true((double)sonde__ticks_per_ms() > rate * 0.5 &&
		    (double)sonde__ticks_per_ms() < rate * 2.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interpolates_between_anchors),
		cmocka_unit_test(test_extrapolates_outside),
		cmocka_unit_test(test_no_anchor_is_no_time),
		cmocka_unit_test(test_backward_step_keeps_durations),
		cmocka_unit_test(test_noise_in_the_offset_does_not_show),
		cmocka_unit_test(test_small_steps_do_not_accumulate),
		cmocka_unit_test(test_full_array_keeps_first_and_last),
		cmocka_unit_test(test_order_is_kept_across_anchors),
		cmocka_unit_test(test_counter_reset_begins_anew),
		cmocka_unit_test(test_equal_anchors_are_one),
		cmocka_unit_test(test_crowded_anchors_are_one),
		cmocka_unit_test(test_nonsense_is_harmless),
		cmocka_unit_test(test_order_is_kept_across_endless_stretches),
		cmocka_unit_test(test_real_clock_tells_the_time),
		cmocka_unit_test(test_ticks_per_ms_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
