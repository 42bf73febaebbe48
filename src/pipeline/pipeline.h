/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_PIPELINE_H
#define SONDE_PIPELINE_PIPELINE_H

/*
 * The pipeline: from records in the box to bytes at the collector. One owner thread, the worker; a
 * state machine over a time that is passed in, so that tests turn it on a virtual clock. This door
 * is what the agent uses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/agent.h>
#include <sonde/breadcrumb.h>
#include <sonde/exporter.h>

#include "pipeline/audit.h"

struct sonde__redactor;

/* Limits of OTEL_SPAN_*, OTEL_EVENT_*, OTEL_LINK_* and OTEL_LOGRECORD_*. */
struct sonde__limits {
	uint32_t span_attributes; /* 128 */
	uint32_t span_events; /* 128 */
	uint32_t span_links; /* 128 */
	uint32_t event_attributes; /* 128 */
	uint32_t link_attributes; /* 128 */
	uint32_t log_attributes; /* 128 */
	uint32_t span_value_length; /* UINT32_MAX: none */
	uint32_t log_value_length; /* UINT32_MAX: none */
};

/* Since when metrics count: OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE. */
enum sonde__temporality {
	SONDE__CUMULATIVE = 0, /* The start of the agent. */
	SONDE__DELTA = 1, /* The collection before; what can go down is cumulative all the same. */
	SONDE__LOW_MEMORY = 2, /* As DELTA, but running totals are cumulative. */
};
#define SONDE__TEMPORALITIES 3

/* One opened exporter. The pipeline takes the instance over and closes it. */
struct sonde__pipeline_destination {
	const struct sonde_exporter *exporter;
	void *instance;
	const char *name; /* For diagnostics; lives as long as the pipeline. */
	bool takes_spans; /* As OTEL_TRACES_EXPORTER, */
	bool takes_logs; /* OTEL_LOGS_EXPORTER */
	bool takes_metrics; /* and OTEL_METRICS_EXPORTER say. */
	enum sonde__temporality temporality;
};

#define SONDE__DESTINATIONS_MAX 8

/* Rows of what there is for each enum sonde_signal; a part travels inside others and has none. */
#define SONDE__SIGNAL_ROWS (SONDE_SIGNAL_METRIC + 1)

/* A rate and what may be saved up. A period of 0: no limit. */
struct sonde__rate {
	uint32_t burst; /* Tokens; 0 counts as 1. */
	uint64_t period_ns; /* In which one token comes. */
};

/* How many errors leave. */
struct sonde__flood_options {
	struct sonde__rate group; /* Of one fingerprint, */
	struct sonde__rate total; /* of all. */
	uint64_t summary_ns; /* From the first that is held back to the event that says so. */
};

/* Every field is set by the agent: no defaults here. All times in nanoseconds. */
struct sonde__pipeline_options {
	struct sonde__pipeline_destination destinations[SONDE__DESTINATIONS_MAX];
	size_t n_destinations;
	struct sonde_resource resource; /* Lives as long as the pipeline. */
	/* Lost with processes that died before this one: told with the metrics, not accounted. */
	uint64_t dead_records[SONDE_SIGNAL_COUNT];
	struct sonde__limits limits;
	/*
	 * What must not leave; NULL: all may. It lives as long as the pipeline, which alone uses
	 * it.
	 */
	struct sonde__redactor *redactor;
	struct sonde__audit_options audit;
	sonde_before_send_fn *before_send; /* NULL: none. */
	void *before_send_user;
	bool counts_figures; /* Of the spans that were recorded; their writers count the others. */
	uint64_t
		/* For encoded batches, waiting parts and scratch; the box is apart. */
		memory_limit_bytes;
	uint64_t span_delay_ns;
	uint64_t log_delay_ns;
	uint64_t metric_interval_ns;
	uint64_t export_timeout_ns[SONDE__SIGNAL_ROWS];
	/* By enum sonde_signal, spans and logs. */
	uint32_t max_batch_items[2];
	uint32_t max_queue_items[2]; /* 0: the byte budget alone. */
	uint32_t max_batch_bytes;
	const char *state_directory; /* As in pipeline/seen.h. Read at the start alone. */
	uint32_t regression_days;
	sonde_fingerprint_fn *fingerprint;
	void *fingerprint_user;
	uint32_t breaker_failures;
	uint64_t breaker_reset_ns;
	uint32_t breaker_trials;
	uint64_t retry_initial_ns;
	uint64_t retry_max_ns;
	struct sonde__flood_options flood;
	sonde_before_breadcrumb_fn *before_breadcrumb; /* NULL: none. */
	void *before_breadcrumb_user;
	bool names_apart; /* Stacks are named by a thread of their own: stack/namer.h. */
	uint64_t (*trail_losses)(void); /* Of breadcrumbs; NULL: nothing is told. */
	double (*random)(void *user); /* Uniform in [0, 1): jitter. */
	void *random_user;
};

struct sonde__pipeline;

/* On failure closes no instance. */
int sonde__pipeline_new(const struct sonde__pipeline_options *options,
			struct sonde__pipeline **ret);

/* Frees, closes the instances; what is still queued has been counted by sonde__pipeline_expire. */
struct sonde__pipeline *sonde__pipeline_free(struct sonde__pipeline *pipeline, bool forked);

/*
 * One turn at time `now_ns` (CLOCK_MONOTONIC): collects what is due, encodes, starts and continues
 * sends, takes results. Never blocks. Returns how long the worker may wait before the next turn,
 * UINT64_MAX while only the bell or a descriptor can bring work.
 */
uint64_t sonde__pipeline_turn(struct sonde__pipeline *pipeline, uint64_t now_ns);

/* The descriptors that a turn wants to be told about. *timeout_ms is lowered, never raised. */
struct pollfd;
size_t sonde__pipeline_poll(struct sonde__pipeline *pipeline, struct pollfd *fds, size_t capacity,
			    int *timeout_ms);

/*
 * For how long from the last turn on errors wait anyway, because some have just been drained; the
 * worker need not be roused for more of them. 0: they do not wait.
 */
uint64_t sonde__pipeline_calm_ns(const struct sonde__pipeline *pipeline);

/*
 * A flush: what was captured before this call is collected and encoded by the next turns whatever
 * the schedule, each lane makes at least one attempt even while it backs off or its breaker is
 * open. sonde__pipeline_flush_is_done once each of those batches was accepted or refused, or had
 * its attempt and is kept for later (the latter says *ret_incomplete).
 */
void sonde__pipeline_flush_begin(struct sonde__pipeline *pipeline, uint64_t now_ns);
/* Errors do not wait for their stacks' names past that time; UINT64_MAX: for a second. */
void sonde__pipeline_name_until(struct sonde__pipeline *pipeline, uint64_t until_ns);
/* The flush of a stop: parts that wait for spans that have not ended leave as log records, too. */
void sonde__pipeline_finish_begin(struct sonde__pipeline *pipeline, uint64_t now_ns);
bool sonde__pipeline_flush_is_done(const struct sonde__pipeline *pipeline, bool *ret_incomplete);

/*
 * At the stop's deadline: cancels what is under way (SONDE_LOSS_UNKNOWN) and drops what is queued
 * (SONDE_LOSS_DEADLINE), unfinished records in the box included (SONDE_LOSS_ABANDONED).
 */
void sonde__pipeline_expire(struct sonde__pipeline *pipeline);

/* For one destination and signal; SONDE_E_NOT_FOUND past the last. Any thread. */
int sonde__pipeline_account(const struct sonde__pipeline *pipeline, size_t destination,
			    enum sonde_signal signal, struct sonde_account *ret);
void sonde__pipeline_repairs(const struct sonde__pipeline *pipeline, struct sonde_repairs *ret);
void sonde__pipeline_redactions(const struct sonde__pipeline *pipeline,
				struct sonde_redactions *ret);

#endif
