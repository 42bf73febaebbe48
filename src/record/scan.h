/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_SCAN_H
#define SONDE_RECORD_SCAN_H

/* The first pass of mending: what must change. */

#include "record/mend.h"

struct sonde__scan {
	bool has_ticks; /* An event waits for its time. */
	bool is_dirty; /* Something else must change; the rest was not looked at. */
};

/* SONDE_E_MALFORMED: not fields that passed the check. */
int sonde__scan_pieces(struct sonde__mender *mender, enum sonde_fields type,
		       const struct sonde_bytes *pieces, size_t n_pieces, struct sonde__scan *ret);

/* Spreads keys over a table; not for keys that an enemy chooses in numbers past a record's size. */
uint32_t sonde__key_hash(const uint8_t *key, size_t size);

#endif
