/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Walks are right where frame pointers are, short where not, and never touch a page that they must
 * not.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/random.h"
#include "stack/stack.h"
#include "support/system_calls.h"

#define CAPACITY 64
#define PAGE 4096

struct walk {
	uint64_t frames[CAPACITY];
	uint64_t expected[CAPACITY];
	size_t n_frames;
	size_t capacity;
};

/*
 * Valgrind takes a switch to a near stack for a large frame and forgets what lies between; and it
 * makes system calls of its own.
 */
static void skip_under_valgrind(void)
{
	if (is_under_valgrind())
		skip();
}

static void *to_pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* Recurses; each level notes where it returns to, the innermost first in the end. */
static __attribute__((noinline)) void descend(struct walk *walk, size_t level)
{
	walk->expected[level] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	if (level > 0)
		descend(walk, level - 1);
	else
		walk->n_frames = sonde__stack_walk(walk->frames, walk->capacity);
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

static struct walk walk_from_depth(size_t depth)
{
	struct walk walk = { .capacity = CAPACITY };

	descend(&walk, depth - 1);
	assert_true(walk.n_frames >= depth);
	assert_memory_equal(walk.frames, walk.expected, depth * sizeof(walk.frames[0]));
	return walk;
}

static void test_finds_every_caller(void **state)
{
	(void)state;
	for (size_t depth = 1; depth < CAPACITY - 8; depth++)
		walk_from_depth(depth);
}

static void test_writes_no_more_than_asked(void **state)
{
	struct walk walk;

	(void)state;
	for (size_t capacity = 0; capacity < 20; capacity++) {
		memset(&walk, 0xa5, sizeof(walk));
		walk.capacity = capacity;
		descend(&walk, 30);
		assert_int_equal(walk.n_frames, capacity);
		assert_memory_equal(walk.frames, walk.expected, capacity * sizeof(walk.frames[0]));
		for (size_t i = capacity; i < CAPACITY; i++)
			assert_true(walk.frames[i] == UINT64_C(0xa5a5a5a5a5a5a5a5));
	}
}

/* ---- Stacks of other sizes and makers -------------------------------------------------------- */

/* A run of pages between two that fault. */
static uint8_t *guarded_new(size_t size)
{
	uint8_t *memory =
		mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory + PAGE, size, PROT_READ | PROT_WRITE), 0);
	return memory + PAGE;
}

static void guarded_free(uint8_t *memory, size_t size)
{
	assert_int_equal(munmap(memory - PAGE, size + 2 * PAGE), 0);
}

static void *walk_in_thread(void *depth)
{
	struct walk walk = walk_from_depth((size_t)(uintptr_t)depth);

	/* Its caller is libc's, whose frames may or may not have pointers: little more may come. */
	assert_true(walk.n_frames <= (size_t)(uintptr_t)depth + 4);
	return NULL;
}

static void thread_run(const pthread_attr_t *attr, void *(*body)(void *), void *argument)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, attr, body, argument), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_threads_with_small_stacks(void **state)
{
	pthread_attr_t attr;

	(void)state;
	for (int round = 0; round < 20; round++) {
		pthread_attr_init(&attr);
		assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)PTHREAD_STACK_MIN +
									  (size_t)round * PAGE),
				 0);
		thread_run(&attr, walk_in_thread, to_pointer(12));
		pthread_attr_destroy(&attr);
	}
}

static void test_thread_on_memory_of_the_user(void **state)
{
	size_t size = 2048 * 1024; /* Sanitizers take the most of it. */
	uint8_t *memory = guarded_new(size);
	pthread_attr_t attr;

	(void)state;
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, memory, size), 0);
	thread_run(&attr, walk_in_thread, to_pointer(16));
	pthread_attr_destroy(&attr);
	guarded_free(memory, size);
}

static struct walk handler_walk;

static void on_signal(int number)
{
	(void)number;
	handler_walk.capacity = CAPACITY;
	descend(&handler_walk, 3);
}

/* Where what is interrupted returns to, and what calls it. */
static uint64_t interrupted_returns[2];

static __attribute__((noinline)) void be_interrupted(void)
{
	long result;

	interrupted_returns[0] = (uint64_t)(uintptr_t)__builtin_return_address(0);
#ifdef __SANITIZE_THREAD__
	/* It puts off a handler until it hears of a call; then there is none any more. */
	result = raise(SIGUSR1);
#else
	/* Here and not in the library, whose code has no frame pointers. */
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"((long)SYS_tgkill), "D"((long)getpid()), "S"(syscall(SYS_gettid)),
			   "d"((long)SIGUSR1)
			 : "rcx", "r11", "memory");
#endif
	assert_int_equal(result, 0);
}

static __attribute__((noinline)) void interrupted_outer(void)
{
	interrupted_returns[1] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	be_interrupted();
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

/* The handler's frames, what it returns to, the interrupted instruction, its callers. */
static void expect_interrupted(void)
{
	uint64_t start = (uint64_t)(uintptr_t)be_interrupted;
	size_t at = 4;

#ifdef __SANITIZE_THREAD__
	/* It calls handlers itself, from code without frame pointers. */
	assert_true(handler_walk.n_frames >= 1);
	return;
#endif
	assert_true(handler_walk.n_frames >= 8);
	assert_memory_equal(handler_walk.frames, handler_walk.expected, 4 * sizeof(uint64_t));
	while (at < handler_walk.n_frames &&
	       (handler_walk.frames[at] <= start || handler_walk.frames[at] > start + PAGE))
		at++;
	assert_in_range(at, 4, handler_walk.n_frames - 3);
	assert_memory_equal(handler_walk.frames + at + 1, interrupted_returns,
			    sizeof(interrupted_returns));
}

/* Runs the handler on a stack of its own between pages that fault. */
static void *walk_in_handler(void *unused)
{
	size_t size = 64 * 1024;
	uint8_t *memory = guarded_new(size);
	stack_t stack = { .ss_sp = memory, .ss_size = size };
	stack_t none = { .ss_flags = SS_DISABLE };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	struct sigaction before;

	assert_int_equal(sigaltstack(&stack, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	interrupted_outer();
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_int_equal(sigaltstack(&none, NULL), 0);
	guarded_free(memory, size);
	expect_interrupted();
	return unused;
}

static void test_out_of_a_signal_stack(void **state)
{
	(void)state;
	skip_under_valgrind();
	walk_in_handler(NULL);
	thread_run(NULL, walk_in_handler, NULL);
}

static void *walk_in_handler_on_the_same(void *unused)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;

	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	interrupted_outer();
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	expect_interrupted();
	return unused;
}

static void test_out_of_a_handler(void **state)
{
	(void)state;
	skip_under_valgrind();
	walk_in_handler_on_the_same(NULL);
	thread_run(NULL, walk_in_handler_on_the_same, NULL);
}

static size_t walk_registers(uint64_t sp, uint64_t fp, uint64_t frames[CAPACITY])
{
	ucontext_t context;
	size_t n;

	memset(&context, 0, sizeof(context));
	context.uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)on_signal;
	context.uc_mcontext.gregs[REG_RSP] = (greg_t)sp;
	context.uc_mcontext.gregs[REG_RBP] = (greg_t)fp;
	errno = 4711;
	n = sonde__stack_walk_interrupted(&context, frames, CAPACITY);
	assert_int_equal(errno, 4711);
	assert_true(frames[0] == (uint64_t)(uintptr_t)on_signal + 1);
	return n;
}

/* Registers that lead nowhere, or to what is not mapped. */
static void test_interrupted_with_any_registers(void **state)
{
	const uint64_t values[] = { 0, 8, PAGE, UINT64_MAX - 15, UINT64_C(1) << 46 };
	uint64_t frames[CAPACITY];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint64_t sp = (uint64_t)(uintptr_t)__builtin_frame_address(0);

		assert_int_equal(walk_registers(sp, values[i], frames), 1);
		assert_int_equal(walk_registers(values[i], sp, frames), 1);
		assert_int_equal(walk_registers(values[i], values[i], frames), 1);
	}
}

/* The lowest page of a thread's stack is not there, as when it has overflowed. */
static void *walk_past_the_end(void *memory)
{
	uint64_t low = (uint64_t)(uintptr_t)memory;
	uint64_t frames[CAPACITY];

	assert_int_equal(mprotect(memory, PAGE, PROT_NONE), 0);
	assert_int_equal(walk_registers(low + 64, low + 128, frames), 1);
	assert_in_range(walk_registers(low + 64, (uint64_t)(uintptr_t)__builtin_frame_address(0),
				       frames),
			2, CAPACITY);
	assert_true(frames[1] == (uint64_t)(uintptr_t)__builtin_return_address(0));
	assert_int_equal(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), 0);
	return NULL;
}

static void test_interrupted_past_the_stack_s_end(void **state)
{
	size_t size = 2048 * 1024;
	uint8_t *memory = guarded_new(size);
	pthread_attr_t attr;

	(void)state;
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, memory, size), 0);
	thread_run(&attr, walk_past_the_end, memory);
	pthread_attr_destroy(&attr);
	guarded_free(memory, size);
}

static void test_handler_on_the_usual_stack(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
	assert_true(handler_walk.n_frames >= 4);
	assert_memory_equal(handler_walk.frames, handler_walk.expected, 4 * sizeof(uint64_t));
}

static ucontext_t coroutine;
static ucontext_t resumer;
static struct walk coroutine_walk;

static void coroutine_body(void)
{
	coroutine_walk.capacity = CAPACITY;
	descend(&coroutine_walk, 5);
}

static void coroutine_run(void *memory, size_t size)
{
	assert_int_equal(getcontext(&coroutine), 0);
	coroutine.uc_stack.ss_sp = memory;
	coroutine.uc_stack.ss_size = size;
	coroutine.uc_link = &resumer;
	makecontext(&coroutine, coroutine_body, 0);
	assert_int_equal(swapcontext(&resumer, &coroutine), 0);
	assert_true(coroutine_walk.n_frames >= 1);
	assert_true(coroutine_walk.frames[0] == coroutine_walk.expected[0]);
}

static void *walk_in_coroutine(void *unused)
{
	size_t size = 64 * 1024;
	uint8_t *memory = guarded_new(size);

	coroutine_run(memory, size);
	assert_int_equal(coroutine_walk.n_frames, 1);
	guarded_free(memory, size);
	return unused;
}

static void test_coroutine_gives_one_frame(void **state)
{
	(void)state;
	skip_under_valgrind();
	walk_in_coroutine(NULL);
	thread_run(NULL, walk_in_coroutine, NULL);
}

static void test_coroutine_inside_the_stack(void **state)
{
	static const size_t size = 64 * 1024;
	uint8_t memory[64 * 1024];

	(void)state;
	skip_under_valgrind();
	coroutine_run(memory, size);
	assert_in_range(coroutine_walk.n_frames, 1, CAPACITY);
}

static void *fork_and_walk(void *unused)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct walk walk = { .capacity = CAPACITY };

		descend(&walk, 9);
		_exit(walk.n_frames >= 10 && memcmp(walk.frames, walk.expected, 80) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return unused;
}

static void test_child_of_a_thread(void **state)
{
	(void)state;
	fork_and_walk(NULL);
	thread_run(NULL, fork_and_walk, NULL);
}

/* ---- Code without frame pointers ------------------------------------------------------------- */

/*
 * Calls `function` with whatever in the frame pointer's register, as code without frame pointers
 * does.
 */
void call_with_frame_pointer(void (*function)(struct walk *), struct walk *walk,
			     uint64_t frame_pointer);
__asm__(".text\n"
	".type call_with_frame_pointer, @function\n"
	"call_with_frame_pointer:\n"
	"	push %rbp\n"
	"	mov %rdx, %rbp\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	call *%rax\n"
	"	pop %rbp\n"
	"	ret\n"
	".size call_with_frame_pointer, . - call_with_frame_pointer\n");

static __attribute__((noinline)) void walk_here(struct walk *walk)
{
	walk->expected[0] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	walk->n_frames = sonde__stack_walk(walk->frames, CAPACITY);
	__asm__ volatile("" ::: "memory");
}

static void expect_one_frame(uint64_t frame_pointer)
{
	struct walk walk = { 0 };

	call_with_frame_pointer(walk_here, &walk, frame_pointer);
	assert_int_equal(walk.n_frames, 1);
	assert_true(walk.frames[0] == walk.expected[0]);
}

static void *garbage_in_thread(void *unused)
{
	uint8_t *hole = guarded_new(PAGE);
	uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
	uint64_t self = (uint64_t)(uintptr_t)__builtin_thread_pointer();
	const uint64_t bad[] = {
		0,
		1,
		8,
		16,
		PAGE,
		UINT64_MAX,
		UINT64_MAX - 15,
		UINT64_C(1) << 47,
		UINT64_C(1) << 63,
		(uint64_t)(uintptr_t)hole,
		(uint64_t)(uintptr_t)hole - 16,
		(uint64_t)(uintptr_t)hole + PAGE,
		here + 1,
		here + 8,
		here - 4096,
		here - (UINT64_C(8) << 20),
		here + (UINT64_C(100) << 20),
		self,
		self + 16,
		(uint64_t)(uintptr_t)&garbage_in_thread,
		(uint64_t)(uintptr_t)hole - 8,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_one_frame(bad[i]);
	guarded_free(hole, PAGE);
	return unused;
}

static void test_garbage_in_the_register(void **state)
{
	(void)state;
	garbage_in_thread(NULL);
	thread_run(NULL, garbage_in_thread, NULL);
}

static void *any_number_in_thread(void *seed)
{
	uint64_t here = (uint64_t)(uintptr_t)__builtin_frame_address(0);
	uint64_t random = (uint64_t)(uintptr_t)seed;

	for (int i = 0; i < 20000; i++) {
		struct walk walk = { 0 };
		uint64_t near;

		random = sonde__mix64(random + 1);
		/* Every distance from one word to far off the stack, aligned or not. */
		near = here + (random >> (16 + i % 48)) * (i % 2 ? 16 : 1);
		call_with_frame_pointer(walk_here, &walk, i % 5 ? near : random);
		assert_in_range(walk.n_frames, 1, CAPACITY);
		assert_true(walk.frames[0] == walk.expected[0]);
	}
	return NULL;
}

static void test_any_number_in_the_register(void **state)
{
	(void)state;
	skip_under_valgrind(); /* It reads words that nobody wrote, on purpose. */
	any_number_in_thread(to_pointer(1));
	thread_run(NULL, any_number_in_thread, to_pointer(2));
}

/* Frames made by hand, above us on the stack: what each step must refuse. */
static void test_forged_frames(void **state)
{
	uint64_t words[12] __attribute__((aligned(16)));
	uint64_t here = (uint64_t)(uintptr_t)words;
	uint64_t code = (uint64_t)(uintptr_t)&walk_here;
	struct walk walk = { 0 };

	(void)state;
	/* Two good ones, then one that points at itself. */
	words[0] = here + 32;
	words[1] = code;
	words[4] = here + 32;
	words[5] = code + 1;
	call_with_frame_pointer(walk_here, &walk, here);
	assert_int_equal(walk.n_frames, 3);
	assert_true(walk.frames[1] == code && walk.frames[2] == code + 1);

	words[4] = here; /* Downward. */
	call_with_frame_pointer(walk_here, &walk, here);
	assert_int_equal(walk.n_frames, 3);

	words[1] = here; /* Returns to the stack. */
	call_with_frame_pointer(walk_here, &walk, here);
	assert_int_equal(walk.n_frames, 1);
	words[1] = 7;
	call_with_frame_pointer(walk_here, &walk, here);
	assert_int_equal(walk.n_frames, 1);
	words[1] = UINT64_MAX;
	call_with_frame_pointer(walk_here, &walk, here);
	assert_int_equal(walk.n_frames, 1);
}

/* ---- Claims looked at from outside ----------------------------------------------------------- */

static void test_makes_no_system_call(void **state)
{
	pid_t child;
	int status;

	(void)state;
	skip_under_valgrind();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct walk walk = { .capacity = CAPACITY };

		forbid_system_calls();
		descend(&walk, 20);
		syscall(SYS_exit_group, walk.n_frames >= 21 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The library is loaded by a thread that is not the first: bounds are then found another way. */
static void *load_in_thread(void *path)
{
	void *library = dlopen(path, RTLD_NOW);
	size_t (*probe)(uint64_t *, size_t);
	uint64_t frames[CAPACITY];

	assert_non_null(library);
	probe = (size_t(*)(uint64_t *, size_t))(uintptr_t)dlsym(library, "probe_walk");
	assert_non_null(probe);
	assert_in_range(probe(frames, CAPACITY), 4, CAPACITY);
	assert_int_equal(dlclose(library), 0);
	return NULL;
}

static void test_loaded_by_another_thread(void **state)
{
	(void)state;
	thread_run(NULL, load_in_thread, to_pointer((uint64_t)(uintptr_t)getenv("WALK_PROBE")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_every_caller),
		cmocka_unit_test(test_writes_no_more_than_asked),
		cmocka_unit_test(test_threads_with_small_stacks),
		cmocka_unit_test(test_thread_on_memory_of_the_user),
		cmocka_unit_test(test_out_of_a_signal_stack),
		cmocka_unit_test(test_out_of_a_handler),
		cmocka_unit_test(test_interrupted_with_any_registers),
		cmocka_unit_test(test_interrupted_past_the_stack_s_end),
		cmocka_unit_test(test_handler_on_the_usual_stack),
		cmocka_unit_test(test_coroutine_gives_one_frame),
		cmocka_unit_test(test_coroutine_inside_the_stack),
		cmocka_unit_test(test_child_of_a_thread),
		cmocka_unit_test(test_garbage_in_the_register),
		cmocka_unit_test(test_any_number_in_the_register),
		cmocka_unit_test(test_forged_frames),
		cmocka_unit_test(test_makes_no_system_call),
		cmocka_unit_test(test_loaded_by_another_thread),
	};

	return cmocka_run_group_tests(tests, /* group_setup= */ NULL, /* group_teardown= */ NULL);
}
