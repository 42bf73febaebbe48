/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_NAMING_H
#define SONDE_PIPELINE_NAMING_H

/* Errors whose stacks are not named yet wait for it in the ring, for a moment. */

#include <stdbool.h>
#include <stdint.h>

struct sonde__pipeline;
struct sonde__record;

struct sonde__naming {
	uint64_t since_ns; /* Something waits. */
	bool is_waiting;
	bool has_given_up; /* On the question that is under way. */
	bool lacks_names; /* What is scanned now went on without. */
};

/*
 * Whether the drain is to pause before this record, which is valid. Not for long: not past a second
 * or half of what a flush has, not when the box fills, and not for a question that was given up.
 */
bool sonde__naming_must_wait(struct sonde__pipeline *pipeline, const struct sonde__record *record);

/* How long the drain pauses for it at most; UINT64_MAX: it does not. */
uint64_t sonde__naming_wait_ns(const struct sonde__pipeline *pipeline);

#endif
