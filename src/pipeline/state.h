/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_STATE_H
#define SONDE_PIPELINE_STATE_H

/* The pipeline's inside, for its own files. */

#include "base/clock.h"
#include "pipeline/account.h"
#include "pipeline/again.h"
#include "pipeline/batch.h"
#include "pipeline/blob.h"
#include "pipeline/budget.h"
#include "pipeline/exception.h"
#include "pipeline/hook.h"
#include "pipeline/fingerprint.h"
#include "pipeline/flood.h"
#include "pipeline/intake.h"
#include "pipeline/join.h"
#include "pipeline/lane.h"
#include "pipeline/metrics.h"
#include "pipeline/naming.h"
#include "pipeline/pipeline.h"
#include "pipeline/report.h"
#include "pipeline/seen.h"
#include "record/mend.h"

/* Signals whose batches are made of records: spans and logs. */
#define SONDE__BATCH_SIGNALS 2

/* Names of sites that are known to be valid, each where its id says. */
#define SONDE__SITES_REMEMBERED 64

struct sonde__named_site {
	uint32_t id;
	struct sonde_text name; /* Empty: none is remembered. */
};

struct sonde__pipeline {
	struct sonde__pipeline_options options;
	struct sonde__budget budget;
	struct sonde__ledger ledger;
	struct sonde__intake intake;
	struct sonde__join join;
	struct sonde__batch batches[SONDE__BATCH_SIGNALS];
	struct sonde__blob_store blobs;
	struct sonde__lane lanes[SONDE__DESTINATIONS_MAX][SONDE__SIGNAL_ROWS];
	bool is_taken[SONDE__SIGNAL_ROWS]; /* Some destination takes the signal. */

	struct sonde__clock clock;
	struct sonde__redactor *redactor; /* What views are made with; a hook keeps its own. */
	struct sonde__hook *hook; /* NULL: none. */
	struct sonde__audit audit;
	struct sonde__mender span_mender;
	struct sonde__mender log_mender;
	struct sonde__exception exception;
	struct sonde__breadcrumbs breadcrumbs; /* Of the exception. */
	struct sonde__fingerprinter fingerprinter;
	struct sonde__naming naming;
	struct sonde__flood flood;
	struct sonde__again again;
	struct sonde__seen seen;
	struct sonde__named_site named_sites[SONDE__SITES_REMEMBERED];

	uint64_t now_ns; /* Of the turn under way. */
	bool has_turned;
	bool has_drained; /* Since losses were last looked for. */
	bool is_draining;
	bool leaves_rest; /* This drain may. */
	size_t n_taken; /* Spans, in this drain. */
	bool is_whole_drain; /* Passes for this drain are still to be made. */
	uint64_t span_due_ns;
	uint64_t log_due_ns;
	uint64_t urgent_due_ns; /* Errors are not drained before. */
	bool had_error; /* In the drain that is under way; */
	bool was_urgent; /* in the last one. */

	uint64_t names_until_ns; /* Stacks are not waited for after that. */
	bool is_flushing;
	bool must_drain; /* The flush's drain has not been finished. */
	bool is_finishing; /* The stop's flush: nothing is kept to wait for more. */
	struct sonde__loss_news loss_news;
	struct sonde__metrics metrics;
};

#endif
