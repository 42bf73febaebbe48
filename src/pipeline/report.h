/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_REPORT_H
#define SONDE_PIPELINE_REPORT_H

/*
 * What the pipeline says to people: when delivery begins to fail and why, when it pauses, when it
 * works again, and what was lost. A fault that lasts once an hour, losses once a minute at most.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>
#include <sonde/exporter.h>

#include "base/compiler.h"

struct sonde__pipeline;

/* So many different reasons are said in one minute; further ones wait. */
#define SONDE__NEWS_REASONS 4

/* What was said about one lane. */
struct sonde__lane_news {
	uint64_t reasons
		[SONDE__NEWS_REASONS]; /* Hashes of those said, the newest replacing the oldest. */
	uint64_t said_ns[SONDE__NEWS_REASONS];
	uint32_t next;
	bool is_failing; /* It was said that it fails, so its end is to be said. */
};

struct sonde__loss_news {
	uint64_t said_ns; /* When losses were last said, */
	uint64_t looked_ns; /* or looked for. */
	uint64_t said[9][SONDE_SIGNAL_METRIC + 1]
		     [SONDE_LOSS_COUNT]; /* By destination; the last: for all alike. */
	bool has_said;
	bool has_looked;
};

struct sonde__lane_place {
	size_t destination;
	enum sonde_signal signal;
};

/* A batch was not taken, or not all of it. */
void sonde__report_failure(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			   const struct sonde_result *result, size_t n_items, uint64_t now_ns);
/* A batch was taken. */
void sonde__report_success(struct sonde__pipeline *pipeline, struct sonde__lane_place place);
void sonde__report_breaker(struct sonde__pipeline *pipeline, struct sonde__lane_place place,
			   bool is_open);
/* Says what was lost since the last time, once a minute at most. */
void sonde__report_losses(struct sonde__pipeline *pipeline, uint64_t now_ns);
/* Says the rest of it, at the end. */
void sonde__report_last_losses(struct sonde__pipeline *pipeline);

#endif
