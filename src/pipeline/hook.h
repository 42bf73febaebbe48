/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_HOOK_H
#define SONDE_PIPELINE_HOOK_H

/*
 * before_send: a view is made without limits and redaction, shown to the hook, and mended a second
 * time, with both. Without a hook there is one mending, and none of this.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/hooks.h>

#include "pipeline/callout.h"
#include "pipeline/timing.h"
#include "record/mend.h"

struct sonde__pipeline;
struct sonde__view_maker;

struct sonde__hook {
	sonde_before_send_fn *before_send;
	void *user;
	struct sonde__mender span_mender; /* With limits and redaction. */
	struct sonde__mender log_mender;
	struct sonde__callout callout;
	struct sonde__timing timing;
};

/* Takes the menders' rules over and leaves them none. SONDE_E_NOMEM. Nothing without a hook. */
int sonde__hook_init(struct sonde__pipeline *pipeline);
void sonde__hook_deinit(struct sonde__pipeline *pipeline);

/* Whether a record with that trace id was recorded by the hook. */
bool sonde__hook_is_own(const struct sonde__pipeline *pipeline, const uint8_t trace_id[16]);

/* Whether there is room in the arena to show the hook one more item of the size. */
bool sonde__hook_has_room(const struct sonde__arena *arena, size_t size);

/*
 * Shows the view to the hook, unless the hook recorded it, and mends it for good. SONDE_INCOMPLETE:
 * the hook dropped it.
 */
int sonde__hook_span(struct sonde__view_maker *maker, struct sonde_span_view *view);
int sonde__hook_log(struct sonde__view_maker *maker, struct sonde_log_view *view);

#endif
