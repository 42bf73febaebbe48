/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of an error, in the form that every language's tools recognise: a line for each error of
 * the chain with its place, the outermost first, then the stack of the root cause.
 *
 *	payment_declined: card of order 7 was declined (checkout.c:41 in charge)
 *	caused by: sonde_external_service: the gateway said 503 (gateway.c:88 in gateway_charge)
 *	#0 gateway_charge+0x1c (checkout, build-id 3f2a…, +0x4a1c)
 */

#include "pipeline/exception.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error_number.h"
#include "base/text.h"
#include "pipeline/join.h"
#include "record/attribute.h"
#include "record/wire.h"
#include "stack/stack.h"

/* What the chain's lines leave for the frames. */
#define FRAMES_SIZE 4096

static struct sonde_attr text_attr(const char *key, struct sonde_text text)
{
	return sonde_strn(key, text.data, text.size);
}

/*
 * What can be written, cut at a character and marked where it is full, for redaction to know of it;
 * returns the length so far. Behind a mark there is no room.
 */
#define CUT_MARK "…"
static SONDE_PRINTF(4, 5) size_t append(char *text, size_t length, size_t size, const char *format,
					...)
{
	va_list arguments;
	int wanted;

	if (length + 2 * sizeof(CUT_MARK) >= size)
		return length;
	va_start(arguments, format);
	wanted = vsnprintf(text + length, size - length, format, arguments);
	va_end(arguments);
	if (wanted < 0)
		return length;
	if ((size_t)wanted < size - length)
		return length + (size_t)wanted;
	length = sonde__utf8_cut(text, size - 1, size - 1 - sizeof(CUT_MARK));
	memcpy(text + length, CUT_MARK, sizeof(CUT_MARK));
	return length + sizeof(CUT_MARK) - 1;
}

static size_t append_errno(char *text, size_t length, size_t size, uint32_t number)
{
	const char *name = sonde__errno_name((int)number);

	if (!number)
		return length;
	if (*name)
		return append(text, length, size, " [%s]", name);
	return append(text, length, size, " [errno %d]", (int)number);
}

/* Appends one error of the chain, its line and what is said below it; returns the length so far. */
static size_t append_link(char *text, size_t length, size_t size,
			  const struct sonde__error_link_view *link)
{
	const int indent = 4 * link->level;

	if (link->flags & SONDE__LINK_JOINED)
		length = append(text, length, size, "%*s+ ", indent > 2 ? indent - 2 : 0, "");
	else if (length)
		length = append(text, length, size, "%*scaused by: ", indent, "");
	length = append(text, length, size, "%.*s: %.*s (%.*s:%u in %.*s)", (int)link->type.size,
			link->type.data, (int)link->message.size, link->message.data,
			(int)link->file.size, link->file.data, (unsigned)link->line,
			(int)link->function.size, link->function.data);
	length = append_errno(text, length, size, link->errno_value);
	if (link->detail.size)
		length = append(text, length, size, "\n%*sdetail: %.*s", indent, "",
				(int)link->detail.size, link->detail.data);
	if (link->n_omitted)
		length = append(text, length, size, "\n%*s… %u more left out", indent, "",
				(unsigned)link->n_omitted);
	return append(text, length, size, "\n");
}

/* Of the chain the outermost that has one. */
static void note_private(struct sonde__exception *exception,
			 const struct sonde__error_link_view *link)
{
	if (!exception->detail.size)
		exception->detail = link->detail;
	if (!exception->errno_value)
		exception->errno_value = link->errno_value;
}

static void read_texts(struct sonde__exception *exception, const struct sonde__error_record *record,
		       struct sonde_text again)
{
	const struct sonde__error_link *walk = NULL;
	struct sonde__error_link_view link;
	char *text = exception->stacktrace;
	size_t length = 0;

	while (sonde__error_record_next(record, &walk, &link)) {
		length = append_link(text, length, SONDE__STACKTRACE_SIZE - FRAMES_SIZE, &link);
		note_private(exception, &link);
	}
	if (length && text[length - 1] != '\n')
		text[length++] = '\n';
	length = append(text, length, SONDE__STACKTRACE_SIZE - FRAMES_SIZE / 2, "%.*s",
			(int)again.size, again.data);
	if (record->n_frames)
		length += sonde__stack_format(sonde__error_record_frames(record), record->n_frames,
					      text + length, SONDE__STACKTRACE_SIZE - length);
	while (length && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
}

static void set_attrs(struct sonde__exception *exception, const struct sonde__error_news *news)
{
	const struct sonde__error_link_view *link = &exception->outermost;
	struct sonde_attr *attrs = exception->attrs;
	size_t n = 0;

	attrs[n++] = text_attr("exception.type", link->type);
	attrs[n++] = text_attr("exception.message", link->message);
	attrs[n++] = sonde_str("exception.stacktrace", exception->stacktrace);
	attrs[n++] = sonde_str("sonde.error.id", exception->id);
	attrs[n++] = sonde_str("sonde.error.fingerprint", exception->fingerprint);
	if (news->is_first_seen)
		attrs[n++] = sonde_bool("sonde.error.first_seen", true);
	if (news->is_regressed)
		attrs[n++] = sonde_bool("sonde.error.regressed", true);
	if (exception->detail.size)
		attrs[n++] = text_attr("sonde.error.detail", exception->detail);
	if (*sonde__errno_name((int)exception->errno_value))
		attrs[n++] = sonde_str("sonde.error.errno",
				       sonde__errno_name((int)exception->errno_value));
	if (news->breadcrumbs && news->breadcrumbs->n)
		attrs[n++] = sonde_str_array("sonde.breadcrumbs", news->breadcrumbs->lines,
					     news->breadcrumbs->n);
	exception->n_event_attrs = n;
	attrs[n++] = text_attr("error.type", link->type);
	if (link->function.size)
		attrs[n++] = text_attr("code.function.name", link->function);
	if (link->file.size)
		attrs[n++] = text_attr("code.file.path", link->file);
	if (link->line)
		attrs[n++] = sonde_int("code.line.number", link->line);
	exception->n_attrs = n;
}

bool sonde__exception_read(struct sonde__exception *exception,
			   const struct sonde__error_record *record,
			   const struct sonde__error_news *news)
{
	const struct sonde__error_link *walk = NULL;

	if (!sonde__error_record_next(record, &walk, &exception->outermost))
		return false;
	if (!exception->outermost.type.size)
		exception->outermost.type = (struct sonde_text){ "_OTHER", 6 };
	(void)snprintf(exception->id, sizeof(exception->id), "%016llx",
		       (unsigned long long)record->event_id);
	(void)snprintf(exception->fingerprint, sizeof(exception->fingerprint), "%016llx",
		       (unsigned long long)news->fingerprint);
	exception->detail = (struct sonde_text){ 0 };
	exception->errno_value = 0;
	read_texts(exception, record, news->again);
	set_attrs(exception, news);
	return true;
}

/* The error's own attributes are fields of a log; as an event's they differ in the tag alone. */
static uint8_t *put_retagged(uint8_t *at, struct sonde_bytes fields)
{
	const uint8_t *from = fields.data;
	struct sonde__wire_field field;

	while (sonde__wire_next(&fields, &field) == 1) {
		const uint8_t *next = fields.data;

		*at++ = SONDE__TAG_EVENT_ATTRIBUTE;
		at = sonde__bytes_put(at, from + 1, (size_t)(next - from) - 1);
		from = next;
	}
	return at;
}

struct event_sizes {
	size_t attrs;
	size_t inner;
	size_t dropped;
};

static struct event_sizes measure(const struct sonde__exception *exception,
				  const struct sonde__error_record *record)
{
	struct event_sizes sizes = { 0 };

	for (size_t i = 0; i < exception->n_event_attrs; i++)
		sizes.attrs += sonde__attr_size(&exception->attrs[i]);
	if (record->head.n_dropped_attributes)
		sizes.dropped = 1 + sonde__varint_size(record->head.n_dropped_attributes);
	sizes.inner = 9 + sonde__field_size(9) + sizes.attrs +
		      sonde__error_record_fields(record).size + sizes.dropped;
	return sizes;
}

static uint8_t *put_event(const struct sonde__exception *exception,
			  const struct sonde__error_record *record, const struct event_sizes *sizes,
			  uint8_t *at)
{
	bool is_unix = record->head.flags & SONDE__RECORD_TIME_IS_UNIX;

	*at++ = SONDE__TAG_SPAN_EVENT;
	at = sonde__varint_put(at, sizes->inner);
	*at++ = is_unix ? SONDE__TAG_EVENT_TIME : SONDE__TAG_EVENT_TICKS;
	at = sonde__bytes_put(at, &record->head.time, sizeof(record->head.time));
	*at++ = SONDE__TAG_EVENT_NAME;
	at = sonde__varint_put(at, 9);
	at = sonde__bytes_put(at, "exception", 9);
	for (size_t i = 0; i < exception->n_event_attrs; i++)
		at += sonde__attr_encode(SONDE__TAG_EVENT_ATTRIBUTE, &exception->attrs[i], at,
					 SIZE_MAX / 2);
	at = put_retagged(at, sonde__error_record_fields(record));
	if (sizes->dropped) {
		*at++ = SONDE__TAG_EVENT_DROPPED;
		at = sonde__varint_put(at, record->head.n_dropped_attributes);
	}
	return at;
}

struct sonde__part *sonde__exception_part(const struct sonde__exception *exception,
					  const struct sonde__error_record *record)
{
	struct sonde_attr type = text_attr("error.type", exception->outermost.type);
	struct event_sizes sizes = measure(exception, record);
	size_t low_size = sonde__attr_size(&type);
	bool with_event = record->head.flags & SONDE__RECORD_WITH_EVENT;
	size_t event_size = with_event ? sonde__field_size(sizes.inner) : 0;
	size_t message_size = exception->outermost.message.size;
	struct sonde__part *part = malloc(sonde__part_size(low_size + event_size + message_size));

	if (!part)
		return NULL;
	*part = (struct sonde__part){
		.time = record->head.time,
		.time_is_unix = record->head.flags & SONDE__RECORD_TIME_IS_UNIX,
		.status = SONDE_SPAN_ERROR,
		.trace_flags = record->trace_flags,
		.low_size = (uint32_t)low_size,
		.fields_size = (uint32_t)event_size,
		.description_size = (uint32_t)message_size,
	};
	memcpy(part->trace_id, record->trace_id, sizeof(part->trace_id));
	memcpy(part->span_id, record->span_id, sizeof(part->span_id));
	(void)sonde__attr_encode(SONDE__TAG_SPAN_ATTRIBUTE, &type, part->bytes, low_size);
	if (with_event)
		(void)put_event(exception, record, &sizes, part->bytes + low_size);
	sonde__bytes_put(part->bytes + low_size + event_size, exception->outermost.message.data,
			 message_size);
	return part;
}
