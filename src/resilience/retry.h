/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_RETRY_H
#define SONDE_RESILIENCE_RETRY_H

/*
 * Whether there is another attempt, and how long to wait before it: exponential backoff with
 * jitter. A machine over a time and a chance that are passed in, without errors, observers or
 * waiting: what <sonde/retry.h> adds around it, and what the pipeline does with its requests.
 * docs/design/retry.md argues it.
 */

#include <sonde/cancel.h>
#include <sonde/retry.h>

/* "The other side named no delay of its own." */
#define SONDE__RETRY_NO_WISH SONDE_RETRY_NO_WISH

struct sonde__retry_options {
	uint64_t initial_ns; /* Before jitter, as is the limit below. */
	uint64_t max_ns;
	double factor; /* From one attempt to the next; at least 1. */
	sonde_random_fn *random; /* NULL: the kernel's. */
	void *random_user;
	enum sonde_jitter jitter;
	uint32_t attempts; /* 0: without end. */
	uint64_t wish_max_ns; /* Longer wishes end it; 0: none does. */
};

struct sonde__retry {
	struct sonde__retry_options options;
	uint64_t next_ns; /* The next delay before jitter; decorrelated: the one before. */
	uint32_t n_failures; /* Since the last reset. */
};

void sonde__retry_init(struct sonde__retry *retry, const struct sonde__retry_options *options);

/*
 * An attempt failed: the delay before the next one. A delay that the other side wished for is taken
 * as it is, without jitter, and beats the computed one, shorter or longer; the backoff grows all
 * the same, so that it is where it should be when the wishes end.
 */
uint64_t sonde__retry_next_delay(struct sonde__retry *retry, uint64_t wish_ns);

enum sonde__retry_verdict {
	SONDE__RETRY_AGAIN = 0,
	SONDE__RETRY_USED_UP = 1, /* That was the last attempt. */
	SONDE__RETRY_TOO_LATE = 2, /* The next one would begin at the deadline or past it. */
	SONDE__RETRY_TOO_LONG = 3, /* The wish is longer than anybody waits. */
};

/*
 * An attempt failed at `now_ns`: is there another one? AGAIN writes its delay. `deadline_ns` is a
 * moment, or UINT64_MAX.
 */
enum sonde__retry_verdict sonde__retry_decide(struct sonde__retry *retry, uint64_t now_ns,
					      uint64_t deadline_ns, uint64_t wish_ns,
					      uint64_t *ret_delay_ns);

/* An attempt succeeded: the next failure begins at the initial delay again. */
void sonde__retry_reset(struct sonde__retry *retry);

/* ---- What a policy needs of a call ----------------------------------------------------------- */

/*
 * As <sonde/retry.h> has them, for those who know the time: a clock costs more than all the rest.
 */
void sonde__retry_call_begin_at(struct sonde_retry_call *call, const struct sonde_retry *retry,
				uint64_t now_ns, uint64_t deadline_ns);
uint64_t sonde__retry_call_attempt_at(struct sonde_retry_call *call, uint64_t now_ns);

/* What became of an attempt, beyond what a caller of <sonde/retry.h> may say. */
struct sonde__retry_outcome {
	struct sonde_error *error; /* Taken over. */
	uint64_t wish_ns;
	bool is_final; /* Not to be tried again, whatever the filter says. */
	const struct sonde_cancel *cancel; /* Where it is fired there is no other attempt. */
};

bool sonde__retry_call_take(struct sonde_retry_call *call,
			    const struct sonde__retry_outcome *outcome, uint64_t *ret_delay_ns);

/* The wait after the last attempt was ended by the token, or the deadline came before its end. */
void sonde__retry_call_stop(struct sonde_retry_call *call, const struct sonde_cancel *cancel);

/* The moment at which the attempt that sonde_retry_call_attempt began must end. */
uint64_t sonde__retry_call_attempt_end(const struct sonde_retry_call *call);

/* Where there is no retry: one attempt, its error as it is, and nothing is told. */
void sonde__retry_init_single(struct sonde_retry *retry, const struct sonde_clock *clock);

/* Never NULL. */
const char *sonde__retry_budget_name(const struct sonde_retry_budget *budget);

/* The clock by which the call goes; NULL: the monotonic one. */
const struct sonde_clock *sonde__retry_clock(const struct sonde_retry *retry);

#endif
