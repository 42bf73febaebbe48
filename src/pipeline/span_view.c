/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A span with what was added to it. Of fields with the same key the last one counts, so the order
 * of the pieces is the order of precedence: what was derived from errors, the span's own, then the
 * parts by time.
 */

#include <string.h>

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

/* Nearly every span: nothing was added to it from elsewhere, and nothing has to be mended. */
static bool gather_plain(struct sonde__view_maker *maker, const struct sonde__span_record *record,
			 struct sonde_span_view *view)
{
	size_t used = maker->arena->used;
	struct sonde_bytes *piece = sonde__arena_take(maker->arena, sizeof(*piece));

	if (!piece || !sonde__plain_copy(&maker->pipeline->span_mender,
					 sonde__span_record_fields(record), maker->arena, piece)) {
		maker->arena->used = used;
		return false;
	}
	view->pieces = piece;
	view->n_pieces = piece->size > 0;
	return true;
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

	if (!parts && gather_plain(maker, record, view))
		return SONDE_OK;
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

/*
 * Sites keep their names for ever, so a name that was found valid is remembered. An invalid one is
 * mended, and counted, for each span.
 */
static int set_site_name(struct sonde__view_maker *maker, uint32_t id, struct sonde_text *ret)
{
	struct sonde__named_site *known =
		&maker->pipeline->named_sites[id % SONDE__SITES_REMEMBERED];
	struct sonde__site_view site;
	int status;

	if (known->id == id && known->name.size) {
		*ret = known->name;
		return SONDE_OK;
	}
	if (!sonde__site_get(id, &site) || !site.name.size)
		site.name = unnamed;
	status = sonde__mend_text(site.name, maker->arena, &maker->counts, ret);
	if (status == SONDE_OK && ret->data == site.name.data && site.name.data != unnamed.data)
		*known = (struct sonde__named_site){ id, site.name };
	return status;
}

static struct sonde_text choose_name(const struct sonde__span_record *record,
				     const struct sonde__part *parts)
{
	struct sonde_text name = sonde__span_record_name(record);

	for (const struct sonde__part *part = parts; part; part = part->next_taken) {
		if (part->name_size)
			name = sonde__part_name(part);
	}
	return name;
}

/* OK beats ERROR beats UNSET; of equal ones the span's own text stays, else the latest. */
static struct sonde_text choose_status(const struct sonde__span_record *record,
				       const struct sonde__part *parts, uint8_t *ret_status)
{
	struct sonde_text description = sonde__span_record_description(record);
	bool is_own = record->status == SONDE_SPAN_ERROR && description.size > 0;
	uint8_t status = record->status;

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
	struct sonde_text name = choose_name(record, parts);
	int status;

	if (name.size)
		status = sonde__mend_text(name, maker->arena, &maker->counts, &view->name);
	else
		status = set_site_name(maker, record->site, &view->name);
	if (status < 0)
		return status;
	status = sonde__mend_text(sonde__span_record_trace_state(record), maker->arena,
				  &maker->counts, &view->trace_state);
	if (status < 0)
		return status;
	return sonde__mend_text(description, maker->arena, &maker->counts,
				&view->status_description);
}

static void set_times(struct sonde__view_maker *maker, const struct sonde__span_record *record,
		      struct sonde_span_view *view)
{
	uint8_t flags = record->head.flags;

	view->start_unix_ns =
		sonde__view_time(maker, record->start, flags & SONDE__RECORD_START_IS_UNIX);
	view->end_unix_ns =
		sonde__view_time(maker, record->head.time, flags & SONDE__RECORD_TIME_IS_UNIX);
	if (view->start_unix_ns == UINT64_MAX)
		view->start_unix_ns--;
	if (view->end_unix_ns <= view->start_unix_ns)
		view->end_unix_ns = view->start_unix_ns + 1;
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
	view->kind = record->kind ? record->kind : SONDE_KIND_INTERNAL;
	view->flags = record->trace_flags | FLAGS_HAS_IS_REMOTE;
	if (record->head.flags & SONDE__RECORD_PARENT_REMOTE)
		view->flags |= FLAGS_IS_REMOTE;
}

int sonde__span_view_make(struct sonde__view_maker *maker, const struct sonde__span_record *record,
			  const struct sonde__part *parts, struct sonde_span_view *ret)
{
	int status;

	*ret = (struct sonde_span_view){ 0 };
	memcpy(ret->trace_id, record->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, record->span_id, sizeof(ret->span_id));
	memcpy(ret->parent_id, record->parent_id, sizeof(ret->parent_id));
	status = gather(maker, record, parts, ret);
	if (status < 0)
		return status;
	status = set_texts(maker, record, parts, ret);
	if (status < 0)
		return status;
	set_times(maker, record, ret);
	set_numbers(maker, record, parts, ret);
	return SONDE_OK;
}
