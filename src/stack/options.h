/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_OPTIONS_H
#define SONDE_STACK_OPTIONS_H

/* What users may say about stacks. */

#include <stdbool.h>
#include <stdint.h>

#include "stack/module.h"

struct sonde__stack_options {
	/*
	 * Globs for modules, separated by commas: "*" and "?"; one with a "!" before it says that
	 * its modules are not the application's. The last that fits decides; NULL: none.
	 */
	const char *in_app;
	const char
		*debug_path; /* Folders with debug files, separated by colons; NULL: the usual. */
	uint64_t memory_limit_bytes; /* For a symbol provider; 0: 64 MiB. */
	bool has_no_symbols; /* Not to ask it. */
	bool has_no_source;
	uint32_t source_lines; /* Around each place; 0: as many as usual. */
};

#define SONDE__DEBUG_PATH "/usr/lib/debug"
#define SONDE__SOURCE_LINES 5
#define SONDE__SOURCE_LINES_MAX 15
#define SONDE__SYMBOLS_MEMORY (UINT64_C(64) << 20)

/* Which of a glob's modules the application owns; the last one that fits decides. */
enum sonde__ownership {
	SONDE__OWNED_UNSAID,
	SONDE__OWNED_BY_APP,
	SONDE__OWNED_BY_SYSTEM,
};

/* `path` and `name` of a module, against the globs. */
enum sonde__ownership sonde__ownership_find(const char *globs, const char *path, const char *name);

/* The program, and the libraries that are not the system's, unless the globs say otherwise. */
bool sonde__module_is_in_app(const char *globs, const struct sonde__module *module);

/*
 * In static programs, what calls main and threads' functions is in the program itself, and so is
 * sonde.
 */
bool sonde__function_is_in_app(const char *name);

#endif
