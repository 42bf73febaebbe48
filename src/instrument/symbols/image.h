/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_SYMBOLS_IMAGE_H
#define SONDE_INSTRUMENT_SYMBOLS_IMAGE_H

/* ELF files with debug information: found, checked to be the right build, and read. */

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <sonde/stack.h>

struct sonde__image {
	void *memory; /* The whole file; NULL: none. */
	size_t size;
	uint64_t cost; /* Bytes in memory, what was compressed counted as inflated. */
	struct timespec modified;
	Elf *elf;
	Dwarf *dwarf;
	struct sonde__image *shared; /* What dwz moved into a file that several share. */
};

/*
 * Finds the file with the module's debug information: its own, else by its build-id, else by its
 * .gnu_debuglink, in the query's debug path. False: there is none, or none that fits the query's
 * memory limit.
 */
bool sonde__image_open(struct sonde__image *image, const struct sonde_symbol_query *query);
void sonde__image_close(struct sonde__image *image);

#endif
