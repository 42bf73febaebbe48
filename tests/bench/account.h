/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BENCH_ACCOUNT_H
#define SONDE_BENCH_ACCOUNT_H

/*
 * Nothing is measured that is not also accounted for: captured = exported + losses + queued, for
 * every signal, checked by every benchmark program while nobody records.
 */

#include <stdbool.h>
#include <stdint.h>

#include <sonde/sonde.h>

/* Says what does not add up on standard error. */
bool account_adds_up(struct sonde_agent *agent);

/* Of all signals; UINT64_MAX where there is no account. */
uint64_t account_lost(struct sonde_agent *agent, enum sonde_loss reason);
uint64_t account_lost_total(struct sonde_agent *agent);

/* Says each loss but of `expected`'s kind (-1: none is) on standard error. */
bool account_is_lossless(struct sonde_agent *agent, int expected);

#endif
