/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_STACK_SYMBOL_H
#define SONDE_STACK_SYMBOL_H

/* Functions' names, read from a module's own ELF file. For the background. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/module.h"

#define SONDE__SYMBOL_NAME_SIZE 80

struct sonde__symbol {
	char name[SONDE__SYMBOL_NAME_SIZE]; /* Cut, if it is longer. */
	uint64_t start; /* In the file's addresses. */
	uint64_t identity; /* Of the whole name: stack/identity.h. */
};

/*
 * Finds the function around `address` (in the file's addresses: memory minus bias) in .symtab, else
 * in .dynsym. False where the file is gone, is not an ELF file of this machine, is another build
 * than the one that is loaded, or names no function there. Trusts nothing in the file.
 */
bool sonde__symbol_find(const struct sonde__module *module, uint64_t address,
			struct sonde__symbol *ret);

#endif
