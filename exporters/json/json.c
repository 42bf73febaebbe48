/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard: OTLP/JSON: the proto3 JSON mapping with lowerCamelCase keys, ids in hexadecimal, enums
 * as numbers, 64-bit integers as strings.
 */

#include "json/json.h"

#include <sonde/span.h>

#include "json/attributes.h"
#include "json/metric.h"
#include "json/write.h"

static void put_count(struct sonde__json *json, const char *key, uint32_t count)
{
	if (!count)
		return;
	sonde__json_raw(json, key);
	sonde__json_u32(json, count);
}

static void put_event(struct sonde__json *json, const struct sonde_item_view *event)
{
	sonde__json_raw(json, "{\"timeUnixNano\":");
	sonde__json_u64(json, event->unix_ns);
	sonde__json_raw(json, ",\"name\":");
	sonde__json_text(json, event->name);
	sonde__json_attributes(json, SONDE_FIELDS_EVENT, &event->attributes, 1);
	put_count(json, ",\"droppedAttributesCount\":", event->dropped_attributes);
	sonde__json_raw(json, "}");
}

static void put_link(struct sonde__json *json, const struct sonde_item_view *link)
{
	sonde__json_raw(json, "{\"traceId\":");
	sonde__json_hex(json, link->trace_id, sizeof(link->trace_id));
	sonde__json_raw(json, ",\"spanId\":");
	sonde__json_hex(json, link->span_id, sizeof(link->span_id));
	if (link->trace_state.size) {
		sonde__json_raw(json, ",\"traceState\":");
		sonde__json_text(json, link->trace_state);
	}
	sonde__json_attributes(json, SONDE_FIELDS_LINK, &link->attributes, 1);
	put_count(json, ",\"droppedAttributesCount\":", link->dropped_attributes);
	sonde__json_raw(json, "}");
}

/* The events, or the links, of a span's fields, under `key`. */
static void put_span_items(struct sonde__json *json, const struct sonde_span_view *span,
		      enum sonde_item_type type, const char *key)
{
	struct sonde_item_view item;
	size_t n = 0;

	for (size_t i = 0; i < span->n_pieces; i++) {
		struct sonde_bytes rest = span->pieces[i];

		while (sonde_item_next(SONDE_FIELDS_SPAN, &rest, &item)) {
			if (item.type != type)
				continue;
			sonde__json_raw(json, n++ ? "," : key);
			if (type == SONDE_ITEM_EVENT)
				put_event(json, &item);
			else
				put_link(json, &item);
		}
	}
	if (n)
		sonde__json_raw(json, "]");
}

static bool is_set(const uint8_t *id, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (id[i])
			return true;
	}
	return false;
}

static void put_status(struct sonde__json *json, const struct sonde_span_view *span)
{
	if (span->status == SONDE_SPAN_UNSET)
		return;
	sonde__json_raw(json, ",\"status\":{\"code\":");
	sonde__json_u32(json, span->status);
	if (span->status_description.size) {
		sonde__json_raw(json, ",\"message\":");
		sonde__json_text(json, span->status_description);
	}
	sonde__json_raw(json, "}");
}

static void put_span_head(struct sonde__json *json, const struct sonde_span_view *span)
{
	sonde__json_raw(json, "{\"traceId\":");
	sonde__json_hex(json, span->trace_id, sizeof(span->trace_id));
	sonde__json_raw(json, ",\"spanId\":");
	sonde__json_hex(json, span->span_id, sizeof(span->span_id));
	if (span->trace_state.size) {
		sonde__json_raw(json, ",\"traceState\":");
		sonde__json_text(json, span->trace_state);
	}
	if (is_set(span->parent_id, sizeof(span->parent_id))) {
		sonde__json_raw(json, ",\"parentSpanId\":");
		sonde__json_hex(json, span->parent_id, sizeof(span->parent_id));
	}
	sonde__json_raw(json, ",\"flags\":");
	sonde__json_u32(json, span->flags);
	sonde__json_raw(json, ",\"name\":");
	sonde__json_text(json, span->name);
	sonde__json_raw(json, ",\"kind\":");
	sonde__json_u32(json, span->kind);
	sonde__json_raw(json, ",\"startTimeUnixNano\":");
	sonde__json_u64(json, span->start_unix_ns);
	sonde__json_raw(json, ",\"endTimeUnixNano\":");
	sonde__json_u64(json, span->end_unix_ns);
}

static void put_span(struct sonde__json *json, const struct sonde_span_view *span)
{
	put_span_head(json, span);
	sonde__json_attributes(json, SONDE_FIELDS_SPAN, span->pieces, span->n_pieces);
	put_count(json, ",\"droppedAttributesCount\":", span->dropped_attributes);
	put_span_items(json, span, SONDE_ITEM_EVENT, ",\"events\":[");
	put_count(json, ",\"droppedEventsCount\":", span->dropped_events);
	put_span_items(json, span, SONDE_ITEM_LINK, ",\"links\":[");
	put_count(json, ",\"droppedLinksCount\":", span->dropped_links);
	put_status(json, span);
	sonde__json_raw(json, "}");
}

static void put_log(struct sonde__json *json, const struct sonde_log_view *log)
{
	sonde__json_raw(json, "{\"timeUnixNano\":");
	sonde__json_u64(json, log->unix_ns);
	sonde__json_raw(json, ",\"observedTimeUnixNano\":");
	sonde__json_u64(json, log->observed_unix_ns);
	sonde__json_raw(json, ",\"severityNumber\":");
	sonde__json_u32(json, log->severity);
	if (log->event_name.size) {
		sonde__json_raw(json, ",\"eventName\":");
		sonde__json_text(json, log->event_name);
	}
	sonde__json_raw(json, ",\"body\":{\"stringValue\":");
	sonde__json_text(json, log->body);
	sonde__json_raw(json, "}");
	sonde__json_attributes(json, SONDE_FIELDS_LOG, log->pieces, log->n_pieces);
	put_count(json, ",\"droppedAttributesCount\":", log->dropped_attributes);
	if (is_set(log->trace_id, sizeof(log->trace_id))) {
		sonde__json_raw(json, ",\"flags\":");
		sonde__json_u32(json, log->trace_flags);
		sonde__json_raw(json, ",\"traceId\":");
		sonde__json_hex(json, log->trace_id, sizeof(log->trace_id));
	}
	if (is_set(log->span_id, sizeof(log->span_id))) {
		sonde__json_raw(json, ",\"spanId\":");
		sonde__json_hex(json, log->span_id, sizeof(log->span_id));
	}
	sonde__json_raw(json, "}");
}

static void put_scope(struct sonde__json *json, const struct sonde_resource *resource)
{
	sonde__json_raw(json, "{\"scope\":{\"name\":");
	sonde__json_text(json, resource->scope_name);
	sonde__json_raw(json, ",\"version\":");
	sonde__json_text(json, resource->scope_version);
	sonde__json_raw(json, "},\"schemaUrl\":");
	sonde__json_text(json, resource->schema_url);
}

static void put_resource(struct sonde__json *json, const struct sonde_resource *resource)
{
	sonde__json_raw(json, "[{\"resource\":{\"droppedAttributesCount\":0");
	sonde__json_attributes(json, SONDE_FIELDS_RESOURCE, &resource->attributes, 1);
	sonde__json_raw(json, "},\"schemaUrl\":");
	sonde__json_text(json, resource->schema_url);
}

static void put_items(struct sonde__json *json, const struct sonde_batch *batch)
{
	if (batch->signal == SONDE_SIGNAL_METRIC) {
		sonde__json_metrics(json, batch->points, batch->n_items);
		return;
	}
	for (size_t i = 0; i < batch->n_items; i++) {
		if (i)
			sonde__json_raw(json, ",");
		if (batch->signal == SONDE_SIGNAL_SPAN)
			put_span(json, &batch->spans[i]);
		else
			put_log(json, &batch->logs[i]);
	}
}

static void put_batch(struct sonde__json *json, const struct sonde_batch *batch)
{
	static const struct {
		const char *resources, *scopes, *items;
	} keys[] = {
		[SONDE_SIGNAL_SPAN] = { "{\"resourceSpans\":", ",\"scopeSpans\":[", ",\"spans\":[" },
		[SONDE_SIGNAL_LOG] = { "{\"resourceLogs\":", ",\"scopeLogs\":[", ",\"logRecords\":[" },
		[SONDE_SIGNAL_METRIC] = { "{\"resourceMetrics\":", ",\"scopeMetrics\":[", ",\"metrics\":[" },
	};

	sonde__json_raw(json, keys[batch->signal].resources);
	put_resource(json, batch->resource);
	sonde__json_raw(json, keys[batch->signal].scopes);
	put_scope(json, batch->resource);
	sonde__json_raw(json, keys[batch->signal].items);
	put_items(json, batch);
	sonde__json_raw(json, "]}]}]}\n");
}

static bool is_known(const struct sonde_batch *batch)
{
	return batch->signal == SONDE_SIGNAL_SPAN || batch->signal == SONDE_SIGNAL_LOG ||
	       batch->signal == SONDE_SIGNAL_METRIC;
}

int sonde__json_encode(const struct sonde_batch *batch, struct sonde_buffer *out)
{
	struct sonde__json json = { .out = out, .status = SONDE_OK };
	size_t size = out->size;

	if (!is_known(batch))
		return SONDE_E_INVALID;
	put_batch(&json, batch);
	if (json.status < 0)
		out->size = size;
	return json.status;
}
