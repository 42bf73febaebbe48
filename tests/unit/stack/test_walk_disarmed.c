/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A signal stack with SS_AUTODISARM, of which the kernel says nothing while a handler runs on it:
 * one frame, from a second stack above it, too, and no byte beyond the pages that fault.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "stack/stack.h"
#include "support/system_calls.h"

#define CAPACITY 64
#define PAGE 4096
#define SIZE (64 * 1024)

/* The kernel's; the C library does not name it. */
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

struct walk {
	uint64_t frames[CAPACITY];
	uint64_t expected[CAPACITY];
	size_t n_frames;
};

static struct walk first_walk;
static struct walk second_walk;

/* Recurses; each level notes where it returns to, the innermost first in the end. */
static __attribute__((noinline)) void descend(struct walk *walk, size_t level)
{
	walk->expected[level] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	if (level > 0)
		descend(walk, level - 1);
	else
		walk->n_frames = sonde__stack_walk(walk->frames, CAPACITY);
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

/* Between pages that fault. */
static stack_t stack_new(int flags)
{
	uint8_t *memory = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory + PAGE, SIZE, PROT_READ | PROT_WRITE), 0);
	return (stack_t){ .ss_sp = memory + PAGE, .ss_size = SIZE, .ss_flags = flags };
}

static void stack_free(const stack_t *stack)
{
	assert_int_equal(munmap((uint8_t *)stack->ss_sp - PAGE, SIZE + 2 * PAGE), 0);
}

static void on_second_signal(int number)
{
	(void)number;
	descend(&second_walk, 3);
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

static void on_first_signal(int number)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t stack = stack_new(/* flags= */ 0);

	(void)number;
	descend(&first_walk, 3);
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	assert_int_equal(sigaltstack(&none, NULL), 0);
	stack_free(&stack);
}

static void *walk_in_handlers(void *unused)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	stack_t stack = stack_new((int)SS_AUTODISARM);

	memset(&first_walk, 0, sizeof(first_walk));
	memset(&second_walk, 0, sizeof(second_walk));
	assert_int_equal(sigaltstack(&stack, NULL), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(sigaltstack(&none, NULL), 0);
	stack_free(&stack);
	return unused;
}

static void expect_walks(void)
{
#ifdef __SANITIZE_THREAD__
	/* It calls handlers itself, on whichever stack. */
	assert_true(first_walk.n_frames >= 1 && second_walk.n_frames >= 1);
#else
	assert_int_equal(first_walk.n_frames, 1);
	/* What it returns to, and where the signal came. */
	assert_int_equal(second_walk.n_frames, 6);
	assert_memory_equal(second_walk.frames, second_walk.expected, 4 * sizeof(uint64_t));
#endif
	assert_true(first_walk.frames[0] == first_walk.expected[0]);
}

static void test_a_stack_that_disarms_itself(void **state)
{
	struct sigaction first = { .sa_handler = on_first_signal, .sa_flags = SA_ONSTACK };
	struct sigaction second = { .sa_handler = on_second_signal, .sa_flags = SA_ONSTACK };
	struct sigaction before[2];
	pthread_t thread;

	(void)state;
	if (is_under_valgrind())
		skip(); /* It takes a switch to a near stack for a large frame. */
	assert_int_equal(sigaction(SIGUSR1, &first, &before[0]), 0);
	assert_int_equal(sigaction(SIGUSR2, &second, &before[1]), 0);
	walk_in_handlers(NULL);
	expect_walks();
	assert_int_equal(pthread_create(&thread, NULL, walk_in_handlers, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	expect_walks();
	assert_int_equal(sigaction(SIGUSR1, &before[0], NULL), 0);
	assert_int_equal(sigaction(SIGUSR2, &before[1], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stack_that_disarms_itself),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
