/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as log records, and what all log views share. */

#include <string.h>

#include "pipeline/state.h"
#include "pipeline/view.h"
#include "record/attribute.h"

#define SITE_ATTRS_MAX 3

uint64_t sonde__view_time(const struct sonde__view_maker *maker, uint64_t time, bool is_unix)
{
	return is_unix ? time : sonde__clock_unix_ns(&maker->pipeline->clock, time);
}

int sonde__view_encode(struct sonde__view_maker *maker, const struct sonde_attr *attrs, size_t n,
		       struct sonde_bytes *ret)
{
	size_t capacity = 0;
	size_t size = 0;
	uint8_t *data;

	for (size_t i = 0; i < n; i++)
		capacity += sonde__attr_size(&attrs[i]);
	data = sonde__arena_take(maker->arena, capacity);
	if (!data)
		return SONDE_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		size += sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &attrs[i], data + size,
					   capacity - size);
	*ret = (struct sonde_bytes){ data, size };
	return SONDE_OK;
}

int sonde__view_finish_log(struct sonde__view_maker *maker, struct sonde_bytes low,
			   struct sonde_bytes fields, struct sonde_log_view *view)
{
	struct sonde_bytes *pieces = sonde__arena_take(maker->arena, 2 * sizeof(*pieces));
	size_t n = 0;
	int status;

	if (!pieces)
		return SONDE_E_NOMEM;
	if (low.size)
		pieces[n++] = low;
	if (fields.size)
		pieces[n++] = fields;
	status = sonde__mend(&maker->pipeline->log_mender, SONDE_FIELDS_LOG, pieces, n,
			     maker->arena, &maker->counts, &view->pieces, &view->n_pieces);
	if (status < 0)
		return status;
	maker->repairs.dropped_attributes += view->dropped_attributes;
	view->dropped_attributes += maker->counts.dropped_attributes;
	return sonde__mend_text(maker->pipeline->redactor, view->body, maker->arena, &maker->counts,
				&view->body);
}

static size_t site_attrs(uint32_t id, struct sonde_attr attrs[SITE_ATTRS_MAX])
{
	struct sonde__site_view site;
	size_t n = 0;

	if (!id || !sonde__site_get(id, &site))
		return 0;
	if (site.function.size)
		attrs[n++] =
			sonde_strn("code.function.name", site.function.data, site.function.size);
	if (site.file.size)
		attrs[n++] = sonde_strn("code.file.path", site.file.data, site.file.size);
	if (site.line)
		attrs[n++] = sonde_int("code.line.number", site.line);
	return n;
}

/* A time of the caller's own is not when the record was seen; the collection is. */
static uint64_t observed_time(const struct sonde__view_maker *maker, uint64_t unix_ns, bool is_unix)
{
	const struct sonde__clock *clock = &maker->pipeline->clock;

	return is_unix && clock->n_anchors ? clock->anchors[clock->n_anchors - 1].realtime_ns :
					     unix_ns;
}

int sonde__log_view_make(struct sonde__view_maker *maker, const struct sonde__log_record *record,
			 struct sonde_log_view *ret)
{
	bool is_unix = record->head.flags & SONDE__RECORD_TIME_IS_UNIX;
	struct sonde_attr attrs[SITE_ATTRS_MAX];
	struct sonde_bytes low;
	int status;

	*ret = (struct sonde_log_view){
		.unix_ns = sonde__view_time(maker, record->head.time, is_unix),
		.body = sonde__log_record_body(record),
		.severity = record->severity,
		.trace_flags = record->trace_flags,
		.dropped_attributes = record->head.n_dropped_attributes,
	};
	ret->observed_unix_ns = observed_time(maker, ret->unix_ns, is_unix);
	memcpy(ret->trace_id, record->trace_id, sizeof(ret->trace_id));
	memcpy(ret->span_id, record->span_id, sizeof(ret->span_id));
	status = sonde__view_encode(maker, attrs, site_attrs(record->site, attrs), &low);
	if (status < 0)
		return status;
	return sonde__view_finish_log(maker, low, sonde__log_record_fields(record), ret);
}
