/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_FRAME_H
#define SONDE_STACK_FRAME_H

/*
 * Addresses as frames: the module, the function and, where somebody knows, the line. What a stack's
 * text and an error's fingerprint are made of. For the background.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/module.h"
#include "stack/symbol.h"

#define SONDE__FRAME_FUNCTION_SIZE 160
#define SONDE__FRAME_FILE_SIZE 192

/* Results that are enough for most stacks: each address, and what was inlined into it. */
#define SONDE__FRAMES_RESOLVED 48

/* Where the text around a line is kept: sonde__stack_source. */
struct sonde__source {
	uint64_t at;
	uint32_t size;
	uint32_t first; /* The number of its first line. */
};

/* A line of it, cut, with its newline; and the most that is kept of one place. */
#define SONDE__SOURCE_LINE_SIZE 128
#define SONDE__SOURCE_SIZE 2048

/* What is not known is zero, false or "". All texts end in a zero, and are cut where too long. */
struct sonde__frame {
	uint64_t address; /* As it was taken: where the call returns to. */
	uint64_t
		offset; /* In the module's file: the address, as addr2line and debuggers take it. */
	uint64_t function_start; /* In the module's file; of the function around an inlined one. */
	uint32_t line;
	uint32_t column;
	uint8_t build_id_size;
	bool is_inlined; /* Its caller is the next result, of the same address. */
	/* Neither the system's libraries, nor sonde, nor what calls main, unless options say so. */
	bool is_in_app;
	uint8_t build_id[SONDE__BUILD_ID_MAX];
	/*
	 * Of the function as the linker names it, the same in every build (stack/identity.h); of
	 * the function around an inlined one. 0: its name is not known.
	 */
	uint64_t identity;
	char module[SONDE__MODULE_NAME_SIZE]; /* The last part of its path; "": in no module. */
	char function[SONDE__FRAME_FUNCTION_SIZE]; /* For people: C++ names may be demangled. */
	char file[SONDE__FRAME_FILE_SIZE];
	struct sonde__source source; /* Of size 0: there is none. */
};

struct sonde__stack_options;

/*
 * Names return addresses, the innermost first. An address becomes one result or, where functions
 * were inlined, several in a row with the same `address`: the innermost inlined function first,
 * each but the last `is_inlined`. So there may be more results than addresses, but none of an
 * address that has none before it: every address has at least one. Stops when `capacity` is
 * reached, perhaps in the middle of an address; returns how many were written, each completely.
 *
 * Bounded and cached: reads files, takes no lock of the dynamic loader, keeps errno, and allocates
 * nothing unless there is a symbol provider. One thread at a time gets names; a second one at the
 * same time gets bare addresses.
 */
size_t sonde__stack_resolve(const uint64_t *frames, size_t n_frames, struct sonde__frame *ret,
			    size_t capacity);

/*
 * Copies the text of a frame that was resolved a moment ago: lines of valid UTF-8, each with its
 * newline, without the blanks that all of them begin with. False: there is none, or none any more.
 */
bool sonde__stack_source(const struct sonde__source *source, char ret[SONDE__SOURCE_SIZE]);

/*
 * Looks whether every module that names came from is still loaded where it was (a system call for
 * each) and returns a number that is another one if not. Whoever keeps names by their addresses
 * must drop them then. By the thread that resolves; 0: another one is inside.
 */
uint64_t sonde__stack_generation(void);

/*
 * Whether symbol providers are asked by a thread of this process that learns, instead of whoever
 * resolves, who then gets what is known so far.
 */
void sonde__stack_ask_apart(bool is_apart);

/*
 * All that can be found out about these is in the cache. *ret_generation is another number after
 * something was forgotten; 0: another thread is inside. Reads no memory but its own.
 */
bool sonde__stack_knows(const uint64_t *frames, size_t n_frames, uint64_t *ret_generation);

/* Finds that out for one; calls `wait` while somebody else is in the cache. */
void sonde__stack_learn(uint64_t frame, void (*wait)(void));

/*
 * How stacks are named from now on; the texts are copied, and cut at 1023 bytes. False: somebody is
 * naming one, nothing has changed.
 */
bool sonde__stack_configure(const struct sonde__stack_options *options);

/*
 * Frees what a symbol provider keeps, if nothing was named for a minute, or `now_ns` is UINT64_MAX.
 * It is read anew when it is needed.
 */
void sonde__stack_rest(uint64_t now_ns);

#endif
