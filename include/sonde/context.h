/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CONTEXT_H
#define SONDE_CONTEXT_H

/*
 * The trace context: which trace and span the current work belongs to.
 *
 * A context is a value. Copy it, keep it in a request, hand it to another thread and attach it
 * there; it points to no span, so a span that is gone can never be reached through it. Everything
 * here works with no agent, so that a service passes its callers' trace on even when it records
 * nothing itself.
 *
 * Standard: W3C Trace Context Level 2 (traceparent, tracestate).
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

struct sonde_context {
	uint8_t trace_id[16]; /* All zero: no trace. */
	uint8_t span_id[8]; /* All zero: no span. */
	uint8_t trace_flags; /* SONDE_TRACE_FLAG_… */
	bool is_remote; /* Came from another process. */
	uint8_t reserved[6];
	uint64_t extension[3]; /* Deadline, tracestate and request values; copied as they are. */
};

#define SONDE_CONTEXT_INIT { { 0 }, { 0 }, 0, false, { 0 }, { 0 } }

#define SONDE_TRACE_FLAG_SAMPLED 0x01
#define SONDE_TRACE_FLAG_RANDOM 0x02

/* Lengths of the text forms without the terminating zero. */
#define SONDE_TRACE_ID_LENGTH 32
#define SONDE_SPAN_ID_LENGTH 16
#define SONDE_TRACEPARENT_LENGTH 55
#define SONDE_TRACESTATE_LENGTH 512

/* Both ids are there. Wait-free, async-signal-safe. */
SONDE_API bool sonde_context_is_valid(const struct sonde_context *context);

/* The calling thread's current context, to be kept and carried. Lock-free, async-signal-safe. */
SONDE_API struct sonde_context sonde_context_current(void);

/*
 * Makes `context` the calling thread's current one and returns the one it replaces, which goes back
 * by another attach. NULL attaches the empty context. Wait-free.
 */
SONDE_API struct sonde_context sonde_context_attach(const struct sonde_context *context);

/*
 * Attaches for the rest of the enclosing block: SONDE_CONTEXT_SCOPE(&job->context); It is a scope
 * of <sonde/scope.h>, too.
 */
#define SONDE_CONTEXT_SCOPE(context) \
	struct sonde_context SONDE__CAT(sonde__previous_, __COUNTER__) \
		__attribute__((cleanup(sonde__context_restore), unused)) = \
			sonde__context_enter(context)

SONDE_API struct sonde_context sonde__context_enter(const struct sonde_context *context);
SONDE_API void sonde__context_restore(struct sonde_context *previous);

/*
 * Reads the header values of an incoming request. `tracestate` may be NULL; several header lines
 * are joined with commas by the caller. A bad tracestate never invalidates a good traceparent: it
 * is dropped. Returns SONDE_E_MALFORMED for a traceparent that must be ignored (start a new trace)
 * and SONDE_E_NOT_FOUND where it is NULL or empty; *ret is untouched then. Lock-free.
 */
SONDE_API int sonde_context_from_traceparent(const char *traceparent, const char *tracestate,
					     struct sonde_context *ret);

/*
 * Writes "00-<trace id>-<span id>-<flags>" and a zero into `buffer`, which has room for
 * SONDE_TRACEPARENT_LENGTH + 1 bytes. SONDE_E_NOT_FOUND, and an empty string, where the context is
 * not valid. Wait-free, async-signal-safe.
 */
SONDE_API int sonde_context_to_traceparent(const struct sonde_context *context, char *buffer);

/*
 * Writes the context's tracestate, at most SONDE_TRACESTATE_LENGTH characters of whole members, and
 * a zero; returns its length, 0 where there is none, SONDE_E_TOO_BIG where `size` is too small.
 */
SONDE_API int sonde_context_to_tracestate(const struct sonde_context *context, char *buffer,
					  size_t size);

/*
 * Carriers: how a header is read from and written to a request of any kind. `get` returns the value
 * of the header, matched without regard to case, or NULL; the value lives until the next call.
 */
typedef const char *sonde_header_get_fn(void *carrier, const char *name);
typedef void sonde_header_set_fn(void *carrier, const char *name, const char *value);

/* As sonde_context_from_traceparent(), from a carrier. */
SONDE_API int sonde_context_extract(sonde_header_get_fn *get, void *carrier,
				    struct sonde_context *ret);

/* Sets "traceparent" and, unless empty, "tracestate" of `context`; NULL means the current one. */
SONDE_API void sonde_context_inject(const struct sonde_context *context, sonde_header_set_fn *set,
				    void *carrier);

/* Lower-case hexadecimal with a terminating zero. Wait-free, async-signal-safe. */
SONDE_API void sonde_trace_id_format(const struct sonde_context *context,
				     char buffer[SONDE_TRACE_ID_LENGTH + 1]);
SONDE_API void sonde_span_id_format(const struct sonde_context *context,
				    char buffer[SONDE_SPAN_ID_LENGTH + 1]);

SONDE_END_DECLS

#endif
