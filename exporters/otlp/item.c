/* SPDX-License-Identifier: Apache-2.0 */
#include "item.h"

#include <string.h>

#include "wire.h"

#define ID_SIZE(n) (2 + (n))

/* The most one run of writes below takes, between two calls of sonde__otlp_sink_room(). */
_Static_assert(ID_SIZE(16) + 2 * ID_SIZE(8) + 2 + 2 * FIXED64_SIZE + 3 * 6 + 6 + 20 <=
		       SONDE__OTLP_ROOM_MAX,
	       "a head must fit the room asked for");

static const uint8_t none[16];

static uint8_t *put_id(uint8_t *at, uint8_t tag, const uint8_t *id, size_t size)
{
	*at++ = tag;
	*at++ = (uint8_t)size;
	memcpy(at, id, size);
	return at + size;
}

static uint8_t *put_fixed32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		*at++ = (uint8_t)(value >> 8 * i);
	return at;
}

/* Nothing for 0, as proto3 has it. */
static uint8_t *put_count(uint8_t *at, uint8_t tag, uint32_t value)
{
	if (!value)
		return at;
	*at++ = tag;
	return put_varint(at, value);
}

static size_t count_size(uint32_t value)
{
	return value ? 1 + varint_size(value) : 0;
}

static size_t pieces_size(const struct sonde_bytes *pieces, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += pieces[i].size;
	return size;
}

static void write_pieces(struct sonde__otlp_sink *sink, const struct sonde_bytes *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sonde__otlp_sink_copy(sink, pieces[i].data, pieces[i].size);
}

/* ---- Span ------------------------------------------------------------------------------------ */

/* Of Status: message is field 2, code is 3; UNSET is nothing, and has no message. */
static size_t status_size(const struct sonde_span_view *span)
{
	return span->status ? text_size(span->status_description) + 2 : 0;
}

size_t sonde__otlp_span_size(const struct sonde_span_view *span)
{
	size_t status = status_size(span);

	return ID_SIZE(16) + ID_SIZE(8) + (memcmp(span->parent_id, none, 8) ? ID_SIZE(8) : 0) +
	       count_size(span->kind) + 2 * FIXED64_SIZE + count_size(span->dropped_attributes) +
	       count_size(span->dropped_events) + count_size(span->dropped_links) +
	       (status ? 1 + varint_size(status) + status : 0) + (span->flags ? 2 + 4 : 0) +
	       text_size(span->trace_state) + text_size(span->name) +
	       pieces_size(span->pieces, span->n_pieces);
}

static void write_status(const struct sonde_span_view *span, struct sonde__otlp_sink *sink)
{
	uint8_t *at;

	if (!span->status)
		return;
	at = sonde__otlp_sink_room(sink, 16);
	*at++ = BYTES(15);
	at = put_varint(at, status_size(span));
	*at++ = VARINT(3);
	*at++ = span->status & 0x7f;
	sink->at = at;
	write_text(sink, BYTES(2), span->status_description);
}

void sonde__otlp_span_write(const struct sonde_span_view *span, struct sonde__otlp_sink *sink)
{
	uint8_t *at = sonde__otlp_sink_room(sink, SONDE__OTLP_ROOM_MAX);

	at = put_id(at, BYTES(1), span->trace_id, 16);
	at = put_id(at, BYTES(2), span->span_id, 8);
	if (memcmp(span->parent_id, none, 8))
		at = put_id(at, BYTES(4), span->parent_id, 8);
	at = put_count(at, VARINT(6), span->kind);
	at = put_fixed64(at, FIXED64(7), span->start_unix_ns);
	at = put_fixed64(at, FIXED64(8), span->end_unix_ns);
	at = put_count(at, VARINT(10), span->dropped_attributes);
	at = put_count(at, VARINT(12), span->dropped_events);
	at = put_count(at, VARINT(14), span->dropped_links);
	if (span->flags) {
		/* Field 16, a fixed32. */
		*at++ = 0x85;
		*at++ = 0x01;
		at = put_fixed32(at, span->flags);
	}
	sink->at = at;
	write_text(sink, BYTES(3), span->trace_state);
	write_text(sink, BYTES(5), span->name);
	write_status(span, sink);
	write_pieces(sink, span->pieces, span->n_pieces);
}

/* ---- Log record ------------------------------------------------------------------------------ */

/* The names that OpenTelemetry displays for its severity numbers. */
static struct sonde_text severity_text(uint8_t severity)
{
	static const char names[24][7] = {
		"TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4",
		"INFO", "INFO2", "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4",
		"ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
	};

	if (severity < 1 || severity > 24)
		return (struct sonde_text){ NULL, 0 };
	return (struct sonde_text){ names[severity - 1], strlen(names[severity - 1]) };
}

/* A time of 0 means that it is not known, and is left out. */
static uint8_t *put_time(uint8_t *at, uint8_t tag, uint64_t unix_ns)
{
	return unix_ns ? put_fixed64(at, tag, unix_ns) : at;
}

static size_t time_size(uint64_t unix_ns)
{
	return unix_ns ? FIXED64_SIZE : 0;
}

static bool has_trace(const struct sonde_log_view *log)
{
	return memcmp(log->trace_id, none, 16) != 0;
}

/* A span id without a trace id means nothing. */
static bool has_span(const struct sonde_log_view *log)
{
	return has_trace(log) && memcmp(log->span_id, none, 8) != 0;
}

size_t sonde__otlp_log_size(const struct sonde_log_view *log)
{
	size_t body = text_size(log->body);

	return time_size(log->unix_ns) + time_size(log->observed_unix_ns) +
	       count_size(log->severity) + text_size(severity_text(log->severity)) +
	       (body ? 1 + varint_size(body) + body : 0) + count_size(log->dropped_attributes) +
	       (log->trace_flags ? 1 + 4 : 0) + (has_trace(log) ? ID_SIZE(16) : 0) +
	       (has_span(log) ? ID_SIZE(8) : 0) + text_size(log->event_name) +
	       pieces_size(log->pieces, log->n_pieces);
}

/* The body is an AnyValue whose string_value is field 1. */
static void write_body(const struct sonde_log_view *log, struct sonde__otlp_sink *sink)
{
	uint8_t *at;

	if (!log->body.size)
		return;
	at = sonde__otlp_sink_room(sink, 16);
	*at++ = BYTES(5);
	sink->at = put_varint(at, text_size(log->body));
	write_text(sink, BYTES(1), log->body);
}

void sonde__otlp_log_write(const struct sonde_log_view *log, struct sonde__otlp_sink *sink)
{
	uint8_t *at = sonde__otlp_sink_room(sink, SONDE__OTLP_ROOM_MAX);

	at = put_time(at, FIXED64(1), log->unix_ns);
	at = put_count(at, VARINT(2), log->severity);
	at = put_count(at, VARINT(7), log->dropped_attributes);
	if (log->trace_flags) {
		*at++ = FIXED32(8);
		at = put_fixed32(at, log->trace_flags);
	}
	if (has_trace(log))
		at = put_id(at, BYTES(9), log->trace_id, 16);
	if (has_span(log))
		at = put_id(at, BYTES(10), log->span_id, 8);
	at = put_time(at, FIXED64(11), log->observed_unix_ns);
	sink->at = at;
	write_text(sink, BYTES(3), severity_text(log->severity));
	write_body(log, sink);
	write_text(sink, BYTES(12), log->event_name);
	write_pieces(sink, log->pieces, log->n_pieces);
}
