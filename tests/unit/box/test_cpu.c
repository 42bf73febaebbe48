/* SPDX-License-Identifier: Apache-2.0 */
/* A machine with more processors than the box has room for: bounded, and every one finds a ring. */

#include "box/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../support/child.h"
#include "base/process.h"
#include "box/box.h"
#include "box/write_inline.h"

#define N_CPUS 256
#define DEFAULT_SIZE (3u << 20)

static char directory[64];

static struct sonde__box_info open_on(uint32_t n_cpus)
{
	struct sonde__box_options options = { .size_bytes = DEFAULT_SIZE,
					      .directory = directory,
					      .service_name = "unit cpu",
					      .n_cpus = n_cpus };
	struct sonde__box_info info;

	CHECK(sonde__process_init() == 0 && sonde__box_open(&options, &info) == SONDE_OK);
	return info;
}

/* Whatever the number, also one that the system never named, its ring is one of the box's. */
static void every_processor_has_a_ring(void)
{
	struct sonde__box_info info = open_on(N_CPUS);
	const struct sonde__box *box = sonde__box_get();
	uint32_t n_users[SONDE__RINGS_MAX] = { 0 };

	CHECK(info.size_bytes <= DEFAULT_SIZE && info.n_rings >= 2 && info.n_rings < N_CPUS);
	for (uint32_t cpu = 0; cpu < N_CPUS; cpu++) {
		uint32_t number = 0;

		while (number < info.n_rings &&
		       sonde__box_ring(box, number) != sonde__box_ring_of_cpu(box, cpu))
			number++;
		CHECK(number < info.n_rings);
		n_users[number]++;
	}
	for (uint32_t i = 0; i < info.n_rings; i++)
		CHECK(n_users[i] >= N_CPUS / info.n_rings);
	CHECK(sonde__box_ring_of_cpu(box, UINT32_MAX) >= sonde__box_ring(box, 0));
	CHECK(sonde__box_ring_of_cpu(box, UINT32_MAX) <= sonde__box_ring(box, info.n_rings - 1));
	sonde__box_close();
}

/* What is written from each of them is read, once. */
static void every_processors_records_are_read(void)
{
	struct sonde__box_info info = open_on(N_CPUS);
	const struct sonde__box *box = sonde__box_get();
	struct sonde__record_ref refs[2 * N_CPUS];
	struct sonde__box_account account;
	bool is_complete = false;
	size_t n;

	for (uint32_t cpu = 0; cpu < N_CPUS; cpu++) {
		struct sonde__place place;
		struct sonde__record *record;

		CHECK(sonde__ring_reserve(sonde__box_ring_of_cpu(box, cpu), &box->ring_shape, 2,
					  SONDE_SIGNAL_SPAN, &place));
		record = (struct sonde__record *)(void *)place.record;
		memset(record, 0, 2 * SONDE__GRANULE);
		record->size = 2 * SONDE__GRANULE;
		record->time = cpu;
		atomic_store_explicit(place.mark, SONDE__MARK_COMMITTED | SONDE_SIGNAL_SPAN,
				      memory_order_release);
	}
	n = sonde__box_collect(refs, 2 * N_CPUS, &is_complete);
	CHECK(is_complete && n == N_CPUS);
	for (size_t i = 0; i < n; i++)
		sonde__box_release(&refs[i]);
	sonde__box_account(SONDE_SIGNAL_SPAN, &account);
	CHECK(account.captured == N_CPUS && account.queued == 0);
	CHECK(info.n_rings == box->n_rings);
	sonde__box_close();
}

static void the_number_is_the_systems(void)
{
	struct sonde__box box = { 0 };

	sonde__cpu_find(&box);
	CHECK(sonde__cpu_number(&box) < (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
	box.has_rseq = 0;
	CHECK(sonde__cpu_number(&box) < (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
}

static int make_directory(void **state)
{
	(void)state;
	memcpy(directory, "/dev/shm/sonde-test-XXXXXX", 27);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		assert_int_equal(child_run(name), CHILD_OK); \
	}

TEST(every_processor_has_a_ring)
TEST(every_processors_records_are_read)
TEST(the_number_is_the_systems)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_processor_has_a_ring),
		cmocka_unit_test(test_every_processors_records_are_read),
		cmocka_unit_test(test_the_number_is_the_systems),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
