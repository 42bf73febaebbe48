/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a batch to blobs. Each destination encodes the batch once, in as few requests as its limits
 * allow: what is too big is halved, and a single item that is too big is a loss. A destination that
 * sends a part of what there is says how much; it is done with the rest at once. The blobs are held
 * back until all destinations have theirs; then one move under the ledger's lock puts them into
 * their lanes and releases the records, so that no account ever finds an item twice or not at all.
 */

#include "pipeline/encode.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/state.h"

/* What one destination made of a batch. */
struct yield {
	struct sonde__blob *first;
	struct sonde__blob **end;
	uint64_t done; /* Items that it has no use for. */
	uint64_t lost[SONDE_LOSS_COUNT];
};

struct range {
	size_t first;
	size_t n;
};

static struct sonde__lane *fullest_lane(struct sonde__pipeline *pipeline)
{
	struct sonde__lane *fullest = NULL;

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			struct sonde__lane *lane = &pipeline->lanes[d][s];
			bool is_evictable = lane->first && (!lane->is_sending || lane->first->next);

			if (is_evictable && (!fullest || lane->n_bytes > fullest->n_bytes))
				fullest = lane;
		}
	}
	return fullest;
}

static bool evict(struct sonde__pipeline *pipeline, struct sonde__lane *lane)
{
	struct sonde__blob *blob;

	sonde__ledger_lock(pipeline);
	blob = sonde__lane_evict(lane);
	if (blob)
		lane->lost[SONDE_LOSS_QUEUE_FULL] += blob->n_items;
	sonde__ledger_unlock(pipeline);
	if (!blob)
		return false;
	sonde__audit_done(pipeline, blob, /* exported= */ 0,
			  sonde_loss_name(SONDE_LOSS_QUEUE_FULL));
	sonde__blobs_free(&pipeline->blobs, &pipeline->budget, blob);
	return true;
}

static bool has_room(const struct sonde__pipeline *pipeline, size_t size)
{
	return sonde__blobs_has_spare(&pipeline->blobs) ||
	       sonde__budget_has_room(&pipeline->budget, size);
}

static bool make_room(struct sonde__pipeline *pipeline, size_t size)
{
	while (!has_room(pipeline, size)) {
		struct sonde__lane *lane = fullest_lane(pipeline);

		if (!lane || !evict(pipeline, lane))
			return false;
	}
	return true;
}

/* NULL: it is counted as lost. */
static struct sonde__blob *keep(struct sonde__pipeline *pipeline, struct yield *yield, size_t size,
				size_t n_items)
{
	struct sonde__blob *blob;

	if (!make_room(pipeline, sonde__blob_footprint(size))) {
		yield->lost[SONDE_LOSS_QUEUE_FULL] += n_items;
		return NULL;
	}
	blob = sonde__blobs_keep(&pipeline->blobs, &pipeline->budget, size, n_items);
	if (!blob) {
		yield->lost[SONDE_LOSS_NO_MEMORY] += n_items;
		return NULL;
	}
	/* The memory may have been another blob's. */
	blob->audited = 0;
	blob->is_sent = false;
	*yield->end = blob;
	yield->end = &blob->next;
	return blob;
}

static struct sonde_batch part_of(const struct sonde_batch *batch, struct range range)
{
	struct sonde_batch part = *batch;

	part.spans = batch->spans ? batch->spans + range.first : NULL;
	part.logs = batch->logs ? batch->logs + range.first : NULL;
	part.points = batch->points ? batch->points + range.first : NULL;
	part.n_items = range.n;
	return part;
}

static size_t count_wanted(const struct sonde__pipeline_destination *to,
			   const struct sonde_batch *part)
{
	size_t n;

	if (to->exporter->size < sizeof(*to->exporter) || !to->exporter->count)
		return part->n_items;
	n = to->exporter->count(to->instance, part);
	return n < part->n_items ? n : part->n_items;
}

static enum sonde_loss loss_of(int status)
{
	if (status == SONDE_E_TOO_BIG)
		return SONDE_LOSS_TOO_BIG;
	return status == SONDE_E_NOMEM ? SONDE_LOSS_NO_MEMORY : SONDE_LOSS_INVALID;
}

/* False: not in one request. */
static bool encode_part(struct sonde__pipeline *pipeline, const struct sonde_batch *part,
			size_t destination, struct yield *yield)
{
	const struct sonde__pipeline_destination *to = &pipeline->options.destinations[destination];
	struct sonde_buffer out = sonde__blobs_buffer(&pipeline->blobs);
	size_t n_wanted = count_wanted(to, part);
	struct sonde__blob *blob = NULL;
	int status = n_wanted ? to->exporter->encode(to->instance, part, &out) : SONDE_OK;

	if (status < 0 && status != SONDE_E_LIMITED && part->n_items > 1)
		return false;
	yield->done += part->n_items - n_wanted;
	if (status == SONDE_E_LIMITED)
		yield->lost[SONDE_LOSS_LIMITED] += n_wanted;
	else if (status < 0)
		yield->lost[loss_of(status)] += n_wanted;
	else if (n_wanted)
		blob = keep(pipeline, yield, out.size, n_wanted);
	if (blob)
		sonde__audit_made(pipeline, destination, part, blob);
	return status >= 0 || status == SONDE_E_LIMITED;
}

/* Depth: the logarithm of the batch's size. False: not in one request. */
static bool encode(struct sonde__pipeline *pipeline, const struct sonde_batch *batch,
		   size_t destination, struct range range, struct yield *yield)
{
	struct sonde_batch part = part_of(batch, range);
	size_t half = range.n / 2;

	if (encode_part(pipeline, &part, destination, yield))
		return true;
	if (range.n == 1)
		return false;
	(void)encode(pipeline, batch, destination, (struct range){ range.first, half }, yield);
	(void)encode(pipeline, batch, destination,
		     (struct range){ range.first + half, range.n - half }, yield);
	return false;
}

/*
 * A form that is longer than was estimated would be begun in vain for each batch: what did not fit
 * is remembered, and tried again little by little.
 */
static void encode_all(struct sonde__pipeline *pipeline, const struct sonde_batch *batch,
		       size_t destination, struct yield *yield)
{
	struct sonde__lane *lane = &pipeline->lanes[destination][batch->signal];
	size_t step = lane->n_fit && lane->n_fit < batch->n_items ? lane->n_fit : batch->n_items;

	if (step < batch->n_items)
		lane->n_fit = step + step / 16 + 1;
	for (size_t i = 0; i < batch->n_items; i += step) {
		size_t n = batch->n_items - i < step ? batch->n_items - i : step;

		if (!encode(pipeline, batch, destination, (struct range){ i, n }, yield))
			lane->n_fit = step - step / 2;
	}
}

static void queue_yield(struct sonde__lane *lane, struct yield *yield)
{
	struct sonde__blob *next;

	for (struct sonde__blob *blob = yield->first; blob; blob = next) {
		next = blob->next;
		sonde__lane_push(lane, blob);
	}
	lane->exported += yield->done;
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		lane->lost[reason] += yield->lost[reason];
}

/* The parts that went into the item are done with: freed, and booked unless `is_dropped`. */
static void remove_parts(struct sonde__pipeline *pipeline, const struct sonde__batch_item *item,
			 enum sonde_loss *dropped)
{
	struct sonde__ledger *ledger = &pipeline->ledger;
	struct sonde__part *next;

	for (struct sonde__part *part = item->parts; part; part = next) {
		next = part->next_taken;
		if (part->is_counted && dropped)
			ledger->lost[SONDE_SIGNAL_PART][*dropped]++;
		else if (part->is_counted && item->is_evicted)
			ledger->lost[SONDE_SIGNAL_PART][SONDE_LOSS_EVICTED]++;
		else if (part->is_counted)
			ledger->joined++;
		pipeline->budget.parts -= sonde__join_remove(&pipeline->join, part);
	}
}

/* Under the lock: the item leaves the box and the table. */
static void release_item(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			 struct sonde__batch_item *item, enum sonde_loss *dropped)
{
	if (item->ref.record)
		sonde__box_release(&item->ref);
	if (!dropped && (!item->ref.record || item->is_again))
		pipeline->ledger.made++;
	if (!dropped && item->is_again)
		pipeline->ledger.joined++;
	if (dropped && item->ref.record)
		pipeline->ledger.lost[item->is_again ? SONDE_SIGNAL_PART : signal][*dropped]++;
	remove_parts(pipeline, item, dropped);
}

static void release_items(struct sonde__pipeline *pipeline, struct sonde__batch *batch,
			  enum sonde_loss *dropped)
{
	for (size_t i = 0; i < batch->n; i++)
		release_item(pipeline, batch->signal, &batch->items[i], dropped);
}

static void book_repairs(struct sonde__ledger *ledger, const struct sonde__batch *batch)
{
	const struct sonde_repairs *more = &batch->repairs;
	struct sonde_repairs *total = &ledger->repairs;

	total->invalid_utf8 += more->invalid_utf8;
	total->dropped_attributes += more->dropped_attributes;
	total->dropped_events += more->dropped_events;
	total->dropped_links += more->dropped_links;
	total->cut_values += more->cut_values;
	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++)
		ledger->redactions.counts[kind] += batch->redactions.counts[kind];
}

static void enforce_max_items(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			      struct sonde__lane *lane)
{
	uint32_t limit = pipeline->options.max_queue_items[signal];

	while (limit && lane->n_items > limit && evict(pipeline, lane))
		continue;
}

void sonde__batch_emit(struct sonde__pipeline *pipeline, struct sonde__batch *batch)
{
	struct yield yields[SONDE__DESTINATIONS_MAX] = { 0 };
	size_t n_destinations = pipeline->options.n_destinations;
	struct sonde_batch view = {
		.size = sizeof(view),
		.signal = batch->signal,
		.resource = &pipeline->options.resource,
		.spans = batch->spans,
		.logs = batch->logs,
		.n_items = batch->n,
	};

	if (!batch->n)
		return;
	for (size_t d = 0; d < n_destinations; d++) {
		yields[d].end = &yields[d].first;
		if (pipeline->lanes[d][batch->signal].is_open)
			encode_all(pipeline, &view, d, &yields[d]);
	}
	sonde__ledger_lock(pipeline);
	for (size_t d = 0; d < n_destinations; d++)
		queue_yield(&pipeline->lanes[d][batch->signal], &yields[d]);
	release_items(pipeline, batch, /* dropped= */ NULL);
	book_repairs(&pipeline->ledger, batch);
	sonde__ledger_unlock(pipeline);
	for (size_t d = 0; d < n_destinations; d++)
		enforce_max_items(pipeline, batch->signal, &pipeline->lanes[d][batch->signal]);
	sonde__batch_reset(batch);
}

void sonde__batch_drop(struct sonde__pipeline *pipeline, struct sonde__batch *batch,
		       enum sonde_loss reason)
{
	sonde__ledger_lock(pipeline);
	release_items(pipeline, batch, &reason);
	sonde__ledger_unlock(pipeline);
	sonde__batch_reset(batch);
}

void sonde__batch_drop_item(struct sonde__pipeline *pipeline, enum sonde_signal signal,
			    struct sonde__batch_item *item, enum sonde_loss reason)
{
	sonde__ledger_lock(pipeline);
	release_item(pipeline, signal, item, &reason);
	sonde__ledger_unlock(pipeline);
}

/* The destinations' share of the points that have not gone: the oldest go first. */
static void enforce_share(struct sonde__pipeline *pipeline, struct sonde__lane *lane)
{
	while (lane->n_bytes > pipeline->budget.points_limit && evict(pipeline, lane))
		continue;
}

static struct sonde__lane *points_lane(struct sonde__pipeline *pipeline, size_t destination,
				       enum sonde__temporality temporality)
{
	struct sonde__lane *lane = &pipeline->lanes[destination][SONDE_SIGNAL_METRIC];
	bool is_wanted = lane->is_open &&
			 pipeline->options.destinations[destination].temporality == temporality;

	return is_wanted ? lane : NULL;
}

void sonde__encode_points(struct sonde__pipeline *pipeline, const struct sonde_batch *batch,
			  enum sonde__temporality temporality)
{
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		struct sonde__lane *lane = points_lane(pipeline, d, temporality);
		struct yield yield = { 0 };

		if (!lane)
			continue;
		yield.end = &yield.first;
		encode_all(pipeline, batch, d, &yield);
		sonde__ledger_lock(pipeline);
		lane->made += batch->n_items;
		queue_yield(lane, &yield);
		sonde__ledger_unlock(pipeline);
		enforce_share(pipeline, lane);
	}
}

void sonde__encode_lose_point(struct sonde__pipeline *pipeline, enum sonde__temporality temporality,
			      enum sonde_loss reason)
{
	sonde__ledger_lock(pipeline);
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		struct sonde__lane *lane = points_lane(pipeline, d, temporality);

		if (lane) {
			lane->made++;
			lane->lost[reason]++;
		}
	}
	sonde__ledger_unlock(pipeline);
}

bool sonde__encode_must_pause(const struct sonde__pipeline *pipeline,
			      const struct sonde__batch *batch)
{
	uint32_t limit = pipeline->options.max_queue_items[batch->signal];
	const struct sonde__lane *fullest = NULL;

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		const struct sonde__lane *lane = &pipeline->lanes[d][batch->signal];

		if (!lane->is_open)
			continue;
		if (limit && lane->n_items + batch->n > limit && lane->n_items &&
		    sonde__lane_is_moving(lane, pipeline->now_ns))
			return true;
		if (!fullest || lane->n_bytes > fullest->n_bytes)
			fullest = lane;
	}
	/* As much again as estimated, for forms that are longer than ours. */
	return fullest && fullest->n_items && sonde__lane_is_moving(fullest, pipeline->now_ns) &&
	       !has_room(pipeline, 2 * batch->n_bytes);
}
