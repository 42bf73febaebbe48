/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_PIPELINE_RIG_H
#define SONDE_TESTS_PIPELINE_RIG_H

/*
 * A pipeline on a virtual clock, a real box, and exporters that do as the test's script says. What
 * was delivered is kept as lines of text, one for each item:
 *
 *	span NAME trace=99 id=7 parent=0 kind=1 status=2/boom flags=101 key="v" event:NAME{key="v"}
 *	log "body" trace=99 id=7 severity=17 event=exception key="v"
 *	point NAME =5 total start=1 time=2 key="v"
 *	point NAME =5 sum=0.5 zero=0 scale=2 buckets=-8:1,0,4 added start=1 time=2 key="v"
 *
 * The rig's end checks that the accounts add up, expires the pipeline, checks again that nothing is
 * queued, and frees everything.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/exporter.h>

#include "pipeline/pipeline.h"
#include "support/one_cpu.h"

#define RIG_S UINT64_C(1000000000)
#define RIG_MS UINT64_C(1000000)
#define FAKE_STEPS 64

/* What becomes of one send. The zero step accepts at once. */
struct fake_step {
	enum { FAKE_ACCEPT = 0, FAKE_RETRY, FAKE_REFUSE, FAKE_HANG } what;
	bool pending; /* The result comes with a later progress call. */
	uint64_t n_rejected;
	int64_t retry_after_ms; /* 0: none. */
	const char *reason;
};

struct fake_pending {
	void *token;
	struct fake_step step;
	struct sonde_request request;
};

struct fake {
	const char *name;
	struct fake_step steps[FAKE_STEPS]; /* In order of sends; past them `otherwise`. */
	size_t n_steps;
	struct fake_step otherwise;
	const uint64_t *now_ns;
	struct fake_pending pending[SONDE__SIGNAL_ROWS];
	size_t max_items; /* More in a batch: SONDE_E_TOO_BIG. */
	const char *too_big; /* An item whose text holds this: SONDE_E_TOO_BIG. */
	const char *wanted; /* Spans and logs without this in their text are of no use to it. */
	int encode_status; /* Fails every encode. */

	char *text; /* What was accepted. */
	size_t text_size;
	size_t n_sends;
	size_t n_encodes;
	uint64_t sent_ns[256]; /* When each send began. */
	enum sonde_signal sent_signal[256];
	size_t n_items[SONDE__SIGNAL_ROWS]; /* Accepted, by signal. */
	size_t n_cancels;
	size_t n_closes;
	bool closed_forked;
};

extern const struct sonde_exporter fake_exporter; /* Answers later, by progress; takes metrics. */
extern const struct sonde_exporter fake_plain_exporter; /* Has nothing past send. */

struct rig {
	struct sonde__pipeline_options options;
	struct sonde__pipeline *pipeline;
	struct fake fakes[3];
	uint64_t now_ns;
	double random; /* 0.5: no jitter. */
	char diagnostics[16384];
	size_t n_diagnostics;
	struct cpus cpus;
};

/*
 * Opens the box, fills the options in; the test may change them before rig_start. Until rig_end the
 * thread stays on one CPU, so that what it records is read in the order of capture.
 */
void rig_init(struct rig *rig, size_t n_destinations);
void rig_start(struct rig *rig);
void rig_end(struct rig *rig);

/* Moves the time and turns. */
uint64_t rig_turn(struct rig *rig, uint64_t later_ns);
/* Flushes at the current time in at most 1000 turns; the result is flush_is_done's. */
bool rig_flush(struct rig *rig, bool *ret_incomplete);

struct sonde_account rig_account(const struct rig *rig, size_t destination,
				 enum sonde_signal signal);
void rig_check_accounts(const struct rig *rig);

/* How often `text` is in what the destination accepted; in the diagnostics. */
size_t rig_delivered(const struct rig *rig, size_t destination, const char *text);
size_t rig_said(const struct rig *rig, const char *text);

/* Delivered points of this metric whose line holds `with`. */
struct rig_point {
	size_t destination;
	const char *name;
	const char *with;
};

/* The n-th such line from the newest on; the number behind `key` in a line. */
bool rig_point_find(const struct rig *rig, const struct rig_point *point, size_t n, char *line,
		    size_t size);
uint64_t rig_number_after(const char *line, const char *key);
/* What the newest of them says, UINT64_MAX where there is none; and all together. */
uint64_t rig_point_value(const struct rig *rig, const struct rig_point *point);
uint64_t rig_point_sum(const struct rig *rig, const struct rig_point *point);

#endif
