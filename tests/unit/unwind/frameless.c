/* SPDX-License-Identifier: Apache-2.0 */

#include "frameless.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION __attribute__((noinline, noclone))

typedef void shape_fn(struct trail *trail, int shape);

static shape_fn *const shapes[FRAMELESS_SHAPES];

static void note(struct trail *trail, const void *return_address)
{
	trail->returns[trail->n++] = (uint64_t)(uintptr_t)return_address;
}

static __attribute__((always_inline)) inline void go_on(struct trail *trail, int shape)
{
	if (trail->depth == 0) {
		trail->end(trail);
	} else {
		int next = shape;

		trail->depth--;
		trail->random = trail->random * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (shape < 0)
			next = (int)(trail->random >> 33) % FRAMELESS_SHAPES;
		shapes[next](trail, shape);
	}
	__asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

static FUNCTION void plain(struct trail *trail, int shape)
{
	note(trail, __builtin_return_address(0));
	go_on(trail, shape);
}

static FUNCTION void large(struct trail *trail, int shape)
{
	char memory[5000];

	note(trail, __builtin_return_address(0));
	__asm__ volatile("" : : "r"(memory) : "memory");
	go_on(trail, shape);
}

/* The stack pointer moves by an amount that no table knows: a frame pointer is needed after all. */
static FUNCTION void variable(struct trail *trail, int shape)
{
	char *memory = __builtin_alloca(16 + trail->random % 300);

	note(trail, __builtin_return_address(0));
	__asm__ volatile("" : : "r"(memory) : "memory");
	go_on(trail, shape);
}

/* The stack pointer is rounded down: the CFA has to be read from memory. */
static FUNCTION void aligned(struct trail *trail, int shape)
{
	char memory[64] __attribute__((aligned(64)));

	note(trail, __builtin_return_address(0));
	__asm__ volatile("" : : "r"(memory) : "memory");
	go_on(trail, shape);
}

static FUNCTION void aligned_and_variable(struct trail *trail, int shape)
{
	char memory[64] __attribute__((aligned(128)));
	char *more = __builtin_alloca(16 + trail->random % 300);

	note(trail, __builtin_return_address(0));
	__asm__ volatile("" : : "r"(memory), "r"(more) : "memory");
	go_on(trail, shape);
}

/* Every register that a callee must keep is used for something else. */
static FUNCTION void greedy(struct trail *trail, int shape)
{
	note(trail, __builtin_return_address(0));
	__asm__ volatile("mov $0x414141414141, %%rbp" : : : "rbx", "rbp", "r12", "r13", "r14", "r15");
	go_on(trail, shape);
	__asm__ volatile("" : : : "rbx", "rbp", "r12", "r13", "r14", "r15");
}

static FUNCTION void many(struct trail *trail, int shape, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(trail, __builtin_return_address(0));
	go_on(trail, shape);
	va_end(arguments);
}

/* Pushes arguments, which moves the stack pointer between instructions. */
static FUNCTION void pushing(struct trail *trail, int shape)
{
	note(trail, __builtin_return_address(0));
	many(trail, shape, "", 1, 2, 3, 4, 5, 6, 7, 8.0, 9, trail->random);
	__asm__ volatile("" ::: "memory");
}

/* Through a library that has no frame pointers either; the addresses in it are not noted. */
static __thread struct trail *comparing;
static __thread int comparing_shape;

static int compare(const void *a, const void *b)
{
	struct trail *trail = comparing;

	if (trail) {
		comparing = NULL;
		note(trail, __builtin_return_address(0));
		go_on(trail, comparing_shape);
	}
	return memcmp(a, b, 1);
}

static FUNCTION void calling_back(struct trail *trail, int shape)
{
	char letters[] = "ba";

	note(trail, __builtin_return_address(0));
	trail->returns[trail->n++] = 0; /* What follows in the library is not known. */
	comparing = trail;
	comparing_shape = shape;
	qsort(letters, 2, 1, compare);
	__asm__ volatile("" ::: "memory");
}

static shape_fn *const shapes[FRAMELESS_SHAPES] = {
	plain, large, variable, aligned, aligned_and_variable, greedy, pushing, calling_back,
};

void frameless_descend(struct trail *trail, size_t depth, int shape)
{
	trail->n = 0;
	trail->depth = depth;
	note(trail, __builtin_return_address(0));
	go_on(trail, shape);
}

FUNCTION uint64_t frameless_interrupt(void)
{
	__asm__ volatile("int3" ::: "memory");
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}
