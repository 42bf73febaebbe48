/* SPDX-License-Identifier: Apache-2.0 */

/* Standard: DWARF 5, section 7.6; Linux Standard Base 5.0, section 10.5. */

#include "reader.h"

#include <string.h>

uint64_t sonde__cfi_take(struct sonde__cfi_reader *reader, size_t size)
{
	uint64_t value = 0;

	if ((size_t)(reader->end - reader->at) < size) {
		reader->is_bad = true;
		reader->at = reader->end;
		return 0;
	}
	memcpy(&value, reader->at, size);
	reader->at += size;
	return value;
}

uint64_t sonde__cfi_take_uleb(struct sonde__cfi_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = sonde__cfi_take(reader, 1);

		value |= (byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->is_bad = true;
	return 0;
}

int64_t sonde__cfi_take_sleb(struct sonde__cfi_reader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = sonde__cfi_take(reader, 1);

		value |= (byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift + 7 < 64)
			value |= UINT64_MAX << (shift + 7);
		return (int64_t)value;
	}
	reader->is_bad = true;
	return 0;
}

struct sonde__cfi_reader sonde__cfi_take_part(struct sonde__cfi_reader *reader, uint64_t size)
{
	struct sonde__cfi_reader part = { .at = reader->at, .end = reader->at };

	if (size > (uint64_t)(reader->end - reader->at)) {
		reader->is_bad = true;
		part.is_bad = true;
		return part;
	}
	part.end = reader->at + size;
	reader->at = part.end;
	return part;
}

uint64_t sonde__cfi_take_encoded(struct sonde__cfi_reader *reader, uint8_t encoding)
{
	uint64_t base = (encoding & 0x70) == 0x10 ? (uint64_t)(uintptr_t)reader->at : 0;

	if ((encoding & 0x80) || ((encoding & 0x70) != 0 && (encoding & 0x70) != 0x10)) {
		reader->is_bad = true;
		return 0;
	}
	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		return base + sonde__cfi_take(reader, 8);
	case 0x03:
		return base + sonde__cfi_take(reader, 4);
	case 0x0b:
		return base + (uint64_t)(int64_t)(int32_t)(uint32_t)sonde__cfi_take(reader, 4);
	default:
		reader->is_bad = true;
		return 0;
	}
}
