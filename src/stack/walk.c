/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Follows frame pointers and reads no byte that is not surely part of the running thread's stack.
 *
 * A frame pointer may be anything: code built without them uses the register as it likes. So each
 * is followed only upward and only inside [frame, top), where `frame` lies on the thread's own
 * stack and `top` is that stack's upper end. A stack is mapped without gaps from its lowest touched
 * byte to its top, hence every address in that range can be read.
 *
 * On glibc for x86-64 the thread's descriptor, which the thread pointer points at, sits at the top
 * of its stack's block, and holds the block's bounds: its start and its size. The main thread has 0
 * and the end of the initial stack there. Where in the descriptor is nobody's business but glibc's,
 * so a constructor looks for the words whose values it knows: on the main thread __libc_stack_end
 * behind a zero, on another what pthread_getattr_np says. Where they are not found, walks have one
 * frame. The thread's bounds are thus two loads from a line that is always present; nothing is
 * cached, so nothing can be stale after a fork, a thread's end or the reuse of its stack.
 *
 * The main thread's block starts at 0 in that descriptor, which would take in every signal stack
 * and coroutine below it. The kernel keeps the 128 MiB below the top of the initial stack free of
 * other mappings, so a frame within MAIN_STACK_WINDOW of the top is on it, and one further down is
 * not followed.
 */

#include "stack/stack.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "stack/provider.h"

#define MAIN_STACK_WINDOW (UINT64_C(64) << 20)

/* struct pthread is 2304 bytes in every glibc since 2.4, the bounds well inside. */
#define DESCRIPTOR_WORDS (2048 / sizeof(uint64_t))

/* User space ends here, and no code lies in the first pages. */
#define CODE_MIN UINT64_C(0x1000)
#define CODE_MAX (UINT64_C(1) << 47)

/* The address after the initial stack; not there in some static programs. */
extern void *__libc_stack_end __attribute__((weak));

/* The index of the block's start in the descriptor, its size being next; 0: not known. */
static _Atomic uint32_t bounds_index;

static const uint64_t *descriptor(void)
{
	return __builtin_thread_pointer();
}

/* The words that hold the main thread's bounds: 0, then the end of the initial stack. */
static uint32_t main_bounds_index(void)
{
	const uint64_t *words = descriptor();
	uint32_t found = 0;

	if (!&__libc_stack_end)
		return 0;
	for (uint32_t i = 0; i + 1 < DESCRIPTOR_WORDS; i++) {
		if (words[i] != 0 || words[i + 1] != (uint64_t)(uintptr_t)__libc_stack_end)
			continue;
		if (found)
			return 0;
		found = i;
	}
	return found;
}

/* The words that hold another thread's: a start and a size that end where its stack ends. */
static uint32_t thread_bounds_index(void)
{
	const uint64_t *words = descriptor();
	uint32_t found = 0;
	pthread_attr_t attr;
	void *address;
	size_t size;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return 0;
	if (pthread_attr_getstack(&attr, &address, &size) == 0) {
		uint64_t low = (uint64_t)(uintptr_t)address;

		for (uint32_t i = 0; i + 1 < DESCRIPTOR_WORDS && !found; i++)
			if (words[i] != 0 && words[i] <= low &&
			    words[i] + words[i + 1] == low + size)
				found = i;
	}
	pthread_attr_destroy(&attr);
	return found;
}

static void SONDE__CONSTRUCTOR find_bounds(void)
{
	uint32_t index = main_bounds_index();

	if (!index)
		index = thread_bounds_index();
	/*
	 * Relaxed: the word is a number that is right or 0, and nothing else is published with it.
	 */
	atomic_store_explicit(&bounds_index, index, memory_order_relaxed);
}

/* The end of the stack that `frame` is on; 0: it is not on the thread's own. */
static uint64_t stack_top(uint64_t frame)
{
	uint32_t index = atomic_load_explicit(&bounds_index, memory_order_relaxed);
	const uint64_t *words = descriptor();
	uint64_t start;
	uint64_t size;
	uint64_t top;

	if (SONDE__UNLIKELY(!index))
		return 0;
	start = words[index];
	size = words[index + 1];
	top = start + size;
	if (start == 0)
		start = top > MAIN_STACK_WINDOW ? top - MAIN_STACK_WINDOW : 0;
	else if ((uint64_t)(uintptr_t)words < top)
		top = (uint64_t)(uintptr_t)words; /* What lies above is the descriptor's own. */
	return frame >= start && frame < top ? top : 0;
}

/*
 * Stores where the callers of a function return to whose frame pointer is `next`, and whose stack
 * is in use from `low` on.
 */
static SONDE__NO_SANITIZE size_t follow(uint64_t next, uint64_t low, uint64_t top, uint64_t *frames,
					size_t capacity)
{
	size_t n = 0;

	/* Upward, in bounds, and aligned as the ABI has it at every call. */
	while (n < capacity && next >= low && next % 16 == 0 && next < top &&
	       top - next >= 2 * sizeof(uint64_t)) {
		const uint64_t *words = (const uint64_t *)(uintptr_t)next;
		uint64_t code = words[1];

		/* Not code: the register was somebody's pointer to a local variable. */
		if (code < CODE_MIN || code >= CODE_MAX || (code >= low && code < top))
			break;
		frames[n++] = code;
		low = next + 1;
		next = words[0];
	}
	return n;
}

/* The provider as far as it knows the way, frame pointers from there on. */
static SONDE__NO_SANITIZE size_t follow_provider(const struct sonde_stack_provider *provider,
						 struct sonde_stack_cursor *cursor,
						 uint64_t *frames, size_t capacity)
{
	uint64_t low = cursor->sp;
	size_t n = provider->walk(cursor, frames, capacity);

	n = n < capacity ? n : capacity;
	if (cursor->is_complete)
		return n;
	low = cursor->sp > low ? cursor->sp : low;
	return n + follow(cursor->fp, low, cursor->end, frames + n, capacity - n);
}

SONDE__NO_SANITIZE size_t sonde__stack_follow(const void *frame_address, uint64_t *frames,
					      size_t capacity)
{
	const struct sonde_stack_provider *provider = sonde__stack_provider();
	const uint64_t *words = frame_address;
	uint64_t frame = (uint64_t)(uintptr_t)frame_address;
	uint64_t top = stack_top(frame);
	struct sonde_stack_cursor cursor;

	if (top < 2 * sizeof(uint64_t) || frame > top - 2 * sizeof(uint64_t))
		return 0;
	if (!provider)
		return follow(words[0], frame + 1, top, frames, capacity);
	cursor = (struct sonde_stack_cursor){
		.pc = words[1],
		.sp = frame + 2 * sizeof(uint64_t),
		.fp = words[0],
		.end = top,
	};
	return follow_provider(provider, &cursor, frames, capacity);
}

SONDE__NO_SANITIZE size_t sonde__stack_walk_interrupted(const void *context, uint64_t *frames,
							size_t capacity)
{
	const struct sonde_stack_provider *provider = sonde__stack_provider();
	const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct sonde_stack_cursor cursor = {
		.pc = (uint64_t)registers[REG_RIP] + 1,
		.sp = (uint64_t)registers[REG_RSP],
		.fp = (uint64_t)registers[REG_RBP],
		.end = stack_top((uint64_t)registers[REG_RSP]),
		.is_interrupted = true,
	};

	if (capacity == 0)
		return 0;
	frames[0] = cursor.pc;
	if (!cursor.end)
		return 1;
	if (provider)
		return 1 + follow_provider(provider, &cursor, frames + 1, capacity - 1);
	return 1 + follow(cursor.fp, cursor.sp, cursor.end, frames + 1, capacity - 1);
}
