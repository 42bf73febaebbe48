/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_RULE_H
#define SONDE_INSTRUMENT_UNWIND_RULE_H

/* How to get from a function to its caller, for one place in the code. */

#include <stdbool.h>
#include <stdint.h>

enum sonde__rule_kind {
	SONDE__RULE_STRANGE = 0, /* No code is there, or none that is returned to. */
	SONDE__RULE_BARE = 1, /* Code, of which nothing more is known. */
	SONDE__RULE_END = 2, /* The outermost function. */
	SONDE__RULE_SIGNAL = 3, /* What a signal handler returns to; the kernel's frame follows. */
	SONDE__RULE_CALL = 4,
};

enum sonde__rule_fp {
	SONDE__FP_SAME = 0, /* The caller's frame pointer is still in the register. */
	SONDE__FP_AT_CFA = 1, /* Saved at CFA + fp_words * 8. */
	SONDE__FP_AT_FP = 2, /* Saved at fp + fp_words * 8. */
	SONDE__FP_LOST = 3,
};

/*
 * The CFA, the caller's stack pointer, is a register plus `cfa_offset`; or what is in memory there,
 * where cfa_is_read. The return address lies in the word below it.
 */
struct sonde__rule {
	int32_t cfa_offset;
	int16_t fp_words;
	uint8_t kind; /* enum sonde__rule_kind */
	uint8_t fp : 2; /* enum sonde__rule_fp */
	uint8_t cfa_is_fp : 1; /* Else sp. */
	uint8_t cfa_is_read : 1;
};

#endif
