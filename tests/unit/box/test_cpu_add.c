/* SPDX-License-Identifier: Apache-2.0 */
/* Additions on one CPU: all or nothing, whatever interrupts them. */

#include "box/cpu_add.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "box/box.h"

#define N_SIGNALS 200
#define SECONDS_MAX 20

static const struct sonde__box *box;
static _Atomic uint64_t n_signals;

static int box_open(void **state)
{
	struct sonde__box_options options = { .size_bytes = 1 << 20,
					      .service_name = "unit-cpu-add" };
	struct sonde__box_info info;

	(void)state;
	if (sonde__box_open(&options, &info) < 0)
		return -1;
	box = sonde__box_get();
	return 0;
}

static int box_close(void **state)
{
	(void)state;
	sonde__box_close();
	return 0;
}

/* Keeps the thread on the CPU it is on; false where that, or the sequences, cannot be had. */
static bool stay(uint32_t *ret_cpu)
{
	cpu_set_t set;

	if (!box->has_own_counts)
		return false;
	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return false;
	*ret_cpu = sonde__cpu_registered(box);
	return true;
}

static void only_on_its_cpu(void **state)
{
	_Atomic uint64_t count = 0;
	_Atomic uint64_t sum = 0;
	uint64_t n = 7;
	uint32_t cpu;

	(void)state;
	if (!stay(&cpu))
		skip();
	assert_int_equal(cpu, (uint32_t)sched_getcpu());
	assert_false(sonde__cpu_add(box, cpu + 1, &count, 5));
	assert_false(sonde__cpu_add_sum(box, cpu + 1, &sum, &n, &count));
	assert_int_equal(count, 0);
	assert_int_equal(sum, 0);
	assert_int_equal(n, 7);
	/* The sequence may be interrupted at any time, but not always. */
	while (!sonde__cpu_add(box, cpu, &count, UINT64_C(5) << 40))
		;
	assert_int_equal(count, UINT64_C(5) << 40);
	while (!sonde__cpu_add_sum(box, cpu, &sum, &n, &count))
		assert_int_equal(n, 7);
	assert_int_equal(count, (UINT64_C(5) << 40) + 1);
	assert_int_equal(sum, 7);
}

static void on_signal(int number)
{
	(void)number;
	atomic_fetch_add_explicit(&n_signals, 1, memory_order_relaxed);
}

static bool goes_on(time_t begin)
{
	return atomic_load_explicit(&n_signals, memory_order_relaxed) < N_SIGNALS &&
	       time(NULL) - begin < SECONDS_MAX;
}

/* Adds under a storm of signals; how often it was interrupted. */
static uint64_t add_in_a_storm(uint32_t cpu)
{
	const time_t begin = time(NULL);
	_Atomic uint64_t count = 0;
	_Atomic uint64_t sum = 0;
	uint64_t n_added = 0;
	uint64_t n_interrupted = 0;
	uint64_t added = 0;

	while (goes_on(begin)) {
		for (uint64_t i = 0; i < 10000; i++) {
			/* Never what the sum was before, so that the outcome is certain. */
			uint64_t n = added + 3;

			if (sonde__cpu_add_sum(box, cpu, &sum, &n, &count)) {
				n_added++;
				added += added + 3;
			} else {
				n_interrupted++;
				added += n ? 0 : added + 3;
			}
			if (added > UINT64_C(1) << 60) {
				assert_int_equal(sum, added);
				atomic_store_explicit(&sum, 0, memory_order_relaxed);
				added = 0;
			}
		}
	}
	assert_int_equal(count, n_added);
	assert_int_equal(sum, added);
	return n_interrupted;
}

static void all_or_nothing_under_signals(void **state)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	uint64_t n_interrupted;
	uint32_t cpu;

	(void)state;
	if (!stay(&cpu))
		skip();
	signal(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &often, NULL);
	n_interrupted = add_in_a_storm(cpu);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	/* Half of the time goes by in the sequence, so one of so many signals must have hit it. */
	if (atomic_load_explicit(&n_signals, memory_order_relaxed) >= N_SIGNALS)
		assert_true(n_interrupted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_on_its_cpu, box_open, box_close),
		cmocka_unit_test_setup_teardown(all_or_nothing_under_signals, box_open, box_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
