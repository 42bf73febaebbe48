/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums, to which any thread adds. Those of what was replaced in records are the pipeline's own,
 * because there they go with whether the record has left.
 */

#include <stdatomic.h>

#include "redact/redact.h"

static _Atomic uint64_t counted[SONDE_REDACTION_COUNT];

void sonde__redact_count(const struct sonde__redact_counts *counts)
{
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++) {
		/* Relaxed, here and below: sums order nothing. */
		if (counts->n[kind])
			atomic_fetch_add_explicit(&counted[kind], counts->n[kind],
						  memory_order_relaxed);
	}
}

uint64_t sonde__redact_counted(enum sonde_redaction kind)
{
	return atomic_load_explicit(&counted[kind], memory_order_relaxed);
}

void sonde__redact_count_anew(void)
{
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		atomic_store_explicit(&counted[kind], 0, memory_order_relaxed);
}
