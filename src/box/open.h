/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_OPEN_H
#define SONDE_BOX_OPEN_H

/*
 * The table of open spans: what every thread is doing right now, for this process, for one that
 * watches it, and for the one that comes after it. Begin and end are in open_inline.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box/layout.h"
#include "box/shape.h"

/* Uses the box's table from here on; false: `is_on` is. Empties it. Async-signal-safe. */
void sonde__open_table_set(const struct sonde__box *box, bool is_on);

/* No table: begin finds none, and an end does nothing. Async-signal-safe. */
void sonde__open_table_forget(void);

/*
 * The calling thread is new, although its memory may be where a thread's was that is gone: what
 * that one held is nobody's. Async-signal-safe, lock-free.
 */
void sonde__open_thread_enter(void);

/*
 * Frees, among the next few entries, those whose threads are gone, if spans have gone untracked
 * since the last time. The reader's thread alone.
 */
void sonde__open_sweep(void);

/* ---- Reading --------------------------------------------------------------------------------- */

struct sonde__open_span {
	uint64_t trace_id[2]; /* Ids as they stand in memory. */
	uint64_t span_id;
	uint64_t parent_id;
	uint64_t start;
	uint32_t site; /* 0: its name is its own. */
	int32_t thread; /* Who began it; 0: not known. */
};

/*
 * One entry, of any process, alive or dead, or any 64 bytes. False: free, in the middle of a
 * change, or not an entry. Wait-free.
 */
bool sonde__open_entry_read(const struct sonde__open_entry *entry, struct sonde__open_span *ret);

/* The open spans of this process's box, up to `capacity`; returns how many. Any thread. */
size_t sonde__open_list(struct sonde__open_span *ret, size_t capacity);

struct sonde__open_count {
	uint64_t open; /* Of those that have an entry. */
	uint64_t untracked; /* So many spans had none, or lost theirs, since the box was made. */
};

/* Any thread. Looks at every entry: some microseconds. */
void sonde__open_count(struct sonde__open_count *ret);

#endif
