/* SPDX-License-Identifier: Apache-2.0 */
/* The hook is called once for each item, whatever memory is left: so room is made before. */

#include "pipeline/hook.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/outgoing.h"
#include "pipeline/state.h"
#include "pipeline/view.h"

/* What a hook may take of the arena: this part of it. */
#define ROOM_DIVISOR 16
/* What mending takes, in sizes of what is mended, and some more. */
#define MENDING 5
#define SLACK 512

static void take_rules(struct sonde__mender *from, struct sonde__mender *to)
{
	const struct sonde__mend_limits none = { UINT32_MAX, UINT32_MAX, UINT32_MAX,
						 UINT32_MAX, UINT32_MAX, UINT32_MAX };

	*to = *from;
	from->limits = none;
	from->redactor = NULL;
}

int sonde__hook_init(struct sonde__pipeline *pipeline)
{
	struct sonde__hook *hook;

	if (!pipeline->options.before_send)
		return SONDE_OK;
	hook = calloc(1, sizeof(*hook));
	if (!hook)
		return SONDE_E_NOMEM;
	hook->before_send = pipeline->options.before_send;
	hook->user = pipeline->options.before_send_user;
	sonde__callout_init(&hook->callout, "before_send");
	take_rules(&pipeline->span_mender, &hook->span_mender);
	take_rules(&pipeline->log_mender, &hook->log_mender);
	pipeline->redactor = NULL;
	pipeline->hook = hook;
	return SONDE_OK;
}

void sonde__hook_deinit(struct sonde__pipeline *pipeline)
{
	free(pipeline->hook);
	pipeline->hook = NULL;
}

bool sonde__hook_is_own(const struct sonde__pipeline *pipeline, const uint8_t trace_id[16])
{
	return pipeline->hook && sonde__callout_is_own(&pipeline->hook->callout, trace_id);
}

static size_t room_of(const struct sonde__arena *arena)
{
	return arena->capacity / ROOM_DIVISOR;
}

bool sonde__hook_has_room(const struct sonde__arena *arena, size_t size)
{
	const size_t room = room_of(arena);
	const size_t wanted = room + size + MENDING * (room + size) + SLACK;

	return arena->used == 0 || wanted <= arena->capacity - arena->used;
}

/* ---- The call -------------------------------------------------------------------------------- */

/* True: it may leave. */
static bool call(struct sonde__view_maker *maker, struct sonde_outgoing *item)
{
	struct sonde__hook *hook = maker->pipeline->hook;
	struct sonde__arena *arena = maker->arena;
	const size_t capacity = arena->capacity;

	if (room_of(arena) < capacity - arena->used)
		arena->capacity = arena->used + room_of(arena);
	item->arena = arena;
	item->event = SONDE_OUTGOING_SELF;
	sonde__callout_enter(&hook->callout);
	hook->before_send(hook->user, item);
	sonde__timing_add(&hook->timing, sonde__callout_leave(&hook->callout));
	arena->capacity = capacity;
	return !item->is_dropped;
}

/* ---- The second mending ---------------------------------------------------------------------- */

/* For numbers that the view shows, only what this mending dropped. */
static int mend(struct sonde__view_maker *maker, struct sonde__mender *mender,
		enum sonde_fields fields, const struct sonde_bytes **pieces, size_t *n_pieces,
		struct sonde__mend_counts *ret)
{
	memset(ret, 0, sizeof(*ret));
	return sonde__mend(mender, fields, *pieces, *n_pieces, maker->arena, ret, pieces, n_pieces);
}

static void counts_add(struct sonde__mend_counts *total, const struct sonde__mend_counts *more)
{
	total->invalid_utf8 += more->invalid_utf8;
	total->dropped_attributes += more->dropped_attributes;
	total->dropped_nested += more->dropped_nested;
	total->dropped_events += more->dropped_events;
	total->dropped_links += more->dropped_links;
	total->cut_values += more->cut_values;
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		total->redacted.n[kind] += more->redacted.n[kind];
}

static int mend_text(struct sonde__view_maker *maker, struct sonde__mend_counts *counts,
		     struct sonde_text *text)
{
	return sonde__mend_text(maker->pipeline->hook->log_mender.redactor, *text, maker->arena,
				counts, text);
}

int sonde__hook_span(struct sonde__view_maker *maker, struct sonde_span_view *view)
{
	struct sonde_outgoing item = { .signal = SONDE_SIGNAL_SPAN, .span = view };
	struct sonde__hook *hook = maker->pipeline->hook;
	struct sonde__mend_counts counts;
	int status;

	if (!sonde__hook_is_own(maker->pipeline, view->trace_id) && !call(maker, &item))
		return SONDE_INCOMPLETE;
	if (view->status != SONDE_SPAN_ERROR)
		view->status_description.size = 0;
	status = mend(maker, &hook->span_mender, SONDE_FIELDS_SPAN, &view->pieces, &view->n_pieces,
		      &counts);
	if (status == SONDE_OK)
		status = mend_text(maker, &counts, &view->name);
	if (status == SONDE_OK)
		status = mend_text(maker, &counts, &view->status_description);
	if (status == SONDE_OK)
		status = mend_text(maker, &counts, &view->trace_state);
	if (status < 0)
		return status;
	view->dropped_attributes += counts.dropped_attributes;
	view->dropped_events += counts.dropped_events;
	view->dropped_links += counts.dropped_links;
	counts_add(&maker->counts, &counts);
	return SONDE_OK;
}

int sonde__hook_log(struct sonde__view_maker *maker, struct sonde_log_view *view)
{
	struct sonde_outgoing item = { .signal = SONDE_SIGNAL_LOG, .log = view };
	struct sonde__hook *hook = maker->pipeline->hook;
	struct sonde__mend_counts counts;
	int status;

	if (sonde__hook_is_own(maker->pipeline, view->trace_id)) {
		memset(view->trace_id, 0, sizeof(view->trace_id));
		memset(view->span_id, 0, sizeof(view->span_id));
	} else if (!call(maker, &item)) {
		return SONDE_INCOMPLETE;
	}
	status = mend(maker, &hook->log_mender, SONDE_FIELDS_LOG, &view->pieces, &view->n_pieces,
		      &counts);
	if (status == SONDE_OK)
		status = mend_text(maker, &counts, &view->body);
	if (status == SONDE_OK)
		status = mend_text(maker, &counts, &view->event_name);
	if (status < 0)
		return status;
	view->dropped_attributes += counts.dropped_attributes;
	counts_add(&maker->counts, &counts);
	return SONDE_OK;
}
