/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_H
#define SONDE_STACK_H

/*
 * How other libraries make stacks better. The core follows frame pointers; libsonde-unwind, linked,
 * also gets through code without them.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

/*
 * Where a walk is. The function at `pc` continues there with these registers when what it called
 * returns. Memory in [sp, end) is the running thread's own stack and can be read; nothing else can.
 */
struct sonde_stack_cursor {
	uint64_t pc;
	uint64_t sp;
	uint64_t fp; /* The frame pointer's register: anything at all in code without them. */
	uint64_t end;
	bool is_complete; /* The function at `pc` is the outermost. */
};

/*
 * Walks stacks when errors are raised: in the service's threads, in signal handlers and forked
 * children, on stacks that were overwritten.
 */
struct sonde_stack_provider {
	size_t size;
	const char *name;

	/*
	 * Stores the return addresses of the callers of the function at cursor->pc, the innermost
	 * first, at most `capacity`, moves the cursor to the last one and returns how many there
	 * are. Where it does not know on, it stops; the core goes on by frame pointers from the
	 * cursor, if that is not complete. Async-signal-safe; called concurrently; must not
	 * allocate, wait or fault, nor read more of the stack than the cursor allows.
	 */
	size_t (*walk)(struct sonde_stack_cursor *cursor, uint64_t *frames, size_t capacity);
};

/*
 * From now on stacks are walked by `provider`, which must stay for the life of the process; NULL:
 * by frame pointers again. SONDE_E_INVALID for an incomplete one, SONDE_E_EXISTS while there is
 * another one. Of no effect on systems whose stacks are not walked. Lock-free.
 */
SONDE_API int sonde_stack_provider_register(const struct sonde_stack_provider *provider);

/* In libsonde-unwind, which registers it when it is loaded. */
SONDE_API extern const struct sonde_stack_provider sonde_unwind_provider;

SONDE_END_DECLS

#endif
