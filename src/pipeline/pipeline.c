/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts in their order: a turn looks into the box, drains it when that is due, sends what is
 * due, takes what came back, and says what is worth saying. docs/design/pipeline.md walks through
 * it.
 */

#include "pipeline/pipeline.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/deliver.h"
#include "pipeline/drain.h"
#include "pipeline/encode.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"
#include "stack/frame.h"

/* Batches in one turn, so that its caller sees to its other duties now and then. */
#define ROUNDS_MAX 32
#define BACKOFF_FACTOR 1.5

static bool destination_accepts(const struct sonde__pipeline_destination *destination,
				enum sonde_signal signal)
{
	const bool is_wanted[SONDE__SIGNAL_ROWS] = {
		[SONDE_SIGNAL_SPAN] = destination->takes_spans,
		[SONDE_SIGNAL_LOG] = destination->takes_logs,
		[SONDE_SIGNAL_METRIC] = destination->takes_metrics,
	};

	if (!is_wanted[signal])
		return false;
	if (!destination->exporter->accepts)
		return signal != SONDE_SIGNAL_METRIC;
	return destination->exporter->accepts(destination->instance, signal);
}

static void init_lanes(struct sonde__pipeline *pipeline)
{
	const struct sonde__pipeline_options *options = &pipeline->options;
	struct sonde__circuit_options breaker = {
		.failures = options->breaker_failures,
		.calls = options->breaker_trials,
		.concurrent = 1,
		.reset_ns = options->breaker_reset_ns,
		.trial_ns = options->breaker_reset_ns,
	};
	struct sonde__retry_options retry = {
		.initial_ns = options->retry_initial_ns,
		.max_ns = options->retry_max_ns,
		.factor = BACKOFF_FACTOR,
		.random = options->random,
		.random_user = options->random_user,
	};

	for (size_t d = 0; d < options->n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			if (!destination_accepts(&options->destinations[d], (enum sonde_signal)s))
				continue;
			sonde__lane_init(&pipeline->lanes[d][s], &breaker, &retry);
			pipeline->is_taken[s] = true;
		}
	}
}

static void init_menders(struct sonde__pipeline *pipeline)
{
	const struct sonde__limits *limits = &pipeline->options.limits;
	struct sonde__mend_limits spans = {
		.attributes = limits->span_attributes,
		.events = limits->span_events,
		.links = limits->span_links,
		.event_attributes = limits->event_attributes,
		.link_attributes = limits->link_attributes,
		.value_length = limits->span_value_length,
	};
	struct sonde__mend_limits logs = {
		.attributes = limits->log_attributes,
		.value_length = limits->log_value_length,
	};

	sonde__clock_open(&pipeline->clock);
	sonde__mender_init(&pipeline->span_mender, &spans, &pipeline->clock);
	sonde__mender_init(&pipeline->log_mender, &logs, &pipeline->clock);
	sonde__breadcrumbs_init(&pipeline->breadcrumbs, pipeline->options.before_breadcrumb,
				pipeline->options.before_breadcrumb_user);
	pipeline->redactor = pipeline->options.redactor;
	pipeline->span_mender.redactor = pipeline->redactor;
	pipeline->log_mender.redactor = pipeline->redactor;
}

/* "" where the resource does not say. */
static struct sonde_text resource_text(const struct sonde__pipeline *pipeline, const char *key)
{
	struct sonde_bytes rest = pipeline->options.resource.attributes;
	struct sonde_text found = { "", 0 };
	struct sonde_item_view item;

	while (sonde_item_next(SONDE_FIELDS_RESOURCE, &rest, &item))
		if (item.name.size == strlen(key) &&
		    memcmp(item.name.data, key, item.name.size) == 0 &&
		    item.value.type == SONDE_VALUE_STR)
			found = item.value.as.string;
	return found;
}

static int init_seen(struct sonde__pipeline *pipeline)
{
	struct sonde__seen_options options = {
		.directory = pipeline->options.state_directory,
		.service = resource_text(pipeline, "service.name"),
		.release = resource_text(pipeline, "service.version"),
		.regression_days = pipeline->options.regression_days,
		.n_slots = pipeline->budget.seen_slots,
	};

	return sonde__seen_init(&pipeline->seen, &options);
}

static int init_memory(struct sonde__pipeline *pipeline)
{
	const struct sonde__budget *budget = &pipeline->budget;
	int status = sonde__intake_init(&pipeline->intake, budget->intake_capacity);

	if (status == SONDE_OK)
		status = sonde__join_init(&pipeline->join, budget->table_slots);
	if (status == SONDE_OK)
		status = sonde__flood_init(pipeline);
	if (status == SONDE_OK)
		status = sonde__blobs_init(&pipeline->blobs, budget->n_buffers,
					   budget->buffer_size);
	if (status == SONDE_OK)
		status = init_seen(pipeline);
	for (int s = 0; status == SONDE_OK && s < SONDE__BATCH_SIGNALS; s++)
		status = sonde__batch_init(&pipeline->batches[s], (enum sonde_signal)s,
					   budget->batch_items[s], budget->batch_bytes,
					   budget->arena_size[s]);
	return status;
}

static void release_memory(struct sonde__pipeline *pipeline)
{
	for (int s = 0; s < SONDE__BATCH_SIGNALS; s++)
		sonde__batch_deinit(&pipeline->batches[s]);
	sonde__flood_deinit(pipeline);
	sonde__seen_deinit(&pipeline->seen);
	sonde__join_deinit(&pipeline->join);
	sonde__intake_deinit(&pipeline->intake);
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			struct sonde__blob *blob;

			while ((blob = sonde__lane_pop(&pipeline->lanes[d][s])) != NULL)
				sonde__blobs_free(&pipeline->blobs, &pipeline->budget, blob);
		}
	}
	sonde__blobs_deinit(&pipeline->blobs);
	sonde__hook_deinit(pipeline);
	sonde__metrics_deinit(pipeline);
	pthread_mutex_destroy(&pipeline->ledger.lock);
	free(pipeline);
}

int sonde__pipeline_new(const struct sonde__pipeline_options *options, struct sonde__pipeline **ret)
{
	struct sonde__pipeline *pipeline;
	struct sonde__budget budget;
	int status;

	if (!options || options->n_destinations > SONDE__DESTINATIONS_MAX || !options->random)
		return SONDE_E_INVALID;
	status = sonde__budget_init(&budget, options);
	if (status < 0)
		return status;
	pipeline = calloc(1, sizeof(*pipeline));
	if (!pipeline)
		return SONDE_E_NOMEM;
	pipeline->options = *options;
	pipeline->budget = budget;
	pipeline->names_until_ns = UINT64_MAX;
	pthread_mutex_init(&pipeline->ledger.lock, /* attributes= */ NULL);
	status = init_memory(pipeline);
	if (status < 0) {
		release_memory(pipeline);
		return status;
	}
	init_lanes(pipeline);
	init_menders(pipeline);
	sonde__fingerprinter_init(&pipeline->fingerprinter, options->fingerprint,
				  options->fingerprint_user);
	sonde__audit_open(&pipeline->audit, &pipeline->options.audit);
	status = sonde__hook_init(pipeline);
	if (status == SONDE_OK)
		status = sonde__metrics_init(pipeline);
	if (status < 0) {
		release_memory(pipeline);
		return status;
	}
	*ret = pipeline;
	return SONDE_OK;
}

struct sonde__pipeline *sonde__pipeline_free(struct sonde__pipeline *pipeline, bool forked)
{
	if (!pipeline)
		return NULL;
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		const struct sonde__pipeline_destination *destination =
			&pipeline->options.destinations[d];

		destination->exporter->close(destination->instance, forked);
	}
	release_memory(pipeline);
	return NULL;
}

static void start_schedule(struct sonde__pipeline *pipeline)
{
	pipeline->has_turned = true;
	pipeline->span_due_ns = pipeline->now_ns + pipeline->options.span_delay_ns;
	pipeline->log_due_ns = pipeline->now_ns + pipeline->options.log_delay_ns;
	sonde__metrics_schedule(pipeline);
}

static void finish_flush(struct sonde__pipeline *pipeline)
{
	if (!pipeline->is_flushing ||
	    !sonde__pipeline_flush_is_done(pipeline, /* ret_incomplete= */ NULL))
		return;
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
			pipeline->lanes[d][s].is_forced = false;
	}
	pipeline->is_flushing = false;
}

/* What the flush waits for is in the lanes now. */
static void flush_lanes(struct sonde__pipeline *pipeline)
{
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
			pipeline->lanes[d][s].flush_serial = pipeline->lanes[d][s].n_serials;
	}
}

/* True when there is more to do at once. */
static bool run(struct sonde__pipeline *pipeline)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		bool has_moved = sonde__deliver(pipeline);
		bool is_flush = pipeline->must_drain;
		enum sonde__drain_outcome outcome;

		if (!pipeline->is_draining)
			return false;
		outcome = sonde__drain_step(pipeline);
		if (outcome == SONDE__DRAIN_PAUSED && !has_moved && round > 0)
			return false;
		if (outcome == SONDE__DRAIN_DONE && is_flush)
			flush_lanes(pipeline);
	}
	return true;
}

uint64_t sonde__pipeline_turn(struct sonde__pipeline *pipeline, uint64_t now_ns)
{
	uint64_t drain_ns;
	uint64_t deliver_ns;
	uint64_t metrics_ns;

	pipeline->now_ns = now_ns;
	if (!pipeline->has_turned)
		start_schedule(pipeline);
	sonde__drain_look(pipeline);
	if (run(pipeline))
		return 0;
	if (sonde__metrics_step(pipeline))
		(void)sonde__deliver(pipeline);
	finish_flush(pipeline);
	sonde__report_losses(pipeline, now_ns);
	sonde__stack_rest(now_ns);
	drain_ns = sonde__drain_wait_ns(pipeline);
	deliver_ns = sonde__deliver_wait_ns(pipeline);
	metrics_ns = sonde__metrics_wait_ns(pipeline);
	if (metrics_ns < drain_ns)
		drain_ns = metrics_ns;
	return drain_ns < deliver_ns ? drain_ns : deliver_ns;
}

size_t sonde__pipeline_poll(struct sonde__pipeline *pipeline, struct pollfd *fds, size_t capacity,
			    int *timeout_ms)
{
	size_t n = 0;

	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		const struct sonde__pipeline_destination *from = &pipeline->options.destinations[d];

		if (sonde__deliver_is_sending(pipeline, d) && from->exporter->poll)
			n += from->exporter->poll(from->instance, fds + n, capacity - n,
						  timeout_ms);
	}
	return n;
}

void sonde__pipeline_flush_begin(struct sonde__pipeline *pipeline, uint64_t now_ns)
{
	pipeline->now_ns = now_ns;
	pipeline->is_flushing = true;
	pipeline->must_drain = true;
	pipeline->is_draining = true;
	pipeline->is_whole_drain = true;
	pipeline->leaves_rest = false;
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++)
			sonde__lane_flush(&pipeline->lanes[d][s]);
	}
	sonde__metrics_flush(pipeline);
}

void sonde__pipeline_name_until(struct sonde__pipeline *pipeline, uint64_t until_ns)
{
	pipeline->names_until_ns = until_ns;
}

void sonde__pipeline_finish_begin(struct sonde__pipeline *pipeline, uint64_t now_ns)
{
	pipeline->is_finishing = true;
	sonde__pipeline_flush_begin(pipeline, now_ns);
}

bool sonde__pipeline_flush_is_done(const struct sonde__pipeline *pipeline, bool *ret_incomplete)
{
	bool is_incomplete = false;

	if (pipeline->must_drain || pipeline->metrics.must_collect)
		return false;
	for (size_t d = 0; d < pipeline->options.n_destinations; d++) {
		for (int s = 0; s < SONDE__SIGNAL_ROWS; s++) {
			if (!sonde__lane_is_flushed(&pipeline->lanes[d][s]))
				return false;
			is_incomplete |= pipeline->lanes[d][s].was_kept;
		}
	}
	if (ret_incomplete)
		*ret_incomplete = is_incomplete;
	return true;
}

void sonde__pipeline_expire(struct sonde__pipeline *pipeline)
{
	sonde__drain_expire(pipeline);
	sonde__deliver_expire(pipeline);
	sonde__ledger_lock(pipeline);
	pipeline->ledger.has_expired = true;
	sonde__ledger_unlock(pipeline);
	sonde__report_last_losses(pipeline);
}
