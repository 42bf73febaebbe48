/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_RETRY_H
#define SONDE_RESILIENCE_RETRY_H

/*
 * How long to wait before the next attempt: exponential backoff with jitter. Counts attempts and
 * multiplies; the waiting is the caller's, who also passes the randomness in.
 */

#include <stdint.h>

#include "base/random.h"

/* "The other side named no delay of its own." */
#define SONDE__RETRY_NO_WISH UINT64_MAX

struct sonde__retry_options {
	uint64_t initial_ns; /* Before jitter, as is the limit below: */
	uint64_t max_ns; /* the delay itself lies between half and one and a half of it. */
	double factor; /* From one attempt to the next; at least 1. */
	sonde__random_fn *random;
	void *random_user;
};

struct sonde__retry {
	struct sonde__retry_options options;
	uint64_t next_ns; /* The next delay before jitter. */
	uint32_t n_failures; /* Since the last reset. */
};

void sonde__retry_init(struct sonde__retry *retry, const struct sonde__retry_options *options);

/*
 * An attempt failed: the delay before the next one. A delay that the other side wished for is taken
 * as it is, without jitter, and beats the computed one, shorter or longer; the backoff grows all
 * the same, so that it is where it should be when the wishes end.
 */
uint64_t sonde__retry_next_delay(struct sonde__retry *retry, uint64_t wish_ns);

/* An attempt succeeded: the next failure begins at the initial delay again. */
void sonde__retry_reset(struct sonde__retry *retry);

#endif
