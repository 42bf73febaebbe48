/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp_batch.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) ((struct sonde_text){ (literal), sizeof(literal) - 1 })
#define BYTES(literal) ((struct sonde_bytes){ (literal), sizeof(literal) - 1 })

/*
 * Hand-made protobuf. A KeyValue is 1 key, 2 AnyValue; in field 9 of Span and field 6 of LogRecord.
 */
static const struct sonde_bytes span_pieces[] = {
	/* order.items = 3 and order.currency = "EUR" */
	BYTES("\x4a\x11\x0a\x0b" "order.items" "\x12\x02\x18\x03"
	      "\x4a\x17\x0a\x0e" "order.currency" "\x12\x05\x0a\x03" "EUR"),
	/* An event, field 11: 1 time (fixed64), 2 name, 3 attributes { n = true } */
	BYTES("\x5a\x1a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x12\x04" "tick"
	      "\x1a\x07\x0a\x01" "n" "\x12\x02\x10\x01" "\x20\x02"),
	/* A link, field 13: 1 trace id, 2 span id, 6 flags (fixed32) */
	BYTES("\x6a\x21\x0a\x10" "0123456789abcdef" "\x12\x08" "01234567" "\x35\x01\x03\x00\x00"),
};

static const struct sonde_bytes log_pieces[] = {
	/* exception.type = "payment_declined" */
	BYTES("\x32\x24\x0a\x0e" "exception.type" "\x12\x12\x0a\x10" "payment_declined"),
};

/* service.name = "checkout", field 1 of Resource */
static const struct sonde_resource resource = {
	.attributes = BYTES("\x0a\x1a\x0a\x0c" "service.name" "\x12\x0a\x0a\x08" "checkout"),
	.schema_url = TEXT("https://opentelemetry.io/schemas/1.44.0"),
	.scope_name = TEXT("sonde"),
	.scope_version = TEXT("0.1.0"),
};

static void fill_id(uint8_t *id, size_t size, size_t i)
{
	memset(id, 0xa0, size);
	for (size_t k = 0; k < 4; k++)
		id[size - 1 - k] = (uint8_t)((i + 1) >> 8 * k);
}

static void fill_span(struct sonde_span_view *span, size_t i)
{
	fill_id(span->trace_id, 16, i);
	fill_id(span->span_id, 8, i);
	if (i % 2)
		fill_id(span->parent_id, 8, i - 1);
	span->start_unix_ns = UINT64_C(1800000000000000000) + i;
	span->end_unix_ns = span->start_unix_ns + 1 + i;
	span->name = TEXT("charge card");
	span->trace_state = i % 3 ? (struct sonde_text){ NULL, 0 } : TEXT("congo=t61rcWkgMzE");
	span->status = (uint8_t)(i % 3);
	span->status_description = i % 3 == 2 ? TEXT("declined \xc3\xa9") : (struct sonde_text){ NULL, 0 };
	span->flags = 0x101 | (i % 2 ? 0x200 : 0);
	span->kind = (uint8_t)(1 + i % 5);
	span->dropped_attributes = (uint32_t)(i * 100);
	span->dropped_events = (uint32_t)(i % 4);
	span->dropped_links = i == 7 ? UINT32_MAX : 0;
	span->pieces = span_pieces;
	span->n_pieces = i % 4;
}

static void fill_log(struct sonde_log_view *log, size_t i)
{
	if (i % 3) {
		fill_id(log->trace_id, 16, i);
		fill_id(log->span_id, 8, i);
		log->trace_flags = 3;
	}
	log->unix_ns = i % 5 ? UINT64_C(1800000000000000000) + i : 0;
	log->observed_unix_ns = UINT64_C(1800000000000000500) + i;
	log->body = i % 4 ? TEXT("card declined") : (struct sonde_text){ NULL, 0 };
	log->event_name = i % 2 ? TEXT("exception") : (struct sonde_text){ NULL, 0 };
	log->severity = (uint8_t)(1 + i % 24);
	log->dropped_attributes = (uint32_t)(i % 7);
	log->pieces = log_pieces;
	log->n_pieces = i % 2;
}

static void begin(struct otlp_batch *made, enum sonde_signal signal, size_t n, size_t size)
{
	memset(made, 0, sizeof(*made));
	made->resource = resource;
	made->memory = calloc(n, size);
	if (!made->memory)
		abort();
	made->batch.size = sizeof(made->batch);
	made->batch.signal = signal;
	made->batch.resource = &made->resource;
	made->batch.n_items = n;
}

void otlp_batch_spans(struct otlp_batch *made, size_t n)
{
	begin(made, SONDE_SIGNAL_SPAN, n, sizeof(struct sonde_span_view));
	made->batch.spans = made->memory;
	for (size_t i = 0; i < n; i++)
		fill_span((struct sonde_span_view *)made->memory + i, i);
}

void otlp_batch_logs(struct otlp_batch *made, size_t n)
{
	begin(made, SONDE_SIGNAL_LOG, n, sizeof(struct sonde_log_view));
	made->batch.logs = made->memory;
	for (size_t i = 0; i < n; i++)
		fill_log((struct sonde_log_view *)made->memory + i, i);
}

void otlp_batch_free(struct otlp_batch *made)
{
	free(made->memory);
	made->memory = NULL;
}
