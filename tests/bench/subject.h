/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_SUBJECT_H
#define SONDE_BENCH_SUBJECT_H

/*
 * The agent that is measured, with the null exporter. It keeps off the last processor, on which one
 * thread is measured.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/sonde.h>

#include "drive.h"

struct subject_options {
	uint64_t memory;
	bool never_samples;
	bool has_no_figures;
	bool is_stuck; /* Its exporter does not come back before the stop: the box fills up. */
};

/* Ends the program where there is no agent. */
void subject_start(const struct subject_options *options);

/*
 * True when everything that was recorded was also delivered, or lost for `expected` (-1: nothing
 * may be), and is accounted for.
 */
bool subject_stop(int expected);

/* Empties the box; the next burst finds it as the last one did. */
void subject_drain(void);

/* Keeps the worker from parking, by asking it all the time for what it has just done. */
void subject_keep_awake(void);
void subject_let_park(void);

/*
 * Operations that each of `n_threads` threads may do at once so that nothing is
 * lost and no ring becomes half full, which would rouse the worker.
 */
size_t subject_burst(const struct operation *operation, size_t n_threads, uint64_t memory);

#endif
