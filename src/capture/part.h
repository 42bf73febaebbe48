/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_PART_H
#define SONDE_CAPTURE_PART_H

/*
 * A part: something said about a span in a record of its own, joined to the span by its ids. One of
 * the three fields at most; texts and fields never together.
 */

#include <sonde/span.h>

#include "record/event.h"

struct sonde__part {
	const struct sonde_context *context;
	enum sonde_span_status status; /* UNSET: says nothing. */
	struct sonde_text name; /* Empty: says nothing. */
	struct sonde_text description;
	const struct sonde_attr *attrs;
	size_t n_attrs;
	const struct sonde__event *event;
	const struct sonde__link *link;
};

/* Writes it, cut to what a record can be. Lock-free. */
void sonde__part_write(const struct sonde__part *part);

/* The thread's current span if something may be said about it: it is there and sampled. */
bool sonde__current_span(struct sonde_context *ret);

/* Notes SONDE__CONTEXT_ERROR, _OK or _ANSWERED for the end of the current span, recorded or not. */
void sonde__current_say(uint64_t said);

/*
 * The current span has failed by an error of this type, whose event another span has: status ERROR
 * and error.type. Once for a span, unless its context was copied; not where its status was told,
 * nor where it was answered as well enough, nor where it is a caller's in another process.
 */
void sonde__current_fail(const char *type);

#endif
