/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Begin and end of a span; docs/design/span.md argues it.
 *
 * Between the two the span is bytes in the caller's memory, and the end writes them as one record.
 * The first word says what the memory is. Everything that C allows to go wrong with such memory,
 * from ending twice to never having begun, is told by that word and ends in doing nothing.
 */

#include "capture/span.h"

#include <string.h>

#include "base/clock.h"
#include "box/box.h"
#include "context/context.h"
#include "record/varint.h"

/* A span further away than this stands in another stack. */
#define STACK_REACH ((uintptr_t)1 << 23)

/*
 * ---- Begin
 * ------------------------------------------------------------------------------------------
 */

/* Options of another library's size: what we know of them; NULL where that is nothing. */
static SONDE__COLD const struct sonde_span_options *options_read(
	const struct sonde_span_options *options, struct sonde_span_options *ret)
{
	const struct sonde_span_options none = SONDE_SPAN_OPTIONS_INIT;
	size_t size = options->size < sizeof(*options) ? options->size : sizeof(*options);

	if (size < sizeof(options->size))
		return NULL;
	*ret = none;
	memcpy(ret, options, size);
	return ret;
}

/* A new trace: what else the thread carries goes on, another trace's state does not. */
static SONDE__ALWAYS_INLINE void context_make_root(struct sonde__context_words *words)
{
	words->trace_id[0] = sonde__identity_draw();
	words->trace_id[1] = sonde__identity_draw();
	words->flags = SONDE_TRACE_FLAG_RANDOM;
	words->extension[SONDE__EXTENSION_TRACESTATE] = 0;
}

/*
 * Makes `words`, the parent's, the new span's, and begins the span with all of its counts at zero.
 * Whether the span is recorded.
 */
static SONDE__ALWAYS_INLINE bool context_make(struct sonde__span *span,
					      struct sonde__context_words *words, bool root)
{
	const bool has_parent = SONDE__LIKELY(!root && sonde__context_words_are_valid(words));
	const bool sampled = sonde__sampler_decide(has_parent, (uint8_t)words->flags);

	span->parent_id = has_parent ? words->span_id : 0;
	span->record_flags = has_parent && (words->flags & SONDE__CONTEXT_REMOTE)
				     ? SONDE__RECORD_PARENT_REMOTE
				     : 0;
	if (SONDE__UNLIKELY(!has_parent))
		context_make_root(words);
	words->span_id = sonde__identity_draw();
	words->flags &= SONDE_TRACE_FLAG_SAMPLED | SONDE_TRACE_FLAG_RANDOM;
	if (sampled)
		words->flags |= SONDE_TRACE_FLAG_SAMPLED;
	return sampled;
}

/* All members from the site to the first byte of `bytes`. */
static SONDE__ALWAYS_INLINE void counts_clear(struct sonde__span *span)
{
	memset(&span->site, 0,
	       offsetof(struct sonde__span, bytes) - offsetof(struct sonde__span, site));
}

static SONDE__ALWAYS_INLINE struct sonde__span *span_start(struct sonde_span *memory,
							   const struct sonde_span_options *options)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	struct sonde_span_options known;
	struct sonde__context_words words;
	bool sampled;

	if (SONDE__UNLIKELY(!span || !sonde__capture_enter()))
		return NULL;
	if (SONDE__UNLIKELY(options && options->size != sizeof(*options)))
		options = options_read(options, &known);
	words = sonde__context_load(&sonde__thread.current);
	sonde__context_store(&span->previous, &words);
	if (SONDE__UNLIKELY(options && options->parent))
		words = sonde__context_load(options->parent);
	counts_clear(span);
	sampled = context_make(span, &words, options && options->root);
	span->kind = SONDE_KIND_INTERNAL;
	if (options && options->kind >= SONDE_KIND_INTERNAL && options->kind <= SONDE_KIND_CONSUMER)
		span->kind = (uint8_t)options->kind;
	if (SONDE__UNLIKELY(options && options->detached)) {
		span->own_flags = SONDE__SPAN_DETACHED;
	} else {
		/* Where the span stands: a number to compare, never followed. */
		words.flags |= (uint64_t)(uintptr_t)span << SONDE__CONTEXT_MARK_SHIFT;
		sonde__context_store(&sonde__thread.current, &words);
	}
	sonde__context_store(&span->context, &words);
	if (SONDE__UNLIKELY(!sampled)) {
		span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__PASSING);
		sonde__box_count_loss(SONDE_SIGNAL_SPAN, SONDE_LOSS_UNSAMPLED);
		return NULL;
	}
	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	if (SONDE__UNLIKELY(options && options->start_unix_ns)) {
		span->start = options->start_unix_ns;
		span->record_flags |= SONDE__RECORD_START_IS_UNIX;
	} else {
		span->start = sonde__ticks();
	}
	return span;
}

struct sonde__span *sonde__span_start(struct sonde_span *memory,
				      const struct sonde_span_options *options)
{
	return span_start(memory, options);
}

/* Most spans have no options, or all of them at their defaults: for these the tests fold away. */
static SONDE__ALWAYS_INLINE bool options_are_plain(const struct sonde_span_options *options)
{
	return !options ||
	       (options->size == sizeof(*options) && !options->kind && !options->start_unix_ns &&
		!options->parent && !options->root && !options->detached);
}

static const char *name_or_default(const char *name)
{
	return name && *name ? name : "unnamed";
}

void sonde__span_begin(struct sonde_span *memory, const char *name,
		       const struct sonde_span_options *options)
{
	struct sonde__span *span = sonde__span_start(memory, options);

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
	struct sonde__span *span = options_are_plain(options)
					   ? span_start(memory, /* options= */ NULL)
					   : sonde__span_start(memory, options);

	if (SONDE__UNLIKELY(!span))
		return;
	/* Relaxed: the id names an entry that the table published before it gave the id away. */
	if (SONDE__LIKELY(site != NULL))
		span->site = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	if (SONDE__UNLIKELY(!span->site))
		span_name_by_site(span, site);
}

/*
 * ---- End
 * --------------------------------------------------------------------------------------------
 */

/*
 * The current span was left without its end, by a longjmp past it: it stands deeper in this stack
 * than the running function, so its frame is gone, while ours, further up, is still there.
 */
static SONDE__COLD bool current_was_left(const struct sonde__span *span, uint64_t flags)
{
	uintptr_t current = (uintptr_t)(flags >> SONDE__CONTEXT_MARK_SHIFT);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t mine = (uintptr_t)span;

	return current && current < here && here < mine && mine - current < STACK_REACH;
}

static SONDE__ALWAYS_INLINE void context_leave(const struct sonde__span *span,
					       const struct sonde__context_words *words)
{
	const struct sonde__context_words *current =
		(const struct sonde__context_words *)&sonde__thread.current;
	struct sonde__context_words previous;

	if (SONDE__UNLIKELY(SONDE__WORD_LOAD(current->span_id) != words->span_id) &&
	    !current_was_left(span, SONDE__WORD_LOAD(current->flags)))
		return;
	previous = sonde__context_load(&span->previous);
	sonde__context_store(&sonde__thread.current, &previous);
}

/* One word, not half of a wider one: see SONDE__WORD_STORE. */
static SONDE__ALWAYS_INLINE void word_put(uint8_t *bytes, uint64_t word)
{
	SONDE__WORD_STORE(*(uint64_t *)(void *)bytes, word);
}

/* Everything but the sizes of the whole and of the trace state. */
static SONDE__ALWAYS_INLINE void record_fill(struct sonde__span_record *record,
					     const struct sonde__span *span,
					     const struct sonde__context_words *words,
					     uint64_t time, uint8_t time_flag)
{
	record->head.type = SONDE__RECORD_SPAN;
	record->head.flags = span->record_flags | time_flag;
	record->head.n_dropped_attributes = span->n_dropped_attributes;
	record->head.time = time;
	word_put(record->trace_id, words->trace_id[0]);
	word_put(record->trace_id + 8, words->trace_id[1]);
	word_put(record->span_id, words->span_id);
	word_put(record->parent_id, span->parent_id);
	record->start = span->start;
	record->site = span->site;
	record->kind = span->kind;
	record->status = span->status;
	record->trace_flags = (uint8_t)words->flags;
	record->reserved = 0;
	record->name_size = span->name_size;
	record->description_size = span->description_size;
	record->fields_size = span->fields_size;
	record->n_dropped_events = span->n_dropped_events;
	record->n_dropped_links = span->n_dropped_links;
	record->reserved2 = 0;
}

static SONDE__ALWAYS_INLINE void span_write(const struct sonde__span *span,
					    const struct sonde__context_words *words,
					    struct sonde_text trace_state, uint64_t time,
					    uint8_t time_flag)
{
	size_t size = sizeof(struct sonde__span_record) + span->name_size + trace_state.size +
		      span->description_size + span->fields_size;
	struct sonde__span_record *record;
	struct sonde__slot slot;
	uint8_t *at;

	if (!sonde__box_reserve(size, SONDE_SIGNAL_SPAN, /* urgent= */ false, &slot))
		return;
	record = slot.record;
	record->head.size = (uint32_t)size;
	record_fill(record, span, words, time, time_flag);
	record->trace_state_size = (uint16_t)trace_state.size;
	at = (uint8_t *)(record + 1);
	at = sonde__bytes_put(at, span->bytes + span->name_at, span->name_size);
	at = sonde__bytes_put(at, trace_state.data, trace_state.size);
	at = sonde__bytes_put(at, span->bytes + span->description_at, span->description_size);
	sonde__bytes_put(at, span->bytes, span->fields_size);
	sonde__box_commit(&slot);
}

/* Traces that carry a tracestate take a copy of it first. */
static __attribute__((noinline)) void span_write_with_trace_state(
	const struct sonde__span *span, const struct sonde__context_words *words, uint64_t time,
	uint8_t time_flag)
{
	char data[SONDE_TRACESTATE_LENGTH];
	struct sonde_text trace_state = { .data = data };

	trace_state.size = sonde__tracestate_read(words->extension[SONDE__EXTENSION_TRACESTATE],
						  data);
	span_write(span, words, trace_state, time, time_flag);
}

void sonde__span_end(struct sonde_span *memory, uint64_t end_unix_ns)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	uint64_t time = end_unix_ns ? end_unix_ns : sonde__ticks();
	uint8_t time_flag = end_unix_ns ? SONDE__RECORD_TIME_IS_UNIX : 0;
	struct sonde__context_words words;
	uint64_t memento;

	if (SONDE__UNLIKELY(!span))
		return;
	memento = span->memento;
	if (SONDE__UNLIKELY(!sonde__memento_is(memento, SONDE__MAGIC_SPAN) ||
			    (memento & SONDE__STATE_MASK) == SONDE__ENDED))
		return;
	span->memento = memento | SONDE__ENDED;
	words = sonde__context_load(&span->context);
	if (SONDE__LIKELY(!(span->own_flags & SONDE__SPAN_DETACHED)))
		context_leave(span, &words);
	/* Not what an earlier agent or the parent process began, and nothing after the stop. */
	if (SONDE__LIKELY(memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING) &&
			  sonde_is_recording())) {
		if (SONDE__LIKELY(!words.extension[SONDE__EXTENSION_TRACESTATE]))
			span_write(span, &words, (struct sonde_text){ "", 0 }, time, time_flag);
		else
			span_write_with_trace_state(span, &words, time, time_flag);
	}
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_OWNS_TRACESTATE))
		sonde__tracestate_free(words.extension[SONDE__EXTENSION_TRACESTATE]);
}

/*
 * ---- What a span says
 * -------------------------------------------------------------------------------
 */

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
