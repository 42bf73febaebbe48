/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a signal interrupted where there is no frame yet, or none at all: the walk leaves out the
 * caller that only the stack's last word may know, and takes no word there for one.
 */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stack/stack.h"

#define CAPACITY 64

/* Interrupts itself: int3 is one byte, and the handler is told of the instruction behind it. */
extern char leaf_begin[];
void leaf(uint64_t unused);
extern char framed_begin[];
void framed(uint64_t stale);

__asm__(".text\n"
	".type leaf, @function\n"
	"leaf:\n"
	"	int3\n"
	"leaf_begin:\n"
	"	ret\n"
	".size leaf, . - leaf\n"
	".type framed, @function\n"
	"framed:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	sub $16, %rsp\n"
	"	mov %rdi, (%rsp)\n"
	"	int3\n"
	"framed_begin:\n"
	"	leave\n"
	"	ret\n"
	".size framed, . - framed\n");

static uint64_t frames[CAPACITY];
static size_t n_frames;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	n_frames = sonde__stack_walk_interrupted(context, frames, CAPACITY);
}

static __attribute__((noinline)) uint64_t call(void (*function)(uint64_t), uint64_t argument)
{
	function(argument);
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

/* Where it returns to: code, and right behind a call. */
static __attribute__((noinline)) uint64_t return_address(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

/* Returns where `call` does. */
static uint64_t interrupt(void (*function)(uint64_t), uint64_t argument)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	uint64_t caller;

	n_frames = 0;
	assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
	caller = call(function, argument);
	assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
	return caller;
}

static void test_a_leaf_hides_its_caller_and_no_other(void **state)
{
	uint64_t callers = interrupt(leaf, 0);

	(void)state;
	assert_true(n_frames >= 2);
	assert_int_equal(frames[0], (uint64_t)(uintptr_t)leaf_begin + 1);
	assert_int_equal(frames[1], callers);
}

/* By all that can be seen without tables it is what a leaf's last word is. */
static void test_what_an_earlier_call_left_on_the_stack_is_no_caller(void **state)
{
	uint64_t stale = return_address();
	uint64_t callers = interrupt(framed, stale);

	(void)state;
	assert_true(n_frames >= 3);
	assert_int_equal(frames[0], (uint64_t)(uintptr_t)framed_begin + 1);
	assert_int_equal(frames[2], callers);
	for (size_t i = 0; i < n_frames; i++)
		assert_int_not_equal(frames[i], stale);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_leaf_hides_its_caller_and_no_other),
		cmocka_unit_test(test_what_an_earlier_call_left_on_the_stack_is_no_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
