/* SPDX-License-Identifier: Apache-2.0 */

/* The same stacks as libunwind's, entry by entry to the outermost, on whatever way here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <link.h>
#include <pthread.h>
#include <search.h>

#include <sonde/stack.h>

#include "stack/stack.h"
#include "frameless.h"

#define CAPACITY 96

static __thread size_t n_compared;

static __attribute__((noinline)) void compare_stacks(struct trail *trail)
{
	void *reference[CAPACITY + 1];
	uint64_t walked[CAPACITY];
	size_t n = sonde__stack_walk(walked, CAPACITY);
	int n_reference = unw_backtrace(reference, CAPACITY + 1);

	(void)trail;
	/* The reference begins with this very function. */
	assert_int_equal(n + 1, n_reference);
	for (size_t i = 0; i < n; i++)
		assert_true(walked[i] == (uint64_t)(uintptr_t)reference[i + 1]);
	n_compared++;
	__asm__ volatile("" ::: "memory");
}

static void *descend(void *seed)
{
	struct trail trail = { .random = (uint64_t)(uintptr_t)seed, .end = compare_stacks };

	frameless_descend(&trail, trail.random % 30, /* shape= */ -1);
	__asm__ volatile("" ::: "memory");
	return seed;
}

static void test_at_random(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++)
		descend((void *)(uintptr_t)(seed * 7919));
	assert_int_equal(n_compared, 1000);
}

static void test_in_threads(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, descend, (void *)(uintptr_t)seed),
				 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

static void descend_once(void)
{
	descend((void *)11);
}

static int compare_and_descend(const void *a, const void *b)
{
	descend((void *)12);
	return a == b;
}

static int descend_at_module(struct dl_phdr_info *info, size_t size, void *user)
{
	(void)info;
	(void)size;
	return descend(user) == NULL;
}

static void descend_at_node(const void *node, VISIT visit, int depth)
{
	(void)node;
	(void)visit;
	descend((void *)(uintptr_t)(depth + 13));
}

/* Libraries of all ages and compilers, and the loader's own code, between us and ourselves. */
static void test_through_libraries(void **state)
{
	pthread_once_t once = PTHREAD_ONCE_INIT;
	int numbers[] = { 1, 2, 3 };
	void *root = NULL;
	size_t n = 3;

	(void)state;
	n_compared = 0;
	assert_int_equal(pthread_once(&once, descend_once), 0);
	(void)lfind(numbers, numbers, &n, sizeof(numbers[0]), compare_and_descend);
	(void)dl_iterate_phdr(descend_at_module, (void *)14);
	(void)tsearch(numbers, &root, compare_and_descend);
	twalk(root, descend_at_node);
	(void)tdelete(numbers, &root, compare_and_descend);
	assert_true(n_compared > 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_random),
		cmocka_unit_test(test_in_threads),
		cmocka_unit_test(test_through_libraries),
	};

	/* From an archive it comes only by its name. */
	if (sonde_stack_provider_register(&sonde_unwind_provider) != SONDE_OK)
		return 1;
	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
