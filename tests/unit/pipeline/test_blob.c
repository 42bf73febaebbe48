/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers become blobs and buffers again; what is more is copied, and counted in the budget. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/blob.h"

#define N_BUFFERS 3
#define CAPACITY 1000

static struct sonde__blob_store store;
static struct sonde__budget budget;

static int begin(void **state)
{
	(void)state;
	budget = (struct sonde__budget){ .blobs_limit = 100000 };
	return sonde__blobs_init(&store, N_BUFFERS, CAPACITY);
}

static int end(void **state)
{
	(void)state;
	assert_int_equal(budget.blobs, 0);
	sonde__blobs_deinit(&store);
	return 0;
}

static struct sonde__blob *keep(uint8_t fill, size_t size)
{
	struct sonde_buffer buffer = sonde__blobs_buffer(&store);
	struct sonde__blob *blob;

	assert_int_equal(buffer.size, 0);
	assert_non_null(sonde_buffer_reserve(&buffer, CAPACITY));
	assert_null(sonde_buffer_reserve(&buffer, CAPACITY + 1));
	memset(buffer.data, fill, size);
	blob = sonde__blobs_keep(&store, &budget, size, fill);
	assert_non_null(blob);
	assert_int_equal(blob->size, size);
	assert_int_equal(blob->n_items, fill);
	assert_null(blob->next);
	return blob;
}

static void check(const struct sonde__blob *blob)
{
	for (size_t i = 0; i < blob->size; i++)
		assert_int_equal(blob->bytes[i], blob->n_items);
}

static void buffers_become_blobs_and_then_copies_are_made(void **state)
{
	struct sonde__blob *blobs[6];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		bool is_buffer = i < N_BUFFERS - 1;

		assert_true(sonde__blobs_has_spare(&store) == is_buffer);
		blobs[i] = keep((uint8_t)(i + 1), CAPACITY - i);
		assert_true(blobs[i]->is_buffer == is_buffer);
	}
	assert_int_equal(budget.blobs, sonde__blob_footprint(CAPACITY - 2) +
					       sonde__blob_footprint(CAPACITY - 3) +
					       sonde__blob_footprint(CAPACITY - 4) +
					       sonde__blob_footprint(CAPACITY - 5));
	for (size_t i = 0; i < 6; i++)
		check(blobs[i]);
	for (size_t i = 0; i < 6; i++)
		sonde__blobs_free(&store, &budget, blobs[i]);
}

/* One after the other, as with a collector that keeps up: the same two, and no copy. */
static void buffers_are_used_again(void **state)
{
	struct sonde__blob *blob = keep(1, 10);

	(void)state;
	for (uint8_t i = 2; i < 100; i++) {
		struct sonde__blob *next = keep(i, CAPACITY);

		check(blob);
		assert_true(next->is_buffer);
		sonde__blobs_free(&store, &budget, blob);
		blob = next;
	}
	sonde__blobs_free(&store, &budget, blob);
}

/* What waits in a small lane does not hold the buffers of the others. */
static void small_ones_are_copies(void **state)
{
	struct sonde__blob *small[10];
	struct sonde__blob *large;

	(void)state;
	for (uint8_t i = 0; i < 10; i++) {
		small[i] = keep(i, CAPACITY / 16 - 1);
		assert_false(small[i]->is_buffer);
	}
	large = keep(99, CAPACITY / 16);
	assert_true(large->is_buffer);
	assert_int_equal(budget.blobs, 10 * sonde__blob_footprint(CAPACITY / 16 - 1));
	for (uint8_t i = 0; i < 10; i++) {
		check(small[i]);
		sonde__blobs_free(&store, &budget, small[i]);
	}
	check(large);
	sonde__blobs_free(&store, &budget, large);
}

/* Where the budget has no room for a copy there may be a buffer still. */
static void small_ones_take_buffers_where_they_must(void **state)
{
	struct sonde__blob *small;

	(void)state;
	budget.blobs_limit = 10;
	small = keep(1, 5);
	assert_true(small->is_buffer);
	assert_int_equal(budget.blobs, 0);
	check(small);
	sonde__blobs_free(&store, &budget, small);
}

static void one_buffer_makes_copies_alone(void **state)
{
	struct sonde__blob *blob;

	(void)state;
	sonde__blobs_deinit(&store);
	assert_int_equal(sonde__blobs_init(&store, 1, CAPACITY), SONDE_OK);
	assert_false(sonde__blobs_has_spare(&store));
	blob = keep(7, CAPACITY);
	assert_false(blob->is_buffer);
	(void)memset(sonde__blobs_buffer(&store).data, 0, CAPACITY);
	check(blob);
	sonde__blobs_free(&store, &budget, blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(buffers_become_blobs_and_then_copies_are_made,
						begin, end),
		cmocka_unit_test_setup_teardown(buffers_are_used_again, begin, end),
		cmocka_unit_test_setup_teardown(small_ones_are_copies, begin, end),
		cmocka_unit_test_setup_teardown(small_ones_take_buffers_where_they_must, begin,
						end),
		cmocka_unit_test_setup_teardown(one_buffer_makes_copies_alone, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
