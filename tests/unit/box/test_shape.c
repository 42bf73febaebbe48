/* SPDX-License-Identifier: Apache-2.0 */
/* Every size and number of CPUs gives a box that fits. */

#include "box/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void check(uint64_t size, unsigned n_cpus)
{
	struct sonde__box box = { 0 };
	struct sonde__box_header header = { 0 };

	sonde__box_divide(size, n_cpus, &box, &header);
	assert_true(box.size <= (size < SONDE__BOX_SIZE_MIN ? SONDE__BOX_SIZE_MIN : size));
	assert_true(box.size * 10 >= (size < SONDE__BOX_SIZE_MIN   ? SONDE__BOX_SIZE_MIN
				      : size > SONDE__BOX_SIZE_MAX ? SONDE__BOX_SIZE_MAX
								   : size) *
					     8);
	assert_true(box.n_rings >= 1 && (box.n_rings <= n_cpus || n_cpus == 0));
	assert_true(box.ring_shape.n_blocks >= 4 && box.reserve_shape.n_blocks >= 4);
	assert_true(box.ring_shape.n_granules * SONDE__GRANULE >= SONDE__RECORD_MAX_SIZE);
	assert_true(box.ring_shape.n_blocks <= box.ring_shape.order_mask + 1);
	assert_true(box.ring_shape.order_offset + 2 * (box.ring_shape.order_mask + 1) <=
		    box.ring_shape.blocks_offset);
	assert_true(header.rings.offset + (uint64_t)box.n_rings * box.ring_shape.size <=
		    header.reserve.offset);
	assert_true(header.reserve.offset + box.reserve_shape.size <= box.size);
	assert_true(box.figures_shape.size <= 1 << 20 && box.figures_shape.n_shards >= 2);
	assert_true(box.figures_shape.n_entries > 24 && box.figures_shape.n_lines > 24);
	assert_true(header.figures.offset + box.figures_shape.size <= header.box_size);
	assert_true(box.figures_shape.size <= 32 * 1024 || box.figures_shape.size <= size / 8);
	assert_true(!box.has_own_counts || n_cpus < box.figures_shape.n_shards);
	assert_int_equal(header.rings.offset % 4096, 0);
	assert_int_equal(box.ring_shape.size % 4096, 0);
}

static void every_size_fits(void **state)
{
	static const unsigned cpus[] = { 0, 1, 2, 3, 8, 17, 64, 128, 1024, 9999 };

	(void)state;
	for (uint64_t size = 0; size <= UINT64_C(300) << 20;
	     size += size < 8 << 20 ? 12345 : 7654321)
		for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++)
			check(size, cpus[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
