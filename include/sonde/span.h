/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_SPAN_H
#define SONDE_SPAN_H

/*
 * Spans: one timed operation each, a node of a trace.
 *
 *	SONDE_SPAN(span, "charge card", .kind = SONDE_KIND_CLIENT);	// ends with the block
 *	sonde_span_set_int(span, "order.items", order->n_items);
 *
 * A span lives in the caller's memory and becomes one record when it ends. It is current, the
 * parent of what begins below it on the same thread, from its begin to its end. Recording never
 * fails visibly: what cannot be kept is counted (sonde_agent_account). A span belongs to one thread
 * at a time; it may be ended by another one than began it. Ending twice, never ending, leaving a
 * span by longjmp, pthread_exit or a coroutine switch is harmless: at worst that span is not
 * exported.
 *
 * Every call is lock-free, allocates nothing, keeps errno and, while no agent runs, is one test.
 * Text is copied. Text that is not UTF-8 is repaired before it is exported, and counted.
 */

#include <sonde/attribute.h>
#include <sonde/base.h>
#include <sonde/context.h>

SONDE_BEGIN_DECLS

/* Caller's memory for one span; nobody but the library looks inside. */
struct sonde_span {
	uint64_t opaque[64];
};

enum sonde_kind {
	SONDE_KIND_INTERNAL = 1, /* Also what 0 means. */
	SONDE_KIND_SERVER = 2,
	SONDE_KIND_CLIENT = 3,
	SONDE_KIND_PRODUCER = 4,
	SONDE_KIND_CONSUMER = 5,
};

/*
 * OK beats ERROR beats UNSET: a lower one set later is ignored; the text is kept for ERROR alone.
 */
enum sonde_span_status {
	SONDE_SPAN_UNSET = 0,
	SONDE_SPAN_OK = 1,
	SONDE_SPAN_ERROR = 2,
};

struct sonde_span_options {
	size_t size;
	enum sonde_kind kind; /* Default: INTERNAL. */
	uint64_t start_unix_ns; /* Default: now. */
	/* Default: the current context. An invalid one: a root. */
	const struct sonde_context *parent;
	bool root; /* Begin a new trace, whatever is current. */
	bool detached; /* Do not become the current context. */
};

#define SONDE_SPAN_OPTIONS_INIT \
	{ \
		sizeof(struct sonde_span_options), SONDE_KIND_INTERNAL, 0, 0, false, false \
	}

/*
 * Begins and ends. `options` may be NULL. sonde_span_end is the cleanup function of SONDE_SPAN, and
 * may also be called early. The end sets the thread's current context back to what it was at begin,
 * if the span is still the current one there.
 */
static inline void sonde_span_begin(struct sonde_span *span, const char *name,
				    const struct sonde_span_options *options);
static inline void sonde_span_begin_at(struct sonde_span *span, struct sonde_site *site,
				       const struct sonde_span_options *options);
static inline void sonde_span_end(struct sonde_span *span);
static inline void sonde_span_end_with_time(struct sonde_span *span, uint64_t end_unix_ns);

/*
 * Declares `span`, a pointer, and begins it; it ends with the block. The options are designated
 * initialisers of struct sonde_span_options. C++ has the form without options, and
 * SONDE_SPAN_WITH(span, name, &options) for both languages. The name is a literal or lives forever.
 */
#define SONDE_SPAN_WITH(span, span_name, options) \
	static struct sonde_site SONDE__CAT(span, _site) = SONDE_SITE_INIT(span_name); \
	struct sonde_span SONDE__CAT(span, _memory) __attribute__((cleanup(sonde_span_end))); \
	struct sonde_span *const span __attribute__((unused)) = &SONDE__CAT(span, _memory); \
	sonde_span_begin_at(span, &SONDE__CAT(span, _site), options)

#ifdef __cplusplus
#define SONDE_SPAN(span, span_name) SONDE_SPAN_WITH(span, span_name, nullptr)
#else
#define SONDE_SPAN(span, ...) \
	SONDE_SPAN_WITH(span, SONDE__FIRST(__VA_ARGS__), \
			(&(const struct sonde_span_options){ SONDE__REST( \
				__VA_ARGS__, .size = sizeof(struct sonde_span_options)) }))
#endif

/*
 * A server span that continues the caller's trace: named "<method> <route>", kind SERVER, with
 * http.request.method and http.route (NULL where the framework gives none: the name is the method).
 * `get` reads the request's headers and may be NULL. Standard: HTTP semantic conventions.
 */
#define SONDE_SERVER_SPAN(span, method, route, get, carrier) \
	struct sonde_span SONDE__CAT(span, _memory) __attribute__((cleanup(sonde_span_end))); \
	struct sonde_span *const span __attribute__((unused)) = &SONDE__CAT(span, _memory); \
	sonde_span_begin_server(span, method, route, get, carrier)

static inline void sonde_span_begin_server(struct sonde_span *span, const char *method,
					   const char *route, sonde_header_get_fn *get,
					   void *carrier);

/* Recording now: begun while an agent ran, and not ended. */
SONDE_API bool sonde_span_is_recording(const struct sonde_span *span);

/* The span's own context: to hand to another thread, to inject, to link to. Valid after the end. */
SONDE_API struct sonde_context sonde_span_context(const struct sonde_span *span);

/* Attributes. At most 128 keys a span (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT); the rest is counted. */
static inline void sonde_span_set_strn(struct sonde_span *span, const char *key, const char *value,
				       size_t size);
static inline void sonde_span_set_str(struct sonde_span *span, const char *key, const char *value);
static inline void sonde_span_set_int(struct sonde_span *span, const char *key, int64_t value);
static inline void sonde_span_set_double(struct sonde_span *span, const char *key, double value);
static inline void sonde_span_set_bool(struct sonde_span *span, const char *key, bool value);
/* Any type, by value: sonde_span_set(span, sonde_int_array("ports", ports, n)). */
static inline void sonde_span_set(struct sonde_span *span, struct sonde_attr attr);

/* Events: SONDE_ATTRS(…) or SONDE_NO_ATTRS at the end. At most 128 a span; the rest is counted. */
static inline void sonde_span_add_event(struct sonde_span *span, const char *name,
					const struct sonde_attr *attrs, size_t n_attrs);
static inline void sonde_span_add_event_with_time(struct sonde_span *span, const char *name,
						  uint64_t unix_ns, const struct sonde_attr *attrs,
						  size_t n_attrs);

/* A link to another span, of this trace or another. At most 128 a span; the rest is counted. */
static inline void sonde_span_add_link(struct sonde_span *span, const struct sonde_context *to,
				       const struct sonde_attr *attrs, size_t n_attrs);

static inline void sonde_span_set_status(struct sonde_span *span, enum sonde_span_status status,
					 const char *description);
static inline void sonde_span_set_name(struct sonde_span *span, const char *name);

/*
 * The same on the thread's current span, for code that was not handed one. What is added travels by
 * the span's id and is joined to it before export; when it comes after the span was exported it
 * becomes a log record with the span's ids.
 */
static inline void sonde_current_set(struct sonde_attr attr);
static inline void sonde_current_add_event(const char *name, const struct sonde_attr *attrs,
					   size_t n_attrs);
static inline void sonde_current_set_status(enum sonde_span_status status, const char *description);

#include <sonde/detail/span_inline.h>

SONDE_END_DECLS

#endif
