/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BREAKER_LIST_H
#define SONDE_RESILIENCE_BREAKER_LIST_H

/*
 * The breakers that live in this process, for who counts them by state: what the agent is told of
 * changes begins with the agent, a breaker need not. Changes of state do not touch the list.
 */

#include <sonde/breaker.h>

#include "resilience/circuit.h"

struct sonde__breaker_entry;

/*
 * `state` lives until it is removed; the name, which may be NULL, is copied. `teller`: NULL, or,
 * of a breaker that processes share, zero in the shared memory: who counts it. NULL: no memory.
 */
struct sonde__breaker_entry *
sonde__breaker_list_add(const char *name, const struct sonde__circuit_state *state,
			_Atomic uint64_t *teller);

/* Frees it. Harmless for NULL. */
void sonde__breaker_list_remove(struct sonde__breaker_entry *entry);

typedef void sonde__breaker_visit_fn(void *user, const char *name, enum sonde_breaker_state state);

/*
 * Each breaker as it is now: the process's own, in a forked child the copies of its parent's too,
 * and of those that are shared the ones that no other living process counts, which this one does
 * from then on. The function is called under the list's lock, so it begins and ends no breaker.
 */
void sonde__breaker_list_visit(sonde__breaker_visit_fn *visit, void *user);

/* This process counts no shared ones any more. */
void sonde__breaker_list_leave(void);

#endif
