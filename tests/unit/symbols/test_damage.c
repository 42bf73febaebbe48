/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Debug files that were cut, overwritten or made up: whatever they say, the answer is nothing or
 * something, and never a fault, a hang or memory past the limit. The file is this program's own,
 * damaged at random; the seeds are fixed.
 */

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
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sonde/stack.h>

#include "base/random.h"

#define FRAMES 16

static uint8_t *original;
static size_t original_size;
static size_t debug_start; /* Of the sections with debug information. */
static size_t debug_end;
static uint64_t bias;

static int note_bias(struct dl_phdr_info *info, size_t size, void *user)
{
	(void)size;
	(void)user;
	bias = info->dlpi_addr;
	return 1; /* The first is the program. */
}

static void find_debug_sections(void)
{
	const Elf64_Ehdr *head = (const void *)original;
	const Elf64_Shdr *sections = (const void *)(original + head->e_shoff);
	const char *names = (const char *)original + sections[head->e_shstrndx].sh_offset;

	debug_start = original_size;
	for (unsigned i = 0; i < head->e_shnum; i++) {
		size_t end = sections[i].sh_offset + sections[i].sh_size;

		if (strncmp(names + sections[i].sh_name, ".debug_", 7) != 0)
			continue;
		if (sections[i].sh_offset < debug_start)
			debug_start = sections[i].sh_offset;
		if (end > debug_end)
			debug_end = end;
	}
	assert_true(debug_start < debug_end && debug_end <= original_size);
}

static int setup(void **state)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat status;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	original_size = (size_t)status.st_size;
	original = malloc(original_size);
	assert_int_equal(read(fd, original, original_size), original_size);
	close(fd);
	find_debug_sections();
	dl_iterate_phdr(note_bias, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sonde_symbols_provider.clear();
	free(original);
	return 0;
}

static inline __attribute__((always_inline)) uint64_t inlined_address(void)
{
	uint64_t address;

	__asm__ volatile("lea 0(%%rip), %0" : "=r"(address));
	return address - bias;
}

static __attribute__((noinline)) uint64_t some_address(void)
{
	return inlined_address();
}

static size_t ask(const char *path, uint64_t address, uint64_t limit,
		  struct sonde_symbol_frame *frames)
{
	struct sonde_symbol_query query = {
		.size = sizeof(query),
		.path = path,
		.address = address,
		.debug_path = "",
		.memory_limit_bytes = limit,
		.source_lines = 5,
	};

	return sonde_symbols_provider.resolve(&query, frames, FRAMES);
}

/* Asks about a few addresses of a file with these bytes. */
static size_t ask_bytes(const uint8_t *bytes, size_t size)
{
	struct sonde_symbol_frame frames[FRAMES];
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	size_t total = 0;
	char path[64];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (uint64_t i = 0; i < 6; i++) {
		size_t n = ask(path, some_address() + i * 97, UINT64_C(64) << 20, frames);

		assert_in_range(n, 0, FRAMES);
		/* Every text can be read to its end. */
		for (size_t k = 0; k < n; k++)
			total += 1 + (frames[k].function ? strlen(frames[k].function) : 0) +
				 (frames[k].linkage_name ? strlen(frames[k].linkage_name) : 0) +
				 (frames[k].file ? strlen(frames[k].file) : 0) +
				 (frames[k].source ? strlen(frames[k].source) : 0);
	}
	sonde_symbols_provider.clear();
	close(fd);
	return total;
}

/* The program has a build-id or not; without one in the query it must have none in the file. */
static void hide_build_id(uint8_t *bytes, size_t size)
{
	uint8_t *found = memmem(bytes, size, "\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU", 16);

	if (found)
		found[8] = 0x77;
}

static void test_undamaged(void **state)
{
	(void)state;
	hide_build_id(original, original_size);
	assert_true(ask_bytes(original, original_size) > 100);
}

static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < 200; i++)
		ask_bytes(original, original_size * i / 200);
}

/* Bytes here and there, runs of one byte, and numbers at their limits. */
static void damage(uint8_t *bytes, size_t start, size_t end, uint64_t *random)
{
	size_t n = 1 + (*random >> 20) % 40;

	for (size_t i = 0; i < n; i++) {
		size_t at;

		*random = sonde__mix64(*random + 1);
		at = start + *random % (end - start - 16);
		switch (*random >> 60 & 3) {
		case 0:
			bytes[at] ^= (uint8_t)(1u << (*random >> 50 & 7));
			break;
		case 1:
			memset(bytes + at, (int)(*random >> 40 & 0xff), 1 + (*random >> 32 & 15));
			break;
		case 2:
			memset(bytes + at, 0xff, 8);
			break;
		default:
			memcpy(bytes + at, bytes + start + (*random >> 8) % (end - start - 16), 16);
		}
	}
}

static void damage_many(size_t start, size_t end, unsigned rounds)
{
	const char *preload = getenv("LD_PRELOAD");
	uint8_t *bytes = malloc(original_size);
	uint64_t random = 4711;
	struct timespec before;
	struct timespec after;

	if (preload && strstr(preload, "vgpreload"))
		rounds /= 40;
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (unsigned i = 0; i < rounds; i++) {
		memcpy(bytes, original, original_size);
		damage(bytes, start, end, &random);
		hide_build_id(bytes, original_size);
		ask_bytes(bytes, original_size);
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range(after.tv_sec - before.tv_sec, 0, 120);
	free(bytes);
}

static void test_damaged_debug_information(void **state)
{
	(void)state;
	damage_many(debug_start, debug_end, 2000);
}

static void test_damaged_anywhere(void **state)
{
	(void)state;
	damage_many(0, original_size, 300);
}

static void test_damaged_headers(void **state)
{
	(void)state;
	damage_many(0, 64, 300);
	damage_many(((const Elf64_Ehdr *)original)->e_shoff, original_size, 1000);
}

static void test_past_the_limit(void **state)
{
	struct sonde_symbol_frame frames[FRAMES];

	(void)state;
	assert_int_equal(ask("/proc/self/exe", some_address(), original_size / 2, frames), 0);
	sonde_symbols_provider.clear();
}

static void test_what_is_no_file(void **state)
{
	static const char *const paths[] = { "", "/", "/dev/zero", "/dev/tty", "/nonexistent",
					     "/proc/self/mem", "/proc/self/maps", "/dev/null" };
	struct sonde_symbol_frame frames[FRAMES];

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(ask(paths[i], some_address(), UINT64_C(64) << 20, frames), 0);
	sonde_symbols_provider.clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undamaged),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged_debug_information),
		cmocka_unit_test(test_damaged_anywhere),
		cmocka_unit_test(test_damaged_headers),
		cmocka_unit_test(test_past_the_limit),
		cmocka_unit_test(test_what_is_no_file),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
