/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_AGENT_WORKER_H
#define SONDE_AGENT_WORKER_H

/*
 * The one background thread, with the pipeline it turns. Made at the agent's start, and anew in a
 * forked child. A worker that does not end by its deadline is left to itself, never waited for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/agent.h>

#include "agent/settings.h"

struct sonde__worker;

/*
 * Opens the destinations and starts the thread. `in_child`: the thread itself opens them, so that
 * the capturing thread of a forked child is not held up. The settings outlive the worker.
 * `dead_records`, by signal, are told with the metrics.
 * SONDE_E_NOT_FOUND where no destination could be opened (never in a child).
 */
int sonde__worker_new(const struct sonde__settings *settings, const uint64_t *dead_records,
		      bool in_child, struct sonde__worker **ret);

/* Whether the caller is the worker's own thread, which must not wait for itself; NULL: no. */
bool sonde__worker_is_running_here(struct sonde__worker *worker);

/*
 * SONDE_OK, or SONDE_INCOMPLETE at the deadline (CLOCK_MONOTONIC). Any thread but the worker's own.
 */
int sonde__worker_flush(struct sonde__worker *worker, uint64_t deadline_ns);

/*
 * Flushes and ends the thread by the deadline. SONDE_OK: it ended and everything was delivered or
 * refused. SONDE_INCOMPLETE: something was counted lost, or, where sonde__worker_has_ended says no,
 * the thread is stuck and abandoned. Any thread but the worker's own.
 */
int sonde__worker_stop(struct sonde__worker *worker, uint64_t deadline_ns);
bool sonde__worker_has_ended(struct sonde__worker *worker);

/* Frees a worker that has ended; NULL is a no-op. Returns NULL. */
struct sonde__worker *sonde__worker_free(struct sonde__worker *worker);

/* In a forked child: closes the descriptors of the parent's exporters and forgets the rest. */
void sonde__worker_forsake(struct sonde__worker *worker);

/*
 * Keeps the worker from beginning another turn until it is let go; false at the deadline
 * (CLOCK_REALTIME), or on the worker's own thread.
 */
struct timespec;
bool sonde__worker_hold(struct sonde__worker *worker, const struct timespec *deadline);
void sonde__worker_let(struct sonde__worker *worker);

int sonde__worker_account(struct sonde__worker *worker, size_t destination,
			  enum sonde_signal signal, struct sonde_account *ret);
void sonde__worker_repairs(struct sonde__worker *worker, struct sonde_repairs *ret);
void sonde__worker_redactions(struct sonde__worker *worker, struct sonde_redactions *ret);

#endif
