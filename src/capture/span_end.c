/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a span: its thread goes on with what was current before, and what was said about it
 * becomes one record. The usual end calls nothing and so saves no register; whatever is found in
 * the way ends in span_end_any, which knows every case.
 */

#include "capture/span.h"

#include <string.h>

#include "base/clock.h"
#include "box/box.h"
#include "box/write_inline.h"
#include "capture/figures.h"
#include "context/context.h"
#include "record/varint.h"

/* A span further away than this stands in another stack. */
#define STACK_REACH ((uintptr_t)1 << 23)

/*
 * The current span was left without its end, by a longjmp past it: it stands deeper in this stack
 * than the running function, so its frame is gone, while ours, further up, is still there.
 */
static bool current_was_left(const struct sonde__span *span, uint64_t flags)
{
	uintptr_t current = (uintptr_t)(flags >> SONDE__CONTEXT_MARK_SHIFT);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t mine = (uintptr_t)span;

	return current && current < here && here < mine && mine - current < STACK_REACH;
}

/*
 * What was current, whole; but a span that is no scope leaves the values that were set below it,
 * and a deadline that has ended since the begin stays ended.
 */
static SONDE__ALWAYS_INLINE void context_put_back_whole(const struct sonde__span *span)
{
	struct sonde__context_words *current = sonde__context_current();
	const uint64_t values = current->extension2;
	const uint64_t deadline = current->extension01[SONDE__EXTENSION_DEADLINE];
	const uint64_t own = sonde__context_words(&span->context)
				     ->extension01[SONDE__EXTENSION_DEADLINE];

	*current = *sonde__span_previous(span);
	if (!(span->own_flags & SONDE__SPAN_IS_SCOPE))
		current->extension2 = values;
	if (SONDE__UNLIKELY(sonde__deadline_is_sooner(own, deadline)))
		current->extension01[SONDE__EXTENSION_DEADLINE] = deadline;
}

static SONDE__ALWAYS_INLINE void context_put_back(const struct sonde__span *span)
{
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_KEEPS_PREVIOUS))
		context_put_back_whole(span);
	else
		sonde__span_leave_to_parent(span);
}

static SONDE__COLD void context_leave_abandoned(const struct sonde__span *span)
{
	if (current_was_left(span, sonde__context_current()->flags))
		context_put_back(span);
}

static SONDE__ALWAYS_INLINE void context_leave(const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);

	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_DETACHED))
		return;
	if (SONDE__LIKELY(sonde__context_current()->span_id == own->span_id))
		context_put_back(span);
	else
		context_leave_abandoned(span);
}

/* The same, and gives back what was set in the span's scope. */
void sonde__span_leave(const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);
	const uint64_t values = sonde__context_current()->extension2;

	context_leave(span);
	/* Only where it was current, and only now: see sonde__scope_end. */
	if ((span->own_flags & SONDE__SPAN_IS_SCOPE) &&
	    sonde__context_current()->extension2 != values)
		sonde__values_release(values, own->extension2);
}

/* Four halves of a word, the first the lowest. */
static SONDE__ALWAYS_INLINE uint64_t word_of(uint16_t a, uint16_t b, uint16_t c, uint16_t d)
{
	return a | (uint64_t)b << 16 | (uint64_t)c << 32 | (uint64_t)d << 48;
}

/*
 * The fixed part of the record, word by word in the order of struct sonde__span_record: half as
 * many stores as members, and all stores before a reservation must be through before it is.
 */
static SONDE__ALWAYS_INLINE void record_fill(uint64_t *record, const struct sonde__span *span,
					     uint32_t size, uint16_t trace_state_size,
					     uint64_t time, uint8_t flags)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);

	record[0] = size | (uint64_t)SONDE__RECORD_SPAN << 32 |
		    (uint64_t)(span->record_flags | flags) << 40 |
		    (uint64_t)span->n_dropped_attributes << 48;
	record[1] = time;
	*(sonde__pair *)(record + 2) = own->trace_id;
	record[4] = own->span_id;
	record[5] = span->parent_id;
	record[6] = span->start;
	record[7] = span->site | (uint64_t)span->kind << 32 | (uint64_t)span->status << 40 |
		    (own->flags & 0xff) << 48;
	record[8] = word_of(span->name_size, trace_state_size, span->description_size,
			    span->fields_size);
	record[9] = word_of(span->n_dropped_events, span->n_dropped_links, 0, 0);
}

_Static_assert(offsetof(struct sonde__span_record, head.n_dropped_attributes) == 6 &&
		       offsetof(struct sonde__span_record, head.time) == 8 &&
		       offsetof(struct sonde__span_record, trace_id) == 16 &&
		       offsetof(struct sonde__span_record, span_id) == 32 &&
		       offsetof(struct sonde__span_record, parent_id) == 40 &&
		       offsetof(struct sonde__span_record, start) == 48 &&
		       offsetof(struct sonde__span_record, site) == 56 &&
		       offsetof(struct sonde__span_record, trace_flags) == 62 &&
		       offsetof(struct sonde__span_record, name_size) == 64 &&
		       offsetof(struct sonde__span_record, fields_size) == 70 &&
		       offsetof(struct sonde__span_record, n_dropped_events) == 72 &&
		       sizeof(struct sonde__span_record) == 80,
	       "record_fill writes it by words");

/*
 * Sixteen bytes at a time. What is copied past the end stays inside the reservation, which is made
 * of granules, as long as `at` lies on a multiple of sixteen in it, and inside the span's memory.
 */
static SONDE__ALWAYS_INLINE void fields_copy(uint8_t *at, const struct sonde__span *span)
{
	for (size_t i = 0; i < span->fields_size; i += sizeof(sonde__pair))
		*(sonde__pair *)(void *)(at + i) =
			*(const sonde__pair *)(const void *)(span->bytes + i);
}

_Static_assert(SONDE__SPAN_BYTES % sizeof(sonde__pair) == 0 &&
		       sizeof(struct sonde__span_record) % sizeof(sonde__pair) == 0 &&
		       SONDE__GRANULE % sizeof(sonde__pair) == 0,
	       "fields_copy may go on to the next multiple");

static void span_write(const struct sonde__span *span, struct sonde_text trace_state,
		       uint64_t time, uint8_t flags)
{
	const size_t texts_size =
		(size_t)span->name_size + trace_state.size + span->description_size;
	const size_t size = sizeof(struct sonde__span_record) + texts_size + span->fields_size;
	struct sonde__slot slot;
	uint8_t *at;

	if (!sonde__box_take(size, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot)) {
		sonde__span_count(span, time, flags);
		return;
	}
	record_fill(slot.record, span, (uint32_t)size, (uint16_t)trace_state.size, time, flags);
	at = (uint8_t *)slot.record + sizeof(struct sonde__span_record);
	at = sonde__bytes_put(at, span->bytes + span->name_at, span->name_size);
	at = sonde__bytes_put(at, trace_state.data, trace_state.size);
	at = sonde__bytes_put(at, span->bytes + span->description_at, span->description_size);
	sonde__bytes_put(at, span->bytes, span->fields_size);
	sonde__box_give(&slot);
}

/* Traces that carry a tracestate take a copy of it first. */
static __attribute__((noinline)) void span_write_with_trace_state(const struct sonde__span *span,
								  uint64_t time, uint8_t flags)
{
	char data[SONDE_TRACESTATE_LENGTH];
	struct sonde_text trace_state = { .data = data };

	trace_state.size = sonde__tracestate_read(
		span->context.extension[SONDE__EXTENSION_TRACESTATE], data);
	span_write(span, trace_state, time, flags);
}

/* Ends it for its thread, which goes on with what was current before. Its record's flags. */
static SONDE__ALWAYS_INLINE uint8_t span_close(struct sonde__span *span, uint64_t end_unix_ns,
					       bool is_usual)
{
	const bool has_failed = sonde__span_has_failed(span);

	span->memento |= SONDE__ENDED;
	if (is_usual)
		context_leave(span);
	else
		sonde__span_leave(span);
	return (uint8_t)((end_unix_ns ? SONDE__RECORD_TIME_IS_UNIX : 0) |
			 (has_failed ? SONDE__RECORD_FAILED : 0));
}

static SONDE__ALWAYS_INLINE void open_end(const struct sonde__span *span)
{
	sonde__open_end(span->open_number, sonde__context_words(&span->context)->span_id);
}

/* Another process's or agent's span, and what is no span or has ended. */
static SONDE__COLD void span_end_unrecorded(struct sonde__span *span)
{
	const uint64_t memento = span->memento;

	if (!sonde__memento_is(memento, SONDE__MAGIC_SPAN) ||
	    (memento & SONDE__STATE_MASK) == SONDE__ENDED)
		return;
	(void)span_close(span, /* end_unix_ns= */ 0, /* is_usual= */ false);
	if (memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING))
		open_end(span);
	if (span->own_flags & SONDE__SPAN_OWNS_TRACESTATE)
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}

static __attribute__((noinline)) void span_end_any(struct sonde_span *memory, uint64_t end_unix_ns)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	uint64_t time;
	uint8_t flags;

	if (!span)
		return;
	/* Not what an earlier agent or the parent process began, and nothing after the stop. */
	if (span->memento != sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING) ||
	    !sonde_is_recording()) {
		span_end_unrecorded(span);
		return;
	}
	time = end_unix_ns ? end_unix_ns : sonde__ticks();
	flags = span_close(span, end_unix_ns, /* is_usual= */ false);
	if (!span->context.extension[SONDE__EXTENSION_TRACESTATE])
		span_write(span, (struct sonde_text){ "", 0 }, time, flags);
	else
		span_write_with_trace_state(span, time, flags);
	/* After it was written: who dies in between leaves it twice, not nowhere. */
	open_end(span);
	if (span->own_flags & SONDE__SPAN_OWNS_TRACESTATE)
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}

/* Recording, ended where it is current, with nothing but fields to write and no values set. */
static SONDE__ALWAYS_INLINE bool end_is_usual(const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);

	return SONDE__LIKELY(
		span->memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING) &&
		sonde_is_recording() && sonde__ticks_are_counted() &&
		!(span->own_flags & (SONDE__SPAN_DETACHED | SONDE__SPAN_OWNS_TRACESTATE)) &&
		sonde__context_current()->span_id == own->span_id &&
		(!(span->own_flags & SONDE__SPAN_IS_SCOPE) ||
		 sonde__context_current()->extension2 == own->extension2) &&
		!((unsigned)span->name_size | span->description_size |
		  own->extension01[SONDE__EXTENSION_TRACESTATE]));
}

/* Without a call, as the begin. */
void sonde__span_end(struct sonde_span *memory, uint64_t end_unix_ns)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	struct sonde__slot slot;
	uint64_t time;
	uint8_t flags;
	size_t size;

	if (SONDE__UNLIKELY(span && span->memento ==
				    sonde__memento(SONDE__MAGIC_SPAN, SONDE__PASSING))) {
		sonde__span_pass_end(span, end_unix_ns);
		return;
	}
	if (SONDE__UNLIKELY(end_unix_ns || !span || !end_is_usual(span)))
		goto any;
	time = sonde__counter();
	size = sizeof(struct sonde__span_record) + span->fields_size;
	if (SONDE__UNLIKELY(!sonde__box_try(size, SONDE_SIGNAL_SPAN, &slot)))
		goto any;
	flags = span_close(span, /* end_unix_ns= */ 0, /* is_usual= */ true);
	record_fill(slot.record, span, (uint32_t)size, /* trace_state_size= */ 0, time, flags);
	fields_copy((uint8_t *)slot.record + sizeof(struct sonde__span_record), span);
	sonde__box_give(&slot);
	open_end(span);
	return;
any:
	span_end_any(memory, end_unix_ns);
}
