/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span with what was added to it. Of fields with the same key the last one counts, so the order
 * of the pieces is the order of precedence: what was derived from errors, the span's own, then the
 * parts by time.
 */

#include <string.h>

#include "base/utf8.h"
#include "pipeline/state.h"
#include "pipeline/view.h"
#include "record/check.h"
#include "record/plain.h"

#define FLAGS_HAS_IS_REMOTE 0x100u
#define FLAGS_IS_REMOTE 0x200u

static const struct sonde_text unnamed = { "unnamed", 7 };

/* The fields of the span and of its first `n_parts` parts. */
static int gather_some(struct sonde__view_maker *maker, const struct sonde__span_record *record,
		       const struct sonde__part *parts, size_t n_parts,
		       struct sonde_span_view *view)
{
	struct sonde_bytes own = sonde__span_record_fields(record);
	const struct sonde__part *part = parts;
	struct sonde_bytes *pieces;
	size_t n = 0;

	pieces = sonde__arena_take(maker->arena, (2 * n_parts + 1) * sizeof(*pieces));
	if (!pieces)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < n_parts; i++, part = part->next_taken) {
		if (part->low_size)
			pieces[n++] = sonde__part_low(part);
	}
	if (own.size)
		pieces[n++] = own;
	part = parts;
	for (size_t i = 0; i < n_parts; i++, part = part->next_taken) {
		if (part->fields_size)
			pieces[n++] = sonde__part_fields(part);
	}
	return sonde__mend(&maker->pipeline->span_mender, SONDE_FIELDS_SPAN, pieces, n,
			   maker->arena, &maker->counts, &view->pieces, &view->n_pieces);
}

/*
 * A span under which thousands of errors were captured must not be lost for it: as many of the
 * earliest parts as there is room for are kept, and the others count as events that were dropped.
 */
static int gather(struct sonde__view_maker *maker, const struct sonde__span_record *record,
		  const struct sonde__part *parts, struct sonde_span_view *view)
{
	const struct sonde__mend_counts counts = maker->counts;
	const size_t used = maker->arena->used;
	size_t n_parts = 0;
	size_t n_kept;
	int status;

	if (!sonde__fields_are_valid(SONDE_FIELDS_SPAN, sonde__span_record_fields(record)))
		return SONDE_E_MALFORMED;
	for (const struct sonde__part *part = parts; part; part = part->next_taken)
		n_parts++;
	for (n_kept = n_parts;; n_kept /= 2) {
		status = gather_some(maker, record, parts, n_kept, view);
		if (status != SONDE_E_NOMEM || n_kept == 0)
			break;
		maker->arena->used = used;
		maker->counts = counts;
	}
	if (status == SONDE_OK)
		maker->counts.dropped_events += (uint32_t)(n_parts - n_kept);
	return status;
}

static struct sonde_text site_name(uint32_t id)
{
	struct sonde__site_view site;

	return sonde__site_get(id, &site) && site.name.size ? site.name : unnamed;
}

static struct sonde_text choose_name(const struct sonde__span_record *record,
				     const struct sonde__part *parts)
{
	struct sonde_text name = sonde__span_record_name(record);

	for (const struct sonde__part *part = parts; part; part = part->next_taken) {
		if (part->name_size)
			name = sonde__part_name(part);
	}
	return name.size ? name : site_name(record->site);
}

/* What said ERROR may be lost or held back: that it was said is in the span's record. */
static uint8_t own_status(const struct sonde__span_record *record)
{
	return record->status == SONDE_SPAN_UNSET && record->head.flags & SONDE__RECORD_FAILED ?
		       SONDE_SPAN_ERROR :
		       record->status;
}

/* OK beats ERROR beats UNSET; of equal ones the span's own text stays, else the latest. */
static struct sonde_text choose_status(const struct sonde__span_record *record,
				       const struct sonde__part *parts, uint8_t *ret_status)
{
	struct sonde_text description = sonde__span_record_description(record);
	bool is_own = record->status == SONDE_SPAN_ERROR && description.size > 0;
	uint8_t status = own_status(record);

	for (const struct sonde__part *part = parts; part; part = part->next_taken) {
		if (status == SONDE_SPAN_OK || part->status == SONDE_SPAN_UNSET)
			continue;
		if (part->status == SONDE_SPAN_ERROR && !is_own && part->description_size)
			description = sonde__part_description(part);
		status = part->status;
	}
	if (status != SONDE_SPAN_ERROR)
		description.size = 0;
	*ret_status = status;
	return description;
}

static int set_texts(struct sonde__view_maker *maker, const struct sonde__span_record *record,
		     const struct sonde__part *parts, struct sonde_span_view *view)
{
	struct sonde_text description = choose_status(record, parts, &view->status);
	int status;

	status = sonde__mend_text(maker->pipeline->redactor, choose_name(record, parts),
				  maker->arena, &maker->counts, &view->name);
	if (status < 0)
		return status;
	status = sonde__mend_text(maker->pipeline->redactor, sonde__span_record_trace_state(record),
				  maker->arena, &maker->counts, &view->trace_state);
	if (status < 0)
		return status;
	return sonde__mend_text(maker->pipeline->redactor, description, maker->arena,
				&maker->counts, &view->status_description);
}

static uint64_t unix_time(const struct sonde__clock *clock, uint64_t time, bool is_unix)
{
	return is_unix ? time : sonde__clock_unix_ns(clock, time);
}

static void set_times(const struct sonde__clock *clock, const struct sonde__span_record *record,
		      struct sonde_span_view *view)
{
	uint8_t flags = record->head.flags;
	uint64_t start = unix_time(clock, record->start, flags & SONDE__RECORD_START_IS_UNIX);
	uint64_t end = unix_time(clock, record->head.time, flags & SONDE__RECORD_TIME_IS_UNIX);

	if (start == UINT64_MAX)
		start--;
	view->start_unix_ns = start;
	view->end_unix_ns = end > start ? end : start + 1;
}

static void set_identity(const struct sonde__span_record *record, struct sonde_span_view *view)
{
	memcpy(view->trace_id, record->trace_id, sizeof(view->trace_id));
	memcpy(view->span_id, record->span_id, sizeof(view->span_id));
	memcpy(view->parent_id, record->parent_id, sizeof(view->parent_id));
	view->kind = record->kind ? record->kind : SONDE_KIND_INTERNAL;
	view->flags = record->trace_flags | FLAGS_HAS_IS_REMOTE;
	if (record->head.flags & SONDE__RECORD_PARENT_REMOTE)
		view->flags |= FLAGS_IS_REMOTE;
}

static void set_numbers(struct sonde__view_maker *maker, const struct sonde__span_record *record,
			const struct sonde__part *parts, struct sonde_span_view *view)
{
	uint32_t n_dropped = record->head.n_dropped_attributes;

	for (const struct sonde__part *part = parts; part; part = part->next_taken)
		n_dropped += part->n_dropped_attributes;
	maker->repairs.dropped_attributes += n_dropped;
	maker->repairs.dropped_events += record->n_dropped_events;
	maker->repairs.dropped_links += record->n_dropped_links;
	view->dropped_attributes = n_dropped + maker->counts.dropped_attributes;
	view->dropped_events = record->n_dropped_events + maker->counts.dropped_events;
	view->dropped_links = record->n_dropped_links + maker->counts.dropped_links;
}

int sonde__span_view_make(struct sonde__view_maker *maker, const struct sonde__span_record *record,
			  const struct sonde__part *parts, struct sonde_span_view *ret)
{
	int status;

	*ret = (struct sonde_span_view){ 0 };
	set_identity(record, ret);
	status = gather(maker, record, parts, ret);
	if (status < 0)
		return status;
	status = set_texts(maker, record, parts, ret);
	if (status < 0)
		return status;
	set_times(&maker->pipeline->clock, record, ret);
	set_numbers(maker, record, parts, ret);
	return SONDE_OK;
}

/* ---- The plain span -------------------------------------------------------------------------- */

/*
 * Sites keep their names for ever, so one that was found valid, with nothing to redact in it, is
 * remembered. False: it is not, and is to be mended, and counted, for each span.
 */
static bool plain_name(struct sonde__pipeline *pipeline, const struct sonde__span_record *record,
		       struct sonde_text *ret)
{
	struct sonde__named_site *known =
		&pipeline->named_sites[record->site % SONDE__SITES_REMEMBERED];
	struct sonde_text name = sonde__span_record_name(record);
	size_t redacted;

	if (!name.size && known->id == record->site && known->name.size) {
		*ret = known->name;
		return true;
	}
	*ret = name.size ? name : site_name(record->site);
	if (!sonde__utf8_is_valid(ret->data, ret->size) ||
	    sonde__redact_measure(pipeline->redactor, *ret, SONDE__KEY_PLAIN, &redacted))
		return false;
	if (!name.size && ret->data != unnamed.data)
		*known = (struct sonde__named_site){ record->site, *ret };
	return true;
}

static bool is_plain(const struct sonde__span_record *record)
{
	/* Of one whose parts did not come the name may be half a name. */
	return !(record->head.flags & (SONDE__RECORD_TEXT_CUT | SONDE__RECORD_HAS_PARTS)) &&
	       !record->trace_state_size &&
	       !record->description_size &&
	       !(record->head.n_dropped_attributes | record->n_dropped_events |
		 record->n_dropped_links);
}

bool sonde__span_view_plain(struct sonde__pipeline *pipeline, struct sonde__arena *arena,
			    const struct sonde__span_record *record, struct sonde_span_view *ret)
{
	const size_t used = arena->used;
	struct sonde_bytes *piece;

	if (!is_plain(record) || !plain_name(pipeline, record, &ret->name))
		return false;
	piece = sonde__arena_take(arena, sizeof(*piece));
	if (!piece || !sonde__plain_copy(&pipeline->span_mender, sonde__span_record_fields(record),
					 arena, piece)) {
		arena->used = used;
		return false;
	}
	ret->pieces = piece;
	ret->n_pieces = piece->size > 0;
	ret->trace_state = (struct sonde_text){ NULL, 0 };
	ret->status_description = (struct sonde_text){ NULL, 0 };
	ret->status = own_status(record);
	ret->dropped_attributes = 0;
	ret->dropped_events = 0;
	ret->dropped_links = 0;
	set_identity(record, ret);
	set_times(&pipeline->clock, record, ret);
	return true;
}
