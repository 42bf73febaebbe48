/* SPDX-License-Identifier: Apache-2.0 */
/* The ring through the box's door: what one thread can see. */

#include "box/box.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "box/ring.h"
#include "box/shape.h"

#define N_REFS 4096

static struct sonde__record_ref refs[N_REFS];

static int setup(void **state)
{
	struct sonde__box_options options = { .size_bytes = 1 << 20, .service_name = "test" };
	struct sonde__box_info info;

	cpu_set_t cpus;

	(void)state;
	CPU_ZERO(&cpus);
	CPU_SET((size_t)sched_getcpu(), &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	sonde__box_close();
	assert_int_equal(sonde__box_open(&options, &info), SONDE_OK);
	return 0;
}

static bool put(uint32_t size, enum sonde_signal signal, bool urgent, uint64_t id)
{
	struct sonde__slot slot;
	struct sonde__record *record;

	if (!sonde__box_reserve(size, signal, urgent, &slot))
		return false;
	record = slot.record;
	memset(record, (int)(id & 0xff), size);
	record->size = size;
	record->time = id;
	sonde__box_commit(&slot);
	return true;
}

static void one_record_comes_out_as_it_went_in(void **state)
{
	bool complete;

	(void)state;
	assert_true(put(100, SONDE_SIGNAL_SPAN, false, 7));
	assert_int_equal(sonde__box_collect(refs, N_REFS, &complete), 1);
	assert_true(complete);
	assert_int_equal(refs[0].record->time, 7);
	assert_int_equal(sonde__box_collect(refs + 1, N_REFS - 1, &complete), 0);
	sonde__box_release(&refs[0]);
}

static void many_rounds_lose_nothing(void **state)
{
	uint64_t next_in = 1;
	uint64_t next_out = 1;
	bool complete;

	(void)state;
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 1000; i++)
			assert_true(put(16 + (uint32_t)(next_in % 200), SONDE_SIGNAL_LOG, false, next_in)), next_in++;
		size_t n = sonde__box_collect(refs, N_REFS, &complete);

		assert_true(complete);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(refs[i].record->time & 0xffffffff, next_out & 0xffffffff);
			next_out++;
			sonde__box_release(&refs[i]);
		}
	}
	assert_int_equal(next_in, next_out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_record_comes_out_as_it_went_in, setup),
		cmocka_unit_test_setup(many_rounds_lose_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
