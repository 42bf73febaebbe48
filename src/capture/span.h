/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_SPAN_H
#define SONDE_CAPTURE_SPAN_H

/*
 * What stands in the caller's memory while a span runs. Encoded fields grow from the front of
 * `bytes`, texts that were copied from its end. What does not fit goes to the box at once as a
 * part, and from the first part on all fields do, so that "the last one counts" needs no more than
 * the order of the records.
 */

#include <sonde/span.h>

#include "base/compiler.h"
#include "box/open_inline.h"
#include "capture/state.h"
#include "context/context.h"

#define SONDE__SPAN_BYTES 384

/* Bits of sonde__span.own_flags. */
#define SONDE__SPAN_DETACHED 0x01
#define SONDE__SPAN_FIELDS_IN_PARTS 0x02
#define SONDE__SPAN_NAME_IN_PART 0x04
#define SONDE__SPAN_DESCRIPTION_IN_PART 0x08
#define SONDE__SPAN_OWNS_TRACESTATE 0x10
#define SONDE__SPAN_KEEPS_PREVIOUS 0x20 /* What was current stands at the end of `bytes`. */
#define SONDE__SPAN_IS_SCOPE 0x40 /* What is set on the context below it ends with it. */

struct sonde__span {
	uint64_t memento; /* 0: does not record, which is part of the ABI. */
	struct sonde_context context;

	uint64_t start;
	uint64_t parent_id;
	uint64_t previous_flags; /* Of the context that was current, for a child of it. */
	uint32_t site;
	uint8_t kind;
	uint8_t status;
	uint8_t record_flags;
	uint8_t own_flags;
	uint16_t fields_size;
	uint16_t texts_size; /* At the end of `bytes`. */
	uint16_t name_at;
	uint16_t name_size;
	uint16_t description_at;
	uint16_t description_size;
	uint16_t n_attributes;
	uint16_t n_events;
	uint16_t n_links;
	uint16_t n_dropped_attributes;
	uint16_t n_dropped_events;
	uint16_t n_dropped_links;
	uint32_t open_number; /* In the table of open spans; 0: not there. */
	uint32_t reserved;

	uint8_t bytes[SONDE__SPAN_BYTES];
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde_span) == 512, "part of the ABI");
_Static_assert(sizeof(struct sonde__span) == sizeof(struct sonde_span), "fits the caller's memory");
_Static_assert(offsetof(struct sonde__span, memento) == 0, "opaque[0] is part of the ABI");

/* The span if it records and was begun by this agent in this process, else NULL. */
static SONDE__ALWAYS_INLINE struct sonde__span *sonde__span_recording(struct sonde_span *memory)
{
	struct sonde__span *span = (struct sonde__span *)memory;

	if (SONDE__UNLIKELY(!span ||
			    span->memento != sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING)))
		return NULL;
	return span;
}

/* What was current at the begin, kept whole at the end of the bytes. */
static SONDE__ALWAYS_INLINE struct sonde__context_words *sonde__span_previous(
	const struct sonde__span *span)
{
	const uint8_t *end = span->bytes + SONDE__SPAN_BYTES;

	return sonde__context_words(
		(const struct sonde_context *)(const void *)(end - sizeof(struct sonde_context)));
}

/* The span as the table of open spans has it. */
static SONDE__ALWAYS_INLINE struct sonde__open_begin sonde__span_open_begin(
	const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);

	return (struct sonde__open_begin){
		.trace_id = { own->trace_id[0], own->trace_id[1] },
		.span_id = own->span_id,
		.parent_id = span->parent_id,
		.start = span->start,
		.site = span->site,
		.place = span,
	};
}

/* Adds one to a count that stays at its largest value. */
static inline void sonde__count_up(uint16_t *count)
{
	*count = (uint16_t)(*count + (*count < UINT16_MAX));
}

/*
 * Begins, with no name yet; sonde__span_open is to follow. NULL: nothing is recorded; the context
 * has been passed on where it must.
 */
struct sonde__span *sonde__span_start(struct sonde_span *memory,
				      const struct sonde_span_options *options);

/* Where the span stands, as the context has it: a number to compare, never followed. */
static SONDE__ALWAYS_INLINE uint64_t sonde__span_place(const struct sonde__span *span)
{
	return (uint64_t)(uintptr_t)span << SONDE__CONTEXT_MARK_SHIFT;
}

/*
 * Makes the span current below what is current now: the trace and all that the thread carries stay,
 * so that two words change, and they are what is to be put back.
 */
static SONDE__ALWAYS_INLINE void sonde__span_enter_below(struct sonde__span *span, uint64_t span_id,
							 uint64_t flags)
{
	struct sonde__context_words *own = sonde__context_words(&span->context);
	struct sonde__context_words *current = sonde__context_current();

	span->parent_id = current->span_id;
	span->previous_flags = current->flags;
	own->trace_id = current->trace_id;
	own->extension01 = current->extension01;
	own->extension2 = current->extension2;
	current->span_id = own->span_id = span_id;
	current->flags = own->flags = flags | sonde__span_place(span);
}

/* A deadline as a context has it: 0, none, is later than all others. */
static SONDE__ALWAYS_INLINE bool sonde__deadline_is_sooner(uint64_t a, uint64_t b)
{
	return a - 1 < b - 1;
}

/* A span's parent may be elsewhere; never is its deadline later than the thread's. */
static SONDE__ALWAYS_INLINE void sonde__deadline_inherit(struct sonde__context_words *words)
{
	const uint64_t current = sonde__context_current()->extension01[SONDE__EXTENSION_DEADLINE];

	if (sonde__deadline_is_sooner(current, words->extension01[SONDE__EXTENSION_DEADLINE]))
		words->extension01[SONDE__EXTENSION_DEADLINE] = current;
}

/*
 * Makes what sonde__span_enter_below found current again, but for values: those that were set below
 * a span stay for its parent. A deadline that is no longer there stays ended, see deadline.md.
 */
static SONDE__ALWAYS_INLINE void sonde__span_leave_to_parent(const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);
	struct sonde__context_words *current = sonde__context_current();

	current->trace_id = own->trace_id;
	current->span_id = span->parent_id;
	current->flags = span->previous_flags;
	if (SONDE__UNLIKELY(sonde__deadline_is_sooner(
		    current->extension01[SONDE__EXTENSION_DEADLINE],
		    own->extension01[SONDE__EXTENSION_DEADLINE])))
		current->extension01 = own->extension01;
}

/* A span that is sampled out: begins below the current one; ends, however it was begun. */
void sonde__span_pass(struct sonde__span *span, struct sonde_site *site);
void sonde__span_pass_end(struct sonde__span *span, uint64_t end_unix_ns);

/* Puts back what was current at the begin, if the span is still the current one. */
void sonde__span_leave(const struct sonde__span *span);

/* Puts it in the table of open spans. Last at the begin: then its site is known. */
void sonde__span_open(struct sonde__span *span);

/* Copies the name, or writes it as a part and keeps its beginning. */
void sonde__span_name(struct sonde__span *span, const char *name, size_t size);

#endif
