/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_STACK_H
#define SONDE_STACK_STACK_H

/*
 * Where a thread is: as return addresses, taken on the hot path, and as names, looked up in the
 * background. docs/design/stack.md argues both.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/*
 * Follows the frame pointers from `frame`, the frame address of a running function of the calling
 * thread, and stores the return addresses of its callers' callers, the innermost first, out of
 * signal handlers, too. Wait-free, async-signal-safe, never faults, keeps errno; no system call on
 * the thread's own stack, but where it leads out of a handler. On a stack whose bounds nobody knows
 * (a coroutine's) a provider walks by system calls, and without one nothing is stored.
 */
size_t sonde__stack_follow(const void *frame, uint64_t *frames, size_t capacity);

/*
 * The stack of the function that calls this, as return addresses: the first is where that function
 * returns to, and is always there. Stops where frame pointers stop. Wait-free, async-signal-safe.
 */
static SONDE__ALWAYS_INLINE size_t sonde__stack_walk(uint64_t *frames, size_t capacity)
{
	if (capacity == 0)
		return 0;
	frames[0] = (uint64_t)(uintptr_t)__builtin_return_address(0);
	return 1 + sonde__stack_follow(__builtin_frame_address(0), frames + 1, capacity - 1);
}

/*
 * The stack of what a signal interrupted: `context` is what its handler was given, and the calling
 * thread is in that handler, on whichever stack. The first is the interrupted instruction, counted
 * as one that is returned to, so that all of a stack mean the byte before. 0: not on this system.
 * Wait-free, async-signal-safe, never faults.
 */
size_t sonde__stack_walk_interrupted(const void *context, uint64_t *frames, size_t capacity);

/*
 * Writes a line for each frame,
 *
 *	#0 checkout_charge+0x1c (checkout, build-id 3f2a…, +0x4a1c)
 *	#1 __libc_start_main+0x85 (libc.so.6, build-id 93ac…, +0x27305) [system]
 *
 * or, where a symbol provider knows more,
 *
 *	#0 is_valid at src/card.c:12:9 [inlined] (checkout, build-id 3f2a…, +0x4a1c)
 *	       11 | {
 *	    >  12 |         return card->digits[0] != '0';
 *	       13 | }
 *	#1 checkout_charge at src/checkout.c:41:2 (checkout, build-id 3f2a…, +0x4a1c)
 *
 * the offset in the module being what addr2line and debuggers take, or the bare address where no
 * module is known. Cut to `size` bytes with the terminating zero, at the end of a line; returns the
 * length written. For the background, as sonde__stack_resolve (stack/frame.h).
 */
size_t sonde__stack_format(const uint64_t *frames, size_t n_frames, char *buffer, size_t size);

#endif
