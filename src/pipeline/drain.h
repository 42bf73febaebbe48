/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_DRAIN_H
#define SONDE_PIPELINE_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

struct sonde__pipeline;

enum sonde__drain_outcome {
	SONDE__DRAIN_DONE,
	SONDE__DRAIN_MORE, /* Batches are ready to be sent; then go on. */
	/* A lane that moves is full, or a stack is being named: go on when that has changed. */
	SONDE__DRAIN_PAUSED,
};

/* Looks at what came into the box and begins a drain if one is due. */
void sonde__drain_look(struct sonde__pipeline *pipeline);
/* Goes on with the drain that is under way. */
enum sonde__drain_outcome sonde__drain_step(struct sonde__pipeline *pipeline);
/* How long until one is due by the schedule. */
uint64_t sonde__drain_wait_ns(const struct sonde__pipeline *pipeline);
/* Drops everything that is not in a lane yet, counted as SONDE_LOSS_DEADLINE. */
void sonde__drain_expire(struct sonde__pipeline *pipeline);

#endif
