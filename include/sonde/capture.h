/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_H
#define SONDE_CAPTURE_H

/*
 * What is captured besides spans: errors, messages, slow operations. Each becomes a log record with
 * the ids of the current span. Lock-free, no allocation, errno kept; one test while no agent runs.
 */

#include <stdarg.h>

#include <sonde/attribute.h>
#include <sonde/base.h>
#include <sonde/error.h>

SONDE_BEGIN_DECLS

/*
 * Captures the error with its chain, place, stack and attributes, once: however many layers capture
 * it or an error that wraps it, there is one event. What later captures add, the place and what the
 * error was wrapped in, goes into that event's text while it has not left, and else into a log
 * record `sonde.error.again` of severity DEBUG with the same sonde.error.id. The current span gets
 * an event `exception`, the attribute error.type and status ERROR; a log record carries exception.*
 * (either form can be switched off, see enum sonde_exception_signal). A span further up where it is
 * captured again fails as well, without an event. The error stays the caller's.
 */
SONDE_API void sonde__error_capture(struct sonde_error *error);

static inline void sonde_error_capture(struct sonde_error *error)
{
	if (sonde_is_recording())
		sonde__error_capture(error);
}

/* The same from a place that is told, as the macro below does. */
SONDE_API void sonde__error_capture_at(struct sonde_error *error, const char *file, int line,
				       const char *function);

static inline void sonde__error_capture_here(struct sonde_error *error, const char *file, int line,
					     const char *function)
{
	if (sonde_is_recording())
		sonde__error_capture_at(error, file, line, function);
}

#define sonde_error_capture(error) \
	sonde__error_capture_here(error, __FILE__, __LINE__, __func__)

/* A message, printf-checked, cut at 1023 bytes: sonde_message(SONDE_WARN, "%d orders wait", n); */
#ifdef __cplusplus
#define sonde_message(level, ...) \
	(sonde_is_recording() ? sonde__message(level, __FILE__, __LINE__, __func__, __VA_ARGS__) : \
				(void)0)
#else
#define sonde_message(level, ...) \
	((void)(sonde_is_recording() && \
		(sonde__message(level, __FILE__, __LINE__, __func__, __VA_ARGS__), 1)))
#endif

SONDE_API void sonde__message(enum sonde_level level, const char *file, int line,
			      const char *function, const char *format, ...) SONDE_PRINTF(5, 6);

/*
 * A log record with attributes; the body is taken as it is. End with SONDE_ATTRS(…) or
 * SONDE_NO_ATTRS.
 */
SONDE_API void sonde__log(enum sonde_level level, const char *body, size_t body_size,
			  const struct sonde_attr *attrs, size_t n_attrs);

static inline void sonde_log(enum sonde_level level, const char *body,
			     const struct sonde_attr *attrs, size_t n_attrs)
{
	if (sonde_is_recording())
		sonde__log(level, body, body ? strlen(body) : 0, attrs, n_attrs);
}

/*
 * Timed scopes. Over its threshold a scope leaves a warning, "Slow operation: NAME took 1.234s",
 * with the trace's ids, and the attributes sonde.slow_operation.name (the slowest operation's) and
 * sonde.slow_operation.duration (seconds) on the current span.
 */
struct sonde_timed_options {
	size_t size;
	uint32_t slow_ms; /* Default: the agent's slow_threshold_ms, 1000 unless set. */
};

#define SONDE_TIMED_OPTIONS_INIT { sizeof(struct sonde_timed_options), 0 }

/* Caller's memory for one timed scope. */
struct sonde_timed {
	uint64_t opaque[4];
};

SONDE_API void sonde__timed_begin(struct sonde_timed *timed, struct sonde_site *site,
				  const struct sonde_timed_options *options);
SONDE_API void sonde__timed_end(struct sonde_timed *timed);

static inline void sonde_timed_begin(struct sonde_timed *timed, struct sonde_site *site,
				     const struct sonde_timed_options *options)
{
	if (timed)
		timed->opaque[0] = 0;
	if (sonde_is_recording())
		sonde__timed_begin(timed, site, options);
}

static inline void sonde_timed_end(struct sonde_timed *timed)
{
	if (timed && timed->opaque[0])
		sonde__timed_end(timed);
}

/* Times the rest of the enclosing block: SONDE_TIMED("fraud check", .slow_ms = 250); */
#define SONDE_TIMED_WITH(timed_name, options) \
	SONDE__TIMED(SONDE__CAT(sonde__timed_, __COUNTER__), timed_name, options)

#define SONDE__TIMED(variable, timed_name, options) \
	static struct sonde_site SONDE__CAT(variable, _site) = SONDE_SITE_INIT(timed_name); \
	struct sonde_timed variable __attribute__((cleanup(sonde_timed_end), unused)); \
	sonde_timed_begin(&variable, &SONDE__CAT(variable, _site), options)

#ifdef __cplusplus
#define SONDE_TIMED(timed_name) SONDE_TIMED_WITH(timed_name, nullptr)
#else
#define SONDE_TIMED(...) \
	SONDE_TIMED_WITH(SONDE__FIRST(__VA_ARGS__), \
			 (&(const struct sonde_timed_options){ SONDE__REST( \
				 __VA_ARGS__, .size = sizeof(struct sonde_timed_options)) }))
#endif

SONDE_END_DECLS

#endif
