/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_CIRCUIT_H
#define SONDE_RESILIENCE_CIRCUIT_H

/*
 * The machine of a circuit breaker: stops asking somebody who does not answer, and finds out gently
 * when he does again. A state machine over a time that is passed in; everything that changes is in
 * atomics that hold no pointer, so that it may lie in memory that processes share, and any of them
 * may be killed at any instruction. docs/design/breaker.md argues it.
 *
 * <sonde/breaker.h> is a circuit with errors, chance and observers around it; the pipeline's lanes
 * hold one each.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/breaker.h>

#include "resilience/outcomes.h"

#define SONDE__CIRCUIT_SLOTS_MAX SONDE_BREAKER_TRIALS_AT_ONCE_MAX
/* Failures and successes that are counted in a row. */
#define SONDE__CIRCUIT_COUNT_MAX UINT32_C(2000000)
/* Trials of one half-open state, where rates decide. */
#define SONDE__CIRCUIT_CALLS_MAX 1000

struct sonde__circuit_options {
	uint32_t failures; /* In a row, to open; where no rates decide. At least 1. */
	uint32_t calls; /* Trials that decide; where no rates do, successes. At least 1. */
	uint32_t concurrent; /* Of them at once; at least 1. */
	uint64_t reset_ns; /* From opening to the first trial. */
	double reset_factor; /* From one opening to the next without a close; less than 1 is 1. */
	uint64_t reset_max_ns; /* Before jitter; less than reset_ns is that. */
	double reset_jitter; /* 0.1: from 0.9 to 1.1 of it. */
	uint64_t trial_ns; /* After so long a trial's permit comes back by itself. */
	bool has_owners; /* Permits of dead processes come back at once. */
	sonde_random_fn *random;
	void *random_user;
};

/* What changes; all zero is a closed circuit. Shared, and of no one process. */
struct sonde__circuit_state {
	/* State, failures in a row, openings in a row, generation: see circuit.c. */
	_Atomic uint64_t word;
	/* When an open circuit lets a trial through, and of which generation that is said. */
	_Atomic uint64_t until;
	_Atomic uint64_t looked_ns; /* When owners were last looked for. */
	uint64_t base_ns; /* Times are counted from here. Written once, before it is shared. */
};

/* A permit for one trial at a time. */
struct sonde__circuit_slot {
	_Atomic uint64_t permit; /* Generation, serial, whether it is out, outcomes. */
	_Atomic uint64_t since_ns; /* When it was last given out; never back. */
	_Atomic uint64_t owner; /* Serial and the process that has it. */
};

/* One process's view. */
struct sonde__circuit {
	struct sonde__circuit_options options;
	struct sonde__circuit_state *state;
	struct sonde__circuit_slot *slots; /* As many as may be tried at once. */
	struct sonde__outcomes outcomes;
};

struct sonde__circuit_change {
	enum sonde_breaker_state from;
	enum sonde_breaker_state to;
	uint32_t generation; /* Of the state that it came to. */
};

/* What one call has changed, in order; each change is told to one caller alone. */
#define SONDE__CIRCUIT_CHANGES_MAX 4

struct sonde__circuit_changes {
	uint32_t n;
	struct sonde__circuit_change list[SONDE__CIRCUIT_CHANGES_MAX];
};

/*
 * `state` and `slots` are zero and stay where they are. Zero counts become 1. SONDE_E_INVALID: more
 * than the limits above.
 */
int sonde__circuit_init(struct sonde__circuit *circuit,
			const struct sonde__circuit_options *options,
			const struct sonde__outcomes *outcomes, struct sonde__circuit_state *state,
			struct sonde__circuit_slot *slots);

static inline uint64_t sonde__circuit_word(const struct sonde__circuit *circuit)
{
	/* A1, partner R1 in change: who sees a state sees what was prepared for it. */
	return atomic_load_explicit(&circuit->state->word, memory_order_acquire);
}

static inline enum sonde_breaker_state sonde__circuit_word_state(uint64_t word)
{
	return (enum sonde_breaker_state)(word & 7);
}

static inline uint32_t sonde__circuit_word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* Wait-free. */
static inline enum sonde_breaker_state sonde__circuit_state_of(const struct sonde__circuit *circuit)
{
	return sonde__circuit_word_state(sonde__circuit_word(circuit));
}

static inline bool sonde__circuit_counts_rates(const struct sonde__circuit *circuit)
{
	return circuit->outcomes.mode != SONDE_BREAKER_CONSECUTIVE;
}

/* Whether a state lets everything pass, so that no permit is needed. */
static inline bool sonde__circuit_passes(uint64_t word)
{
	enum sonde_breaker_state state = sonde__circuit_word_state(word);

	return state == SONDE_BREAKER_CLOSED || state >= SONDE_BREAKER_FORCED_CLOSED;
}

/*
 * May an attempt be made now? A yes while half-open is a trial, whose permit comes back with its
 * outcome, its release, or when trial_ns is over. A no leaves the ticket untouched. Lock-free.
 */
bool sonde__circuit_admit(const struct sonde__circuit *circuit, uint64_t now_ns,
			  struct sonde_breaker_ticket *ret_ticket,
			  struct sonde__circuit_changes *changes);

/*
 * An attempt is made now whatever the state: while open or half-open it is a trial, if need be in
 * the place of the one that has run longest, which counts no more.
 */
void sonde__circuit_admit_by_force(const struct sonde__circuit *circuit, uint64_t now_ns,
				   struct sonde_breaker_ticket *ret_ticket,
				   struct sonde__circuit_changes *changes);

/*
 * The outcome of an attempt. That of an earlier generation says nothing, nor does the second one of
 * a trial. Lock-free.
 */
void sonde__circuit_report(const struct sonde__circuit *circuit,
			   const struct sonde_breaker_ticket *ticket, uint64_t now_ns,
			   enum sonde_breaker_verdict verdict, bool is_slow,
			   struct sonde__circuit_changes *changes);

/*
 * Whether there is nothing to report: an outcome as all others, while all is well. The whole of
 * what a success costs then. Wait-free.
 */
static inline bool sonde__circuit_is_nothing(const struct sonde__circuit *circuit,
					     const struct sonde_breaker_ticket *ticket,
					     enum sonde_breaker_verdict verdict)
{
	uint64_t word = sonde__circuit_word(circuit);

	if (ticket->generation != sonde__circuit_word_generation(word))
		return true;
	/* CLOSED is 0, and so are failures and openings in a row. */
	return verdict == SONDE_BREAKER_GOOD && (uint32_t)word == SONDE_BREAKER_CLOSED &&
	       circuit->outcomes.mode == SONDE_BREAKER_CONSECUTIVE;
}

/* Whatever the state was; generations go on where it was the same. */
void sonde__circuit_force(const struct sonde__circuit *circuit, enum sonde_breaker_state to,
			  uint64_t now_ns, struct sonde__circuit_changes *changes);

/* How long until admit may say yes; 0: it does now; UINT64_MAX: not by time. */
uint64_t sonde__circuit_wait_ns(const struct sonde__circuit *circuit, uint64_t now_ns);

/* What the present state counts; of no single moment while others report. */
void sonde__circuit_counts(const struct sonde__circuit *circuit, uint64_t now_ns,
			   struct sonde_breaker_counts *ret);

#endif
