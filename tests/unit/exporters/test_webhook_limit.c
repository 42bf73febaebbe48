/* SPDX-License-Identifier: Apache-2.0 */
/* How many messages a minute, on virtual time. */

#include "webhook/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

static struct sonde__webhook_limit limit;

static uint32_t take_all(uint64_t now_ns)
{
	uint32_t n = 0;

	while (sonde__webhook_limit_take(&limit, now_ns))
		n++;
	return n;
}

static void a_bucket_that_fills_by_one_at_a_time(void **state)
{
	(void)state;
	sonde__webhook_limit_init(&limit, 10, 100 * S);
	assert_false(sonde__webhook_limit_is_reached(&limit));
	assert_int_equal(take_all(100 * S), 10);
	assert_true(sonde__webhook_limit_is_reached(&limit));
	assert_int_equal(take_all(106 * S - 1), 0);
	assert_int_equal(take_all(106 * S), 1);
	assert_int_equal(take_all(111 * S), 0);
	/* What was over of an interval counts for the next. */
	assert_int_equal(take_all(112 * S), 1);
	assert_int_equal(take_all(131 * S), 3);
	assert_int_equal(take_all(136 * S), 1);
	/* Never more than full. */
	assert_int_equal(take_all(10000 * S), 10);
	assert_int_equal(take_all(10005 * S), 0);
}

/* Over any time, the rate and one bucket at most. */
static void never_more_in_an_hour(void **state)
{
	uint32_t n = 0;

	(void)state;
	sonde__webhook_limit_init(&limit, 7, 0);
	for (uint64_t at = 0; at <= 3600 * S; at += 13 * S / 100)
		n += sonde__webhook_limit_take(&limit, at);
	assert_in_range(n, 420, 427);
}

static void what_was_not_used_comes_back(void **state)
{
	(void)state;
	sonde__webhook_limit_init(&limit, 2, 0);
	assert_true(sonde__webhook_limit_take(&limit, 0));
	sonde__webhook_limit_give_back(&limit);
	assert_int_equal(take_all(0), 2);
	sonde__webhook_limit_give_back(&limit);
	assert_int_equal(take_all(0), 1);
}

static void no_limit(void **state)
{
	(void)state;
	sonde__webhook_limit_init(&limit, 0, 0);
	for (int i = 0; i < 1000; i++)
		assert_true(sonde__webhook_limit_take(&limit, 0));
	sonde__webhook_limit_give_back(&limit);
	assert_false(sonde__webhook_limit_is_reached(&limit));
}

static void a_clock_that_stands_or_goes_back(void **state)
{
	(void)state;
	sonde__webhook_limit_init(&limit, 1, 50 * S);
	assert_int_equal(take_all(40 * S), 1);
	assert_int_equal(take_all(0), 0);
	assert_int_equal(take_all(109 * S), 0);
	assert_int_equal(take_all(110 * S), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_that_fills_by_one_at_a_time),
		cmocka_unit_test(never_more_in_an_hour),
		cmocka_unit_test(what_was_not_used_comes_back),
		cmocka_unit_test(no_limit),
		cmocka_unit_test(a_clock_that_stands_or_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
