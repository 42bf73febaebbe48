/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drain takes everything out of the box that is there when it begins, in two passes over the
 * rings (why two: intake.h), and happens
 *
 *	when the spans' or the logs' delay is over, logs only if there are any,
 *	when a ring is half full and there is something to take,
 *	soon after an error came in, at once unless the last one was a moment ago,
 *	when it is time to tell what errors were held back,
 *	when a flush asks for it.
 *
 * What was seen is first scanned: parts go to the table, logs and errors to their batch. Only then,
 * with every part in place, spans are joined and go to theirs. Spans that were seen in the second
 * pass stay for the next drain, and so does a small rest if it was the box's fill that began it. A
 * drain stops now and then to let batches be sent, or until a lane that is full and moving has
 * room; it is gone on with in this turn or a later one.
 */

#include "pipeline/drain.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/encode.h"
#include "pipeline/triage.h"
#include "pipeline/state.h"
#include "record/check.h"

#define FILL_PERCENT 50
/*
 * So many spans ahead the next one is fetched: another core wrote it, and its lines come one by one
 * where they are asked for when they are needed.
 */
#define FETCH_AHEAD 6
#define LINE 64
#define LINES_FETCHED 4
/* Between two drains for errors: a storm of errors makes batches, not a drain for each. */
#define URGENT_GAP_NS (20 * SONDE__NS_PER_MS)
/* Fewer spans than this part of those that were taken are left for the next drain. */
#define REST_DIVISOR 4
#define PAUSE_LOOK_NS (50 * SONDE__NS_PER_MS)

static uint64_t later(uint64_t now_ns, uint64_t delay_ns)
{
	return delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
}

/* By the schedule, or for want of room here. */
static bool is_due(const struct sonde__pipeline *pipeline)
{
	const struct sonde__intake *intake = &pipeline->intake;
	uint64_t now_ns = pipeline->now_ns;

	return intake->n == intake->capacity || now_ns >= pipeline->span_due_ns ||
	       (intake->n_logs && now_ns >= pipeline->log_due_ns) ||
	       (intake->has_error && now_ns >= pipeline->urgent_due_ns);
}

/* A delay counts from when there was nothing: so at rest the logs' look is the spans' too. */
static void schedule(struct sonde__pipeline *pipeline, bool is_drained)
{
	const bool is_empty = is_drained || pipeline->intake.n == 0;
	uint64_t now_ns = pipeline->now_ns;

	if (is_empty || now_ns >= pipeline->span_due_ns)
		pipeline->span_due_ns = later(now_ns, pipeline->options.span_delay_ns);
	if (is_empty || now_ns >= pipeline->log_due_ns)
		pipeline->log_due_ns = later(now_ns, pipeline->options.log_delay_ns);
	if (is_drained) {
		pipeline->urgent_due_ns = later(now_ns, URGENT_GAP_NS);
		pipeline->was_urgent = pipeline->had_error;
		pipeline->had_error = false;
	}
}

void sonde__drain_look(struct sonde__pipeline *pipeline)
{
	(void)sonde__intake_pass(&pipeline->intake);
	if (pipeline->is_draining)
		return;
	pipeline->leaves_rest = !is_due(pipeline);
	if (pipeline->now_ns < pipeline->flood.summary_due_ns &&
	    (!pipeline->intake.n ||
	     (pipeline->leaves_rest && sonde__box_fill_percent() < FILL_PERCENT))) {
		schedule(pipeline, /* is_drained= */ false);
		return;
	}
	pipeline->is_draining = true;
	pipeline->is_whole_drain = true;
	pipeline->n_taken = 0;
}

uint64_t sonde__pipeline_calm_ns(const struct sonde__pipeline *pipeline)
{
	if (!pipeline->was_urgent || pipeline->urgent_due_ns <= pipeline->now_ns)
		return 0;
	return pipeline->urgent_due_ns - pipeline->now_ns;
}

uint64_t sonde__drain_wait_ns(const struct sonde__pipeline *pipeline)
{
	uint64_t due_ns = pipeline->span_due_ns < pipeline->log_due_ns ? pipeline->span_due_ns :
									 pipeline->log_due_ns;

	/*
	 * Paused: answers wake the worker; whether the lane still moves is looked at now and then.
	 */
	if (pipeline->is_draining) {
		uint64_t wait_ns = sonde__naming_wait_ns(pipeline);

		return wait_ns < PAUSE_LOOK_NS ? wait_ns : PAUSE_LOOK_NS;
	}
	if (pipeline->intake.has_error && pipeline->urgent_due_ns < due_ns)
		due_ns = pipeline->urgent_due_ns;
	if (pipeline->flood.summary_due_ns < due_ns)
		due_ns = pipeline->flood.summary_due_ns;
	return due_ns > pipeline->now_ns ? due_ns - pipeline->now_ns : 0;
}

/* The two passes; false where there was no room for all of it. */
static bool collect(struct sonde__pipeline *pipeline)
{
	struct sonde__intake *intake = &pipeline->intake;
	bool is_complete = sonde__intake_pass(intake) && sonde__intake_pass(intake);

	if (is_complete && pipeline->is_finishing)
		sonde__intake_settle_all(intake);
	else if (!is_complete)
		sonde__intake_settle_half(intake);
	return is_complete;
}

/* Its fields are for the view to check, but parts are not given to a span that is none. */
static bool span_is_valid(const struct sonde__pipeline *pipeline,
			  const struct sonde__record *record)
{
	if (pipeline->join.n_parts)
		return record->type == SONDE__RECORD_SPAN &&
		       sonde__record_is_valid(record, record->size);
	return sonde__span_head_is_valid(record, record->size);
}

static void add_span(struct sonde__pipeline *pipeline, const struct sonde__record_ref *ref)
{
	const struct sonde__span_record *record = (const void *)ref->record;

	if (!span_is_valid(pipeline, ref->record)) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_INVALID);
		return;
	}
	if (pipeline->options.counts_figures)
		sonde__figures_count_span(record);
	if (!pipeline->is_taken[SONDE_SIGNAL_SPAN]) {
		sonde__triage_lose(pipeline, ref, SONDE_LOSS_NO_EXPORTER);
		return;
	}
	sonde__join_remember(&pipeline->join, record->span_id);
	sonde__batch_add_span(pipeline, ref,
			      sonde__join_take(&pipeline->join, record->trace_id, record->span_id));
}

static void fetch(const struct sonde__intake *intake, size_t i)
{
	const char *record;

	if (i >= intake->n)
		return;
	record = (const char *)intake->refs[i].record;
	for (size_t line = 0; record && line < LINES_FETCHED; line++)
		__builtin_prefetch(record + line * LINE);
}

/*
 * A drain that was begun for the box alone does not make a small request of what is left after a
 * large one; it is of use to the next.
 */
static bool may_leave_rest(const struct sonde__pipeline *pipeline)
{
	return pipeline->leaves_rest && !pipeline->batches[SONDE_SIGNAL_SPAN].n &&
	       pipeline->intake.n_scanned < pipeline->n_taken / REST_DIVISOR;
}

/* Spans whose parts must all be there by now. False: stopped to have batches sent. */
static bool take_spans(struct sonde__pipeline *pipeline, enum sonde__drain_outcome *ret)
{
	struct sonde__intake *intake = &pipeline->intake;

	if (may_leave_rest(pipeline))
		return true;
	for (size_t i = 0; i < intake->n_scanned; i++) {
		fetch(intake, i + FETCH_AHEAD);
		if (!intake->refs[i].record || !sonde__intake_is_settled(intake, i))
			continue;
		if (sonde__triage_must_stop(pipeline, SONDE_SIGNAL_SPAN,
					    intake->refs[i].record->size, ret))
			return false;
		add_span(pipeline, &intake->refs[i]);
		intake->refs[i].record = NULL;
		pipeline->n_taken++;
	}
	return true;
}

/* What is left in a batch. False: its lane is to have room first. */
static bool emit_rest(struct sonde__pipeline *pipeline, enum sonde_signal signal)
{
	struct sonde__batch *batch = &pipeline->batches[signal];

	if (batch->n && sonde__encode_must_pause(pipeline, batch))
		return false;
	sonde__batch_emit(pipeline, batch);
	return true;
}

static enum sonde__drain_outcome finish(struct sonde__pipeline *pipeline)
{
	enum sonde__drain_outcome outcome;

	sonde__triage_expired_parts(pipeline);
	if (!sonde__flood_tell(pipeline, &outcome))
		return outcome;
	if (!emit_rest(pipeline, SONDE_SIGNAL_LOG) || !emit_rest(pipeline, SONDE_SIGNAL_SPAN))
		return SONDE__DRAIN_PAUSED;
	pipeline->is_draining = false;
	pipeline->must_drain = false;
	pipeline->has_drained = true;
	schedule(pipeline, /* is_drained= */ true);
	return SONDE__DRAIN_DONE;
}

enum sonde__drain_outcome sonde__drain_step(struct sonde__pipeline *pipeline)
{
	enum sonde__drain_outcome outcome = SONDE__DRAIN_MORE;
	bool is_done;

	if (pipeline->is_whole_drain)
		pipeline->is_whole_drain = !collect(pipeline);
	if (pipeline->intake.n_scanned < pipeline->intake.n)
		sonde__clock_anchor(&pipeline->clock);
	is_done = sonde__triage(pipeline, &outcome) && take_spans(pipeline, &outcome);
	sonde__intake_compact(&pipeline->intake);
	/* Errors do not wait for spans that wait for room. */
	if (outcome == SONDE__DRAIN_PAUSED)
		(void)emit_rest(pipeline, SONDE_SIGNAL_LOG);
	if (!is_done || pipeline->is_whole_drain)
		return outcome;
	return finish(pipeline);
}

static void expire_record(struct sonde__pipeline *pipeline, struct sonde__record_ref *ref)
{
	enum sonde_signal signal = sonde__record_signal(ref->record);

	if (signal == SONDE_SIGNAL_SPAN && pipeline->options.counts_figures &&
	    sonde__span_head_is_valid(ref->record, ref->record->size))
		sonde__figures_count_span((const void *)ref->record);
	sonde__ledger_lock(pipeline);
	pipeline->ledger.lost[signal][SONDE_LOSS_DEADLINE]++;
	sonde__box_release(ref);
	sonde__ledger_unlock(pipeline);
	ref->record = NULL;
}

static void expire_parts(struct sonde__pipeline *pipeline)
{
	struct sonde__part *part;

	sonde__ledger_lock(pipeline);
	while ((part = sonde__join_oldest(&pipeline->join)) != NULL) {
		pipeline->ledger.lost[SONDE_SIGNAL_PART][SONDE_LOSS_DEADLINE] += part->is_counted;
		pipeline->budget.parts -= sonde__join_remove(&pipeline->join, part);
	}
	sonde__ledger_unlock(pipeline);
}

void sonde__drain_expire(struct sonde__pipeline *pipeline)
{
	struct sonde__intake *intake = &pipeline->intake;
	bool is_complete;

	for (int signal = 0; signal < SONDE__BATCH_SIGNALS; signal++)
		sonde__batch_drop(pipeline, &pipeline->batches[signal], SONDE_LOSS_DEADLINE);
	do {
		is_complete = sonde__intake_pass(intake);
		for (size_t i = 0; i < intake->n; i++) {
			if (intake->refs[i].record)
				expire_record(pipeline, &intake->refs[i]);
		}
		intake->n_scanned = intake->n;
		sonde__intake_compact(intake);
	} while (!is_complete);
	expire_parts(pipeline);
	pipeline->is_draining = false;
	pipeline->must_drain = false;
}
