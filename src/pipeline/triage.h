/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_TRIAGE_H
#define SONDE_PIPELINE_TRIAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <sonde/base.h>

#include "box/box.h"
#include "pipeline/drain.h"
#include "record/layout.h"

/*
 * Takes the records that came in since the last triage: parts into the table, logs and errors into
 * their batch, what is not a record out. Spans stay. False: stopped to have batches sent; go on
 * later.
 */
bool sonde__triage(struct sonde__pipeline *pipeline, enum sonde__drain_outcome *ret);

/* Parts that waited too long, or, at the stop, all of them, leave as log records. */
void sonde__triage_expired_parts(struct sonde__pipeline *pipeline);

/* Whether to stop before an item of about `estimate` bytes; if so, *ret says why. */
bool sonde__triage_must_stop(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			     size_t estimate, enum sonde__drain_outcome *ret);

/* A record leaves the box as a loss. */
void sonde__triage_lose(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			enum sonde_loss reason);

/* As which signal the box counts it. */
enum sonde_signal sonde__record_signal(const struct sonde__record *record);

#endif
