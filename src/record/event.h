/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RECORD_EVENT_H
#define SONDE_RECORD_EVENT_H

/*
 * Events and links as protobuf fields of Span. Writers as in record/attribute.h: the field's
 * length, or 0 where it does not fit; wait-free, async-signal-safe, errno kept.
 */

#include "record/attribute.h"

struct sonde__event {
	const char *name;
	size_t name_size;
	uint64_t time;
	bool time_is_unix; /* Unix nanoseconds, else ticks for the pipeline to replace. */
	const struct sonde_attr *attrs;
	size_t n_attrs;
	uint32_t n_dropped; /* Attributes that the caller left out already. */
};

struct sonde__link {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint32_t flags; /* As in Span.Link: trace flags and the is-remote bits. */
	const char *trace_state;
	size_t trace_state_size;
	const struct sonde_attr *attrs;
	size_t n_attrs;
	uint32_t n_dropped;
};

size_t sonde__event_size(const struct sonde__event *event);
size_t sonde__event_encode(const struct sonde__event *event, uint8_t *buffer, size_t capacity);
size_t sonde__link_size(const struct sonde__link *link);
size_t sonde__link_encode(const struct sonde__link *link, uint8_t *buffer, size_t capacity);

/*
 * Cut what does not fit: the name before a character, values as sonde__attr_encode_cut, and the
 * attributes for which there is no room at all are counted in the event's own dropped count. A
 * trace state that does not fit is left out whole. 0 where not even the fixed part fits.
 */
size_t sonde__event_encode_cut(const struct sonde__event *event, uint8_t *buffer, size_t capacity,
			       bool *ret_cut);
size_t sonde__link_encode_cut(const struct sonde__link *link, uint8_t *buffer, size_t capacity,
			      bool *ret_cut);

#endif
