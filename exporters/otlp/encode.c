/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"

/*
 * protobuf-c packs the envelope; the items in it are entries of a `repeated bytes` field whose data
 * it never looks at. So an entry's pointer does not lead to bytes but to the view of the span, and
 * when protobuf-c hands that "data" on to be appended, the span is written there and then, from its
 * view into the request. Nothing is put together anywhere else first, and nothing is copied twice.
 */

#include <stdlib.h>

#include "envelope.pb-c.h"
#include "item.h"
#include "metric.h"

/* protobuf-c's idea of an output, first, and what this one adds. */
struct gatherer {
	ProtobufCBuffer base;
	struct sonde__otlp_sink sink;
	const struct sonde_batch *batch;
	uintptr_t views; /* The batch's array of views: from here ... */
	uintptr_t views_end; /* ... to here. */
};

void sonde__otlp_encoder_init(struct sonde__otlp_encoder *encoder)
{
	encoder->items = NULL;
	encoder->capacity = 0;
	encoder->gzip = NULL;
}

void sonde__otlp_encoder_deinit(struct sonde__otlp_encoder *encoder)
{
	free(encoder->items);
	sonde__otlp_gzip_free(encoder->gzip);
	sonde__otlp_encoder_init(encoder);
}

static void write_metric(struct gatherer *gatherer, const struct sonde_point_view *points)
{
	const struct sonde_batch *batch = gatherer->batch;
	size_t n_left = batch->n_items - (size_t)(points - batch->points);

	sonde__otlp_metric_write(points, sonde__otlp_metric_run(points, n_left), &gatherer->sink);
}

static void gatherer_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
	struct gatherer *gatherer = (struct gatherer *)buffer;
	uintptr_t at = (uintptr_t)data;

	if (at < gatherer->views || at >= gatherer->views_end)
		sonde__otlp_sink_copy(&gatherer->sink, data, size);
	else if (gatherer->batch->signal == SONDE_SIGNAL_SPAN)
		sonde__otlp_span_write((const void *)data, &gatherer->sink);
	else if (gatherer->batch->signal == SONDE_SIGNAL_LOG)
		sonde__otlp_log_write((const void *)data, &gatherer->sink);
	else
		write_metric(gatherer, (const void *)data);
}

static void gatherer_init(struct gatherer *gatherer, const struct sonde_batch *batch)
{
	const struct {
		const void *views;
		size_t size;
	} of[SONDE_SIGNAL_METRIC + 1] = {
		[SONDE_SIGNAL_SPAN] = { batch->spans, sizeof(*batch->spans) },
		[SONDE_SIGNAL_LOG] = { batch->logs, sizeof(*batch->logs) },
		[SONDE_SIGNAL_METRIC] = { batch->points, sizeof(*batch->points) },
	};

	gatherer->base.append = gatherer_append;
	gatherer->batch = batch;
	gatherer->views = (uintptr_t)of[batch->signal].views;
	gatherer->views_end = gatherer->views + batch->n_items * of[batch->signal].size;
}

static int encoder_grow(struct sonde__otlp_encoder *encoder, size_t n_items)
{
	ProtobufCBinaryData *items;

	if (n_items <= encoder->capacity)
		return SONDE_OK;
	if (n_items > SIZE_MAX / sizeof(*items))
		return SONDE_E_TOO_BIG;
	items = realloc(encoder->items, n_items * sizeof(*items));
	if (!items)
		return SONDE_E_NOMEM;
	encoder->items = items;
	encoder->capacity = n_items;
	return SONDE_OK;
}

/* An entry for each metric: the first of its points stands for all of them. */
static size_t metrics_measure(ProtobufCBinaryData *items, const struct sonde_batch *batch)
{
	size_t n_metrics = 0;
	size_t n_run;

	for (size_t i = 0; i < batch->n_items; i += n_run) {
		const struct sonde_point_view *points = &batch->points[i];

		n_run = sonde__otlp_metric_run(points, batch->n_items - i);
		items[n_metrics].len = sonde__otlp_metric_size(points, n_run);
		items[n_metrics++].data = (uint8_t *)(uintptr_t)points;
	}
	return n_metrics;
}

/* The entries: how long each item will be, and where its view is. Returns how many. */
static size_t items_measure(ProtobufCBinaryData *items, const struct sonde_batch *batch)
{
	if (batch->signal == SONDE_SIGNAL_METRIC)
		return metrics_measure(items, batch);
	for (size_t i = 0; i < batch->n_items; i++) {
		const void *view;

		if (batch->signal == SONDE_SIGNAL_SPAN) {
			view = &batch->spans[i];
			items[i].len = sonde__otlp_span_size(view);
		} else {
			view = &batch->logs[i];
			items[i].len = sonde__otlp_log_size(view);
		}
		items[i].data = (uint8_t *)(uintptr_t)view;
	}
	return batch->n_items;
}

static ProtobufCBinaryData borrow(const void *data, size_t size)
{
	return (ProtobufCBinaryData){ .len = size, .data = (uint8_t *)(uintptr_t)data };
}

/* The size is known before a byte is written: a request that is too big costs nothing. */
static int pack(const SondeOtlp__Envelope__Request *request, const struct sonde_batch *batch,
		struct sonde__otlp_gzip *gzip, struct sonde_buffer *out)
{
	size_t size = sonde_otlp__envelope__request__get_packed_size(request);
	struct gatherer gatherer;
	int status;

	if (size > SONDE__OTLP_REQUEST_MAX)
		return SONDE_E_TOO_BIG;
	gatherer_init(&gatherer, batch);
	status = sonde__otlp_sink_begin(&gatherer.sink, out, gzip, size);
	if (status < 0)
		return status;
	sonde_otlp__envelope__request__pack_to_buffer(request, &gatherer.base);
	return sonde__otlp_sink_end(&gatherer.sink);
}

static int encode_items(ProtobufCBinaryData *items, size_t n_items,
			const struct sonde_batch *batch, struct sonde__otlp_gzip *gzip,
			struct sonde_buffer *out)
{
	const struct sonde_resource *from = batch->resource;
	SondeOtlp__Envelope__Scope scope = SONDE_OTLP__ENVELOPE__SCOPE__INIT;
	SondeOtlp__Envelope__ScopeItems scope_items = SONDE_OTLP__ENVELOPE__SCOPE_ITEMS__INIT;
	SondeOtlp__Envelope__ScopeItems *scopes[] = { &scope_items };
	SondeOtlp__Envelope__ResourceItems resource_items =
		SONDE_OTLP__ENVELOPE__RESOURCE_ITEMS__INIT;
	SondeOtlp__Envelope__ResourceItems *resources[] = { &resource_items };
	SondeOtlp__Envelope__Request request = SONDE_OTLP__ENVELOPE__REQUEST__INIT;

	scope.has_name = from->scope_name.size > 0;
	scope.name = borrow(from->scope_name.data, from->scope_name.size);
	scope.has_version = from->scope_version.size > 0;
	scope.version = borrow(from->scope_version.data, from->scope_version.size);

	/* One schema for the resource and for what is in the scope. */
	scope_items.scope = &scope;
	scope_items.items = items;
	scope_items.n_items = n_items;
	scope_items.has_schema_url = from->schema_url.size > 0;
	scope_items.schema_url = borrow(from->schema_url.data, from->schema_url.size);

	resource_items.has_resource = 1;
	resource_items.resource = borrow(from->attributes.data, from->attributes.size);
	resource_items.scope_items = scopes;
	resource_items.n_scope_items = 1;
	resource_items.has_schema_url = scope_items.has_schema_url;
	resource_items.schema_url = scope_items.schema_url;

	request.resource_items = resources;
	request.n_resource_items = 1;
	return pack(&request, batch, gzip, out);
}

static bool batch_is_valid(const struct sonde_batch *batch)
{
	if (!batch || batch->size < sizeof(*batch) || !batch->resource || !batch->n_items)
		return false;
	switch (batch->signal) {
	case SONDE_SIGNAL_SPAN:
		return batch->spans != NULL;
	case SONDE_SIGNAL_LOG:
		return batch->logs != NULL;
	case SONDE_SIGNAL_METRIC:
		return batch->points != NULL;
	default:
		return false;
	}
}

int sonde__otlp_encode(struct sonde__otlp_encoder *encoder, const struct sonde_batch *batch,
		       bool gzip, struct sonde_buffer *out)
{
	size_t n_items;
	int status;

	if (!batch_is_valid(batch) || !out)
		return SONDE_E_INVALID;
	if (gzip && !encoder->gzip) {
		status = sonde__otlp_gzip_new(&encoder->gzip);
		if (status < 0)
			return status;
	}
	status = encoder_grow(encoder, batch->n_items);
	if (status < 0)
		return status;
	n_items = items_measure(encoder->items, batch);
	return encode_items(encoder->items, n_items, batch, gzip ? encoder->gzip : NULL, out);
}
