/* SPDX-License-Identifier: Apache-2.0 */
/* No ring is lost, none is doubled, and nobody makes a system call for a waiter that is awake. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/bell.h"
#include "base/clock.h"

#define ROUNDS 20000

static void test_ring_is_remembered_once(void **state)
{
	struct sonde__bell bell = { 0 };

	(void)state;
	errno = 77;
	for (int i = 0; i < 100; i++)
		sonde__bell_ring(&bell);
	assert_true(sonde__bell_wait(&bell, UINT64_MAX));
	assert_false(sonde__bell_wait(&bell, 0));
	assert_int_equal(errno, 77);
}

static void test_wait_ends_with_its_time(void **state)
{
	struct sonde__bell bell = { 0 };
	uint64_t start = sonde__monotonic_ns();

	(void)state;
	errno = 77;
	assert_false(sonde__bell_wait(&bell, 2 * SONDE__NS_PER_MS));
	assert_int_equal(errno, 77);
	assert_true(sonde__monotonic_ns() - start >= 2 * SONDE__NS_PER_MS);
	/* The next ring is not one that was missed. */
	sonde__bell_ring(&bell);
	assert_true(sonde__bell_wait(&bell, UINT64_MAX));
}

static void test_a_soft_ring_is_remembered(void **state)
{
	struct sonde__bell bell = { 0 };

	(void)state;
	sonde__bell_ring_softly(&bell);
	assert_true(sonde__bell_wait(&bell, UINT64_MAX));
	sonde__bell_ring_softly(&bell);
	assert_true(sonde__bell_doze(&bell, UINT64_MAX));
	assert_false(sonde__bell_doze(&bell, 1));
}

/* Rings softly, and once more aloud when the test says so. */
struct soft_ringer {
	struct sonde__bell bell;
	_Atomic bool is_aloud;
};

static void *ring_softly_then_aloud(void *argument)
{
	struct soft_ringer *ringer = argument;

	while (!atomic_load_explicit(&ringer->is_aloud, memory_order_relaxed)) {
		sonde__bell_ring_softly(&ringer->bell);
		sched_yield();
	}
	sonde__bell_ring(&ringer->bell);
	return NULL;
}

/* Soft rings leave a dozing waiter its time, all but the one it may meet as it lies down. */
static void test_a_soft_ring_leaves_a_doze(void **state)
{
	struct soft_ringer ringer = { .is_aloud = false };
	const uint64_t doze_ns = 5 * SONDE__NS_PER_MS;
	bool was_left = false;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ring_softly_then_aloud, &ringer), 0);
	while (!was_left) {
		uint64_t start = sonde__monotonic_ns();

		(void)sonde__bell_doze(&ringer.bell, doze_ns);
		was_left = sonde__monotonic_ns() - start >= doze_ns;
	}
	/* Without a time limit: a loud ring that is lost ends this test never. */
	atomic_store_explicit(&ringer.is_aloud, true, memory_order_relaxed);
	pthread_join(thread, NULL);
	assert_true(sonde__bell_doze(&ringer.bell, UINT64_MAX));
}

static struct sonde__bell shared_bell;
static _Atomic uint32_t work;

static void *produce(void *unused)
{
	(void)unused;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		atomic_store_explicit(&work, i, memory_order_release);
		sonde__bell_ring(&shared_bell);
		/* Every so often let the waiter go to sleep. */
		while (i % 16 == 0 && atomic_load_explicit(&work, memory_order_acquire) != 0)
			sched_yield();
	}
	return NULL;
}

/* The waiter sleeps without a time limit: one lost ring and this test never ends. */
static void test_no_ring_is_lost(void **state)
{
	pthread_t producer;
	uint32_t seen = 0;
	uint32_t n_waits = 0;

	(void)state;
	assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
	while (seen < ROUNDS) {
		uint32_t taken = atomic_exchange_explicit(&work, 0, memory_order_acquire);

		if (taken) {
			assert_true(taken > seen);
			seen = taken;
			continue;
		}
		sonde__bell_wait(&shared_bell, UINT64_MAX);
		n_waits++;
	}
	pthread_join(producer, NULL);
	assert_true(n_waits > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_is_remembered_once),
		cmocka_unit_test(test_wait_ends_with_its_time),
		cmocka_unit_test(test_a_soft_ring_is_remembered),
		cmocka_unit_test(test_a_soft_ring_leaves_a_doze),
		cmocka_unit_test(test_no_ring_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
