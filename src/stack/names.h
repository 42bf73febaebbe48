/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_NAMES_H
#define SONDE_STACK_NAMES_H

/* What a symbol provider said about addresses, kept in a fixed place. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/*
 * Asks the provider, if there is one, and keeps the answer for a while. By the thread that
 * resolves. `address` is in the file's addresses; source text is read for the application alone.
 */
struct sonde__names sonde__names_ask(const struct sonde__stack_options *options,
				     const struct sonde__module *module, uint64_t address,
				     bool is_in_app);

/* One of them; NULL: others have taken their place. */
const struct sonde__name *sonde__name_at(const struct sonde__names *names, size_t i);

/* Whether all of their source text is there, and one's text, as sonde__stack_source. */
bool sonde__names_have_source(const struct sonde__names *names);
bool sonde__source_read(const struct sonde__source *source, char ret[SONDE__SOURCE_SIZE]);

/* In a forked child whose parent may have been asking; else what the provider keeps is freed. */
void sonde__names_abandon(void);
void sonde__names_clear(void);

#endif
