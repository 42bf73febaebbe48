/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages. From ERROR on they are urgent: they may use the reserve, and the worker is roused.
 *
 * Where body and attributes are more than a record can be, the attributes keep at least a quarter.
 */

#include "capture/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sonde/capture.h>

#include "base/clock.h"
#include "base/text.h"
#include "box/box.h"
#include "capture/state.h"
#include "context/context.h"
#include "record/attribute.h"

#define MESSAGE_MAX_SIZE 1023
#define CHARACTER_MAX_SIZE 4
#define SEVERITY_MAX 24

#define ROOM (SONDE__RECORD_MAX_SIZE - sizeof(struct sonde__log_record))

static uint8_t severity_clamp(int severity)
{
	if (severity < SONDE_TRACE)
		return SONDE_TRACE;
	return (uint8_t)(severity > SEVERITY_MAX ? SEVERITY_MAX : severity);
}

/* Bytes of all attributes, ROOM at most. */
static size_t attributes_size(const struct sonde__log *log)
{
	size_t size = 0;

	for (size_t i = 0; i < log->n_attrs && size < ROOM; i++) {
		size_t one = sonde__attr_size(&log->attrs[i]);

		size = one ? size + one : ROOM;
	}
	return size < ROOM ? size : ROOM;
}

static void sizes_choose(const struct sonde__log *log, size_t *ret_body, size_t *ret_fields)
{
	size_t body = log->body.size;
	size_t fields = attributes_size(log);

	if (body > ROOM - fields) {
		if (fields > ROOM / 4)
			fields = body < ROOM - ROOM / 4 ? ROOM - body : ROOM / 4;
		body = sonde__utf8_cut(log->body.data, body, ROOM - fields);
	}
	*ret_body = body;
	*ret_fields = fields;
}

static void head_fill(struct sonde__log_record *record, const struct sonde__log *log,
		      uint8_t severity)
{
	const struct sonde_context *context = &sonde__thread.current;

	memset(record, 0, sizeof(*record));
	record->head.type = SONDE__RECORD_LOG;
	record->head.flags = log->is_cut ? SONDE__RECORD_TEXT_CUT : 0;
	record->head.time = sonde__ticks();
	record->site = log->site;
	record->severity = severity;
	if (!sonde_context_is_valid(context))
		return;
	memcpy(record->trace_id, context->trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, context->span_id, sizeof(record->span_id));
	record->trace_flags = context->trace_flags;
}

static void attributes_put(const struct sonde__log *log, struct sonde__log_record *record,
			   uint8_t *at, size_t room)
{
	size_t n_dropped = 0;
	size_t used = 0;
	bool cut = false;

	for (size_t i = 0; i < log->n_attrs; i++) {
		size_t one = sonde__attr_encode_cut(SONDE__TAG_LOG_ATTRIBUTE, &log->attrs[i],
						    at + used, room - used, &cut);

		used += one;
		n_dropped += !one;
	}
	record->fields_size = (uint16_t)used;
	record->head.n_dropped_attributes = (uint16_t)(n_dropped < UINT16_MAX ? n_dropped
									      : UINT16_MAX);
	if (cut)
		record->head.flags |= SONDE__RECORD_TEXT_CUT;
}

void sonde__log_write(const struct sonde__log *log)
{
	uint8_t severity = severity_clamp(log->severity);
	struct sonde__log_record *record;
	struct sonde__slot slot;
	size_t fields_size;
	size_t body_size;

	sizes_choose(log, &body_size, &fields_size);
	if (!sonde__box_reserve(sizeof(*record) + body_size + fields_size, SONDE_SIGNAL_LOG,
				/* urgent= */ severity >= SONDE_ERROR, &slot))
		return;
	record = slot.record;
	head_fill(record, log, severity);
	record->head.size = (uint32_t)(sizeof(*record) + body_size + fields_size);
	if (body_size < log->body.size)
		record->head.flags |= SONDE__RECORD_TEXT_CUT;
	record->body_size = (uint16_t)body_size;
	attributes_put(log, record,
		       sonde__bytes_put((uint8_t *)(record + 1), log->body.data, body_size),
		       fields_size);
	sonde__box_commit(&slot);
}

/*
 * ---- The calls
 * --------------------------------------------------------------------------------------
 */

void sonde__log(enum sonde_level level, const char *body, const struct sonde_attr *attrs,
		size_t n_attrs)
{
	struct sonde__log log = { .severity = (int)level,
				  .body = { body, body ? strlen(body) : 0 },
				  .attrs = attrs,
				  .n_attrs = attrs ? n_attrs : 0 };

	if (sonde__capture_enter())
		sonde__log_write(&log);
}

/*
 * Formats into `text`; the length of what counts there. Some bytes more than a message may have are
 * taken, to see whether a character stands across the edge.
 */
static size_t message_format(char text[MESSAGE_MAX_SIZE + CHARACTER_MAX_SIZE], bool *ret_cut,
			     const char *format, va_list arguments)
{
	const size_t capacity = MESSAGE_MAX_SIZE + CHARACTER_MAX_SIZE;
	int length = format ? vsnprintf(text, capacity, format, arguments) : 0;

	if (length < 0)
		return 0;
	*ret_cut = length > MESSAGE_MAX_SIZE;
	return sonde__utf8_cut(text, (size_t)length < capacity ? (size_t)length : capacity - 1,
			       MESSAGE_MAX_SIZE);
}

void sonde__message(enum sonde_level level, const char *file, int line, const char *function,
		    const char *format, ...)
{
	/*
	 * Not static: the place may be a plugin's, and the table of sites keeps what is new to it.
	 */
	struct sonde_site site = { .name = "",
				   .file = file ? file : "",
				   .function = function ? function : "",
				   .line = line > 0 ? (uint32_t)line : 0 };
	struct sonde__log log = { .severity = (int)level };
	int saved_errno = errno;
	char text[MESSAGE_MAX_SIZE + CHARACTER_MAX_SIZE];
	va_list arguments;

	if (!sonde__capture_enter())
		return;
	va_start(arguments, format);
	/* errno is still the caller's, for %m. */
	log.body.size = message_format(text, &log.is_cut, format, arguments);
	va_end(arguments);
	log.body.data = text;
	log.site = sonde__site_id(&site);
	sonde__log_write(&log);
	errno = saved_errno;
}
