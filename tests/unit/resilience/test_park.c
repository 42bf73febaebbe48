/* SPDX-License-Identifier: Apache-2.0 */

/* Waiting: what ends it, and that nothing is forgotten in between. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "resilience/clock.h"
#include "resilience/park.h"
#include "support/virtual_clock.h"

static void test_wake_up_before_the_wait_is_remembered(void **state)
{
	struct sonde__parker parker;

	(void)state;
	sonde__parker_init(&parker);
	sonde__unpark(&parker);
	assert_int_equal(sonde__park(&parker, NULL, SONDE__NEVER, NULL), SONDE__WOKEN);
}

static void test_ends_at_its_moment(void **state)
{
	struct virtual_clock virtual;
	struct sonde__parker parker;
	uint64_t now_ns = sonde__monotonic_ns();

	(void)state;
	sonde__parker_init(&parker);
	assert_int_equal(sonde__park(&parker, NULL, now_ns + 2 * MS, NULL), SONDE__WOKEN_LATE);
	assert_true(sonde__monotonic_ns() >= now_ns + 2 * MS);
	virtual_clock_init(&virtual, 5 * SECOND);
	assert_int_equal(sonde__park(&parker, &virtual.clock, 65 * SECOND, NULL),
			 SONDE__WOKEN_LATE);
	assert_int_equal(virtual.now_ns, 65 * SECOND);
	assert_int_equal(virtual.n_waits, 1);
	assert_int_equal(sonde__park(&parker, &virtual.clock, 1, NULL), SONDE__WOKEN_LATE);
	assert_int_equal(virtual.n_waits, 1);
}

static void test_a_fired_token_ends_it(void **state)
{
	struct sonde_cancel cancel;
	struct sonde__parker parker;

	(void)state;
	sonde_cancel_init(&cancel, NULL);
	sonde_cancel_fire(&cancel, NULL);
	sonde__parker_init(&parker);
	assert_int_equal(sonde__park(&parker, NULL, SONDE__NEVER, &cancel), SONDE__WOKEN_CANCELLED);
	/* What was granted counts more. */
	sonde__unpark(&parker);
	assert_int_equal(sonde__park(&parker, NULL, SONDE__NEVER, &cancel), SONDE__WOKEN);
	assert_false(sonde__sleep_until(NULL, SONDE__NEVER, &cancel));
	sonde_cancel_deinit(&cancel);
}

struct sleeper {
	struct sonde__parker parker;
	struct sonde_cancel *cancel;
	enum sonde__woken woken;
	int value;
	int seen;
};

static void *sleep_for_ever(void *argument)
{
	struct sleeper *sleeper = argument;

	sleeper->woken = sonde__park(&sleeper->parker, NULL, SONDE__NEVER, sleeper->cancel);
	if (sleeper->woken == SONDE__WOKEN)
		sleeper->seen = sleeper->value;
	return NULL;
}

static void test_other_threads_wake_and_cancel(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		struct sonde_cancel cancel;
		struct sleeper sleeper = { .cancel = &cancel };
		pthread_t thread;

		sonde_cancel_init(&cancel, NULL);
		sonde__parker_init(&sleeper.parker);
		assert_int_equal(pthread_create(&thread, NULL, sleep_for_ever, &sleeper), 0);
		if (i % 2) {
			sleeper.value = i;
			sonde__unpark(&sleeper.parker);
		} else {
			sonde_cancel_fire(&cancel, "enough");
		}
		pthread_join(thread, NULL);
		assert_int_equal(sleeper.woken, i % 2 ? SONDE__WOKEN : SONDE__WOKEN_CANCELLED);
		assert_int_equal(sleeper.seen, i % 2 ? i : 0);
		sonde_cancel_deinit(&cancel);
	}
}

static void test_waiters_are_served_in_order(void **state)
{
	struct sonde__waiters waiters = { 0 };
	struct sonde__waiter waiter[4];

	(void)state;
	assert_false(sonde__waiters_grant(&waiters));
	for (int i = 0; i < 4; i++) {
		sonde__waiter_init(&waiter[i]);
		sonde__waiters_push(&waiters, &waiter[i]);
	}
	sonde__waiters_remove(&waiters, &waiter[1]);
	assert_int_equal(waiters.n_waiters, 3);
	assert_true(sonde__waiters_grant(&waiters));
	assert_true(waiter[0].is_granted);
	assert_false(waiter[2].is_granted);
	sonde__waiters_remove(&waiters, &waiter[3]);
	assert_true(sonde__waiters_grant(&waiters));
	assert_true(waiter[2].is_granted);
	assert_false(sonde__waiters_grant(&waiters));
	assert_int_equal(waiters.n_waiters, 0);
	assert_int_equal(sonde__park(&waiter[2].parker, NULL, SONDE__NEVER, NULL), SONDE__WOKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_up_before_the_wait_is_remembered),
		cmocka_unit_test(test_ends_at_its_moment),
		cmocka_unit_test(test_a_fired_token_ends_it),
		cmocka_unit_test(test_other_threads_wake_and_cancel),
		cmocka_unit_test(test_waiters_are_served_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
