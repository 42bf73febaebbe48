/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walks are complete through code without frame pointers, short where the stack was overwritten,
 * and never read a byte outside the stack.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <sonde/stack.h>

#include "stack/stack.h"
#include "frameless.h"
#include "support/system_calls.h"

#define CAPACITY 96
#define PAGE 4096

/* What a sanitizer needs of a thread's stack is more than all the rest. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_MIN ((size_t)PTHREAD_STACK_MIN + 256 * 1024)
#else
#define STACK_MIN ((size_t)PTHREAD_STACK_MIN)
#endif

/* It makes system calls of its own, and does not follow a change of stacks. */
static void skip_under_valgrind(void)
{
	if (is_under_valgrind())
		skip();
}

static __thread uint64_t walked[CAPACITY];
static __thread size_t n_walked;

/* Has a frame pointer, as raising has. */
static __attribute__((noinline)) void take_stack(struct trail *trail)
{
	trail->returns[trail->n++] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	n_walked = sonde__stack_walk(walked, CAPACITY);
	__asm__ volatile("" ::: "memory");
}

/* All that was noted is in the stack, in order; where 0 was noted, anything may stand between. */
static void expect_trail(const struct trail *trail)
{
	size_t at = 0;

	for (size_t i = trail->n; i-- > 0;) {
		if (trail->returns[i] == 0) {
			while (at < n_walked && i > 0 && walked[at] != trail->returns[i - 1])
				at++;
			continue;
		}
		assert_in_range(at, 0, n_walked - 1);
		assert_true(walked[at] == trail->returns[i]);
		at++;
	}
}

static void test_every_shape(void **state)
{
	(void)state;
	for (int shape = 0; shape < FRAMELESS_SHAPES; shape++) {
		for (size_t depth = 1; depth < 20; depth++) {
			struct trail trail = { .end = take_stack };

			frameless_descend(&trail, depth, shape);
			expect_trail(&trail);
		}
	}
}

static void test_shapes_at_random(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		struct trail trail = { .random = seed * 77, .end = take_stack };

		frameless_descend(&trail, seed % 21, /* shape= */ -1);
		expect_trail(&trail);
	}
}

/* Without it the same stacks are not complete: it is the provider that the tests above saw. */
static void test_is_the_provider(void **state)
{
	struct trail trail = { .end = take_stack };

	(void)state;
	assert_int_equal(sonde_stack_provider_register(NULL), SONDE_OK);
	frameless_descend(&trail, 12, /* shape= */ 0);
	assert_in_range(n_walked, 1, 8);
	assert_int_equal(sonde_stack_provider_register(&sonde_unwind_provider), SONDE_OK);
	frameless_descend(&trail, 12, /* shape= */ 0);
	assert_in_range(n_walked, 14, CAPACITY);
}

/* ---- Threads, handlers, children ------------------------------------------------------------- */

static void *descend_in_thread(void *depth)
{
	struct trail trail = { .end = take_stack };

	/* Every small shape. */
	for (int shape = 2; shape < FRAMELESS_SHAPES; shape++) {
		frameless_descend(&trail, (size_t)(uintptr_t)depth, shape);
		expect_trail(&trail);
	}
	return NULL;
}

static void thread_run(size_t stack_size, void *(*body)(void *), void *argument)
{
	pthread_attr_t attr;
	pthread_t thread;

	assert_int_equal(pthread_attr_init(&attr), 0);
	if (stack_size)
		assert_int_equal(pthread_attr_setstacksize(&attr, stack_size), 0);
	assert_int_equal(pthread_create(&thread, &attr, body, argument), 0);
	assert_int_equal(pthread_attr_destroy(&attr), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_threads_with_small_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < 20; i++)
		thread_run(STACK_MIN + i * PAGE, descend_in_thread, (void *)(uintptr_t)4);
}

static void test_many_threads(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, descend_in_thread,
						(void *)(uintptr_t)(i + 1)),
				 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static struct trail handler_trail;

static void on_signal(int number)
{
	(void)number;
	handler_trail = (struct trail){ .end = take_stack };
	frameless_descend(&handler_trail, 6, /* shape= */ -1);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void be_interrupted(struct trail *trail)
{
	trail->returns[trail->n++] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	assert_int_equal(raise(SIGUSR1), 0);
	__asm__ volatile("" ::: "memory");
}

static int handler_flags;

/* The handler's frames, the kernel's, the library's that sent the signal, ours. */
static void *handle_signal(void *unused)
{
	struct trail trail = { .end = be_interrupted };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = handler_flags };
	struct sigaction before;
	size_t at = 0;

	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	frameless_descend(&trail, 5, /* shape= */ -1);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	expect_trail(&handler_trail);
	for (size_t i = trail.n; i-- > 0;) {
		while (at < n_walked && walked[at] != trail.returns[i])
			at++;
		assert_in_range(at, 0, trail.returns[i] ? n_walked - 1 : n_walked);
		at = trail.returns[i] ? at : 0;
	}
	return unused;
}

static void test_out_of_a_handler(void **state)
{
	(void)state;
	handle_signal(NULL);
	thread_run(/* stack_size= */ 0, handle_signal, NULL);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	n_walked = sonde__stack_walk_interrupted(context, walked, CAPACITY);
}

/* Without this library its caller is left out. */
static void test_the_caller_of_a_leaf(void **state)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	struct sigaction before;
	uint64_t returns_to;

	(void)state;
	assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
	returns_to = frameless_interrupt();
	assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
	assert_true(n_walked >= 2);
	assert_true(walked[1] == returns_to);
}

/* From the signal's stack to the thread's. */
static void *handle_signal_apart(void *unused)
{
	size_t size = 256 * 1024;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = memory, .ss_size = size };
	stack_t before;

	assert_true(memory != MAP_FAILED);
	assert_int_equal(sigaltstack(&stack, &before), 0);
	handle_signal(NULL);
	assert_int_equal(sigaltstack(&before, NULL), 0);
	assert_int_equal(munmap(memory, size), 0);
	return unused;
}

static void test_signal_stack(void **state)
{
	(void)state;
	skip_under_valgrind();
	handler_flags = SA_ONSTACK;
	handle_signal_apart(NULL);
	thread_run(/* stack_size= */ 0, handle_signal_apart, NULL);
	handler_flags = 0;
}

static ucontext_t coroutine;
static ucontext_t resumer;
static struct trail coroutine_trail;

static void coroutine_body(void)
{
	coroutine_trail = (struct trail){ .end = take_stack };
	frameless_descend(&coroutine_trail, 6, /* shape= */ -1);
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

static void coroutine_run(void *memory, size_t size)
{
	assert_int_equal(getcontext(&coroutine), 0);
	coroutine.uc_stack.ss_sp = memory;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &resumer;
	makecontext(&coroutine, coroutine_body, 0);
	assert_int_equal(swapcontext(&resumer, &coroutine), 0);
	assert_true(n_walked >= 1);
	assert_true(walked[0] == coroutine_trail.returns[coroutine_trail.n - 1]);
}

static void test_coroutines(void **state)
{
	size_t size = 256 * 1024;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t inside[128 * 1024];

	(void)state;
	skip_under_valgrind();
	assert_true(memory != MAP_FAILED);
	/* Each word is asked for; it ends where the coroutine begins, with what glibc has there. */
	coroutine_run(memory, size);
	expect_trail(&coroutine_trail);
	assert_in_range(n_walked, coroutine_trail.n, coroutine_trail.n + 2);
	assert_int_equal(munmap(memory, size), 0);
	/* On memory of the thread's own stack it is walked to its own end. */
	coroutine_run(inside, sizeof(inside));
	expect_trail(&coroutine_trail);
}

/* Runs first, when nothing is remembered yet. */
static void test_first_walk_makes_no_system_call(void **state)
{
	pid_t child;
	int status;

	(void)state;
	skip_under_valgrind();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct trail trail = { .end = take_stack };

		forbid_system_calls();
		frameless_descend(&trail, 20, /* shape= */ -1);
		syscall(SYS_exit_group, n_walked >= 22 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Children of a process whose other threads are walking at every moment of the fork. */
static void *walk_until_told(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
		struct trail trail = { .random = (uint64_t)(uintptr_t)&stop, .end = take_stack };

		for (int i = 0; i < 50; i++)
			frameless_descend(&trail, 15, /* shape= */ i % 7);
	}
	return NULL;
}

static void test_children(void **state)
{
	bool stop = false;
	pthread_t threads[2];
	int status;

	(void)state;
	/* It runs one thread at a time: those that walk leave the one that forks hardly a turn. */
	skip_under_valgrind();
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walk_until_told, &stop), 0);
	for (int i = 0; i < 200; i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			struct trail trail = { .random = (uint64_t)i, .end = take_stack };

			alarm(20);
			frameless_descend(&trail, 15, /* shape= */ -1);
			_exit(n_walked >= 17 ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* ---- Overwritten stacks ---------------------------------------------------------------------- */

static uint64_t overwriting;
static size_t overwritten_words;

/* Overwrites words above its own frame one after the other, walks, and puts them back. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("undefined"))) static void
take_overwritten(struct trail *trail)
{
	uint64_t *words = __builtin_frame_address(0);
	size_t n_whole;

	take_stack(trail);
	trail->n--;
	n_whole = n_walked;
	/* Not the word that take_stack returns by. */
	for (size_t i = 0; i < overwritten_words; i++) {
		uint64_t kept = words[i];

		words[i] = overwriting;
		__asm__ volatile("" ::: "memory");
		take_stack(trail);
		words[i] = kept;
		trail->n--;
		assert_in_range(n_walked, 1, n_whole + 8);
		for (size_t k = 0; k < n_walked; k++)
			assert_true(walked[k] != overwriting);
	}
}

static void test_one_word_overwritten(void **state)
{
	uint8_t *hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t here = (uint64_t)(uintptr_t)&hole;
	const uint64_t bad[] = {
		0, 1, 8, UINT64_C(0x4141414141414141), UINT64_MAX, UINT64_MAX - 7,
		UINT64_C(1) << 47, (uint64_t)(uintptr_t)hole, (uint64_t)(uintptr_t)hole - 8, here,
		here - PAGE, here + (UINT64_C(100) << 20),
		(uint64_t)(uintptr_t)&test_one_word_overwritten, /* Code, but not behind a call. */
		(uint64_t)(uintptr_t)&memcpy + 1, (uint64_t)(uintptr_t)__builtin_thread_pointer(),
	};

	(void)state;
	skip_under_valgrind();
	overwritten_words = 120;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int shape = -1; shape < FRAMELESS_SHAPES; shape++) {
			/* Not on the stack that is overwritten. */
			static struct trail trail;

			trail = (struct trail){ .random = i, .end = take_overwritten };
			overwriting = bad[i];
			frameless_descend(&trail, 8, shape == 7 ? -1 : shape);
		}
	}
	assert_int_equal(munmap(hole, PAGE), 0);
}

/* Everything above is gone, as after an overflow; in a child, which cannot return any more. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("undefined"))) static void
take_smashed(struct trail *trail)
{
	uint64_t *words = __builtin_frame_address(0);
	uint64_t end = (uint64_t)(uintptr_t)words + 3000;
	uint64_t random = trail->random;

	for (uint64_t *word = words; (uint64_t)(uintptr_t)word < end; word++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* Letters, or addresses somewhere on the stack, or anything. */
		*word = UINT64_C(0x4141414141414141);
		if (overwriting == 1)
			*word = (uint64_t)(uintptr_t)words + (random >> 50);
		if (overwriting == 2)
			*word = random;
	}
	n_walked = sonde__stack_walk(walked, CAPACITY);
	_exit(n_walked >= 1 && n_walked < CAPACITY ? 0 : 1);
}

static void test_smashed(void **state)
{
	(void)state;
	/* With its stack goes the last pointer to what a child holds, which valgrind calls lost. */
	skip_under_valgrind();
	for (int round = 0; round < 90; round++) {
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (child == 0) {
			struct trail trail = { .random = (uint64_t)round, .end = take_smashed };

			overwriting = (uint64_t)round % 3;
			frameless_descend(&trail, 10, /* shape= */ round % 9 - 1);
			_exit(2);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_walk_makes_no_system_call),
		cmocka_unit_test(test_every_shape),
		cmocka_unit_test(test_shapes_at_random),
		cmocka_unit_test(test_is_the_provider),
		cmocka_unit_test(test_threads_with_small_stacks),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_out_of_a_handler),
		cmocka_unit_test(test_the_caller_of_a_leaf),
		cmocka_unit_test(test_signal_stack),
		cmocka_unit_test(test_coroutines),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_one_word_overwritten),
		cmocka_unit_test(test_smashed),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
