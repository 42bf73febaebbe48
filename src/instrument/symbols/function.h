/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_SYMBOLS_FUNCTION_H
#define SONDE_INSTRUMENT_SYMBOLS_FUNCTION_H

/* Functions and lines out of debug information. */

#include <elfutils/libdw.h>
#include <stddef.h>
#include <stdint.h>

#define SONDE__SCOPES_MAX 16

/* Texts belong to the debug information. */
struct sonde__position {
	const char *file;
	int line;
	int column;
};

struct sonde__function {
	Dwarf_Die die;
	struct sonde__position position; /* What runs in it: the address, or a call. */
};

/*
 * Stores the function around the address and those inlined there, the innermost first; returns how
 * many, at most SONDE__SCOPES_MAX, keeping the outermost. Every search is bounded.
 */
size_t sonde__functions_find(Dwarf *dwarf, uint64_t address, struct sonde__function *ret);

/* The name for the linker, or NULL; the name in the source, or NULL. */
const char *sonde__function_linkage_name(struct sonde__function *function);
const char *sonde__function_name(struct sonde__function *function);

/* The folder in which the compiler ran, or NULL. */
const char *sonde__function_folder(struct sonde__function *function);

#endif
