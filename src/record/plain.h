/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_PLAIN_H
#define SONDE_RECORD_PLAIN_H

/* The quick way of checking and mending, for the fields that nearly every span has. */

#include <stdbool.h>

#include "record/mend.h"

/* What the copy needs of the arena besides the fields: see redact/suspect.h. */
#define SONDE__PLAIN_SLACK 24

/*
 * Copies the fields of a span out of memory that others may write to, and does in one walk over the
 * copy what check.h and mend.h do in four. True: *ret is the copy, which they would have passed
 * and in which nothing but the event times had to change. False: it is for them to say what is
 * wrong, if anything is, or the arena is full; nothing was taken from it then.
 */
bool sonde__plain_copy(const struct sonde__mender *mender, struct sonde_bytes fields,
		       struct sonde__arena *arena, struct sonde_bytes *ret);

#endif
