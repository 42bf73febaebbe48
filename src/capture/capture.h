/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_CAPTURE_DOOR_H
#define SONDE_CAPTURE_CAPTURE_DOOR_H

/*
 * The recording API's own door, for the agent: what it needs to know, and how it says that a forked
 * child captured for the first time. The recording calls themselves are <sonde/span.h> and
 * <sonde/capture.h>.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>

struct sonde__capture_options {
	uint32_t slow_threshold_ms;
	enum sonde_exception_signal exception_signal; /* Resolved: never DEFAULT. */
	uint32_t span_attributes; /* Capture lets through twice the limit; the pipeline is exact. */
	uint32_t span_events;
	uint32_t span_links;
	uint64_t sample_threshold; /* Of 2^56: traces whose random bits are below are not taken. */
	bool ignores_parent; /* The threshold decides for spans with a parent, too. */
	bool counts_no_figures;
	uint64_t trails_size; /* Bytes that trails of breadcrumbs may take. */
	uint32_t breadcrumb_level; /* Messages from here on leave one; 0: none do. */
	/*
	 * A forked child's first capture, before it reserves. Makes the child's box and, unless
	 * `signal_safe`, its worker; async-signal-safe then. Returns false where nothing can be
	 * recorded. Called again, with signal_safe false, by the first call that may make the
	 * worker.
	 */
	bool (*enter_child)(bool signal_safe);
};

/* Copies the options and opens the gate; capture works from here on. */
void sonde__capture_open(const struct sonde__capture_options *options);

/* Whether the calling process may record now: a forked child is let in, see enter_child. */
bool sonde__capture_begin(void);

/*
 * Captures an error that its owner is about to free unseen. The current span does not fail by it:
 * it is not of that span's work. The error is marked as captured and stays its owner's.
 */
struct sonde_error;
void sonde__error_capture_orphan(const struct sonde_error *error);

/* How often a thread's trail of breadcrumbs was taken, or it found none. */
uint64_t sonde__trail_losses(void);

/* Closes the gate. Calls already inside finish as they would have. */
void sonde__capture_close(void);

#endif
