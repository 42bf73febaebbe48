/* SPDX-License-Identifier: Apache-2.0 */
#include "alert_batch.h"

#include <stdlib.h>
#include <string.h>

#define LOG_ATTRIBUTE 0x32
#define RESOURCE_ATTRIBUTE 0x0a
#define EVENT_ATTRIBUTE 0x1a
#define SPAN_EVENT 0x5a

static void put(struct sonde_buffer *out, const void *data, size_t size)
{
	if (sonde_buffer_append(out, data, size) < 0)
		abort();
}

static void put_varint(struct sonde_buffer *out, uint64_t value)
{
	uint8_t byte;

	for (; value >= 0x80; value >>= 7) {
		byte = (uint8_t)(value | 0x80);
		put(out, &byte, 1);
	}
	byte = (uint8_t)value;
	put(out, &byte, 1);
}

static void put_field(struct sonde_buffer *out, uint8_t tag, const void *data, size_t size)
{
	put(out, &tag, 1);
	put_varint(out, size);
	put(out, data, size);
}

/* A KeyValue: 1 key, 2 AnyValue, which is encoded already. */
static void put_attribute(struct sonde_buffer *out, uint8_t tag, const char *key,
			  const struct sonde_buffer *value)
{
	struct sonde_buffer pair = { .limit = SIZE_MAX };

	put_field(&pair, 0x0a, key, strlen(key));
	put_field(&pair, 0x12, value->data, value->size);
	put_field(out, tag, pair.data, pair.size);
	free(pair.data);
}

static void put_text(struct sonde_buffer *out, uint8_t tag, const char *key, struct sonde_text text)
{
	struct sonde_buffer value = { .limit = SIZE_MAX };

	put_field(&value, 0x0a, text.data, text.size);
	put_attribute(out, tag, key, &value);
	free(value.data);
}

static void put_string(struct sonde_buffer *out, uint8_t tag, const char *key, const char *text)
{
	if (text)
		put_text(out, tag, key, alert_text(text));
}

/* A boolean is field 2 of AnyValue, an integer field 3. */
static void put_number(struct sonde_buffer *out, uint8_t tag, const char *key, uint8_t field,
		       uint64_t number)
{
	struct sonde_buffer value = { .limit = SIZE_MAX };

	put(&value, &field, 1);
	put_varint(&value, number);
	put_attribute(out, tag, key, &value);
	free(value.data);
}

static void put_marks(struct sonde_buffer *out, uint8_t tag, const struct alert_spec *spec)
{
	if (spec->first_seen)
		put_number(out, tag, "sonde.error.first_seen", 0x10, 1);
	if (spec->regressed)
		put_number(out, tag, "sonde.error.regressed", 0x10, 1);
	if (spec->marked_by_text)
		put_string(out, tag, "sonde.error.first_seen", "true");
}

static void put_error(struct sonde_buffer *out, uint8_t tag, const struct alert_spec *spec)
{
	put_string(out, tag, "exception.type", spec->type);
	if (spec->message.data)
		put_text(out, tag, "exception.message", spec->message);
	put_string(out, tag, "sonde.error.id", "00000000000000aa");
	put_string(out, tag, "sonde.error.fingerprint", spec->fingerprint);
	put_string(out, tag, "code.function.name", spec->function);
	put_string(out, tag, "code.file.path", spec->file);
	put_string(out, tag, "service.version", spec->version);
	if (spec->line)
		put_number(out, tag, "code.line.number", 0x18, (uint64_t)spec->line);
	put_marks(out, tag, spec);
}

void alert_batch_init(struct alert_batch *made, enum sonde_signal signal)
{
	memset(made, 0, sizeof(*made));
	made->batch = (struct sonde_batch){
		.size = sizeof(made->batch), .signal = signal, .resource = &made->resource,
		.logs = signal == SONDE_SIGNAL_LOG ? made->logs : NULL,
		.spans = signal == SONDE_SIGNAL_SPAN ? made->spans : NULL,
	};
	made->resource_attributes.limit = SIZE_MAX;
}

void alert_batch_deinit(struct alert_batch *made)
{
	for (size_t i = 0; i < ALERT_ITEMS_MAX; i++)
		free(made->fields[i].data);
	free(made->resource_attributes.data);
}

void alert_batch_resource(struct alert_batch *made, const char *key, struct sonde_text value)
{
	put_text(&made->resource_attributes, RESOURCE_ATTRIBUTE, key, value);
	made->resource.attributes = (struct sonde_bytes){ made->resource_attributes.data,
							  made->resource_attributes.size };
}

static struct sonde_buffer *begin_item(struct alert_batch *made)
{
	if (made->batch.n_items == ALERT_ITEMS_MAX)
		abort();
	made->fields[made->batch.n_items].limit = SIZE_MAX;
	return &made->fields[made->batch.n_items++];
}

void alert_batch_add_log(struct alert_batch *made, const struct alert_spec *spec)
{
	size_t i = made->batch.n_items;
	struct sonde_buffer *fields = begin_item(made);
	struct sonde_log_view *log = &made->logs[i];

	put_error(fields, LOG_ATTRIBUTE, spec);
	made->pieces[i] = (struct sonde_bytes){ fields->data, fields->size };
	memset(log->trace_id, spec->trace, sizeof(log->trace_id));
	memset(log->span_id, spec->trace, sizeof(log->span_id));
	log->unix_ns = UINT64_C(1763728000123456789);
	log->body = spec->body;
	if (spec->event_name)
		log->event_name = alert_text(spec->event_name);
	log->severity = spec->severity ? spec->severity : SONDE_ERROR;
	log->pieces = &made->pieces[i];
	log->n_pieces = 1;
}

void alert_batch_add_span(struct alert_batch *made)
{
	size_t i = made->batch.n_items;

	put_string(begin_item(made), /* tag of Span.attributes= */ 0x4a, "key", "value");
	memset(made->spans[i].trace_id, 7, sizeof(made->spans[i].trace_id));
	memset(made->spans[i].span_id, 7, sizeof(made->spans[i].span_id));
	made->spans[i].pieces = &made->pieces[i];
	made->spans[i].n_pieces = 1;
	made->pieces[i] = (struct sonde_bytes){ made->fields[i].data, made->fields[i].size };
}

void alert_batch_add_event(struct alert_batch *made, const struct alert_spec *spec)
{
	size_t i = made->batch.n_items - 1;
	struct sonde_buffer event = { .limit = SIZE_MAX };
	const uint8_t time[9] = { 0x09, 1 };
	const char *name = spec->event_name ? spec->event_name : "";

	put(&event, time, sizeof(time));
	put_field(&event, 0x12, name, strlen(name));
	put_error(&event, EVENT_ATTRIBUTE, spec);
	put_field(&made->fields[i], SPAN_EVENT, event.data, event.size);
	free(event.data);
	made->pieces[i] = (struct sonde_bytes){ made->fields[i].data, made->fields[i].size };
}
