/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_H
#define SONDE_BASE_H

/*
 * What every other header stands on: the library's version, the gate that makes recording free when
 * no agent runs, status codes, and two views of memory.
 *
 * Thread rules, for this and every public header: where nothing else is said, a function may be
 * called by any thread at any time, before an agent starts and after it stopped, keeps errno, and
 * accepts NULL for any pointer to an object.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SONDE_VERSION_MAJOR 0
#define SONDE_VERSION_MINOR 1
#define SONDE_VERSION_PATCH 0
#define SONDE_VERSION "0.1.0"

#define SONDE_API __attribute__((visibility("default")))
#define SONDE_PRINTF(f, first) __attribute__((__format__(__printf__, f, first)))
#define SONDE_CLEANUP(function) __attribute__((cleanup(function)))

#ifdef __cplusplus
#define SONDE_BEGIN_DECLS extern "C" {
#define SONDE_END_DECLS }
#else
#define SONDE_BEGIN_DECLS
#define SONDE_END_DECLS
#endif

SONDE_BEGIN_DECLS

/*
 * Status codes. Negative: the call failed and changed nothing; pass it up. Zero: done. Positive: an
 * outcome that the function documents.
 */
#define SONDE_STATUS_MAP(X) \
	X(SONDE_OK, 0, "done") \
	X(SONDE_INCOMPLETE, 1, "the deadline came first; what is left is queued or counted as lost") \
	X(SONDE_E_INVALID, -1, "an argument or option is not valid") \
	X(SONDE_E_NOMEM, -2, "out of memory, or past the byte budget") \
	X(SONDE_E_EXISTS, -3, "there is one already") \
	X(SONDE_E_NOT_FOUND, -4, "no such thing") \
	X(SONDE_E_SYSTEM, -5, "the operating system refused") \
	X(SONDE_E_MALFORMED, -6, "the input does not follow its standard") \
	X(SONDE_E_TOO_BIG, -7, "larger than the limit") \
	X(SONDE_E_CLOSED, -8, "stopped already") \
	X(SONDE_E_UNSUPPORTED, -9, "not supported by this build or system") \
	X(SONDE_E_LIMITED, -10, "held back by a limiter")

enum sonde_status {
#define SONDE__STATUS(name, value, text) name = value,
	SONDE_STATUS_MAP(SONDE__STATUS)
#undef SONDE__STATUS
};

/* "SONDE_E_INVALID" and its sentence; never NULL. Async-signal-safe. */
SONDE_API const char *sonde_status_name(int status);
SONDE_API const char *sonde_status_text(int status);

/* The version of the library that runs, which may be newer than SONDE_VERSION. */
SONDE_API const char *sonde_version(void);

/* A run of bytes, and a run of UTF-8 text without a terminator, owned by somebody else. */
struct sonde_bytes {
	const void *data;
	size_t size;
};

struct sonde_text {
	const char *data;
	size_t size;
};

/*
 * The gate: non-zero while an agent records. Read it through sonde_is_recording(); written by the
 * library alone. Part of the ABI: every inline recording call begins with this one test, so that an
 * instrumented library costs its users nothing when nobody starts an agent.
 */
SONDE_API extern uint32_t sonde_gate;

/* Wait-free, async-signal-safe. */
static inline bool sonde_is_recording(void)
{
	return __builtin_expect(__atomic_load_n(&sonde_gate, __ATOMIC_RELAXED) != 0, 0);
}

/*
 * A place in the source that records: one static object per macro use. The library copies what it
 * needs at the first use, so the object may disappear with the plugin it stands in.
 */
struct sonde_site {
	const char *name;
	const char *file;
	const char *function;
	uint32_t line;
	uint32_t id; /* Given by the library at the first use; 0 until then. */
};

#define SONDE_SITE_INIT(site_name) { (site_name), __FILE__, __func__, __LINE__, 0 }

/* Severity of a message: OpenTelemetry's severity numbers, so any number from 1 to 24 is valid. */
enum sonde_level {
	SONDE_TRACE = 1,
	SONDE_DEBUG = 5,
	SONDE_INFO = 9,
	SONDE_WARN = 13,
	SONDE_ERROR = 17,
	SONDE_FATAL = 21,
};

/* What is exported and accounted for separately. */
enum sonde_signal {
	SONDE_SIGNAL_SPAN = 0,
	SONDE_SIGNAL_LOG = 1, /* Errors, messages and slow operations. */
	SONDE_SIGNAL_PART = 2, /* What was added to a span from outside its own memory. */
	SONDE_SIGNAL_METRIC = 3, /* Points that the agent makes of what it counted. */
};
/* Those that are captured, record by record: all but METRIC. */
#define SONDE_SIGNAL_COUNT 3

/* Pasting for the macros of the other headers. */
#define SONDE__CAT_(a, b) a##b
#define SONDE__CAT(a, b) SONDE__CAT_(a, b)
#define SONDE__FIRST_(first, ...) first
#define SONDE__FIRST(...) SONDE__FIRST_(__VA_ARGS__, 0)
#define SONDE__REST(first, ...) __VA_ARGS__

SONDE_END_DECLS

#endif
