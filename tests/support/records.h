/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_SUPPORT_RECORDS_H
#define SONDE_TESTS_SUPPORT_RECORDS_H

/* Records written by hand into the real box, for tests of what reads them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/attribute.h>
#include <sonde/base.h>

/* Zero in any field: nothing there; time 0: now. Ids are numbers: bytes 1, 1, …, the number. */
struct record_spec {
	uint64_t trace;
	uint64_t span;
	uint64_t parent;
	const char *name; /* Of a span or part; body of a log. */
	const char *trace_state; /* A span's, and its link's. */
	const char *description;
	uint32_t site;
	uint8_t kind;
	uint8_t status;
	uint8_t severity;
	uint8_t flags; /* SONDE__RECORD_… */
	uint8_t trace_flags;
	uint64_t start;
	uint64_t time;
	uint16_t n_dropped_attributes;
	const struct sonde_attr *attrs;
	size_t n_attrs;
	const char *event; /* A span or part: an event of this name with the attributes below. */
	const struct sonde_attr *event_attrs;
	size_t n_event_attrs;
	uint64_t link; /* A span or part: a link to this span of trace 99. */
	bool is_damaged; /* A span or part: its first field says that it goes on past the end. */
};

/* False: the box had no room. */
bool record_span(const struct record_spec *spec);
bool record_part(const struct record_spec *spec);
bool record_log(const struct record_spec *spec);

struct error_spec {
	struct record_spec record; /* Ids, severity, flags, attributes, time. */
	const char *types[4]; /* The chain, the outermost first. */
	const char *messages[4];
	const char *details[4];
	uint32_t errnos[4];
	uint32_t n_omitted[4];
	uint8_t levels[4];
	uint8_t link_flags[4]; /* SONDE__LINK_… */
	uint64_t event_id;
	uint64_t frames[4];
	uint8_t n_frames;
	const struct sonde_context *context; /* Not NULL: its ids beat the record's numbers. */
	const char *crumbs[40]; /* Messages of breadcrumbs, INFO, in the category "test". */
	bool is_again; /* Captured before: a record of that type. */
};

bool record_error(const struct error_spec *spec);

/* A record of `size` bytes with the given type and nothing valid in it. */
bool record_garbage(uint32_t size, uint8_t type, enum sonde_signal signal);

void id_bytes(uint64_t number, uint8_t *ret, size_t size);

#endif
