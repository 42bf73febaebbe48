/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of each record but spans:
 *
 *	a part          into the table; a log record at once if its span is known to be gone already
 *	a message       a log record
 *	an error        past the limits of its group: held back (flood.h); else
 *			with a log: a log record, and a part that is not counted, because the log is
 *	                without: a part that is counted, in place of the log that was captured
 *	an error again  into the text of the first record while both are here; else a log record
 *	anything else   a loss
 */

#include "pipeline/triage.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/again.h"
#include "pipeline/encode.h"
#include "pipeline/state.h"
#include "record/check.h"

/* How long a part waits for a span of which nothing is known. */
#define PART_WAIT_NS (600 * SONDE__NS_PER_S)
/* When the table is full so many leave together: they make one batch. */
#define EVICT_BATCH 64

enum sonde_signal sonde__record_signal(const struct sonde__record *record)
{
	switch (record->type) {
	case SONDE__RECORD_SPAN:
		return SONDE_SIGNAL_SPAN;
	case SONDE__RECORD_PART:
	case SONDE__RECORD_AGAIN:
		return SONDE_SIGNAL_PART;
	default:
		return SONDE_SIGNAL_LOG;
	}
}

void sonde__triage_lose(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			enum sonde_loss reason)
{
	sonde__ledger_lock(pipeline);
	pipeline->ledger.lost[sonde__record_signal(ref->record)][reason]++;
	sonde__box_release(ref);
	sonde__ledger_unlock(pipeline);
}

static size_t content_size(const struct sonde__part *part)
{
	return (size_t)part->low_size + part->fields_size + part->name_size +
	       part->description_size;
}

/* Parts leave the table, as log records where somebody takes these. */
static void evict(struct sonde__pipeline *pipeline, struct sonde__part *part, bool is_evicted)
{
	if (part->is_counted && pipeline->is_taken[SONDE_SIGNAL_LOG]) {
		sonde__batch_add_part(pipeline, part, is_evicted);
		return;
	}
	sonde__ledger_lock(pipeline);
	pipeline->ledger.lost[SONDE_SIGNAL_PART][SONDE_LOSS_EVICTED] += part->is_counted;
	pipeline->budget.parts -= sonde__join_remove(&pipeline->join, part);
	sonde__ledger_unlock(pipeline);
}

static void make_room(struct sonde__pipeline *pipeline, size_t size)
{
	struct sonde__join *join = &pipeline->join;

	while (join->n_parts && (join->n_parts >= join->n_slots ||
				 pipeline->budget.parts + size > pipeline->budget.parts_limit)) {
		struct sonde__part *part;

		for (int n = 0; n < EVICT_BATCH && (part = sonde__join_oldest(join)) != NULL; n++)
			evict(pipeline, part, /* is_evicted= */ true);
		/* Those in a batch go when it does. */
		sonde__batch_emit(pipeline, &pipeline->batches[SONDE_SIGNAL_LOG]);
		sonde__batch_emit(pipeline, &pipeline->batches[SONDE_SIGNAL_SPAN]);
	}
}

/* Puts the part into the table, `ref` being released if it is not NULL. */
static void keep_part(struct sonde__pipeline *pipeline, struct sonde__part *part,
		      const struct sonde__record_ref *ref, bool is_moved)
{
	bool is_late = sonde__join_is_exported(&pipeline->join, part->span_id);

	part->since_ns = pipeline->now_ns;
	sonde__ledger_lock(pipeline);
	sonde__join_add(&pipeline->join, part);
	pipeline->budget.parts += sonde__part_size(content_size(part));
	pipeline->ledger.moved += is_moved;
	if (ref)
		sonde__box_release(ref);
	sonde__ledger_unlock(pipeline);
	if (is_late)
		evict(pipeline, part, /* is_evicted= */ false);
}

static struct sonde__part *copy_part(const struct sonde__part_record *record)
{
	struct sonde_text description = sonde__part_record_description(record);
	struct sonde_bytes fields = sonde__part_record_fields(record);
	struct sonde_text name = sonde__part_record_name(record);
	struct sonde__part *part =
		malloc(sonde__part_size(fields.size + name.size + description.size));

	if (!part)
		return NULL;
	*part = (struct sonde__part){
		.time = record->head.time,
		.time_is_unix = record->head.flags & SONDE__RECORD_TIME_IS_UNIX,
		.is_cut = record->head.flags & SONDE__RECORD_TEXT_CUT,
		.is_counted = true,
		.status = record->status,
		.trace_flags = record->trace_flags,
		.n_dropped_attributes = record->head.n_dropped_attributes,
		.fields_size = (uint32_t)fields.size,
		.name_size = (uint32_t)name.size,
		.description_size = (uint32_t)description.size,
	};
	memcpy(part->trace_id, record->trace_id, sizeof(part->trace_id));
	memcpy(part->span_id, record->span_id, sizeof(part->span_id));
	memcpy(part->bytes, fields.data, fields.size);
	memcpy(part->bytes + fields.size, name.data, name.size);
	memcpy(part->bytes + fields.size + name.size, description.data, description.size);
	return part;
}

static void scan_part(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	const struct sonde__part_record *record = (const void *)ref->record;
	struct sonde__part *part;

	if (!pipeline->is_taken[SONDE_SIGNAL_SPAN]) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_NO_EXPORTER);
		return;
	}
	make_room(pipeline, sonde__part_size(ref->record->size));
	part = copy_part(record);
	if (part)
		keep_part(pipeline, part, ref, /* is_moved= */ false);
	else
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_NO_MEMORY);
}

/* True when the part is in the table. */
static bool scan_event(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
		       bool is_moved)
{
	const struct sonde__error_record *record = (const void *)ref->record;
	struct sonde__part *part;

	make_room(pipeline,
		  sonde__part_size(ref->record->size + strlen(pipeline->exception.stacktrace) +
				   sonde__breadcrumbs_size(&pipeline->breadcrumbs) + 256));
	part = sonde__exception_part(&pipeline->exception, record);
	if (!part)
		return false;
	part->is_counted = is_moved;
	keep_part(pipeline, part, is_moved ? ref : NULL, is_moved);
	return true;
}

/* Not what a hook records: its span is none. */
static bool has_span(const struct sonde__pipeline *pipeline,
		     const struct sonde__error_record *record)
{
	static const uint8_t zero[8];

	return memcmp(record->span_id, zero, sizeof(zero)) != 0 &&
	       !sonde__hook_is_own(pipeline, record->trace_id);
}

/* Whether anybody has seen it, asked only of what leaves. */
static void ask_seen(struct sonde__pipeline *pipeline, struct sonde__error_news *news)
{
	const struct sonde__clock *clock = &pipeline->clock;
	uint64_t unix_ns = clock->n_anchors ? clock->anchors[clock->n_anchors - 1].realtime_ns : 0;
	struct sonde__seen_answer answer = sonde__seen_ask(&pipeline->seen, news->fingerprint,
							   unix_ns / SONDE__NS_PER_S);

	news->is_first_seen = answer.is_first;
	news->is_regressed = answer.is_regressed;
}

static void scan_error(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	const struct sonde__error_record *record = (const void *)ref->record;
	bool to_span = has_span(pipeline, record) && pipeline->is_taken[SONDE_SIGNAL_SPAN];
	bool with_event = to_span && record->head.flags & SONDE__RECORD_WITH_EVENT;
	/* An error is never lost for want of a span. */
	bool with_log = pipeline->is_taken[SONDE_SIGNAL_LOG] &&
			(record->head.flags & SONDE__RECORD_WITH_LOG || !with_event);
	struct sonde__error_news news = { 0 };
	bool is_admitted;

	news.fingerprint = sonde__fingerprint_of(&pipeline->fingerprinter, record);
	is_admitted = sonde__flood_admit(pipeline, record, news.fingerprint);
	if (!is_admitted && (with_log || with_event)) {
		sonde__again_drop(pipeline, record->event_id);
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_LIMITED);
		return;
	}
	if (with_log || with_event)
		ask_seen(pipeline, &news);
	if (with_log || with_event)
		sonde__again_read(pipeline, record->event_id, &news.again);
	sonde__breadcrumbs_read(&pipeline->breadcrumbs, &pipeline->clock, record);
	news.breadcrumbs = &pipeline->breadcrumbs;
	if (!sonde__exception_read(&pipeline->exception, record, &news)) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_INVALID);
		return;
	}
	if (with_event && scan_event(pipeline, ref, /* is_moved= */ !with_log)) {
		if (!with_log)
			return;
	} else if (with_event && with_log) {
		sonde__ledger_lock(pipeline);
		pipeline->ledger.repairs.dropped_events++;
		sonde__ledger_unlock(pipeline);
	}
	/* Without an event, what failed is all that the span is told. */
	if (with_log && to_span && !with_event && record->head.flags & SONDE__RECORD_FAILED)
		(void)scan_event(pipeline, ref, /* is_moved= */ false);
	if (with_log)
		sonde__batch_add_error(pipeline, ref, &pipeline->exception);
	else
		sonde__triage_lose(pipeline, ref,
				   with_event ? SONDE_LOSS_NO_MEMORY : SONDE_LOSS_NO_EXPORTER);
}

static void scan_log(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	if (pipeline->is_taken[SONDE_SIGNAL_LOG])
		sonde__batch_add_log(pipeline, ref);
	else
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_NO_EXPORTER);
}

/* True when the record is done with. */
static bool scan_record(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	/* Spans are looked at once, when they leave. */
	if (ref->record->type == SONDE__RECORD_SPAN)
		return false;
	if (!sonde__record_is_valid(ref->record, ref->record->size)) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_INVALID);
		return true;
	}
	switch (ref->record->type) {
	case SONDE__RECORD_PART:
		scan_part(pipeline, ref);
		return true;
	case SONDE__RECORD_ERROR:
		scan_error(pipeline, ref);
		return true;
	case SONDE__RECORD_AGAIN:
		sonde__again_alone(pipeline, ref);
		return true;
	default:
		scan_log(pipeline, ref);
		return true;
	}
}

/* For its names; what is not valid waits for nothing. */
static bool must_wait(struct sonde__pipeline *pipeline, const struct sonde__record *record)
{
	bool waits = pipeline->options.names_apart &&
		     sonde__record_is_valid(record, record->size) &&
		     sonde__naming_must_wait(pipeline, record);

	pipeline->fingerprinter.lacks_names = pipeline->naming.lacks_names;
	return waits;
}

bool sonde__triage_must_stop(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			     size_t estimate, enum sonde__drain_outcome *ret)
{
	struct sonde__batch *batch = &pipeline->batches[signal];

	if (!sonde__batch_is_full(batch, estimate))
		return false;
	if (sonde__encode_must_pause(pipeline, batch)) {
		*ret = SONDE__DRAIN_PAUSED;
		return true;
	}
	sonde__batch_emit(pipeline, batch);
	*ret = SONDE__DRAIN_MORE;
	return true;
}

bool sonde__triage(struct sonde__pipeline *pipeline, enum sonde__drain_outcome *ret)
{
	struct sonde__intake *intake = &pipeline->intake;

	sonde__fingerprinter_refresh(&pipeline->fingerprinter);
	sonde__again_index(pipeline);
	for (; intake->n_scanned < intake->n; intake->n_scanned++) {
		struct sonde__record_ref *ref = &intake->refs[intake->n_scanned];

		/* Went with its error. */
		if (!ref->record)
			continue;
		if (ref->record->type != SONDE__RECORD_SPAN &&
		    sonde__triage_must_stop(pipeline, SONDE_SIGNAL_LOG, ref->record->size, ret))
			return false;
		if (ref->record->type == SONDE__RECORD_ERROR && must_wait(pipeline, ref->record)) {
			*ret = SONDE__DRAIN_PAUSED;
			return false;
		}
		if (scan_record(pipeline, ref))
			ref->record = NULL;
	}
	intake->n_logs = 0;
	pipeline->had_error |= intake->has_error;
	intake->has_error = false;
	intake->has_again = false;
	return true;
}

void sonde__triage_expired_parts(struct sonde__pipeline *pipeline)
{
	struct sonde__part *part;

	while ((part = sonde__join_oldest(&pipeline->join)) != NULL) {
		uint64_t waited_ns = pipeline->now_ns - part->since_ns;

		if (!pipeline->is_finishing && waited_ns < PART_WAIT_NS)
			return;
		evict(pipeline, part, /* is_evicted= */ false);
	}
}
