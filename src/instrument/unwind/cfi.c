/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reads .eh_frame as the linker leaves it: a table of functions sorted by address (.eh_frame_hdr),
 * a description for each (FDE), and what descriptions share (CIE).
 *
 * The tables are as trustworthy as the code that they describe. Still every read is checked to lie
 * in the module, and every count is bounded: a module may be damaged, and be noticed by this first.
 *
 * Standard: DWARF 5, section 6.4.1; Linux Standard Base 5.0, section 10.6.
 */

#include "cfi.h"

#include <string.h>

#include "program.h"

#define REGISTER_RA 16
#define ENTRY_MAX (64 * 1024)

static struct sonde__cfi_reader reader_at(const struct sonde__place *place, uint64_t address)
{
	struct sonde__cfi_reader reader = { .is_bad = address < place->start ||
						      address >= place->end };

	if (!reader.is_bad) {
		reader.at = (const uint8_t *)(uintptr_t)address;
		reader.end = (const uint8_t *)(uintptr_t)place->end;
	}
	return reader;
}

/* A CIE's or FDE's bytes, without its length. */
static struct sonde__cfi_reader entry_at(const struct sonde__place *place, uint64_t address)
{
	struct sonde__cfi_reader whole = reader_at(place, address);
	uint64_t size = sonde__cfi_take(&whole, 4);

	/* 64-bit entries are for sections past 4 GiB. */
	if (size == 0 || size > ENTRY_MAX)
		whole.is_bad = true;
	return whole.is_bad ? whole : sonde__cfi_take_part(&whole, size);
}

/* The address of the FDE of the last function that starts at or before `address`; 0: none. */
static uint64_t table_search(const struct sonde__place *place, uint64_t address)
{
	struct sonde__cfi_reader reader = reader_at(place, place->table);
	uint64_t head = sonde__cfi_take(&reader,
					4); /* Version; encodings: of the frame, count and table. */
	int64_t wanted = (int64_t)(address - place->table);
	uint64_t low = 0;
	uint64_t count;

	/* As all linkers write it: 4 bytes for each, the table relative to itself. */
	if (reader.is_bad || (head & 0xff) != 1 || head >> 16 != 0x3b03 ||
	    ((head >> 8 & 0x0f) != 0x0b && (head >> 8 & 0x0f) != 0x03))
		return 0;
	sonde__cfi_take(&reader, 4);
	count = sonde__cfi_take(&reader, 4);
	if (count == 0 || count > (uint64_t)(reader.end - reader.at) / 8)
		return 0;
	while (count > 1) {
		uint64_t half = count / 2;
		int32_t start;

		memcpy(&start, reader.at + (low + half) * 8, sizeof(start));
		if (start <= wanted)
			low += half;
		count -= half;
		if (start > wanted)
			count = half;
	}
	reader.at += low * 8;
	if ((int64_t)(int32_t)(uint32_t)sonde__cfi_take(&reader, 4) > wanted)
		return 0;
	return place->table + (uint64_t)(int64_t)(int32_t)(uint32_t)sonde__cfi_take(&reader, 4);
}

/* What "zPLRS" announces, in its order; anything else is not known here. */
static bool augmentation_read(struct sonde__cfi_entry *entry, const char *text,
			      struct sonde__cfi_reader *data)
{
	entry->encoding = 0;
	for (; *text; text++) {
		switch (*text) {
		case 'R':
			entry->encoding = (uint8_t)sonde__cfi_take(data, 1);
			break;
		case 'P':
			/* Indirect or not, it is only passed over. */
			sonde__cfi_take_encoded(data, (uint8_t)sonde__cfi_take(data, 1) & 0x0f);
			break;
		case 'L':
			sonde__cfi_take(data, 1);
			break;
		case 'S':
			entry->is_signal = true;
			break;
		case 'B':
			break;
		default:
			return false;
		}
	}
	return !data->is_bad;
}

static bool cie_read(const struct sonde__place *place, uint64_t address,
		     struct sonde__cfi_entry *entry)
{
	struct sonde__cfi_reader reader = entry_at(place, address);
	const char *text;
	struct sonde__cfi_reader data;
	uint64_t version;

	if (sonde__cfi_take(&reader, 4) != 0)
		return false;
	version = sonde__cfi_take(&reader, 1);
	text = (const char *)reader.at;
	if (reader.is_bad || (version != 1 && version != 3) ||
	    !memchr(text, '\0', (size_t)(reader.end - reader.at)))
		return false;
	reader.at += strlen(text) + 1;
	entry->code_align = sonde__cfi_take_uleb(&reader);
	entry->data_align = sonde__cfi_take_sleb(&reader);
	if ((version == 1 ? sonde__cfi_take(&reader, 1) : sonde__cfi_take_uleb(&reader)) !=
	    REGISTER_RA)
		return false;
	if (*text == 'z') {
		data = sonde__cfi_take_part(&reader, sonde__cfi_take_uleb(&reader));
		if (!augmentation_read(entry, text + 1, &data))
			return false;
	} else if (*text) {
		return false;
	}
	entry->initial = reader;
	return !reader.is_bad;
}

static bool fde_read(const struct sonde__place *place, uint64_t address,
		     struct sonde__cfi_entry *entry)
{
	struct sonde__cfi_reader reader = entry_at(place, address);
	uint64_t here = (uint64_t)(uintptr_t)reader.at;
	uint64_t back = sonde__cfi_take(&reader, 4);

	if (reader.is_bad || back == 0 || !cie_read(place, here - back, entry))
		return false;
	entry->start = sonde__cfi_take_encoded(&reader, entry->encoding);
	entry->end = entry->start + sonde__cfi_take_encoded(&reader, entry->encoding & 0x0f);
	sonde__cfi_take_part(&reader, sonde__cfi_take_uleb(&reader));
	entry->program = reader;
	return !reader.is_bad;
}

static struct sonde__rule rule_make(const struct sonde__cfi_row *row, bool is_signal)
{
	struct sonde__rule rule = { .kind = SONDE__RULE_BARE };

	if (is_signal) {
		rule.kind = SONDE__RULE_SIGNAL;
		return rule;
	}
	if (row->ra == SONDE__WHERE_UNDEFINED) {
		rule.kind = SONDE__RULE_END;
		return rule;
	}
	if (row->ra != SONDE__WHERE_AT_CFA || row->ra_offset != -8 || row->cfa_is_unknown ||
	    row->cfa_offset < INT32_MIN || row->cfa_offset > INT32_MAX)
		return rule;
	rule.kind = SONDE__RULE_CALL;
	rule.cfa_offset = (int32_t)row->cfa_offset;
	rule.cfa_is_fp = row->cfa_is_fp;
	rule.cfa_is_read = row->cfa_is_read;
	rule.fp = SONDE__FP_LOST;
	if (row->fp == SONDE__WHERE_SAME)
		rule.fp = SONDE__FP_SAME;
	if ((row->fp == SONDE__WHERE_AT_CFA || row->fp == SONDE__WHERE_AT_FP) &&
	    row->fp_offset % 8 == 0 && row->fp_offset / 8 >= INT16_MIN &&
	    row->fp_offset / 8 <= INT16_MAX) {
		rule.fp = row->fp == SONDE__WHERE_AT_CFA ? SONDE__FP_AT_CFA : SONDE__FP_AT_FP;
		rule.fp_words = (int16_t)(row->fp_offset / 8);
	}
	return rule;
}

struct sonde__rule sonde__cfi_read(const struct sonde__place *place, uint64_t address)
{
	struct sonde__rule bare = { .kind = SONDE__RULE_BARE };
	uint64_t found = table_search(place, address);
	struct sonde__cfi_row row;
	struct sonde__cfi_entry entry = { .is_signal = false };

	if (!found || !fde_read(place, found, &entry) || address < entry.start ||
	    address >= entry.end)
		return bare;
	if (!sonde__cfi_run(&entry, address, &row))
		return bare;
	return rule_make(&row, entry.is_signal);
}
