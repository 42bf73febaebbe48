/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BREAKER_H
#define SONDE_RESILIENCE_BREAKER_H

/*
 * A circuit breaker: stops asking somebody who does not answer, and finds out gently when he does
 * again. A state machine over a time that is passed in; one owner, no lock.
 */

#include <stdbool.h>
#include <stdint.h>

enum sonde__breaker_state {
	SONDE__BREAKER_CLOSED = 0, /* Everything passes. */
	SONDE__BREAKER_OPEN = 1, /* Nothing passes until the reset time is over. */
	SONDE__BREAKER_HALF_OPEN = 2, /* Trials pass, one after another. */
};

struct sonde__breaker_options {
	uint32_t failures; /* In a row, to open; 0 counts as 1. */
	uint32_t trials; /* Successes in a row, to close; 0 counts as 1. */
	uint64_t reset_ns; /* From opening to the first trial. */
};

struct sonde__breaker {
	struct sonde__breaker_options options;
	enum sonde__breaker_state state;
	uint32_t n_failures; /* In a row, while closed. */
	uint32_t n_successes; /* In a row, while half-open. */
	bool trial_is_running;
	uint64_t since_ns; /* OPEN: when it opened. HALF_OPEN: when the running trial began. */
};

void sonde__breaker_init(struct sonde__breaker *breaker,
			 const struct sonde__breaker_options *options);

/*
 * May an attempt be made now? A yes while half-open is a trial: the next yes comes when its outcome
 * was reported, or a reset time later, because its owner may have forgotten it.
 */
bool sonde__breaker_allow(struct sonde__breaker *breaker, uint64_t now_ns);

/* An attempt is made now whatever the state: while open or half-open it is a trial. */
void sonde__breaker_force(struct sonde__breaker *breaker, uint64_t now_ns);

/*
 * The outcome of an attempt that was allowed or forced. While open it says nothing: it is the late
 * outcome of an attempt from before.
 */
void sonde__breaker_report(struct sonde__breaker *breaker, uint64_t now_ns, bool is_ok);

/* How long until allow may say yes; 0: it does now. */
uint64_t sonde__breaker_wait_ns(const struct sonde__breaker *breaker, uint64_t now_ns);

#endif
