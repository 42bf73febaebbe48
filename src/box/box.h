/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_BOX_H
#define SONDE_BOX_BOX_H

/*
 * The box: the one shared-memory region that everything captured goes through. This door is what
 * capture (many writers), the pipeline (the one reader) and the agent (life cycle) use.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/agent.h>

#include "base/bell.h"
#include "record/layout.h"

struct sonde__box;
struct sonde__ring;
struct sonde__block;

/* ---- Life cycle (agent) ---------------------------------------------------------------------- */

struct sonde__box_options {
	uint64_t size_bytes; /* What the box may take in all; at least 256 KiB. */
	const char *directory; /* NULL: chosen, see docs/design/box.md. */
	const char *service_name;
	uint32_t
		max_dead_boxes; /* Of this service, kept for recovery; the oldest go first. 0: 4. */
	uint32_t n_cpus; /* That may ever be: 0: as the system says. */
	bool no_open_spans; /* Leaves the table of open spans empty. */
};

enum sonde__box_kind {
	SONDE__BOX_NONE = 0,
	SONDE__BOX_FILE = 1, /* Survives the process. */
	SONDE__BOX_MEMFD = 2, /* Dies with it. */
	SONDE__BOX_PRIVATE = 3, /* Not even shared: no memfd either. */
};

struct sonde__box_info {
	enum sonde__box_kind kind;
	char path[256]; /* Of a file. */
	char reason[256]; /* Why it is not a file, or not where it was asked for; or "". */
	size_t size_bytes;
	uint32_t n_rings;
	uint32_t n_blocks; /* In each ring. */
	uint32_t block_size;
	uint32_t n_dead_removed; /* Boxes of dead processes that went, and the records in them, */
	uint64_t dead_records[SONDE_SIGNAL_COUNT]; /* by signal. */
};

/*
 * Makes the process's box, at start, after a stop, or in a forked child, where it replaces the
 * parent's mapping at the same address. The address never changes and is never unmapped, because a
 * thread may be inside a recording call at any time. Async-signal-safe in a forked child (the
 * options were copied at the first open; pass NULL). After a stop it gives fresh memory, or goes on
 * in the old where records are still inside (ret->reason says so). The first open of a process
 * fixes size and division; the rest of the options may change.
 *
 * SONDE_E_SYSTEM only where not even private memory is to be had; SONDE_E_EXISTS while one is open.
 */
int sonde__box_open(const struct sonde__box_options *options, struct sonde__box_info *ret);

/*
 * Removes the box's file; the memory stays mapped. Records still inside stay readable. Idempotent.
 */
void sonde__box_close(void);

/* When it was opened last; what is counted in it is counted since. Not while it is opened. */
uint64_t sonde__box_opened_unix_ns(void);

/*
 * The box at `path`, which is another process's: once that is dead, removes it, counts its records
 * into ret->dead_records and returns true. False while it lives, or when somebody else was first.
 */
bool sonde__box_dead_take(const char *path, struct sonde__box_info *ret);

/*
 * Forgets the parent's box in a forked child whose own could not be made: captures are counted
 * lost.
 */
void sonde__box_forsake(void);

/* Rung at the edges: a ring's fill level, an urgent record. */
extern struct sonde__bell sonde__box_bell;

/* ---- Writing (capture): lock-free, async-signal-safe, no system call but the bell's ---------- */

/* A reservation. Lives in the writer's registers; must be committed or discarded. */
struct sonde__slot {
	/* Where to write; 8-byte aligned. What is there already is an older record. */
	void *record;
	_Atomic uint8_t *mark; /* The record's byte in its block's commit map. */
	uint32_t process; /* The process's mark when it was taken: a forked child's differs. */
	uint16_t n_granules;
	uint8_t signal;
	bool urgent;
};

#define SONDE__RECORD_MAX_SIZE 16384

/*
 * Reserves `size` bytes for one record of `signal`. False: full or too big; the loss has been
 * counted and there is nothing to undo. `urgent` records (errors) go to the reserve ring when
 * theirs is full, and ring the bell when they are committed. The record must say this very size in
 * its head.
 */
bool sonde__box_reserve(size_t size, enum sonde_signal signal, bool urgent,
			struct sonde__slot *ret);

/* Publishes the record. In a child forked since the reservation it does nothing. */
void sonde__box_commit(const struct sonde__slot *slot);

/* Gives the reservation up: the reader skips it, and it counts as a loss, SONDE_LOSS_INVALID. */
void sonde__box_discard(const struct sonde__slot *slot);

/* Counts a capture that never reached a ring (too big before reserving, no box). */
void sonde__box_count_loss(enum sonde_signal signal, enum sonde_loss reason);

/* Counts a capture that was sampled out; as above, but quick on many CPUs at once. */
void sonde__box_count_unsampled(enum sonde_signal signal);

/* ---- Sites ----------------------------------------------------------------------------------- */

/*
 * The site's id, given at its first use: process-wide, the same for equal content, 0 where the
 * table is full. Lock-free, async-signal-safe. The table is copied into every box.
 */
uint32_t sonde__site_id(struct sonde_site *site);

/* What the name of a site is: sites of different kinds are different, whatever their texts. */
enum sonde__site_kind {
	SONDE__SITE_CALL = 0, /* Of a span, a timed scope, a message. */
	SONDE__SITE_ERROR = 1, /* The type of an error that was raised there. */
	/*
	 * A part of the toolkit that says something. Its file is the state before or the type of
	 * the error, its function the state after, its line what is said.
	 */
	SONDE__SITE_EVENT = 2,
	SONDE__SITE_ITEM = 3, /* The same, of the items it is about. */
};

struct sonde__site_view {
	struct sonde_text name;
	struct sonde_text file;
	struct sonde_text function;
	uint32_t line;
	enum sonde__site_kind kind;
};

/*
 * The id of a site by its content, given at its first use; 0 where there is no room. Errors' sites
 * never take more than half of the table, the toolkit's no more than a quarter. Lock-free,
 * async-signal-safe.
 */
uint32_t sonde__site_find(const struct sonde__site_view *view);

/* False for an unknown id. */
bool sonde__site_get(uint32_t id, struct sonde__site_view *ret);

/* ---- Figures --------------------------------------------------------------------------------- */

/*
 * Counts one call of a site: its duration in units of 2^-32 s (sonde__ticks_units), and whether it
 * was an error. Site 0, and what finds no room, share the figures of site 0. Lock-free,
 * async-signal-safe. Does nothing without a box.
 */
void sonde__figures_count(uint32_t site, uint64_t units, bool is_error);

/*
 * A span's duration in these units: `flags` are its record's, of which two say what its stamps are.
 * Wait-free, async-signal-safe.
 */
uint64_t sonde__span_units(uint64_t start, uint64_t end, unsigned flags);

/* Counts a span that was recorded; by its reader, once, when it has been found valid. */
void sonde__figures_count_span(const struct sonde__span_record *record);

#define SONDE__FIGURES_READ_SITES 1025u /* Sites are 0, all others, to this less one. */
#define SONDE__FIGURES_READ_BUCKETS 175u
/* Seconds, 2^-29.75: the first bucket's end. Nobody times what is shorter. */
#define SONDE__FIGURES_ZERO_THRESHOLD 0x1.306fe0a31b715p-30

/*
 * One site's, folded: an OTLP exponential histogram of durations in seconds. Bucket i counts
 * durations in (base^(offset + i), base^(offset + i + 1)], base = 2^(2^-scale). The first and the
 * last of n_buckets are not 0; n_buckets may be 0. The last one possible also counts what is
 * longer, from 4.5 hours on. calls = zero_count + all buckets; errors <= calls.
 */
struct sonde__figures {
	uint32_t site;
	int32_t scale;
	int32_t offset;
	uint32_t n_buckets;
	uint64_t calls;
	uint64_t errors;
	double sum_seconds;
	uint64_t zero_count;
	uint64_t buckets[SONDE__FIGURES_READ_BUCKETS];
};

/*
 * The figures since the box was opened; they only grow until the next start. Any thread. False: no
 * calls yet, or no such site; *ret is untouched then.
 */
bool sonde__figures_read(uint32_t site, struct sonde__figures *ret);

/*
 * Calls of sites with an id that are in the figures of site 0, for want of room. What the toolkit
 * says is not among them. Any thread.
 */
uint64_t sonde__figures_misplaced(void);

/*
 * Counts an error that was captured, by its type and the place where it was raised, whatever
 * becomes of its record. What finds no room is counted without. Lock-free, async-signal-safe; does
 * nothing without a box. `place` is of the kind SONDE__SITE_ERROR.
 */
void sonde__errors_count(const struct sonde__site_view *place);

/* Errors counted at a site, and those without one, since the box was opened. Any thread. */
uint64_t sonde__errors_read(uint32_t site);
uint64_t sonde__errors_misplaced(void);

/*
 * A place's site, as below, made at need, though nothing is counted there yet; 0: no room. As
 * below.
 */
uint32_t sonde__events_place(const struct sonde__site_view *place);

/*
 * Counts what the toolkit said, at a place of the kind SONDE__SITE_EVENT or _ITEM: `n` times, or
 * once with its duration in units of 2^-32 s. At one place it is always the one or always the
 * other. What finds no room is counted without. Lock-free, async-signal-safe; do nothing without a
 * box. Read by sonde__errors_read, and sonde__figures_read where it has durations.
 */
void sonde__events_count(const struct sonde__site_view *place, uint64_t n);
void sonde__events_time(const struct sonde__site_view *place, uint64_t units);

/* What was counted without a place, since the box was opened. Any thread. */
uint64_t sonde__events_misplaced(enum sonde__site_kind kind);

/*
 * ---- Reading (the pipeline's thread alone)
 * -------------------------------------------------------
 */

/* A committed record, checked for size only; stays in place until it is released. */
struct sonde__record_ref {
	const struct sonde__record *record;
	struct sonde__block *block;
};

/*
 * One pass over all rings, the reserve included: collects the records that were committed and not
 * yet collected, up to `capacity`; returns how many. Never waits for a writer. What was committed
 * before the pass began is in it, unless `capacity` was reached (then call again: the pass goes on;
 * false in *ret_complete). In each ring the order is that of reservation.
 */
size_t sonde__box_collect(struct sonde__record_ref *refs, size_t capacity, bool *ret_complete);

/* The record's memory may be used again. */
void sonde__box_release(const struct sonde__record_ref *ref);

/* How full the fullest ring is, in percent, from the reservations. Any thread. */
unsigned sonde__box_fill_percent(void);

/*
 * ---- Accounting (any thread; consistent, not atomic with writers)
 * --------------------------------
 */

struct sonde__box_account {
	uint64_t captured; /* Reserved, or refused with a counted loss. Read last. */
	uint64_t queued; /* Found by walking: reserved and not yet released. */
	uint64_t unfinished; /* Of queued: reserved, not committed. */
	uint64_t lost[SONDE_LOSS_COUNT];
};

void sonde__box_account(enum sonde_signal signal, struct sonde__box_account *ret);

#endif
