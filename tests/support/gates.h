/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_TESTS_GATES_H
#define SONDE_TESTS_GATES_H

/* Tasks that stand at a gate until the test opens it, and says how they end. */

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sonde/cancel.h>
#include <sonde/error.h>
#include <sonde/resilience.h>

#include "resilience/clock.h"
#include "resilience/park.h"

struct gate {
	struct sonde__parker parker;
	struct sonde_cancel *token; /* That it heeds; NULL: none. */
	unsigned number; /* In its error's message. */
	bool fails;
	_Atomic bool has_begun;
};

static inline void gate_init(struct gate *gate, unsigned number, struct sonde_cancel *token)
{
	memset(gate, 0, sizeof(*gate));
	sonde__parker_init(&gate->parker);
	gate->number = number;
	gate->token = token;
}

static inline void gate_open(struct gate *gate, bool fails)
{
	gate->fails = fails;
	sonde__unpark(&gate->parker);
}

static inline bool gate_has_begun(const struct gate *gate)
{
	return atomic_load_explicit(&gate->has_begun, memory_order_acquire);
}

static inline void gate_await(const struct gate *gate)
{
	while (!gate_has_begun(gate))
		sched_yield();
}

/* The task. */
static inline struct sonde_error *gate_pass(void *argument)
{
	struct gate *gate = argument;

	atomic_store_explicit(&gate->has_begun, true, memory_order_release);
	if (sonde__park(&gate->parker, NULL, SONDE__NEVER, gate->token) == SONDE__WOKEN_CANCELLED)
		return sonde_cancel_error(gate->token);
	if (!gate->fails)
		return NULL;
	return sonde_error_raise(&sonde_external_service, "gate %u", gate->number);
}

/* ---- Time that passes only as far as the test lets it ---------------------------------------- */

struct patient_clock {
	struct sonde_clock clock; /* To be given to what is tested. */
	_Atomic uint64_t now_ns;
	_Atomic uint64_t limit_ns; /* A wait passes the time up to here. */
};

static inline uint64_t patient_clock_now_ns(void *user)
{
	return atomic_load_explicit(&((struct patient_clock *)user)->now_ns, memory_order_acquire);
}

static inline void patient_clock_wait(void *user, uint64_t until_ns)
{
	struct patient_clock *clock = user;

	if (until_ns > atomic_load_explicit(&clock->limit_ns, memory_order_acquire))
		sched_yield();
	else if (until_ns > patient_clock_now_ns(user))
		atomic_store_explicit(&clock->now_ns, until_ns, memory_order_release);
}

static inline void patient_clock_init(struct patient_clock *clock, uint64_t now_ns)
{
	clock->clock = (struct sonde_clock){ patient_clock_now_ns, patient_clock_wait, clock };
	atomic_init(&clock->now_ns, now_ns);
	atomic_init(&clock->limit_ns, now_ns);
}

static inline void patient_clock_let(struct patient_clock *clock, uint64_t limit_ns)
{
	atomic_store_explicit(&clock->limit_ns, limit_ns, memory_order_release);
}

/* ---- What was told --------------------------------------------------------------------------- */

struct told {
	_Atomic unsigned n[SONDE_OBSERVED_COUNT];
	_Atomic unsigned n_items[SONDE_OBSERVED_COUNT];
	_Atomic uint64_t duration_ns[SONDE_OBSERVED_COUNT]; /* Of the last. */
	const char *_Atomic to; /* Of the last state. */
	_Atomic unsigned n_orphans_of[32]; /* By the number of their gate. */
};

static inline void told_hear(void *user, const struct sonde_observation *observation)
{
	struct told *told = user;
	unsigned number;

	/* Relaxed: figures, read when it is known that they have come. */
	atomic_fetch_add_explicit(&told->n[observation->what], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&told->n_items[observation->what], (unsigned)observation->count,
				  memory_order_relaxed);
	atomic_store_explicit(&told->duration_ns[observation->what], observation->duration_ns,
			      memory_order_relaxed);
	if (observation->what == SONDE_OBSERVED_STATE)
		atomic_store_explicit(&told->to, observation->to, memory_order_relaxed);
	if (observation->what == SONDE_OBSERVED_ORPHAN &&
	    sscanf(sonde_error_message(observation->error), "gate %u", &number) == 1 &&
	    number < 32)
		atomic_fetch_add_explicit(&told->n_orphans_of[number], 1, memory_order_relaxed);
}

#endif
