/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_READER_H
#define SONDE_INSTRUMENT_UNWIND_READER_H

/* Numbers out of a run of bytes. Past its end everything is 0, and the reader is bad. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sonde__cfi_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool is_bad;
};

/* Unsigned, of 1 to 8 bytes. */
uint64_t sonde__cfi_take(struct sonde__cfi_reader *reader, size_t size);
uint64_t sonde__cfi_take_uleb(struct sonde__cfi_reader *reader);
int64_t sonde__cfi_take_sleb(struct sonde__cfi_reader *reader);

/* An address, absolute or relative to where it stands, in one of the encodings of .eh_frame. */
uint64_t sonde__cfi_take_encoded(struct sonde__cfi_reader *reader, uint8_t encoding);

/* The next `size` bytes as a reader of their own. */
struct sonde__cfi_reader sonde__cfi_take_part(struct sonde__cfi_reader *reader, uint64_t size);

#endif
