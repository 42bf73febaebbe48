/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_HIDE_H
#define SONDE_RECORD_HIDE_H

/* What redaction means for fields; scan.c asks, rewrite.c does. All of it on unchecked bytes. */

#include "record/cursor.h"
#include "record/mend.h"

/* What stands under the key; *ret_tells: in the key itself something is to be redacted. */
enum sonde__key_verdict sonde__hide_key(const struct sonde__mender *mender, struct sonde_bytes key,
					bool *ret_tells);

/*
 * Whether the AnyValue is to be replaced as a whole: under a secret key all but what says nothing
 * (an empty value, true and false) and what was replaced before; elsewhere a card's number.
 * *ret_kind says why.
 */
bool sonde__hide_value(const struct sonde__mender *mender, enum sonde__key_verdict verdict,
		       struct sonde__cursor any, enum sonde_redaction *ret_kind);

/* Whether a part of the text is to be replaced; *ret_size is its size then. */
static inline bool sonde__hide_measure(const struct sonde__mender *mender,
				       enum sonde__key_verdict verdict, struct sonde_bytes text,
				       size_t *ret_size)
{
	return sonde__redact_measure(mender->redactor,
				     (struct sonde_text){ text.data, text.size }, verdict,
				     ret_size);
}

#endif
