/* SPDX-License-Identifier: Apache-2.0 */
/* Backoff with a randomness that the test chooses; expected delays come by closed formula. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "resilience/retry.h"

#define S UINT64_C(1000000000)

static double given(void *user)
{
	return *(double *)user;
}

static double drawn(void *user)
{
	uint64_t *state = user;

	return (double)(sonde__mix64(++*state) >> 11) * 0x1p-53;
}

static struct sonde__retry make(uint64_t initial_ns, uint64_t max_ns, sonde__random_fn *random,
				void *user)
{
	struct sonde__retry retry;

	sonde__retry_init(&retry,
			  &(struct sonde__retry_options){ .initial_ns = initial_ns,
							  .max_ns = max_ns,
							  .factor = 1.5,
							  .random = random,
							  .random_user = user });
	return retry;
}

static void assert_about(uint64_t actual_ns, double expected_ns)
{
	assert_true(fabs((double)actual_ns - expected_ns) <= 16 + expected_ns * 1e-9);
}

static void test_retry_grows_to_the_limit(void **state)
{
	static const double draws[] = { 0.0, 0.5, 0.25, 0.999 };

	(void)state;
	for (size_t d = 0; d < sizeof(draws) / sizeof(draws[0]); d++) {
		double draw = draws[d];
		struct sonde__retry retry = make(S, 30 * S, given, &draw);

		for (int n = 0; n < 200; n++)
			assert_about(sonde__retry_next_delay(&retry, SONDE__RETRY_NO_WISH),
				     fmin(1e9 * pow(1.5, n), 30e9) * (0.5 + draw));
		assert_int_equal(retry.n_failures, 200);
		sonde__retry_reset(&retry);
		assert_int_equal(retry.n_failures, 0);
		assert_about(sonde__retry_next_delay(&retry, SONDE__RETRY_NO_WISH),
			     1e9 * (0.5 + draw));
	}
}

static void test_retry_wish_beats_backoff(void **state)
{
	double draw = 0.5;
	struct sonde__retry retry = make(S, 30 * S, given, &draw);

	(void)state;
	assert_int_equal(sonde__retry_next_delay(&retry, 0), 0);
	assert_int_equal(sonde__retry_next_delay(&retry, 3600 * S), 3600 * S);
	assert_about(sonde__retry_next_delay(&retry, SONDE__RETRY_NO_WISH), 2.25e9);
}

static void test_retry_extremes(void **state)
{
	double draw = 0.5;
	struct sonde__retry huge = make(UINT64_MAX / 4, UINT64_MAX / 2, given, &draw);
	struct sonde__retry upside_down = make(10 * S, S, given, &draw);
	struct sonde__retry zero = make(0, 0, given, &draw);
	struct sonde__retry endless = make(UINT64_MAX, UINT64_MAX, given, &draw);

	(void)state;
	for (int n = 0; n < 10; n++) {
		uint64_t delay_ns = sonde__retry_next_delay(&huge, SONDE__RETRY_NO_WISH);

		assert_true(delay_ns >= UINT64_MAX / 4 - 4096 && delay_ns <= UINT64_MAX / 2 + 4096);
		assert_int_equal(sonde__retry_next_delay(&upside_down, SONDE__RETRY_NO_WISH), S);
		assert_int_equal(sonde__retry_next_delay(&zero, SONDE__RETRY_NO_WISH), 0);
		assert_int_equal(sonde__retry_next_delay(&endless, SONDE__RETRY_NO_WISH),
				 UINT64_C(1) << 63);
	}
}

/* 100,000 random steps: every delay within its bounds, both halves of the jitter used. */
static void test_retry_random_sequence(void **state)
{
	uint64_t random = 7;
	struct sonde__retry retry = make(S, 30 * S, drawn, &random);
	int since_reset = 0;
	int below = 0;

	(void)state;
	for (uint64_t step = 0; step < 100000; step++) {
		double base_ns = fmin(1e9 * pow(1.5, since_reset), 30e9);
		uint64_t choice = sonde__mix64(step) % 16;
		uint64_t delay_ns;

		if (choice == 0) {
			sonde__retry_reset(&retry);
			since_reset = 0;
			continue;
		}
		since_reset++;
		if (choice == 1) {
			assert_int_equal(sonde__retry_next_delay(&retry, step), step);
			continue;
		}
		delay_ns = sonde__retry_next_delay(&retry, SONDE__RETRY_NO_WISH);
		assert_true((double)delay_ns >= base_ns * 0.4999 &&
			    (double)delay_ns < base_ns * 1.5001);
		below += (double)delay_ns < base_ns;
	}
	assert_in_range(below, 40000, 48000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_grows_to_the_limit),
		cmocka_unit_test(test_retry_wish_beats_backoff),
		cmocka_unit_test(test_retry_extremes),
		cmocka_unit_test(test_retry_random_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
