/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BREADCRUMB_H
#define SONDE_BREADCRUMB_H

/*
 * Breadcrumbs: what a thread did lately. They are kept in a small ring of the thread's own, the
 * last 32 of them, and leave the process only with an error that the thread captures, as the
 * attribute sonde.breadcrumbs: strings, the oldest first, "12:34:56.789 INFO cart: 3 items".
 *
 * The trail is the thread's, not the request's: where a thread serves one request after the other,
 * sonde_breadcrumbs_clear() at a request's begin leaves the earlier ones' behind.
 *
 * Rings are few, at most 256 (a sixteenth of the memory limit). A thread gets one at its first
 * breadcrumb; where none is left, the one that has been silent longest changes hands, so that those
 * of threads that ended are used again. A thread that comes back to find its trail taken begins a
 * new one, and that is counted (the metric sonde.breadcrumbs.trails.lost).
 *
 * All calls: lock-free, no allocation, no system call; one test while no agent runs.
 */

#include <sonde/base.h>

SONDE_BEGIN_DECLS

/*
 * Leaves a breadcrumb, printf-checked. Category and message are cut, together, at 112 bytes.
 * Without a conversion in the format nothing is formatted, and the call is async-signal-safe.
 */
#ifdef __cplusplus
#define sonde_breadcrumb(level, category, ...) \
	(sonde_is_recording() ? sonde__breadcrumb(level, category, __VA_ARGS__) : (void)0)
#else
#define sonde_breadcrumb(level, category, ...) \
	((void)(sonde_is_recording() && (sonde__breadcrumb(level, category, __VA_ARGS__), 1)))
#endif

SONDE_API void sonde__breadcrumb(enum sonde_level level, const char *category, const char *format,
				 ...) SONDE_PRINTF(3, 4);

SONDE_API void sonde__breadcrumb_text(enum sonde_level level, const char *category,
				      const char *message);

/* The same, the message as it is. Async-signal-safe. */
static inline void sonde_breadcrumb_text(enum sonde_level level, const char *category,
					 const char *message)
{
	if (sonde_is_recording())
		sonde__breadcrumb_text(level, category, message);
}

/* A breadcrumb as options.before_breadcrumb sees it. */
struct sonde_breadcrumb {
	size_t size;
	uint64_t unix_ns;
	enum sonde_level level;
	const char *category;
	const char *message;
};

/*
 * Called for each breadcrumb of an error that leaves, the oldest first, on the agent's background
 * thread, one call at a time; false drops it. It may put other texts in the place of these, which
 * must live until the next call; lines are redacted, and cut at some 300 bytes. A slow one holds
 * all delivery up and is told of. It may record; the breadcrumbs of errors that it captures itself
 * it is not shown. It must return: no longjmp, no C++ exception.
 */
typedef bool sonde_before_breadcrumb_fn(void *user, struct sonde_breadcrumb *breadcrumb);

SONDE_API void sonde__breadcrumbs_clear(void);

/* Forgets the calling thread's. Async-signal-safe. */
static inline void sonde_breadcrumbs_clear(void)
{
	if (sonde_is_recording())
		sonde__breadcrumbs_clear();
}

SONDE_END_DECLS

#endif
