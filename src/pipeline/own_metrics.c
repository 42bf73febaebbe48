/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent knows of itself. Standard: the OpenTelemetry semantic conventions 1.44.0 for SDK
 * metrics, as far as they can be told exactly:
 *
 *	captured = processed (all of error.type) + unsampled + queue.size
 *	processed without error.type = exported (all of error.type)
 *
 * A destination is one processor and one exporter for each signal. What was lost on the way to an
 * exporter is the processor's, the rest the exporter's. The standard names one reason, queue_full;
 * ours are told by sonde.records.lost, every one.
 */

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "context/context.h"
#include "pipeline/metrics.h"
#include "pipeline/state.h"

#define NAME_SIZE 64
#define ATTRS_MAX 4
/* Series of one metric: by destination, then by loss, 0 for none. */
#define SERIES(destination, loss) ((uint64_t)(destination) * 64 + (uint64_t)(loss))

struct family {
	enum sonde_signal signal;
	const char *kind; /* As in the types of components. */
	bool has_processor;
	struct sonde__metric processed;
	struct sonde__metric queue_size;
	struct sonde__metric queue_capacity;
	struct sonde__metric inflight;
	struct sonde__metric exported;
};

#define PROCESSOR(item, unit_) \
	.has_processor = true, \
	.processed = { "otel.sdk.processor." item ".processed", unit_, \
		       "Handed to the exporter, or lost before, for the reason in error.type", \
		       SONDE__COUNTER, true }, \
	.queue_size = { "otel.sdk.processor." item ".queue.size", unit_, \
			"Captured, and neither delivered nor lost yet", SONDE__UPDOWN, true }, \
	.queue_capacity = { "otel.sdk.processor." item ".queue.capacity", unit_, \
			    "What may wait for delivery", SONDE__UPDOWN, true }
#define EXPORTER(item, unit_) \
	.inflight = { "otel.sdk.exporter." item ".inflight", unit_, \
		      "Being sent, or waiting to be sent again", SONDE__UPDOWN, true }, \
	.exported = { "otel.sdk.exporter." item ".exported", unit_, \
		      "Accepted by the receiver, or not, for the reason in error.type", \
		      SONDE__COUNTER, true }

static const struct family families[] = {
	{ .signal = SONDE_SIGNAL_SPAN,
	  .kind = "span",
	  PROCESSOR("span", "{span}"),
	  EXPORTER("span", "{span}") },
	{ .signal = SONDE_SIGNAL_LOG,
	  .kind = "log",
	  PROCESSOR("log", "{log_record}"),
	  EXPORTER("log", "{log_record}") },
	{ .signal = SONDE_SIGNAL_METRIC,
	  .kind = "metric",
	  EXPORTER("metric_data_point", "{data_point}") },
};

static const struct sonde__metric log_created = { "otel.sdk.log.created", "{log_record}",
						  "Log records captured", SONDE__COUNTER, true };
static const struct sonde__metric records_lost = { "sonde.records.lost", "{record}",
						   "Captured and never delivered, by reason",
						   SONDE__COUNTER, true };
static const struct sonde__metric memory_usage = { "sonde.queue.memory.usage", "By",
						   "Encoded batches that wait for delivery",
						   SONDE__UPDOWN, true };
static const struct sonde__metric memory_limit = { "sonde.queue.memory.limit", "By",
						   "What they may take", SONDE__UPDOWN, true };

static const struct sonde__metric values_lost = {
	"sonde.context.values.lost", "{value}",
	"Times that values of a context were not kept, or gone when they were read", SONDE__COUNTER,
	true
};
static const struct sonde__metric trails_lost = {
	"sonde.breadcrumbs.trails.lost", "{trail}",
	"Times that a thread's breadcrumbs were taken, or that it found no room for one",
	SONDE__COUNTER, true
};

static const struct sonde__metric operation_duration = {
	"otel.sdk.exporter.operation.duration", "s", "How long an attempt to deliver a batch took",
	SONDE__HISTOGRAM, true
};
static const struct sonde__metric collection_duration = {
	"otel.sdk.metric_reader.collection.duration", "s", "How long a collection of metrics took",
	SONDE__HISTOGRAM, true
};

static const struct sonde__metric redactions = { "sonde.redactions", "{redaction}",
						 "What was replaced before it left, by kind",
						 SONDE__COUNTER, true };
static const struct sonde__metric hook_duration = { "sonde.hook.duration", "s",
						    "How long a call of before_send took",
						    SONDE__HISTOGRAM, true };

struct teller {
	struct sonde__pipeline *pipeline;
	struct sonde__points *points;
	struct sonde__box_account box[SONDE_SIGNAL_COUNT];
};

/* One processor or exporter. */
struct component {
	size_t destination;
	char type[NAME_SIZE];
	char name[NAME_SIZE + 24];
};

static void processor_init(struct component *component, const struct family *family,
			   size_t destination)
{
	component->destination = destination;
	(void)snprintf(component->type, sizeof(component->type), "batching_%s_processor",
		       family->kind);
	(void)snprintf(component->name, sizeof(component->name), "%s/%zu", component->type,
		       destination);
}

/* Of the exporters with the same name, this is the n-th. */
static size_t number_of(const struct sonde__pipeline *pipeline, size_t destination)
{
	const struct sonde__pipeline_destination *all = pipeline->options.destinations;
	size_t n = 0;

	for (size_t d = 0; d < destination; d++)
		n += !strcmp(all[d].name, all[destination].name);
	return n;
}

static void exporter_init(struct component *component, const struct sonde__pipeline *pipeline,
			  const char *kind, size_t destination)
{
	const char *name = pipeline->options.destinations[destination].name;

	component->destination = destination;
	(void)snprintf(component->type, sizeof(component->type), "%.32s_%s_exporter",
		       strcmp(name, "otlp") ? name : "otlp_http", kind);
	(void)snprintf(component->name, sizeof(component->name), "%s/%zu", component->type,
		       number_of(pipeline, destination));
}

static const struct sonde__lane *lane_of(const struct teller *teller, size_t destination,
					 enum sonde_signal signal)
{
	return &teller->pipeline->lanes[destination][signal];
}

/* `loss`: 0, or a reason plus one, whose name is `error`. */
static void tell(const struct teller *teller, const struct sonde__metric *metric,
		 const struct component *component, uint64_t value, int loss, const char *error)
{
	struct sonde_attr attrs[ATTRS_MAX] = {
		sonde_str("otel.component.name", component->name),
		sonde_str("otel.component.type", component->type),
	};
	struct sonde__sample sample = {
		.metric = metric,
		.number = SERIES(component->destination, loss),
		.attrs = attrs,
		.n_attrs = 2,
		.value = (int64_t)value,
	};

	if (error)
		attrs[sample.n_attrs++] = sonde_str("error.type", error);
	sonde__points_add(teller->points, &sample);
}

static void tell_losses(const struct teller *teller, const struct sonde__metric *metric,
			const struct component *component, const uint64_t lost[SONDE_LOSS_COUNT])
{
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		if (lost[reason])
			tell(teller, metric, component, lost[reason], reason + 1,
			     sonde_loss_name((enum sonde_loss)reason));
	}
}

/* A lane's losses that happened before the exporter was asked for anything. */
static bool is_processors(int reason)
{
	return reason == SONDE_LOSS_QUEUE_FULL || reason == SONDE_LOSS_DEADLINE;
}

static uint64_t common_loss(const struct teller *teller, int signal, int reason)
{
	return teller->box[signal].lost[reason] + teller->pipeline->ledger.lost[signal][reason];
}

static void tell_processed(const struct teller *teller, const struct family *family, size_t d)
{
	const struct sonde__lane *lane = lane_of(teller, d, family->signal);
	uint64_t lost[SONDE_LOSS_COUNT] = { 0 };
	uint64_t n_handed = lane->exported;
	struct component component;

	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		if (reason != SONDE_LOSS_UNSAMPLED)
			lost[reason] = common_loss(teller, family->signal, reason);
		if (is_processors(reason))
			lost[reason] += lane->lost[reason];
		else
			n_handed += lane->lost[reason];
	}
	/* The standard has one name for it, wherever the queue is. */
	lost[SONDE_LOSS_QUEUE_FULL] += lost[SONDE_LOSS_RING_FULL];
	lost[SONDE_LOSS_RING_FULL] = 0;
	processor_init(&component, family, d);
	tell(teller, &family->processed, &component, n_handed, 0, /* error= */ NULL);
	tell_losses(teller, &family->processed, &component, lost);
}

static void tell_queue_size(const struct teller *teller, const struct family *family, size_t d)
{
	struct component component;

	processor_init(&component, family, d);
	tell(teller, &family->queue_size, &component,
	     teller->box[family->signal].queued + lane_of(teller, d, family->signal)->n_items, 0,
	     /* error= */ NULL);
}

/* In items where somebody set one; else the bytes below are the limit. */
static void tell_queue_capacity(const struct teller *teller, const struct family *family, size_t d)
{
	uint32_t limit = teller->pipeline->options.max_queue_items[family->signal];
	struct component component;

	if (!limit)
		return;
	processor_init(&component, family, d);
	tell(teller, &family->queue_capacity, &component, limit, 0, /* error= */ NULL);
}

static void tell_inflight(const struct teller *teller, const struct family *family, size_t d)
{
	const struct sonde__lane *lane = lane_of(teller, d, family->signal);
	bool is_inflight = lane->first && (lane->is_sending || lane->retry.n_failures);
	struct component component;

	exporter_init(&component, teller->pipeline, family->kind, d);
	tell(teller, &family->inflight, &component, is_inflight ? lane->first->n_items : 0, 0,
	     /* error= */ NULL);
}

static void tell_exported(const struct teller *teller, const struct family *family, size_t d)
{
	const struct sonde__lane *lane = lane_of(teller, d, family->signal);
	uint64_t lost[SONDE_LOSS_COUNT];
	struct component component;

	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
		lost[reason] = family->has_processor && is_processors(reason) ? 0 :
										lane->lost[reason];
	exporter_init(&component, teller->pipeline, family->kind, d);
	tell(teller, &family->exported, &component, lane->exported, 0, /* error= */ NULL);
	tell_losses(teller, &family->exported, &component, lost);
}

static void tell_family(const struct teller *teller, const struct family *family)
{
	static void (*const tellers[])(const struct teller *, const struct family *, size_t) = {
		tell_processed, tell_queue_size, tell_queue_capacity, tell_inflight, tell_exported,
	};

	for (size_t i = family->has_processor ? 0 : 3; i < SONDE__ARRAY_SIZE(tellers); i++) {
		for (size_t d = 0; d < teller->pipeline->options.n_destinations; d++) {
			if (lane_of(teller, d, family->signal)->is_open)
				tellers[i](teller, family, d);
		}
	}
}

static void tell_loss(const struct teller *teller, int signal, int reason,
		      const struct component *component, uint64_t value)
{
	static const char *const names[SONDE__SIGNAL_ROWS] = { "span", "log", "part", "metric" };
	struct sonde_attr attrs[ATTRS_MAX] = {
		sonde_str("sonde.signal", names[signal]),
		sonde_str("sonde.loss", sonde_loss_name((enum sonde_loss)reason)),
	};
	size_t place = component ? component->destination + 1 : 0;
	struct sonde__sample sample = {
		.metric = &records_lost,
		.number = SERIES(place * SONDE__SIGNAL_ROWS + (size_t)signal, reason),
		.attrs = attrs,
		.n_attrs = 2,
		.value = (int64_t)value,
	};

	if (!value)
		return;
	if (component)
		attrs[sample.n_attrs++] = sonde_str("otel.component.name", component->name);
	sonde__points_add(teller->points, &sample);
}

static void tell_common_losses(const struct teller *teller)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			tell_loss(teller, signal, reason, /* component= */ NULL,
				  common_loss(teller, signal, reason) +
					  (reason == SONDE_LOSS_DEAD_PROCESS ?
						   teller->pipeline->options.dead_records[signal] :
						   0));
	}
}

static void tell_lane_losses(const struct teller *teller, const struct family *family)
{
	for (size_t d = 0; d < teller->pipeline->options.n_destinations; d++) {
		struct component component;

		exporter_init(&component, teller->pipeline, family->kind, d);
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			tell_loss(teller, (int)family->signal, reason, &component,
				  lane_of(teller, d, family->signal)->lost[reason]);
	}
}

static void tell_plain(const struct teller *teller, const struct sonde__metric *metric,
		       uint64_t value)
{
	struct sonde__sample sample = { .metric = metric, .value = (int64_t)value };

	sonde__points_add(teller->points, &sample);
}

static void tell_timing(const struct teller *teller, const struct sonde__metric *metric,
			const struct component *component, uint64_t number,
			const struct sonde__timing *timing, const char *error)
{
	struct sonde_attr attrs[ATTRS_MAX] = {
		sonde_str("otel.component.name", component->name),
		sonde_str("otel.component.type", component->type),
		sonde_str("error.type", error),
	};
	struct sonde__sample sample = {
		.metric = metric,
		.number = number,
		.attrs = attrs,
		.n_attrs = error ? 3 : 2,
	};
	uint64_t buckets[SONDE__TIMING_BUCKETS];

	sonde__timing_read(timing, buckets, &sample.histogram);
	if (sample.histogram.count)
		sonde__points_add(teller->points, &sample);
}

static void tell_operations(const struct teller *teller, const struct family *family)
{
	static const char *const errors[SONDE__LANE_OUTCOMES] = { NULL, "retry", "refused" };

	for (size_t d = 0; d < teller->pipeline->options.n_destinations; d++) {
		const struct sonde__lane *lane = lane_of(teller, d, family->signal);
		struct component component;

		exporter_init(&component, teller->pipeline, family->kind, d);
		for (int i = 0; i < SONDE__LANE_OUTCOMES; i++)
			tell_timing(teller, &operation_duration, &component,
				    SERIES(d * SONDE__SIGNAL_ROWS + (size_t)family->signal, i),
				    &lane->timings[i], errors[i]);
	}
}

static void tell_redactions(const struct teller *teller)
{
	static const char *const kinds[] = {
#define KIND(name, number, key) [number] = key,
		SONDE_REDACTION_MAP(KIND)
#undef KIND
	};

	for (int kind = 0; kind < SONDE_REDACTION_COUNT; kind++) {
		struct sonde_attr attr = sonde_str("sonde.redaction.kind", kinds[kind]);
		const struct sonde__sample sample = {
			.metric = &redactions,
			.number = (uint64_t)kind,
			.attrs = &attr,
			.n_attrs = 1,
			.value = (int64_t)(teller->pipeline->ledger.redactions.counts[kind] +
					   sonde__redact_counted((enum sonde_redaction)kind)),
		};

		if (sample.value)
			sonde__points_add(teller->points, &sample);
	}
}

static void tell_hook(const struct teller *teller)
{
	struct sonde_attr attr = sonde_str("sonde.hook.name", "before_send");
	struct sonde__sample sample = { .metric = &hook_duration, .attrs = &attr, .n_attrs = 1 };
	uint64_t buckets[SONDE__TIMING_BUCKETS];

	if (!teller->pipeline->hook)
		return;
	sonde__timing_read(&teller->pipeline->hook->timing, buckets, &sample.histogram);
	if (sample.histogram.count)
		sonde__points_add(teller->points, &sample);
}

static void tell_collections(const struct teller *teller)
{
	static const struct component reader = { .type = "periodic_metric_reader",
						 .name = "periodic_metric_reader/0" };

	tell_timing(teller, &collection_duration, &reader, 0, &teller->pipeline->metrics.timing,
		    /* error= */ NULL);
}

void sonde__own_metrics(struct sonde__pipeline *pipeline, struct sonde__points *points)
{
	struct teller teller = { .pipeline = pipeline, .points = points };

	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++)
		sonde__box_account((enum sonde_signal)signal, &teller.box[signal]);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(families); i++)
		tell_family(&teller, &families[i]);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(families); i++)
		tell_operations(&teller, &families[i]);
	tell_collections(&teller);
	tell_redactions(&teller);
	tell_hook(&teller);
	tell_common_losses(&teller);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(families); i++)
		tell_lane_losses(&teller, &families[i]);
	tell_plain(&teller, &log_created,
		   teller.box[SONDE_SIGNAL_LOG].captured + pipeline->ledger.made -
			   pipeline->ledger.moved);
	tell_plain(&teller, &values_lost, sonde__values_losses());
	if (pipeline->options.trail_losses)
		tell_plain(&teller, &trails_lost, pipeline->options.trail_losses());
	tell_plain(&teller, &memory_usage, pipeline->budget.blobs - pipeline->budget.pasts);
	tell_plain(&teller, &memory_limit, pipeline->budget.blobs_limit);
}
