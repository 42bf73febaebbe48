/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_H
#define SONDE_STACK_H

/*
 * How other libraries make stacks better. The core follows frame pointers, and names functions by
 * the loaded files' symbol tables. libsonde-unwind, linked, also walks code without frame pointers;
 * libsonde-symbols, linked, also knows files, lines and inlined functions.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

/*
 * Where a walk is. The function at `pc` continues there with these registers when what it called
 * returns. Memory in [sp, end) is the stack that the running thread is on, or was on when a signal
 * came, and can be read; nothing else can. On a stack of which nobody knows that, a coroutine's, it
 * is read by `read` alone.
 */
struct sonde_stack_cursor {
	uint64_t pc;
	uint64_t sp;
	uint64_t fp; /* The frame pointer's register: anything at all in code without them. */
	uint64_t end;
	bool is_complete; /* The function at `pc` is the outermost. */
	/*
	 * A signal came there, not a call returns there: the byte before `pc` is where the
	 * instruction begins that was next.
	 */
	bool is_interrupted;
	/* NULL: by loads. Reads an aligned word; false: nothing is there. As `walk`. */
	bool (*read)(uint64_t address, uint64_t *ret);
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
	 * cursor, if that is not complete, or past a signal handler if `sp` is where the kernel's
	 * frame is. Async-signal-safe; called concurrently; must not
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

/* What is asked of a symbol provider: who is at an address of a module. */
struct sonde_symbol_query {
	size_t size;
	const char *path; /* Opens the module's file, if it is still there. */
	const uint8_t *build_id; /* Of what is loaded; a file with another one is another build. */
	size_t build_id_size; /* 0: it has none. */
	uint64_t address; /* In the file's addresses: memory minus bias. */
	const char *debug_path; /* Folders with debug files, separated by colons; "": none. */
	uint64_t memory_limit_bytes; /* For everything that the provider keeps. */
	uint32_t source_lines; /* Wanted of the text around each place; 0: none. */
};

/* Texts are valid until the provider's next call; NULL where something is not known. */
struct sonde_symbol_frame {
	const char *function; /* For people: C++ names are demangled. */
	const char *linkage_name; /* For the linker. */
	const char *file;
	/*
	 * The text around the line, as many lines as were wanted or fewer, with newlines between
	 * them, and the number of the first of them.
	 */
	const char *source;
	uint32_t source_first;
	uint32_t line;
	uint32_t column;
	bool is_inlined; /* Into the next frame. */
};

/*
 * Finds out what addresses mean, in the background, by one thread at a time, which may wait for
 * files meanwhile but not for another thread. Must cope with any file whatever.
 */
struct sonde_symbol_provider {
	size_t size;
	const char *name;

	/*
	 * Stores the function around the address and, before it, those inlined there, the innermost
	 * first; returns how many, at most `capacity`, keeping the outermost; 0: not known.
	 */
	size_t (*resolve)(const struct sonde_symbol_query *query, struct sonde_symbol_frame *ret,
			  size_t capacity);

	/*
	 * In a forked child: another thread may have been in `resolve` at the fork, so what it
	 * kept must not be looked at any more, nor freed.
	 */
	void (*abandon)(void);

	/* Frees what is kept; the provider goes on with nothing. */
	void (*clear)(void);
};

/* As sonde_stack_provider_register. */
SONDE_API int sonde_symbol_provider_register(const struct sonde_symbol_provider *provider);

/* In libsonde-symbols, which registers it when it is loaded. */
SONDE_API extern const struct sonde_symbol_provider sonde_symbols_provider;

SONDE_END_DECLS

#endif
