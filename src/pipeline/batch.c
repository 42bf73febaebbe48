/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items are made one by one in the arena; what does not fit any more sends the batch on its way
 * and begins the next. So a batch is bounded by count, bytes and arena, whichever comes first.
 */

#include "pipeline/batch.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/encode.h"
#include "pipeline/state.h"
#include "pipeline/view.h"

#define CHARACTER_MAX_SIZE 4

/*
 * What an item takes on the wire besides its record. A span's record has a head as large as what is
 * sent of it, and only the name of its site comes to it; logs get the texts of theirs.
 */
static size_t overhead(enum sonde_signal signal)
{
	return signal == SONDE_SIGNAL_SPAN ? 16 : 128;
}

int sonde__batch_init(struct sonde__batch *batch, enum sonde_signal signal, size_t capacity,
		      size_t bytes_limit, size_t arena_size)
{
	*batch = (struct sonde__batch){
		.signal = signal,
		.items = malloc(capacity * sizeof(*batch->items)),
		.capacity = capacity,
		.bytes_limit = bytes_limit,
	};
	if (signal == SONDE_SIGNAL_SPAN)
		batch->spans = malloc(capacity * sizeof(*batch->spans));
	else
		batch->logs = malloc(capacity * sizeof(*batch->logs));
	if (!batch->items || (!batch->spans && !batch->logs))
		return SONDE_E_NOMEM;
	return sonde__arena_init(&batch->arena, arena_size);
}

void sonde__batch_deinit(struct sonde__batch *batch)
{
	free(batch->items);
	free(batch->spans);
	free(batch->logs);
	sonde__arena_deinit(&batch->arena);
	*batch = (struct sonde__batch){ 0 };
}

void sonde__batch_reset(struct sonde__batch *batch)
{
	batch->n = 0;
	batch->n_bytes = 0;
	batch->repairs = (struct sonde_repairs){ 0 };
	batch->redactions = (struct sonde_redactions){ { 0 } };
	sonde__arena_reset(&batch->arena);
}

bool sonde__batch_is_full(const struct sonde__batch *batch, size_t estimate)
{
	return batch->n == batch->capacity ||
	       (batch->n > 0 &&
		batch->n_bytes + estimate + overhead(batch->signal) > batch->bytes_limit);
}

/* What an item is made from: whichever fits its signal. */
struct source {
	struct sonde__batch_item item;
	const struct sonde__exception *exception;
	const struct sonde__group *summary;
	size_t estimate;
};

static int make_log(struct sonde__view_maker *maker, const struct source *source,
		    struct sonde_log_view *ret)
{
	const struct sonde__record *record = source->item.ref.record;

	if (source->summary)
		return sonde__summary_view_make(maker, source->summary, ret);
	if (!record)
		return sonde__part_view_make(maker, source->item.parts, ret);
	if (source->item.is_again)
		return sonde__again_view_make(maker, (const void *)record, ret);
	if (source->exception)
		return sonde__error_view_make(maker, (const void *)record, source->exception, ret);
	return sonde__log_view_make(maker, (const void *)record, ret);
}

static void add_repairs(struct sonde__batch *batch, const struct sonde__view_maker *maker)
{
	const struct sonde__mend_counts *counts = &maker->counts;
	struct sonde_repairs *total = &batch->repairs;

	total->invalid_utf8 += maker->repairs.invalid_utf8 + counts->invalid_utf8;
	total->dropped_attributes += maker->repairs.dropped_attributes +
				     counts->dropped_attributes + counts->dropped_nested;
	total->dropped_events += maker->repairs.dropped_events + counts->dropped_events;
	total->dropped_links += maker->repairs.dropped_links + counts->dropped_links;
	total->cut_values += maker->repairs.cut_values + counts->cut_values;
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		batch->redactions.counts[kind] += counts->redacted.n[kind];
}

static int show(struct sonde__view_maker *maker, struct sonde__batch *batch)
{
	return batch->signal == SONDE_SIGNAL_SPAN ?
		       sonde__hook_span(maker, &batch->spans[batch->n]) :
		       sonde__hook_log(maker, &batch->logs[batch->n]);
}

/* Whether the rest of a span's name is in a part, which may not have come. */
static bool is_name_cut(const struct sonde__span_record *record)
{
	return record->head.flags & SONDE__RECORD_HAS_PARTS &&
	       record->name_size <= SONDE__SPAN_NAME_KEPT &&
	       record->name_size + CHARACTER_MAX_SIZE > SONDE__SPAN_NAME_KEPT;
}

/*
 * Where a record is as large as one can be any of its texts may have been cut. Of a smaller one it
 * was the message, when it was formatted, and of an error whole errors, but no text.
 */
static size_t record_cut_min(const struct sonde__record *record)
{
	if (record->type == SONDE__RECORD_ERROR || record->type == SONDE__RECORD_AGAIN)
		return SIZE_MAX;
	if (record->type == SONDE__RECORD_LOG &&
	    record->size + CHARACTER_MAX_SIZE <= SONDE__RECORD_MAX_SIZE)
		return ((const struct sonde__log_record *)record)->body_size;
	return 0;
}

/*
 * From what size on a text of the item may lack its end, where half a secret stands perhaps;
 * SIZE_MAX: none does.
 */
static size_t cut_min(const struct source *source, enum sonde_signal signal)
{
	const struct sonde__record *record = source->item.ref.record;

	for (const struct sonde__part *part = source->item.parts; part; part = part->next_taken)
		if (part->is_cut)
			return 0;
	if (record && record->flags & SONDE__RECORD_TEXT_CUT)
		return record_cut_min(record);
	if (record && signal == SONDE_SIGNAL_SPAN && is_name_cut((const void *)record))
		return ((const struct sonde__span_record *)record)->name_size;
	return SIZE_MAX;
}

/* A hook may have taken something away in front of the cut. */
static void redactor_set(struct sonde__redactor *redactor, size_t cut_min, bool has_hook)
{
	redactor->is_cut = cut_min != SIZE_MAX;
	redactor->cut_min = has_hook ? 0 : cut_min;
}

static int make_view(struct sonde__view_maker *maker, struct sonde__batch *batch,
		     const struct source *source)
{
	struct sonde__redactor *redactor = maker->pipeline->options.redactor;
	int status;

	if (redactor)
		redactor_set(redactor, cut_min(source, batch->signal),
			     maker->pipeline->hook != NULL);
	if (batch->signal == SONDE_SIGNAL_SPAN)
		status = sonde__span_view_make(maker, (const void *)source->item.ref.record,
					       source->item.parts, &batch->spans[batch->n]);
	else
		status = make_log(maker, source, &batch->logs[batch->n]);
	if (status == SONDE_OK && maker->pipeline->hook)
		status = show(maker, batch);
	if (redactor)
		redactor->is_cut = false;
	return status;
}

/* SONDE_INCOMPLETE: the hook dropped it. */
static int make_item(struct sonde__pipeline *pipeline, struct sonde__batch *batch,
		     const struct source *source)
{
	struct sonde__view_maker maker = { .pipeline = pipeline, .arena = &batch->arena };
	size_t used = batch->arena.used;
	int status = make_view(&maker, batch, source);

	if (status != SONDE_OK) {
		batch->arena.used = used;
		return status;
	}
	if (source->item.ref.record && source->item.ref.record->flags & SONDE__RECORD_TEXT_CUT)
		maker.repairs.cut_values++;
	add_repairs(batch, &maker);
	batch->items[batch->n++] = source->item;
	batch->n_bytes += source->estimate + overhead(batch->signal);
	return SONDE_OK;
}

static enum sonde_loss loss_of(int status)
{
	if (status == SONDE_INCOMPLETE)
		return SONDE_LOSS_HOOK;
	return status == SONDE_E_NOMEM ? SONDE_LOSS_TOO_BIG : SONDE_LOSS_INVALID;
}

static void add(struct sonde__pipeline *pipeline, enum sonde_signal signal,
		struct source *source)
{
	struct sonde__batch *batch = &pipeline->batches[signal];
	int status;

	if (sonde__batch_is_full(batch, source->estimate) ||
	    (pipeline->hook && !sonde__hook_has_room(&batch->arena, source->estimate)))
		sonde__batch_emit(pipeline, batch);
	status = make_item(pipeline, batch, source);
	/* With a hook there was room, and it is not called again. */
	if (status < 0 && batch->n > 0 && !pipeline->hook) {
		sonde__batch_emit(pipeline, batch);
		status = make_item(pipeline, batch, source);
	}
	if (status != SONDE_OK)
		sonde__batch_drop_item(pipeline, signal, &source->item, loss_of(status));
}

static bool add_plain_span(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	struct sonde__batch *batch = &pipeline->batches[SONDE_SIGNAL_SPAN];
	size_t size = ref->record->size;

	if (sonde__batch_is_full(batch, size))
		sonde__batch_emit(pipeline, batch);
	if (!sonde__span_view_plain(pipeline, &batch->arena, (const void *)ref->record,
				    &batch->spans[batch->n]))
		return false;
	batch->items[batch->n++] = (struct sonde__batch_item){ .ref = *ref };
	batch->n_bytes += size + overhead(SONDE_SIGNAL_SPAN);
	return true;
}

void sonde__batch_add_span(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			   struct sonde__part *parts)
{
	struct source source = { .item = { .ref = *ref, .parts = parts },
				 .estimate = ref->record->size };

	if (!parts && !pipeline->hook && add_plain_span(pipeline, ref))
		return;
	for (const struct sonde__part *part = parts; part; part = part->next_taken)
		source.estimate += part->low_size + part->fields_size;
	add(pipeline, SONDE_SIGNAL_SPAN, &source);
}

void sonde__batch_add_log(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	struct source source = { .item = { .ref = *ref }, .estimate = ref->record->size };

	add(pipeline, SONDE_SIGNAL_LOG, &source);
}

void sonde__batch_add_error(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref,
			    const struct sonde__exception *exception)
{
	struct source source = {
		.item = { .ref = *ref },
		.exception = exception,
		.estimate = ref->record->size + strlen(exception->stacktrace),
	};

	add(pipeline, SONDE_SIGNAL_LOG, &source);
}

void sonde__batch_add_again(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	struct source source = { .item = { .ref = *ref, .is_again = true },
				 .estimate = ref->record->size };

	add(pipeline, SONDE_SIGNAL_LOG, &source);
}

void sonde__batch_add_summary(struct sonde__pipeline *pipeline, const struct sonde__group *group,
			      size_t estimate)
{
	struct source source = { .summary = group, .estimate = estimate };

	add(pipeline, SONDE_SIGNAL_LOG, &source);
}

void sonde__batch_add_part(struct sonde__pipeline *pipeline, struct sonde__part *part,
			   bool is_evicted)
{
	struct source source = {
		.item = { .parts = part, .is_evicted = is_evicted },
		.estimate = (size_t)part->low_size + part->fields_size,
	};

	part->is_taken = true;
	part->next_taken = NULL;
	add(pipeline, SONDE_SIGNAL_LOG, &source);
}
