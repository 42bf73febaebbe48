/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_NAMES_H
#define SONDE_STACK_NAMES_H

/* What a symbol provider said about addresses, kept in a fixed place. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/stack.h>

#include "stack/frame.h"
#include "stack/module.h"
#include "stack/options.h"

struct sonde__name {
	uint64_t identity; /* Of the name for the linker; 0: there is none. */
	uint32_t line;
	uint32_t column;
	bool is_inlined;
	char function[SONDE__FRAME_FUNCTION_SIZE];
	char file[SONDE__FRAME_FILE_SIZE];
	struct sonde__source source;
};

/* Names in a row, the innermost first. */
struct sonde__names {
	uint64_t first;
	uint8_t n; /* 0: nothing is known. */
};

#define SONDE__INLINED_MAX 12

/* As the provider gave it; its texts are the provider's. */
struct sonde__answer {
	struct sonde_symbol_frame frames[SONDE__INLINED_MAX];
	size_t n;
	uint32_t n_source_lines; /* That were wanted. */
};

/*
 * Asks the provider; nothing is known where there is none. The answer is valid until it is
 * released. `address` is in the file's addresses; source text is read for the application alone.
 * False: another thread is asking, and there is nothing to release.
 */
bool sonde__names_ask(const struct sonde__stack_options *options,
				     const struct sonde__module *module, uint64_t address,
				     bool is_in_app, struct sonde__answer *ret);
void sonde__names_release(void);

/* Keeps the answer for a while. By the thread that is in the cache (frame.c), as all below. */
struct sonde__names sonde__names_keep(const struct sonde__answer *answer);

/* One of them; NULL: others have taken their place. */
const struct sonde__name *sonde__name_at(const struct sonde__names *names, size_t i);

/*
 * Whether they are there, and all of their source text is there, and one's text, as
 * sonde__stack_source.
 */
bool sonde__names_are_kept(const struct sonde__names *names);
bool sonde__names_have_source(const struct sonde__names *names);
bool sonde__source_read(const struct sonde__source *source, char ret[SONDE__SOURCE_SIZE]);

/* In a forked child whose parent may have been writing: nothing is kept. */
void sonde__names_forget(void);

/* Frees what the provider keeps. False: another thread is asking. By any thread. */
bool sonde__names_clear(void);

#endif
