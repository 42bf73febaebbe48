/* SPDX-License-Identifier: Apache-2.0 */

/* Lines as documented, whole lines only, and names also in a child forked at a bad moment. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/module.h"
#include "stack/stack.h"

static uint64_t here(void)
{
	return (uint64_t)(uintptr_t)&here + 4;
}

static void expected_line(char *line, size_t size, uint64_t address)
{
	struct sonde__module module;
	char id[2 * SONDE__BUILD_ID_MAX + 1] = "";

	assert_true(sonde__module_find(address, &module));
	for (size_t i = 0; i < module.build_id_size; i++)
		snprintf(id + 2 * i, 3, "%02x", module.build_id[i]);
	snprintf(line, size, "#0 here+0x4 (unit-stack-format, build-id %s, +0x%llx)\n", id,
		 (unsigned long long)(address - module.bias));
}

static void test_line(void **state)
{
	uint64_t frames[] = { here() };
	char expected[300];
	char buffer[300];

	(void)state;
	expected_line(expected, sizeof(expected), frames[0]);
	for (int round = 0; round < 3; round++) {
		errno = 4711;
		assert_int_equal(sonde__stack_format(frames, 1, buffer, sizeof(buffer)),
				 strlen(expected));
		assert_int_equal(errno, 4711);
		assert_string_equal(buffer, expected);
	}
}

static void test_unknown_addresses(void **state)
{
	uint64_t frames[] = { 0, 1, UINT64_MAX, 0xdeadbeef };
	char buffer[300];

	(void)state;
	sonde__stack_format(frames, 4, buffer, sizeof(buffer));
	assert_string_equal(buffer, "#0 0x0\n#1 0x1\n#2 0xffffffffffffffff\n#3 0xdeadbeef\n");
	assert_int_equal(sonde__stack_format(frames, 0, buffer, sizeof(buffer)), 0);
	assert_string_equal(buffer, "");
}

static void test_keeps_whole_lines(void **state)
{
	uint64_t frames[] = { here(), 1, here() };
	char whole[900];
	size_t length = sonde__stack_format(frames, 3, whole, sizeof(whole));

	(void)state;
	assert_int_equal(strlen(whole), length);
	for (size_t size = 0; size <= length + 1; size++) {
		char *buffer =
			malloc(size + 1); /* Exact, for the sanitizer; one more for the canary. */
		size_t used;

		buffer[size] = 'c';
		used = sonde__stack_format(frames, 3, buffer, size);
		assert_int_equal(buffer[size], 'c');
		assert_true(size == 0 || used < size);
		if (size) {
			assert_int_equal(strlen(buffer), used);
			assert_memory_equal(buffer, whole, used);
		}
		assert_true(used == 0 || buffer[used - 1] == '\n');
		free(buffer);
	}
}

static void test_more_addresses_than_the_cache_holds(void **state)
{
	char buffer[300];
	char expected[300];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t frame = here() + i % 7 * 1000 + i;

		assert_true(sonde__stack_format(&frame, 1, buffer, sizeof(buffer)) > 0);
	}
	expected_line(expected, sizeof(expected), here());
	sonde__stack_format(&(uint64_t){ here() }, 1, buffer, sizeof(buffer));
	assert_string_equal(buffer, expected);
}

/* The plugin goes, so must what is known about it; it comes back, so must its names. */
static void test_plugin_comes_and_goes(void **state)
{
	char buffer[300];

	(void)state;
	for (int round = 0; round < 5; round++) {
		void *library = dlopen(getenv("WALK_PROBE"), RTLD_NOW);
		uint64_t frame;

		assert_non_null(library);
		frame = (uint64_t)(uintptr_t)dlsym(library, "probe_walk") + 1;
		sonde__stack_format(&frame, 1, buffer, sizeof(buffer));
		assert_non_null(strstr(buffer, "probe_walk+0x1 (libwalk-probe.so, build-id "));
		assert_int_equal(dlclose(library), 0);
		sonde__stack_format(&frame, 1, buffer, sizeof(buffer));
		assert_null(strstr(buffer, "probe"));
	}
}

static _Atomic bool is_over;
static _Atomic uint64_t plugin_frame;

static void *load_and_unload(void *unused)
{
	for (int i = 0; i < 300; i++) {
		void *library = dlopen(getenv("WALK_PROBE"), RTLD_NOW);

		if (!library)
			return &is_over;
		atomic_store_explicit(&plugin_frame,
				      (uint64_t)(uintptr_t)dlsym(library, "probe_walk") + 1,
				      memory_order_relaxed);
		dlclose(library);
	}
	atomic_store_explicit(&is_over, true, memory_order_relaxed);
	return unused;
}

/* The module disappears at any step of the look-up: a name or an address, and never a fault. */
static void test_plugin_unloaded_meanwhile(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	atomic_store_explicit(&is_over, false, memory_order_relaxed);
	assert_int_equal(pthread_create(&thread, NULL, load_and_unload, NULL), 0);
	while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
		uint64_t frames[2] = { atomic_load_explicit(&plugin_frame, memory_order_relaxed),
				       here() };
		char buffer[600];

		assert_true(sonde__stack_format(frames, 2, buffer, sizeof(buffer)) > 0);
		assert_non_null(strstr(buffer, "here+0x4 "));
	}
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
}

static void *format_all_the_time(void *unused)
{
	uint64_t frames[] = { here(), (uint64_t)(uintptr_t)&abs + 1, here() + 1 };
	char buffer[900];

	while (!atomic_load_explicit(&is_over, memory_order_relaxed))
		if (sonde__stack_format(frames, 3, buffer, sizeof(buffer)) == 0)
			return &is_over;
	return unused;
}

static int child_formats(void)
{
	char buffer[300];

	sonde__stack_format(&(uint64_t){ here() }, 1, buffer, sizeof(buffer));
	return strstr(buffer, "here+0x4") ? 0 : 1;
}

static void test_children_of_a_busy_process(void **state)
{
	pthread_t threads[2];
	void *result;

	(void)state;
	atomic_store_explicit(&is_over, false, memory_order_relaxed);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, format_all_the_time, NULL), 0);
	for (int i = 0; i < 40; i++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0)
			_exit(child_formats());
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	atomic_store_explicit(&is_over, true, memory_order_relaxed);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_unknown_addresses),
		cmocka_unit_test(test_keeps_whole_lines),
		cmocka_unit_test(test_more_addresses_than_the_cache_holds),
		cmocka_unit_test(test_plugin_comes_and_goes),
		cmocka_unit_test(test_plugin_unloaded_meanwhile),
		cmocka_unit_test(test_children_of_a_busy_process),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
