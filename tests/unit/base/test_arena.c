/* SPDX-License-Identifier: Apache-2.0 */
/* The arena and the exporters' buffer: neither grows past what it was given. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <sonde/exporter.h>

#include "base/arena.h"

static bool is_out_of_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
	return is_out_of_memory ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return is_out_of_memory ? NULL : __real_realloc(memory, size);
}

static void test_arena_is_aligned_and_bounded(void **state)
{
	struct sonde__arena arena;
	uint8_t *a;
	uint8_t *b;

	(void)state;
	assert_int_equal(sonde__arena_init(&arena, 64), 0);
	a = sonde__arena_take(&arena, 3);
	b = sonde__arena_take(&arena, 5);
	assert_non_null(a);
	assert_int_equal((uintptr_t)b % 8, 0);
	assert_int_equal(b - a, 8);
	assert_null(sonde__arena_take(&arena, 49));
	assert_null(sonde__arena_take(&arena, SIZE_MAX));
	assert_null(sonde__arena_take(&arena, SIZE_MAX - 6));
	assert_non_null(sonde__arena_take(&arena, 48));
	assert_null(sonde__arena_take(&arena, 1));
	sonde__arena_reset(&arena);
	assert_ptr_equal(sonde__arena_take(&arena, 64), a);
	sonde__arena_deinit(&arena);
	sonde__arena_deinit(&arena);
	sonde__arena_deinit(NULL);
}

static void test_arena_gives_back_the_end(void **state)
{
	struct sonde__arena arena;
	uint8_t *a;

	(void)state;
	assert_int_equal(sonde__arena_init(&arena, 64), 0);
	a = sonde__arena_take(&arena, 64);
	sonde__arena_trim(&arena, a + 9);
	assert_ptr_equal(sonde__arena_take(&arena, 48), a + 16);
	assert_null(sonde__arena_take(&arena, 1));
	sonde__arena_deinit(&arena);
}

static void test_arena_without_memory(void **state)
{
	struct sonde__arena arena;
	int r;

	(void)state;
	is_out_of_memory = true;
	r = sonde__arena_init(&arena, 64);
	is_out_of_memory = false;
	assert_int_equal(r, SONDE_E_NOMEM);
	assert_int_equal(sonde__arena_init(&arena, 0), 0);
	assert_null(sonde__arena_take(&arena, 1));
	sonde__arena_deinit(&arena);
}

static void test_buffer_without_memory_keeps_what_it_has(void **state)
{
	struct sonde_buffer buffer = { .limit = SIZE_MAX };
	uint8_t bytes[8192] = { 1 };
	int r;

	(void)state;
	assert_int_equal(sonde_buffer_append(&buffer, bytes, 10), SONDE_OK);
	is_out_of_memory = true;
	r = sonde_buffer_append(&buffer, bytes, sizeof(bytes));
	is_out_of_memory = false;
	assert_int_equal(r, SONDE_E_NOMEM);
	assert_int_equal(buffer.size, 10);
	assert_int_equal(buffer.data[0], 1);
	free(buffer.data);
}

static void test_buffer_grows_to_its_limit(void **state)
{
	struct sonde_buffer buffer = { .limit = 10000 };
	uint8_t bytes[1000];

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		memset(bytes, (int)i, sizeof(bytes));
		assert_int_equal(sonde_buffer_append(&buffer, bytes, sizeof(bytes)), SONDE_OK);
	}
	assert_int_equal(buffer.size, 10000);
	assert_true(buffer.capacity <= 10000);
	assert_int_equal(sonde_buffer_append(&buffer, bytes, 1), SONDE_E_NOMEM);
	assert_int_equal(buffer.size, 10000);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(buffer.data[i], i / 1000);
	free(buffer.data);
}

static void test_buffer_reserves_without_using(void **state)
{
	struct sonde_buffer buffer = { .limit = 1 << 20 };
	uint8_t *room;

	(void)state;
	assert_non_null(sonde_buffer_reserve(&buffer, 0));
	room = sonde_buffer_reserve(&buffer, 5000);
	assert_non_null(room);
	assert_int_equal(buffer.size, 0);
	assert_ptr_equal(room, buffer.data);
	assert_null(sonde_buffer_reserve(&buffer, SIZE_MAX));
	assert_null(sonde_buffer_reserve(NULL, 1));
	assert_int_equal(sonde_buffer_append(NULL, NULL, 0), SONDE_E_INVALID);
	assert_int_equal(sonde_buffer_append(&buffer, NULL, 0), SONDE_OK);
	free(buffer.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_is_aligned_and_bounded),
		cmocka_unit_test(test_arena_gives_back_the_end),
		cmocka_unit_test(test_arena_without_memory),
		cmocka_unit_test(test_buffer_without_memory_keeps_what_it_has),
		cmocka_unit_test(test_buffer_grows_to_its_limit),
		cmocka_unit_test(test_buffer_reserves_without_using),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
