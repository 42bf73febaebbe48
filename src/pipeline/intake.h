/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_INTAKE_H
#define SONDE_PIPELINE_INTAKE_H

/*
 * The records that were seen in the box and are not done with. They stay in the rings, which are
 * the queue; here are only their places, in the order in which they were seen.
 *
 * A part may lie in another ring than its span, and a pass over the rings is not a snapshot: the
 * pass may have been through the part's ring before the part was committed, and find the span
 * afterwards. But a part that was committed before its span ended is found at the latest by a whole
 * pass that begins after the span was seen. So a span is *settled*, and may be exported, once such
 * a pass is over: seen in pass N, it is settled when pass N + 1 is complete.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box/box.h"

#define SONDE__INTAKE_ENTRY_SIZE (sizeof(struct sonde__record_ref) + sizeof(uint32_t))

struct sonde__intake {
	struct sonde__record_ref *refs; /* A NULL record: done with, to be removed. */
	uint32_t *passes; /* In which each was seen. */
	size_t n;
	size_t capacity;
	/* The first so many went through triage: what is left of them is spans. */
	size_t n_scanned;
	uint32_t pass; /* The last that was begun. */
	uint32_t n_complete; /* The last that was completed. */
	size_t n_logs; /* Of those not scanned. */
	bool has_error; /* Among those not scanned. */
	bool has_again; /* The same of errors that were captured again. */
};

int sonde__intake_init(struct sonde__intake *intake, size_t capacity);
void sonde__intake_deinit(struct sonde__intake *intake);

/* Begins a pass, or goes on with the one that had no room. False: no room for all of it. */
bool sonde__intake_pass(struct sonde__intake *intake);

static inline bool sonde__intake_is_settled(const struct sonde__intake *intake, size_t i)
{
	return (int32_t)(intake->n_complete - intake->passes[i]) > 0;
}

/* Without room for a whole pass: takes the older half as settled. A late part becomes a log. */
void sonde__intake_settle_half(struct sonde__intake *intake);
/* At the stop: nothing more is to come. */
void sonde__intake_settle_all(struct sonde__intake *intake);

/* Removes what is done with; keeps the order. */
void sonde__intake_compact(struct sonde__intake *intake);

#endif
