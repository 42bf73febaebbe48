/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages. From ERROR on they are urgent: they may use the reserve, and the worker is roused.
 *
 * A record must be reserved with its size. The usual one, a short body and some attributes, is
 * encoded on the stack and copied; a larger one is measured first and written in place. Where body
 * and attributes are more than a record can be, the attributes keep at least a quarter.
 */

#include "capture/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sonde/capture.h>

#include "base/clock.h"
#include "base/text.h"
#include "box/box.h"
#include "box/write_inline.h"
#include "capture/state.h"
#include "capture/trail.h"
#include "context/context.h"
#include "record/attribute.h"

#define MESSAGE_MAX_SIZE 1023
#define CHARACTER_MAX_SIZE 4
#define SEVERITY_MAX 24

/* Bodies and attributes up to this are encoded beside the box: one pass, no measuring. */
#define SHORT_SIZE 512

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
	size_t size = log->values.size;

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

/* The fixed part by words, in the order of struct sonde__log_record; of the flags only ours. */
static SONDE__ALWAYS_INLINE void head_fill(uint64_t *record, const struct sonde__log *log,
					   uint8_t severity, size_t body_size, size_t fields_size)
{
	const size_t size = sizeof(struct sonde__log_record) + body_size + fields_size;
	const uint64_t flags = log->is_cut || body_size < log->body.size ? SONDE__RECORD_TEXT_CUT
									  : 0;
	const struct sonde__context_words *context = sonde__context_current();
	const bool has_context = context->span_id != 0;
	const uint64_t trace_flags = has_context ? context->flags & 0xff : 0;

	record[0] = size | (uint64_t)SONDE__RECORD_LOG << 32 | flags << 40;
	record[1] = sonde__ticks();
	*(sonde__pair *)(record + 2) = has_context ? context->trace_id : (sonde__pair){ 0 };
	record[4] = context->span_id;
	record[5] = log->site | (uint64_t)severity << 32 | trace_flags << 40 |
		    (uint64_t)body_size << 48;
	record[6] = fields_size;
}

_Static_assert(offsetof(struct sonde__log_record, trace_id) == 16 &&
		       offsetof(struct sonde__log_record, span_id) == 32 &&
		       offsetof(struct sonde__log_record, site) == 40 &&
		       offsetof(struct sonde__log_record, trace_flags) == 45 &&
		       offsetof(struct sonde__log_record, body_size) == 46 &&
		       offsetof(struct sonde__log_record, fields_size) == 48 &&
		       sizeof(struct sonde__log_record) == 56,
	       "head_fill writes it by words");

static void attributes_put(const struct sonde__log *log, struct sonde__log_record *record,
			   uint8_t *at, size_t room)
{
	size_t n_dropped = 0;
	size_t used = 0;
	bool cut = false;

	if (log->values.size <= room)
		used = log->values.size;
	sonde__bytes_put(at, log->values.data, used);
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

/* A log record that takes measuring, and cutting perhaps. */
static __attribute__((noinline)) void write_measured(const struct sonde__log *log, uint8_t severity)
{
	struct sonde__log_record *record;
	struct sonde__slot slot;
	size_t fields_size;
	size_t body_size;

	sizes_choose(log, &body_size, &fields_size);
	if (!sonde__box_reserve(sizeof(*record) + body_size + fields_size, SONDE_SIGNAL_LOG,
				/* urgent= */ severity >= SONDE_ERROR, &slot))
		return;
	record = slot.record;
	head_fill(slot.record, log, severity, body_size, fields_size);
	attributes_put(log, record,
		       sonde__bytes_put((uint8_t *)(record + 1), log->body.data, body_size),
		       fields_size);
	sonde__box_commit(&slot);
}

/* All attributes, encoded; false where one does not fit. */
static bool attributes_encode(const struct sonde__log *log, uint8_t bytes[SHORT_SIZE],
			      size_t *ret_size)
{
	size_t used = log->values.size;

	if (used > SHORT_SIZE)
		return false;
	sonde__bytes_put(bytes, log->values.data, used);
	for (size_t i = 0; i < log->n_attrs; i++) {
		size_t one = sonde__attr_encode(SONDE__TAG_LOG_ATTRIBUTE, &log->attrs[i],
						bytes + used, SHORT_SIZE - used);

		if (!one)
			return false;
		used += one;
	}
	*ret_size = used;
	return true;
}

static SONDE__ALWAYS_INLINE void log_write(const struct sonde__log *log)
{
	const uint8_t severity = severity_clamp(log->severity);
	uint8_t fields[SHORT_SIZE];
	struct sonde__slot slot;
	size_t fields_size;
	uint8_t *at;

	if (SONDE__UNLIKELY(log->body.size > SHORT_SIZE ||
			    !attributes_encode(log, fields, &fields_size))) {
		write_measured(log, severity);
		return;
	}
	if (!sonde__box_take(sizeof(struct sonde__log_record) + log->body.size + fields_size,
			     SONDE_SIGNAL_LOG, /* urgent= */ severity >= SONDE_ERROR, &slot))
		return;
	head_fill(slot.record, log, severity, log->body.size, fields_size);
	at = (uint8_t *)slot.record + sizeof(struct sonde__log_record);
	at = sonde__bytes_put(at, log->body.data, log->body.size);
	sonde__bytes_put(at, fields, fields_size);
	sonde__box_give(&slot);
}

/* What the log says itself comes after what its context says, and counts. */
static __attribute__((noinline)) void log_write_with_values(const struct sonde__log *log)
{
	struct sonde__log whole = *log;
	uint8_t values[SONDE__VALUES_MAX_SIZE];

	whole.values.data = values;
	whole.values.size = sonde__values_read(sonde__context_current()->extension2, values);
	log_write(&whole);
}

/* The message's beginning, under the category "log". */
static SONDE__COLD void breadcrumb_leave(const struct sonde__log *log)
{
	if (log->severity >= (int)SONDE__SETTING(breadcrumb_level))
		sonde__trail_add(log->severity, (struct sonde_text){ "log", 3 }, log->body);
}

void sonde__log_write(const struct sonde__log *log)
{
	if (SONDE__UNLIKELY(SONDE__SETTING(breadcrumb_level)))
		breadcrumb_leave(log);
	if (SONDE__UNLIKELY(sonde__context_current()->extension2))
		log_write_with_values(log);
	else
		log_write(log);
}

/*
 * ---- The calls
 * --------------------------------------------------------------------------------------
 */

void sonde__log(enum sonde_level level, const char *body, size_t body_size,
		const struct sonde_attr *attrs, size_t n_attrs)
{
	struct sonde__log log = { .severity = (int)level,
				  .body = { body, body_size },
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
