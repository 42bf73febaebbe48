/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_PIPELINE_ACCOUNT_H
#define SONDE_PIPELINE_ACCOUNT_H

/*
 * The books. Every change that moves an item from one place to another (from the box to a lane,
 * from a lane to a counter) is made under one lock, which the worker holds for such moves alone:
 * never while it encodes, sends, looks a name up or calls anybody back. So an account taken at any
 * moment finds each item in one place, and waits for the worker no longer than a batch takes to be
 * released. docs/design/accounting.md.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <sonde/agent.h>

struct sonde__pipeline;

struct sonde__ledger {
	pthread_mutex_t lock;
	/* For every destination alike; of metrics, nothing. */
	uint64_t lost[SONDE_SIGNAL_METRIC + 1][SONDE_LOSS_COUNT];
	uint64_t joined; /* Parts that found their span, or became a log record. */
	uint64_t made; /* Log records made from parts: captured in addition to the box's. */
	uint64_t
		moved; /* Errors that left as span events alone: captured as logs, now parts. */
	bool has_expired;
	struct sonde_repairs repairs;
	struct sonde_redactions redactions;
};

void sonde__ledger_lock(struct sonde__pipeline *pipeline);
void sonde__ledger_unlock(struct sonde__pipeline *pipeline);

#endif
