/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_PROGRAM_H
#define SONDE_INSTRUMENT_UNWIND_PROGRAM_H

/* The instructions of call frame information, run up to the row of an address. */

#include "reader.h"

struct sonde__cfi_entry {
	struct sonde__cfi_reader program;
	struct sonde__cfi_reader initial; /* The CIE's program. */
	uint64_t start; /* The function. */
	uint64_t end;
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* Of addresses. */
	bool is_signal;
};

enum sonde__cfi_where {
	SONDE__WHERE_SAME,
	SONDE__WHERE_AT_CFA,
	SONDE__WHERE_AT_FP,
	SONDE__WHERE_NOWHERE,
	SONDE__WHERE_UNDEFINED,
};

struct sonde__cfi_row {
	bool cfa_is_fp;
	bool cfa_is_read;
	bool cfa_is_unknown;
	int64_t cfa_offset;
	enum sonde__cfi_where fp;
	int64_t fp_offset;
	enum sonde__cfi_where ra;
	int64_t ra_offset;
};

/* The row of `address`; false: the instructions need something that is not known here. */
bool sonde__cfi_run(const struct sonde__cfi_entry *entry, uint64_t address,
			struct sonde__cfi_row *ret);

#endif
