/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_REWRITE_H
#define SONDE_RECORD_REWRITE_H

/* The thorough way of mending: everything is written anew, into one piece in the arena. */

#include "record/mend.h"

int sonde__rewrite_pieces(const struct sonde__mender *mender, enum sonde_fields type,
			  const struct sonde_bytes *pieces, size_t n_pieces,
			  struct sonde__arena *arena, struct sonde__mend_counts *counts,
			  struct sonde_bytes *ret);

#endif
