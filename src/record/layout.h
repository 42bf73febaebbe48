/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_LAYOUT_H
#define SONDE_RECORD_LAYOUT_H

/*
 * What one record looks like in the box. Written by capture, read by the pipeline and, after the
 * process died, by other programs: so it holds no pointers, and whoever reads it checks it first
 * (record/check.h).
 *
 * A record is a fixed head, then its texts one after the other, then encoded fields. "Fields" are
 * protobuf fields of the message the record will become, in the tags they will be sent with, so
 * that the exporter copies them: for spans and parts fields 9 (attribute), 11 (event) and 13 (link)
 * of opentelemetry.proto.trace.v1.Span, for logs and errors field 6 (attribute) of LogRecord. Two
 * things are not as they will be sent:
 *   - an event's time is not known yet: the event's first field is SONDE__TAG_EVENT_TICKS, a
 *     fixed64 of ticks, which the pipeline replaces by field 1 and Unix nanoseconds (an event with a
 *     time of its own begins with field 1);
 *   - texts may be invalid UTF-8 and keys may repeat (the last one counts).
 */

#include <stdint.h>

#include <sonde/base.h>

enum sonde__record_type {
	SONDE__RECORD_SPAN = 1, /* A finished span. */
	SONDE__RECORD_PART = 2, /* Something added to a span by its ids. */
	SONDE__RECORD_LOG = 3,
	SONDE__RECORD_ERROR = 4,
	SONDE__RECORD_AGAIN = 5, /* An error that was captured before, captured once more. */
};

/* Tags of the fields in records: (number << 3) | wire type. */
#define SONDE__TAG_SPAN_ATTRIBUTE 0x4a
#define SONDE__TAG_SPAN_EVENT 0x5a
#define SONDE__TAG_SPAN_LINK 0x6a
#define SONDE__TAG_LOG_ATTRIBUTE 0x32
#define SONDE__TAG_POINT_ATTRIBUTE 0x3a
#define SONDE__TAG_HISTOGRAM_POINT_ATTRIBUTE 0x0a
#define SONDE__TAG_EVENT_TIME 0x09
#define SONDE__TAG_EVENT_NAME 0x12
#define SONDE__TAG_EVENT_ATTRIBUTE 0x1a
#define SONDE__TAG_EVENT_DROPPED 0x20
#define SONDE__TAG_EVENT_TICKS 0x79 /* Ours alone: field 15, fixed64. */
#define SONDE__TAG_LINK_TRACE_ID 0x0a
#define SONDE__TAG_LINK_SPAN_ID 0x12
#define SONDE__TAG_LINK_TRACE_STATE 0x1a
#define SONDE__TAG_LINK_ATTRIBUTE 0x22
#define SONDE__TAG_LINK_DROPPED 0x28
#define SONDE__TAG_LINK_FLAGS 0x35

/* Bits of sonde__record.flags. */
#define SONDE__RECORD_START_IS_UNIX 0x01 /* span.start is Unix nanoseconds, not ticks. */
#define SONDE__RECORD_TIME_IS_UNIX 0x02 /* head.time is Unix nanoseconds, not ticks. */
#define SONDE__RECORD_PARENT_REMOTE 0x04
#define SONDE__RECORD_HAS_PARTS 0x08 /* The span's owner itself wrote parts. */
#define SONDE__RECORD_WITH_EVENT 0x10 /* An error: becomes a span event. */
#define SONDE__RECORD_WITH_LOG 0x20 /* An error: becomes a log record. */
#define SONDE__RECORD_TEXT_CUT 0x40 /* A text was longer than a record may be. */
/*
 * A span whose status was ERROR at its end, however said. An error: fails its span, without event.
 */
#define SONDE__RECORD_FAILED 0x80

/* A span's name that went out as a part leaves this much of it behind, in case the part is lost. */
#define SONDE__SPAN_NAME_KEPT 128

struct sonde__record {
	uint32_t size; /* Of the whole record, in bytes. */
	uint8_t type;
	uint8_t flags;
	uint16_t n_dropped_attributes;
	uint64_t time; /* End of a span, else when it was captured. */
};

struct sonde__span_record {
	struct sonde__record head;
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t parent_id[8];
	uint64_t start;
	uint32_t site; /* Names the span when name_size is 0. */
	uint8_t kind;
	uint8_t status;
	uint8_t trace_flags;
	uint8_t reserved;
	uint16_t name_size;
	uint16_t trace_state_size;
	uint16_t description_size;
	uint16_t fields_size;
	uint16_t n_dropped_events;
	uint16_t n_dropped_links;
	uint32_t reserved2;
	/* name, trace state, description, fields */
};

struct sonde__part_record {
	struct sonde__record head;
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t status; /* enum sonde_span_status; UNSET: says nothing. */
	uint8_t trace_flags;
	uint16_t name_size; /* A new name for the span; 0: none. */
	uint16_t description_size;
	uint16_t fields_size;
	/* name, description, fields */
};

struct sonde__log_record {
	struct sonde__record head;
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint32_t site; /* 0: none. Gives code.function.name, code.file.path, code.line.number. */
	uint8_t severity;
	uint8_t trace_flags;
	uint16_t body_size;
	uint16_t fields_size;
	uint16_t reserved[3];
	/* body, fields */
};

/*
 * A captured error. After the head: the chain's links, the return addresses, the fields. Captured
 * again: the links that came to it since, or one with the place where it was captured; neither
 * addresses nor fields; counted as a part, because it becomes one of the first record or a log.
 */
struct sonde__error_record {
	struct sonde__record head;
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint64_t event_id; /* The same on every record of one error. */
	uint8_t severity;
	uint8_t trace_flags;
	uint8_t n_links; /* Errors in the chain, the outermost first; at least 1. */
	uint8_t n_frames; /* uint64_t return addresses of one link, the innermost first. */
	uint16_t fields_size;
	uint16_t http_status;
	uint16_t crumbs_size; /* Of the breadcrumbs, with their texts. */
	uint16_t reserved[3];
	uint64_t format; /* The address of the root cause's: as its frames, of this process. */
	/*
	 * links, each an error_link and its texts, padded to 8; frames; fields, padded to 8;
	 * breadcrumbs
	 */
};

#define SONDE__CRUMB_MESSAGE_CUT 0x01
#define SONDE__CRUMB_CATEGORY_CUT 0x02

/* A breadcrumb; the oldest comes first. Zeros up to the end: one that is none. */
struct sonde__crumb {
	uint64_t ticks;
	uint8_t level;
	uint8_t category_size;
	uint8_t message_size;
	uint8_t cuts; /* SONDE__CRUMB_*: which text lacks its end. */
	uint32_t reserved;
	/* category, message; then zeros up to a multiple of 8 */
};

/* Bits of sonde__error_link.flags. */
#define SONDE__LINK_JOINED 0x01 /* One of several that are one error, not the cause of the last. */
#define SONDE__LINK_HAS_FRAMES 0x02 /* The record's frames are of this error. */

/* The deepest level of a link: errors that were joined, and joined again after a wrap. */
#define SONDE__LINK_LEVEL_MAX 3

/*
 * One error of the chain, in the order of a walk: each error before its cause, and before those
 * that were joined in it. Below an error of level n stands its cause on level n, or stand those
 * that it joins on level n + 1, each followed by its own causes on that level.
 */
struct sonde__error_link {
	uint32_t line;
	uint32_t errno_value; /* 0: nothing to be said. */
	uint32_t n_omitted; /* Errors just below this one that had to be left out. */
	uint16_t type_size;
	uint16_t message_size;
	uint16_t detail_size;
	uint16_t file_size;
	uint16_t function_size;
	uint8_t level;
	uint8_t flags;
	/* type name, message, detail, file, function; then zeros up to a multiple of 8 */
};

#endif
