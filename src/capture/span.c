/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The begin of a span; docs/design/span.md argues it.
 *
 * Until its end a span is bytes in the caller's memory, which then become one record.
 * The first word says what the memory is. Everything that C allows to go wrong with such memory,
 * from ending twice to never having begun, is told by that word and ends in doing nothing.
 */

#include "capture/span.h"

#include <string.h>

#include "base/clock.h"
#include "box/box.h"
#include "context/context.h"
#include "record/varint.h"

/* ---- Begin ----------------------------------------------------------------------------------- */

/* The members from `site` to the first byte: all counts and sizes are zero. */
static SONDE__ALWAYS_INLINE void counts_clear(struct sonde__span *span)
{
	memset(&span->site, 0,
	       offsetof(struct sonde__span, bytes) - offsetof(struct sonde__span, site));
}

static SONDE__ALWAYS_INLINE uint8_t kind_of(unsigned kind)
{
	return kind - SONDE_KIND_INTERNAL <= SONDE_KIND_CONSUMER - SONDE_KIND_INTERNAL
		       ? (uint8_t)kind
		       : (uint8_t)SONDE_KIND_INTERNAL;
}

/* A child of the current context, which is what most spans are. */
static SONDE__ALWAYS_INLINE void child_begin(struct sonde__span *span, uint64_t span_id,
					     uint32_t site, unsigned how)
{
	const uint64_t previous_flags = sonde__context_current()->flags;

	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	counts_clear(span);
	span->site = site;
	span->kind = kind_of(how & SONDE__BEGIN_KIND);
	if (SONDE__UNLIKELY(previous_flags & SONDE__CONTEXT_REMOTE))
		span->record_flags = SONDE__RECORD_PARENT_REMOTE;
	sonde__span_enter_below(span, span_id,
				(previous_flags & SONDE_TRACE_FLAG_RANDOM) |
					SONDE_TRACE_FLAG_SAMPLED);
	span->start = sonde__counter();
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
static void context_enter(struct sonde__span *span, struct sonde__context_words *words,
			  bool is_scope)
{
	*sonde__span_previous(span) = *sonde__context_current();
	span->texts_size = sizeof(struct sonde_context);
	span->own_flags |= SONDE__SPAN_KEEPS_PREVIOUS;
	if (is_scope) {
		span->own_flags |= SONDE__SPAN_IS_SCOPE;
		words->extension2 = sonde__values_seal(words->extension2);
	}
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
	/* Another process's context, and none, bring no values: what the thread carries goes on. */
	if (!words.extension2 && (words.flags & SONDE__CONTEXT_REMOTE || !words.span_id))
		words.extension2 = sonde__context_current()->extension2;
	sonde__deadline_inherit(&words);
	sampled = context_make(span, &words, known.root);
	span->kind = kind_of((unsigned)known.kind);
	if (known.detached)
		span->own_flags = SONDE__SPAN_DETACHED;
	else
		context_enter(span, &words, /* is_scope= */ known.parent || !span->parent_id);
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

void sonde__span_open(struct sonde__span *span)
{
	const struct sonde__open_begin open = sonde__span_open_begin(span);

	span->open_number = sonde__open_begin(&open);
}

/*
 * The same where the table has the thread's own entry ready; else by a call that ends the caller.
 */
static SONDE__ALWAYS_INLINE void span_open_inline(struct sonde__span *span)
{
	const struct sonde__open_begin open = sonde__span_open_begin(span);
	struct sonde__open_entry *entries = sonde__open_entries();
	struct sonde__open_entry *entry;

	if (SONDE__UNLIKELY(!entries))
		return;
	entry = sonde__open_own(entries, span);
	if (SONDE__LIKELY(entry != NULL))
		span->open_number = sonde__open_take(entries, entry, &open);
	else
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

static __attribute__((noinline)) void span_begin_any(struct sonde_span *memory,
						     struct sonde_site *site, unsigned how,
						     const struct sonde_span_options *options)
{
	struct sonde_span_options known = SONDE_SPAN_OPTIONS_INIT;

	known.kind = (enum sonde_kind)(how & SONDE__BEGIN_KIND);
	known.root = how & SONDE__BEGIN_ROOT;
	span_begin_with_options(memory, site, options ? options : &known);
}

/* The usual root: its thread and site are known, and its trace is sampled. */
static __attribute__((noinline)) void root_begin(struct sonde__span *span, struct sonde_site *site,
						 uint64_t span_id, unsigned how)
{
	struct sonde__context_words words = *sonde__context_current();

	words.trace_id[0] = sonde__identity_try();
	words.trace_id[1] = sonde__identity_try();
	if (SONDE__UNLIKELY(!words.trace_id[0] || !words.trace_id[1] ||
			    !sonde__sampler_decide(/* has_parent= */ false, /* parent_flags= */ 0,
						   words.trace_id[1]))) {
		span_begin_any((struct sonde_span *)span, site, how, /* options= */ NULL);
		return;
	}
	counts_clear(span);
	span->memento = sonde__memento(SONDE__MAGIC_SPAN, SONDE__RECORDING);
	span->parent_id = 0;
	/* Relaxed: see sonde__span_begin_at. */
	span->site = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	span->kind = kind_of(how & SONDE__BEGIN_KIND);
	words.span_id = span_id;
	words.flags = SONDE_TRACE_FLAG_RANDOM | SONDE_TRACE_FLAG_SAMPLED;
	words.extension01[SONDE__EXTENSION_TRACESTATE] = 0;
	context_enter(span, &words, /* is_scope= */ true);
	*sonde__context_words(&span->context) = words;
	span->start = sonde__counter();
	span_open_inline(span);
}

/*
 * The usual span, a child whose thread and site are known, is begun without a call: so no register
 * is saved. What is found in the way ends in span_begin_any, which begins anew.
 */
void sonde__span_begin_at(struct sonde_span *memory, struct sonde_site *site, unsigned how,
			  const struct sonde_span_options *options)
{
	const struct sonde__context_words *current = sonde__context_current();
	struct sonde__span *span = (struct sonde__span *)memory;
	uint64_t span_id;
	uint32_t site_id;

	if (SONDE__UNLIKELY(options || !span || !site || !sonde__process_is_known() ||
			    !sonde__ticks_are_counted()))
		goto any;
	/* Relaxed: the id names an entry that the table published before it gave the id away. */
	site_id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
	if (SONDE__UNLIKELY(!site_id))
		goto any;
	if (SONDE__LIKELY(current->span_id && !(how & SONDE__BEGIN_ROOT))) {
		if (SONDE__UNLIKELY(!sonde__sampler_decide(/* has_parent= */ true,
							   (uint8_t)current->flags,
							   current->trace_id[1]))) {
			sonde__span_pass(span, site);
			return;
		}
		span_id = sonde__identity_try();
		if (SONDE__UNLIKELY(!span_id))
			goto any;
		child_begin(span, span_id, site_id, how);
		span_open_inline(span);
		return;
	}
	span_id = sonde__identity_try();
	if (SONDE__LIKELY(span_id)) {
		root_begin(span, site, span_id, how);
		return;
	}
any:
	span_begin_any(memory, site, how, options);
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

	const struct sonde_context current = sonde_context_current();
	struct sonde_context context;

	/* Begun while nothing recorded: the context is the one it would have continued. */
	if (!span || !sonde__memento_is(span->memento, SONDE__MAGIC_SPAN))
		return current;
	context = span->context;
	/* What was set since the span began is of the same request. */
	if (!memcmp(context.trace_id, current.trace_id, sizeof(context.trace_id))) {
		context.extension[SONDE__EXTENSION_VALUES] =
			current.extension[SONDE__EXTENSION_VALUES];
		context.extension[SONDE__EXTENSION_DEADLINE] =
			current.extension[SONDE__EXTENSION_DEADLINE];
	}
	return context;
}
