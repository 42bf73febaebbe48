/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Begin and end of a span; docs/design/span.md argues it.
 *
 * Between the two the span is bytes in the caller's memory, and the end writes them as one record.
 * The first word says what the memory is. Everything that C allows to go wrong with such memory, from
 * ending twice to never having begun, is told by that word and ends in doing nothing.
 */

#include "capture/span.h"

#include <string.h>

#include "base/clock.h"
#include "box/box.h"
#include "context/context.h"
#include "record/varint.h"

/* ---- Words of a context ---------------------------------------------------------------------------- */

static SONDE__ALWAYS_INLINE uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

static SONDE__ALWAYS_INLINE void word_put(uint8_t *bytes, uint64_t word)
{
	memcpy(bytes, &word, sizeof(word));
}

static SONDE__ALWAYS_INLINE bool context_is_valid(const struct sonde_context *context)
{
	return (word_at(context->trace_id) | word_at(context->trace_id + 8)) != 0 &&
	       word_at(context->span_id) != 0;
}

/* Where the span stands, in the six reserved bytes: a number to compare, never followed. */
static SONDE__ALWAYS_INLINE void context_mark(struct sonde_context *context, const void *memory)
{
	uint64_t address = (uintptr_t)memory;

	memcpy(context->reserved, &address, sizeof(context->reserved));
}

static uintptr_t context_marked(const struct sonde_context *context)
{
	uint64_t address = 0;

	memcpy(&address, context->reserved, sizeof(context->reserved));
	return (uintptr_t)address;
}

/* ---- Begin ------------------------------------------------------------------------------------------ */

/* Options of another library's size: what we know of them; NULL where that is nothing. */
static SONDE__COLD const struct sonde_span_options *options_read(const struct sonde_span_options *options,
								 struct sonde_span_options *ret)
{
	const struct sonde_span_options none = SONDE_SPAN_OPTIONS_INIT;
	size_t size = options->size < sizeof(*options) ? options->size : sizeof(*options);

	if (size < sizeof(options->size))
		return NULL;
	*ret = none;
	memcpy(ret, options, size);
	return ret;
}

static SONDE__ALWAYS_INLINE const struct sonde_context *
parent_choose(const struct sonde_span_options *options)
{
	const struct sonde_context *parent = &sonde__thread.current;

	if (options && options->parent)
		parent = options->parent;
	if ((options && options->root) || !context_is_valid(parent))
		return NULL;
	return parent;
}

/* The new span's context, from its parent's or, NULL, as a new trace's. */
static SONDE__ALWAYS_INLINE void context_make(struct sonde__span *span, const struct sonde_context *parent)
{
	struct sonde_context *context = &span->context;

	if (parent) {
		*context = *parent;
		context->trace_flags &= SONDE_TRACE_FLAG_SAMPLED | SONDE_TRACE_FLAG_RANDOM;
		word_put(span->parent_id, word_at(parent->span_id));
		span->record_flags = parent->is_remote ? SONDE__RECORD_PARENT_REMOTE : 0;
	} else {
		*context = sonde__thread.current;
		context->extension[SONDE__EXTENSION_TRACESTATE] = 0;
		context->trace_flags = SONDE_TRACE_FLAG_RANDOM;
		word_put(context->trace_id, sonde__identity_draw());
		word_put(context->trace_id + 8, sonde__identity_draw());
		word_put(span->parent_id, 0);
		span->record_flags = 0;
	}
	word_put(context->span_id, sonde__identity_draw());
	context->is_remote = false;
}

static SONDE__ALWAYS_INLINE void counts_clear(struct sonde__span *span)
{
	memset(&span->site, 0,
	       offsetof(struct sonde__span, bytes) - offsetof(struct sonde__span, site));
	span->texts_at = SONDE__SPAN_BYTES;
}

static SONDE__ALWAYS_INLINE void context_enter(struct sonde__span *span, bool detached)
{
	if (detached) {
		span->own_flags = SONDE__SPAN_DETACHED;
		context_mark(&span->context, /* memory= */ NULL);
		return;
	}
	context_mark(&span->context, span);
	span->previous = sonde__thread.current;
	sonde__thread.current = span->context;
}

static SONDE__ALWAYS_INLINE struct sonde__span *span_start(struct sonde_span *memory,
							   const struct sonde_span_options *options)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	struct sonde_span_options known;
	const struct sonde_context *parent;
	uint8_t record_flags;
	bool sampled;

	if (SONDE__UNLIKELY(!span || !sonde__capture_enter()))
		return NULL;
	if (SONDE__UNLIKELY(options && options->size != sizeof(*options)))
		options = options_read(options, &known);
	parent = parent_choose(options);
	sampled = sonde__sampler_decide(parent);
	context_make(span, parent);
	record_flags = span->record_flags;
	counts_clear(span);
	span->record_flags = record_flags;
	span->kind = SONDE_KIND_INTERNAL;
	if (options && options->kind >= SONDE_KIND_INTERNAL && options->kind <= SONDE_KIND_CONSUMER)
		span->kind = (uint8_t)options->kind;
	if (sampled)
		span->context.trace_flags |= SONDE_TRACE_FLAG_SAMPLED;
	context_enter(span, options && options->detached);
	if (SONDE__UNLIKELY(!sampled)) {
		span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__PASSING);
		sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED);
		return NULL;
	}
	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	if (options && options->start_unix_ns) {
		span->start = options->start_unix_ns;
		span->record_flags |= SONDE__RECORD_START_IS_UNIX;
	} else {
		span->start = sonde__ticks();
	}
	return span;
}

struct sonde__span *sonde__span_start(struct sonde_span *memory, const struct sonde_span_options *options)
{
	return span_start(memory, options);
}

static const char *name_or_default(const char *name)
{
	return name && *name ? name : "unnamed";
}

void sonde__span_begin(struct sonde_span *memory, const char *name, const struct sonde_span_options *options)
{
	struct sonde__span *span = span_start(memory, options);

	if (span)
		sonde__span_name(span, name_or_default(name), strlen(name_or_default(name)));
}

/* The site's first use, or a table of sites that is full: then the name is copied. */
static SONDE__COLD void span_name_by_site(struct sonde__span *span, struct sonde_site *site)
{
	const char *name = name_or_default(site ? site->name : NULL);

	if (site && name == site->name)
		span->site = sonde__site_id(site);
	if (!span->site)
		sonde__span_name(span, name, strlen(name));
}

void sonde__span_begin_at(struct sonde_span *memory, struct sonde_site *site,
			  const struct sonde_span_options *options)
{
	struct sonde__span *span = span_start(memory, options);

	if (SONDE__UNLIKELY(!span))
		return;
	/* Relaxed: the id names an entry that the table published before it gave the id away. */
	if (SONDE__LIKELY(site != NULL))
		span->site = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	if (SONDE__UNLIKELY(!span->site))
		span_name_by_site(span, site);
}

/* ---- End -------------------------------------------------------------------------------------------- */

/*
 * The current span was left without its end, by a longjmp past it: it stands deeper in this stack than
 * the running function, so its frame is gone, while ours, further up, is still there.
 */
static bool current_was_left(const struct sonde__span *span)
{
	uintptr_t current = context_marked(&sonde__thread.current);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t mine = (uintptr_t)span;

	return current && current < here && here < mine && mine - current < ((uintptr_t)1 << 23);
}

static SONDE__ALWAYS_INLINE void context_leave(const struct sonde__span *span)
{
	if (SONDE__LIKELY(word_at(sonde__thread.current.span_id) == word_at(span->context.span_id)) ||
	    current_was_left(span))
		sonde__thread.current = span->previous;
}

static SONDE__ALWAYS_INLINE void record_fill(struct sonde__span_record *record, const struct sonde__span *span,
					     uint64_t time, uint8_t time_flag)
{
	record->head.type = SONDE__RECORD_SPAN;
	record->head.flags = span->record_flags | time_flag;
	record->head.n_dropped_attributes = span->n_dropped_attributes;
	record->head.time = time;
	memcpy(record->trace_id, span->context.trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, span->context.span_id, sizeof(record->span_id));
	memcpy(record->parent_id, span->parent_id, sizeof(record->parent_id));
	record->start = span->start;
	record->site = span->site;
	record->kind = span->kind;
	record->status = span->status;
	record->trace_flags = span->context.trace_flags;
	record->reserved = 0;
	record->name_size = span->name_size;
	record->description_size = span->description_size;
	record->fields_size = span->fields_size;
	record->n_dropped_events = span->n_dropped_events;
	record->n_dropped_links = span->n_dropped_links;
	record->reserved2 = 0;
}

static SONDE__ALWAYS_INLINE void span_write(const struct sonde__span *span, const char *trace_state,
					    size_t trace_state_size, uint64_t time, uint8_t time_flag)
{
	size_t size = sizeof(struct sonde__span_record) + span->name_size + trace_state_size +
		      span->description_size + span->fields_size;
	struct sonde__span_record *record;
	struct sonde__slot slot;
	uint8_t *at;

	if (!sonde__box_reserve(size, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot))
		return;
	record = slot.record;
	record->head.size = (uint32_t)size;
	record_fill(record, span, time, time_flag);
	record->trace_state_size = (uint16_t)trace_state_size;
	at = (uint8_t *)(record + 1);
	at = sonde__bytes_put(at, span->bytes + span->name_at, span->name_size);
	at = sonde__bytes_put(at, trace_state, trace_state_size);
	at = sonde__bytes_put(at, span->bytes + span->description_at, span->description_size);
	sonde__bytes_put(at, span->bytes, span->fields_size);
	sonde__box_commit(&slot);
}

/* Traces that carry a tracestate take a copy of it first. */
static __attribute__((noinline)) void span_write_with_trace_state(struct sonde__span *span, uint64_t time,
								  uint8_t time_flag)
{
	uint64_t reference = span->context.extension[SONDE__EXTENSION_TRACESTATE];
	char trace_state[SONDE_TRACESTATE_LENGTH];
	size_t size = sonde__tracestate_read(reference, trace_state);

	span_write(span, trace_state, size, time, time_flag);
}

void sonde__span_end(struct sonde_span *memory, uint64_t end_unix_ns)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	uint64_t time = end_unix_ns ? end_unix_ns : sonde__ticks();
	uint8_t time_flag = end_unix_ns ? SONDE__RECORD_TIME_IS_UNIX : 0;
	uint64_t memento;

	if (SONDE__UNLIKELY(!span))
		return;
	memento = span->memento;
	if (SONDE__UNLIKELY(!sonde__memento_is(memento, SONDE__MAGIC_SPAN) ||
			    (memento & SONDE__STATE_MASK) == SONDE__ENDED))
		return;
	span->memento = memento | SONDE__ENDED;
	if (SONDE__LIKELY(!(span->own_flags & SONDE__SPAN_DETACHED)))
		context_leave(span);
	/* Not what an earlier agent or the parent process began, and nothing after the stop. */
	if (SONDE__LIKELY(memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING) &&
			  sonde_is_recording())) {
		if (SONDE__LIKELY(!span->context.extension[SONDE__EXTENSION_TRACESTATE]))
			span_write(span, "", /* trace_state_size= */ 0, time, time_flag);
		else
			span_write_with_trace_state(span, time, time_flag);
	}
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_OWNS_TRACESTATE))
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}

/* ---- What a span says ------------------------------------------------------------------------------- */

bool sonde_span_is_recording(const struct sonde_span *memory)
{
	const struct sonde__span *span = (const struct sonde__span *)memory;

	return span && sonde_is_recording() &&
	       span->memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
}

struct sonde_context sonde_span_context(const struct sonde_span *memory)
{
	const struct sonde__span *span = (const struct sonde__span *)memory;

	if (span && sonde__memento_is(span->memento, SONDE__MAGIC_SPAN))
		return span->context;
	/* Begun while nothing recorded: the context is the one it would have continued. */
	return sonde__thread.current;
}
