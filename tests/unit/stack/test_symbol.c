/* SPDX-License-Identifier: Apache-2.0 */

/* Names come from the file that is loaded, and no file, however broken, does harm. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "stack/symbol.h"

static struct sonde__module program;
static char copy_path[] = P_tmpdir "/sonde-symbol-XXXXXX";
static uint8_t *image;
static size_t image_size;

static uint64_t in_file(void (*function)(void **))
{
	return (uint64_t)(uintptr_t)function - program.bias;
}

static void copy_write(const void *data, size_t size)
{
	int fd = open(copy_path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static int group_setup(void **state)
{
	struct stat status;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0 || fstat(fd, &status) != 0)
		return -1;
	image_size = (size_t)status.st_size;
	image = malloc(image_size);
	if (read(fd, image, image_size) != (ssize_t)image_size)
		return -1;
	close(fd);
	fd = mkstemp(copy_path);
	close(fd);
	return fd >= 0 && sonde__module_find((uint64_t)(uintptr_t)&group_setup, &program) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	free(image);
	return unlink(copy_path);
}

static struct sonde__module module_of_copy(void)
{
	struct sonde__module module = program;

	snprintf(module.path, sizeof(module.path), "%s", copy_path);
	return module;
}

static void test_names_a_static_function(void **state)
{
	struct sonde__symbol symbol;
	uint64_t start = in_file(test_names_a_static_function);

	(void)state;
	for (uint64_t offset = 0; offset < 8; offset++) {
		assert_true(sonde__symbol_find(&program, start + offset, &symbol));
		assert_string_equal(symbol.name, "test_names_a_static_function");
		assert_true(symbol.start == start);
	}
}

static void test_no_function_there(void **state)
{
	struct sonde__symbol symbol = { .start = 77 };

	(void)state;
	assert_false(sonde__symbol_find(&program, 0, &symbol));
	assert_false(sonde__symbol_find(&program, UINT64_MAX, &symbol));
	assert_false(sonde__symbol_find(&program, UINT64_C(1) << 40, &symbol));
	assert_true(symbol.start == 77);
}

static void test_libc_by_its_dynamic_symbols(void **state)
{
	struct sonde__module libc;
	struct sonde__symbol symbol;
	uint64_t address = (uint64_t)(uintptr_t)&abs;

	(void)state;
	assert_true(sonde__module_find(address, &libc));
	assert_true(sonde__symbol_find(&libc, address - libc.bias, &symbol));
	assert_string_equal(symbol.name, "abs");
}

static void test_another_build_is_refused(void **state)
{
	struct sonde__module module = module_of_copy();
	uint64_t address = in_file(test_another_build_is_refused);
	struct sonde__symbol symbol;

	(void)state;
	copy_write(image, image_size);
	assert_true(sonde__symbol_find(&module, address, &symbol));
	module.build_id[3] ^= 1;
	assert_false(sonde__symbol_find(&module, address, &symbol));
	module.build_id_size = 0;
	assert_false(sonde__symbol_find(&module, address, &symbol));
}

static void test_not_a_file(void **state)
{
	static const char *const paths[] = {
		"", "/", "/dev/null", "/dev/zero", "/dev/tty", "/no/such/file", "/proc/self/mem"
	};
	struct sonde__module module = program;
	struct sonde__symbol symbol;
	char fifo[sizeof(copy_path) + 8];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(module.path, sizeof(module.path), "%s", paths[i]);
		assert_false(sonde__symbol_find(&module, in_file(test_not_a_file), &symbol));
	}
	/* Opening a pipe that nobody writes must not wait. */
	snprintf(fifo, sizeof(fifo), "%s.fifo", copy_path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	snprintf(module.path, sizeof(module.path), "%s", fifo);
	assert_false(sonde__symbol_find(&module, in_file(test_not_a_file), &symbol));
	unlink(fifo);
}

static void test_cut_files(void **state)
{
	struct sonde__module module = module_of_copy();
	struct sonde__symbol symbol;

	(void)state;
	for (size_t size = 0; size < image_size; size += size < 100 ? 1 : image_size / 61) {
		copy_write(image, size);
		sonde__symbol_find(&module, in_file(test_cut_files), &symbol);
	}
	copy_write(image, 63);
	assert_false(sonde__symbol_find(&module, in_file(test_cut_files), &symbol));
}

static uint64_t hostile_number(uint64_t random)
{
	static const uint64_t numbers[] = {
		0, 1, 2, 24, 64, UINT64_MAX, UINT64_MAX - 23, UINT64_C(1) << 63,
		UINT64_C(1) << 32, UINT32_MAX, INT64_MAX
	};

	return random % 4 == 0 ? random
			       : numbers[random / 4 % (sizeof(numbers) / sizeof(numbers[0]))];
}

/* Every field of the header, and of the sections that matter, takes every hostile value. */
static void test_hostile_sections(void **state)
{
	struct sonde__module module = module_of_copy();
	uint8_t *hostile = malloc(image_size);
	Elf64_Ehdr head;
	uint64_t random = 1;

	(void)state;
	memcpy(&head, image, sizeof(head));
	for (int round = 0; round < 600; round++) {
		struct sonde__symbol symbol = { .name = "" };
		size_t section = head.e_shoff +
				 (sonde__mix64(random++) % head.e_shnum) * sizeof(Elf64_Shdr);
		size_t field = sonde__mix64(random++) % 8;
		uint64_t number = hostile_number(sonde__mix64(random++));

		memcpy(hostile, image, image_size);
		if (round % 3 == 0)
			memcpy(hostile + 24 + field * 5, &number, 2 + field % 7);
		else
			memcpy(hostile + section + field * 8, &number, field % 2 ? 8 : 4);
		copy_write(hostile, image_size);
		if (sonde__symbol_find(&module, in_file(test_hostile_sections), &symbol))
			assert_true(memchr(symbol.name, '\0', sizeof(symbol.name)) != NULL &&
				    symbol.name[0]);
	}
	free(hostile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_a_static_function),
		cmocka_unit_test(test_no_function_there),
		cmocka_unit_test(test_libc_by_its_dynamic_symbols),
		cmocka_unit_test(test_another_build_is_refused),
		cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_cut_files),
		cmocka_unit_test(test_hostile_sections),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
