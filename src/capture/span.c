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
#include "capture/figures.h"
#include "box/write_inline.h"
#include "context/context.h"
#include "record/varint.h"

/* A span further away than this stands in another stack. */
#define STACK_REACH ((uintptr_t)1 << 23)

/* ---- Begin ----------------------------------------------------------------------------------- */

/* What was current at the begin, kept whole at the end of the bytes. */
static SONDE__ALWAYS_INLINE struct sonde__context_words *previous_of(const struct sonde__span *span)
{
	const uint8_t *end = span->bytes + SONDE__SPAN_BYTES;

	return sonde__context_words(
		(const struct sonde_context *)(const void *)(end - sizeof(struct sonde_context)));
}

/* The members from `site` to the first byte: all counts and sizes are zero. */
static SONDE__ALWAYS_INLINE void counts_clear(struct sonde__span *span)
{
	memset(&span->site, 0,
	       offsetof(struct sonde__span, bytes) - offsetof(struct sonde__span, site));
}

static SONDE__ALWAYS_INLINE uint8_t kind_of(enum sonde_kind kind)
{
	return (unsigned)kind - SONDE_KIND_INTERNAL <= SONDE_KIND_CONSUMER - SONDE_KIND_INTERNAL
		       ? (uint8_t)kind
		       : (uint8_t)SONDE_KIND_INTERNAL;
}

/*
 * A child of the current context, which is what most spans are: the trace and all that the thread
 * carries stay, so that two words change. Its parent's id is what to put back.
 */
static SONDE__ALWAYS_INLINE void child_begin(struct sonde__span *span, enum sonde_kind kind)
{
	struct sonde__context_words *own = sonde__context_words(&span->context);
	struct sonde__context_words *current = sonde__context_current();
	const uint64_t previous_flags = current->flags;

	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	span->parent_id = current->span_id;
	span->previous_flags = previous_flags;
	counts_clear(span);
	span->kind = kind_of(kind);
	if (SONDE__UNLIKELY(previous_flags & SONDE__CONTEXT_REMOTE))
		span->record_flags = SONDE__RECORD_PARENT_REMOTE;
	own->trace_id = current->trace_id;
	own->extension01 = current->extension01;
	own->extension2 = current->extension2;
	current->span_id = own->span_id = sonde__identity_draw();
	current->flags = own->flags = (previous_flags & SONDE_TRACE_FLAG_RANDOM) |
				      SONDE_TRACE_FLAG_SAMPLED | sonde__span_place(span);
	span->start = sonde__ticks();
}

/* What we know of the options, which may be another library's, larger or smaller. */
static void options_read(const struct sonde_span_options *options, struct sonde_span_options *ret)
{
	size_t size = options->size;

	if (SONDE__LIKELY(size == sizeof(*ret)))
		*ret = *options;
	else if (size >= sizeof(options->size))
		memcpy(ret, options, size < sizeof(*ret) ? size : sizeof(*ret));
}

/* A new trace: what else the thread carries goes on, another trace's state does not. */
static void context_make_root(struct sonde__context_words *words)
{
	words->trace_id[0] = sonde__identity_draw();
	words->trace_id[1] = sonde__identity_draw();
	words->flags = SONDE_TRACE_FLAG_RANDOM;
	words->extension01[SONDE__EXTENSION_TRACESTATE] = 0;
}

/* Makes `words`, the parent's, the new span's. Whether the span is recorded. */
static bool context_make(struct sonde__span *span, struct sonde__context_words *words, bool root)
{
	const bool has_parent = !root && sonde__context_words_are_valid(words);
	bool sampled;

	span->parent_id = has_parent ? words->span_id : 0;
	if (has_parent && (words->flags & SONDE__CONTEXT_REMOTE))
		span->record_flags = SONDE__RECORD_PARENT_REMOTE;
	if (!has_parent)
		context_make_root(words);
	words->span_id = sonde__identity_draw();
	sampled = sonde__sampler_decide(has_parent, (uint8_t)words->flags, words->trace_id[1]);
	words->flags &= SONDE_TRACE_FLAG_RANDOM;
	if (sampled)
		words->flags |= SONDE_TRACE_FLAG_SAMPLED;
	return sampled;
}

/* Puts the span's context in the place of the current one, which is kept whole. */
static void context_enter(struct sonde__span *span, struct sonde__context_words *words)
{
	*previous_of(span) = *sonde__context_current();
	span->texts_size = sizeof(struct sonde_context);
	span->own_flags |= SONDE__SPAN_KEEPS_PREVIOUS;
	words->flags |= sonde__span_place(span);
	*sonde__context_current() = *words;
}

struct sonde__span *sonde__span_start(struct sonde_span *memory,
				      const struct sonde_span_options *options)
{
	struct sonde__span *span = (struct sonde__span *)memory;
	struct sonde_span_options known = SONDE_SPAN_OPTIONS_INIT;
	struct sonde__context_words words;
	bool sampled;

	if (!span)
		return NULL;
	span->memento = 0;
	if (!sonde__capture_enter())
		return NULL;
	if (options)
		options_read(options, &known);
	counts_clear(span);
	words = known.parent ? *sonde__context_words(known.parent) : *sonde__context_current();
	sampled = context_make(span, &words, known.root);
	span->kind = kind_of(known.kind);
	if (known.detached)
		span->own_flags = SONDE__SPAN_DETACHED;
	else
		context_enter(span, &words);
	*sonde__context_words(&span->context) = words;
	span->memento = sonde__memento(SONDE__MAGIC_SPAN,
				       sampled ? SONDE__RECORDING : SONDE__PASSING);
	if (known.start_unix_ns) {
		span->start = known.start_unix_ns;
		span->record_flags |= SONDE__RECORD_START_IS_UNIX;
	} else if (sampled || SONDE__SETTING(counts_figures)) {
		span->start = sonde__ticks();
	}
	if (sampled)
		return span;
	sonde__box_count_unsampled(SONDE_SIGNAL_SPAN);
	return NULL;
}

static const char *name_or_default(const char *name)
{
	return name && *name ? name : "unnamed";
}

void sonde__span_begin(struct sonde_span *memory, const char *name,
		       const struct sonde_span_options *options)
{
	struct sonde__span *span = sonde__span_start(memory, options);

	if (!span)
		return;
	sonde__span_name(span, name_or_default(name), strlen(name_or_default(name)));
	sonde__span_open(span);
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

/* A span that is not recorded needs no name, but has figures. */
static void span_pass_site(struct sonde_span *memory, struct sonde_site *site)
{
	struct sonde__span *span = (struct sonde__span *)memory;

	if (site && span && sonde__memento_is(span->memento, SONDE__MAGIC_SPAN))
		span->site = sonde__site_id(site);
}

static SONDE__ALWAYS_INLINE void span_set_site(struct sonde__span *span, struct sonde_site *site)
{
	/* Relaxed: the id names an entry that the table published before it gave the id away. */
	if (SONDE__LIKELY(site != NULL))
		span->site = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	if (SONDE__UNLIKELY(!span->site))
		span_name_by_site(span, site);
	sonde__span_open(span);
}

static __attribute__((noinline)) void span_begin_with_options(
	struct sonde_span *memory, struct sonde_site *site,
	const struct sonde_span_options *options)
{
	struct sonde__span *span = sonde__span_start(memory, options);

	if (SONDE__LIKELY(span != NULL))
		span_set_site(span, site);
	else
		span_pass_site(memory, site);
}

static SONDE__COLD void span_begin_of_kind(struct sonde_span *memory, struct sonde_site *site,
					   enum sonde_kind kind)
{
	struct sonde_span_options options = SONDE_SPAN_OPTIONS_INIT;

	options.kind = kind;
	span_begin_with_options(memory, site, &options);
}

/* Apart, so that only what is recorded saves the registers that it needs. */
static __attribute__((noinline)) void span_begin_child(struct sonde__span *span,
						       struct sonde_site *site,
						       enum sonde_kind kind)
{
	child_begin(span, kind);
	span_set_site(span, site);
}

void sonde__span_begin_at(struct sonde_span *memory, struct sonde_site *site, enum sonde_kind kind,
			  const struct sonde_span_options *options)
{
	const struct sonde__context_words *current = sonde__context_current();
	struct sonde__span *span = (struct sonde__span *)memory;

	if (options) {
		span_begin_with_options(memory, site, options);
	} else if (SONDE__UNLIKELY(!span || !sonde__process_is_known() || !current->span_id)) {
		span_begin_of_kind(memory, site, kind);
	} else if (SONDE__LIKELY(sonde__sampler_decide(/* has_parent= */ true,
						       (uint8_t)current->flags,
						       current->trace_id[1]))) {
		span_begin_child(span, site, kind);
	} else {
		sonde__span_pass(span, site);
	}
}

/* ---- End ------------------------------------------------------------------------------------- */

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

static SONDE__ALWAYS_INLINE void context_put_back(const struct sonde__span *span)
{
	const struct sonde__context_words *own = sonde__context_words(&span->context);
	struct sonde__context_words *current = sonde__context_current();

	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_KEEPS_PREVIOUS)) {
		*current = *previous_of(span);
		return;
	}
	current->trace_id = own->trace_id;
	current->span_id = span->parent_id;
	current->flags = span->previous_flags;
	current->extension01 = own->extension01;
	current->extension2 = own->extension2;
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

void sonde__span_leave(const struct sonde__span *span)
{
	context_leave(span);
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

static SONDE__ALWAYS_INLINE void span_write(const struct sonde__span *span,
					    struct sonde_text trace_state, uint64_t time,
					    uint8_t flags)
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
	if (SONDE__LIKELY(!texts_size)) {
		fields_copy(at, span);
	} else {
		at = sonde__bytes_put(at, span->bytes + span->name_at, span->name_size);
		at = sonde__bytes_put(at, trace_state.data, trace_state.size);
		at = sonde__bytes_put(at, span->bytes + span->description_at,
				      span->description_size);
		sonde__bytes_put(at, span->bytes, span->fields_size);
	}
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
static SONDE__ALWAYS_INLINE uint8_t span_close(struct sonde__span *span, uint64_t end_unix_ns)
{
	const bool has_failed = sonde__span_has_failed(span);

	span->memento |= SONDE__ENDED;
	context_leave(span);
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
	(void)span_close(span, /* end_unix_ns= */ 0);
	if (memento == sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING))
		open_end(span);
	if (span->own_flags & SONDE__SPAN_OWNS_TRACESTATE)
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}

void sonde__span_end(struct sonde_span *memory, uint64_t end_unix_ns)
{
	const uint64_t recording = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	struct sonde__span *span = (struct sonde__span *)memory;
	uint64_t time;
	uint8_t flags;

	if (SONDE__UNLIKELY(!span))
		return;
	/* Not what an earlier agent or the parent process began, and nothing after the stop. */
	if (SONDE__UNLIKELY(span->memento != recording || !sonde_is_recording())) {
		if (span->memento == (recording ^ SONDE__RECORDING ^ SONDE__PASSING))
			sonde__span_pass_end(span, end_unix_ns);
		else
			span_end_unrecorded(span);
		return;
	}
	time = end_unix_ns ? end_unix_ns : sonde__ticks();
	flags = span_close(span, end_unix_ns);
	if (SONDE__LIKELY(!span->context.extension[SONDE__EXTENSION_TRACESTATE]))
		span_write(span, (struct sonde_text){ "", 0 }, time, flags);
	else
		span_write_with_trace_state(span, time, flags);
	/* After it was written: who dies in between leaves it twice, not nowhere. */
	open_end(span);
	if (SONDE__UNLIKELY(span->own_flags & SONDE__SPAN_OWNS_TRACESTATE))
		sonde__tracestate_free(span->context.extension[SONDE__EXTENSION_TRACESTATE]);
}

/* ---- What a span says ------------------------------------------------------------------------ */

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
