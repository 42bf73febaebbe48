/* SPDX-License-Identifier: Apache-2.0 */

/* Frames say of an address what the loader and the symbol table say, and no more. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>

#include "stack/frame.h"
#include "stack/identity.h"

static uint64_t here(void)
{
	return (uint64_t)(uintptr_t)&here + 4;
}

static void test_program(void **state)
{
	uint64_t address = here();
	struct sonde__module module;
	struct sonde__frame frame;

	(void)state;
	assert_true(sonde__module_find(address, &module));
	errno = 4711;
	assert_int_equal(sonde__stack_resolve(&address, 1, &frame, 1), 1);
	assert_int_equal(errno, 4711);
	assert_true(frame.address == address);
	assert_true(frame.offset == address - module.bias);
	assert_true(frame.function_start == frame.offset - 4);
	assert_string_equal(frame.function, "here");
	assert_string_equal(frame.module, "unit-stack-frame");
	assert_true(frame.identity == sonde__name_identity("here", 4));
	assert_int_equal(frame.build_id_size, module.build_id_size);
	assert_memory_equal(frame.build_id, module.build_id, module.build_id_size);
	assert_true(frame.is_in_app && !frame.is_inlined);
	assert_int_equal(frame.line, 0);
	assert_string_equal(frame.file, "");
}

static void test_system_library(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "gnu_get_libc_version") + 1;
	struct sonde__frame frame;

	(void)state;
	assert_int_equal(sonde__stack_resolve(&address, 1, &frame, 1), 1);
	assert_string_equal(frame.function, "gnu_get_libc_version");
	assert_string_equal(frame.module, "libc.so.6");
	assert_false(frame.is_in_app);
}

/* Named as what calls main is named in a static program. */
void __libc_start_call_main(void);
void __libc_start_call_main(void)
{
	__asm__ volatile("" ::: "memory");
}

static void test_what_calls_main(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)&__libc_start_call_main + 1;
	struct sonde__frame frame;

	(void)state;
	assert_int_equal(sonde__stack_resolve(&address, 1, &frame, 1), 1);
	assert_string_equal(frame.function, "__libc_start_call_main");
	assert_false(frame.is_in_app);
}

static void test_unknown_addresses(void **state)
{
	uint64_t frames[] = { 0, 1, UINT64_MAX, here() };
	struct sonde__frame found[5];

	(void)state;
	memset(found, 0x5a, sizeof(found));
	assert_int_equal(sonde__stack_resolve(frames, 4, found, 5), 4);
	for (int i = 0; i < 3; i++) {
		assert_true(found[i].address == frames[i]);
		assert_true(found[i].offset == 0 && found[i].identity == 0);
		assert_int_equal(found[i].build_id_size, 0);
		assert_string_equal(found[i].module, "");
		assert_string_equal(found[i].function, "");
		assert_false(found[i].is_in_app);
	}
	assert_string_equal(found[3].function, "here");
	assert_int_equal(found[4].module[0], 0x5a);
	assert_int_equal(sonde__stack_resolve(frames, 4, found, 2), 2);
	assert_int_equal(sonde__stack_resolve(frames, 4, /* ret= */ NULL, 0), 0);
	assert_int_equal(sonde__stack_resolve(/* frames= */ NULL, 0, found, 5), 0);
}

static void test_generation(void **state)
{
	uint64_t address = here();
	struct sonde__frame frame;
	uint64_t generation;
	void *library;

	(void)state;
	sonde__stack_resolve(&address, 1, &frame, 1);
	generation = sonde__stack_generation();
	assert_true(generation != 0);
	sonde__stack_resolve(&address, 1, &frame, 1);
	assert_true(sonde__stack_generation() == generation);
	library = dlopen(getenv("WALK_PROBE"), RTLD_NOW);
	assert_non_null(library);
	address = (uint64_t)(uintptr_t)dlsym(library, "probe_walk") + 1;
	sonde__stack_resolve(&address, 1, &frame, 1);
	assert_string_equal(frame.function, "probe_walk");
	assert_true(frame.is_in_app);
	assert_true(sonde__stack_generation() == generation);
	assert_int_equal(dlclose(library), 0);
	assert_true(sonde__stack_generation() != generation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_system_library),
		cmocka_unit_test(test_what_calls_main),
		cmocka_unit_test(test_unknown_addresses),
		cmocka_unit_test(test_generation),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
