/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_LIMITER_H
#define SONDE_PIPELINE_LIMITER_H

/*
 * How many errors leave: a token bucket for each group of errors, and one for all together, in
 * which no group can take what others have not had yet. A state machine over a time that is passed
 * in; one owner, no lock, no memory of its own. limiter.c says how shares are kept fair.
 */

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/pipeline.h"

/* Full at first. */
struct sonde__bucket {
	uint64_t saved_ns; /* Tokens times the period. */
	uint64_t since_ns; /* Up to when what came was added. */
};

/* What the limiter keeps for each group, in the group's own memory. */
struct sonde__share {
	struct sonde__bucket bucket;
	uint64_t passed_ns; /* When one was let through last, */
	bool has_passed; /* if ever. */
};

struct sonde__limiter {
	struct sonde__flood_options options;
	struct sonde__bucket total;
	struct sonde__bucket fresh; /* For groups that are new. */
};

void sonde__limiter_init(struct sonde__limiter *limiter,
			 const struct sonde__flood_options *options, uint64_t now_ns);

/* A group that was not known. */
void sonde__limiter_share_init(const struct sonde__limiter *limiter, struct sonde__share *share,
			       uint64_t now_ns);

/*
 * May one of this group leave now? `n_active` is how many groups had errors lately, this one
 * included. A clock that goes back stands still here.
 */
bool sonde__limiter_admit(struct sonde__limiter *limiter, struct sonde__share *share,
			  uint32_t n_active, uint64_t now_ns);

#endif
