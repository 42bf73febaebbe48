/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_TRIALS_H
#define SONDE_RESILIENCE_TRIALS_H

/*
 * Inside the circuit: the trials of a half-open one. `word` is the circuit's, as it was read when
 * it was half-open; what belongs to another generation is not there for any of these.
 */

#include "resilience/circuit.h"

enum sonde__taken {
	SONDE__NOT_TAKEN,
	SONDE__TAKEN,
	SONDE__OVERTAKEN, /* The state is another one by now: look again. */
};

/* Clears the slots that earlier generations left: their numbers come round again some day. */
void sonde__trials_begin(const struct sonde__circuit *circuit, uint64_t word);

/* What came of those that have ended. */
struct sonde__tally sonde__trials_sum(const struct sonde__circuit *circuit, uint64_t word);

enum sonde__taken sonde__trials_take(const struct sonde__circuit *circuit, uint64_t word,
				     uint64_t now_ns, struct sonde_breaker_ticket *ret);

/* The place of the trial that has run longest. */
enum sonde__taken sonde__trials_take_over(const struct sonde__circuit *circuit, uint64_t word,
					  uint64_t now_ns, struct sonde_breaker_ticket *ret);

/* Looks, now and then, for permits whose process has died. True: there are places again. */
bool sonde__trials_look(const struct sonde__circuit *circuit, uint64_t word, uint64_t now_ns);

/* Gives the permit back, with what came of it. False: it is not out, or another one is. */
bool sonde__trials_end(const struct sonde__circuit *circuit,
		       const struct sonde_breaker_ticket *ticket, uint64_t word,
		       enum sonde_breaker_verdict verdict, bool is_slow);

/* How long until there is a place; 0: there is one; UINT64_MAX: not by time. */
uint64_t sonde__trials_wait_ns(const struct sonde__circuit *circuit, uint64_t word,
			       uint64_t now_ns);

/* Permits that are out, overdue ones counted. */
uint32_t sonde__trials_n_out(const struct sonde__circuit *circuit, uint64_t word);

#endif
