/* SPDX-License-Identifier: Apache-2.0 */

/* Who hears of what the toolkit decides. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resilience/observe.h"

static int n_process;

static void count(void *user, const struct sonde_observation *observation)
{
	assert_string_equal(observation->name, "");
	errno = 0;
	++*(int *)(user ? user : &n_process);
}

static void test_own_and_process(void **state)
{
	int n_own = 0;
	struct sonde_observer own = { .observe = count, .user = &n_own };
	struct sonde_observation observation = { .pattern = SONDE_PATTERN_RETRY };

	(void)state;
	assert_false(sonde__is_observed(NULL));
	assert_false(sonde__is_observed(&(struct sonde_observer){ 0 }));
	sonde__observe(NULL, &observation);
	sonde__observer_install(count);
	assert_true(sonde__is_observed(NULL));
	errno = 4711;
	sonde__observe(&own, &observation);
	assert_int_equal(errno, 4711);
	assert_int_equal(n_own, 1);
	assert_int_equal(n_process, 1);
	sonde__observer_install(NULL);
	sonde__observe(&own, &observation);
	assert_int_equal(n_own, 2);
	assert_int_equal(n_process, 1);
	assert_true(sonde__is_observed(&own));
}

static void test_names(void **state)
{
	(void)state;
#define COUNTED(...) +1
	assert_int_equal(0 SONDE_PATTERN_MAP(COUNTED), SONDE_PATTERN_COUNT);
	assert_int_equal(0 SONDE_OBSERVED_MAP(COUNTED), SONDE_OBSERVED_COUNT);
	assert_string_equal(sonde_pattern_name(SONDE_PATTERN_BREAKER), "breaker");
	assert_string_equal(sonde_pattern_name((enum sonde_pattern)99), "unknown");
	assert_string_equal(sonde_observed_name(SONDE_OBSERVED_STALL), "stall");
	assert_string_equal(sonde_observed_name((enum sonde_observed)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_and_process),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
