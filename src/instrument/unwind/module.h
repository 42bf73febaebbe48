/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_MODULE_H
#define SONDE_INSTRUMENT_UNWIND_MODULE_H

/* Loaded modules, found without a lock; see _dl_find_object in glibc's manual. */

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sonde__place {
	uint64_t start; /* The mapped range. */
	uint64_t end;
	uint64_t bias; /* Address in memory minus address in the file. */
	uint64_t table; /* .eh_frame_hdr; 0: there is none. */
	/*
	 * The same number means the same bytes at the same addresses; 0: that cannot be told, the
	 * module has no build-id.
	 */
	uint64_t identity;
	const Elf64_Phdr *headers;
	size_t n_headers;
};

/*
 * Finds the module around `address`; a place that has it already is kept. Wait-free,
 * async-signal-safe. Reads the module's headers, so the address must be one that a running function
 * may return to: only that keeps the module loaded.
 */
bool sonde__place_find(struct sonde__place *place, uint64_t address);

/* Whether the address lies in a segment that can be executed. */
bool sonde__place_is_code(const struct sonde__place *place, uint64_t address);

#endif
