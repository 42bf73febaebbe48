/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exponential backoff. The delay before jitter is initial * factor^n, never past the limit; the
 * delay itself is drawn around it, so that many processes that lost one server at the same moment
 * do not come back at the same moment. The limit applies before the jitter that spreads to both
 * sides: cut off afterwards, a third of the processes would come back exactly at the limit.
 */

#include "resilience/retry.h"

#include "resilience/clock.h"

/* Of decorrelated jitter: how much longer than the one before a delay may be. */
#define DECORRELATED_GROWTH 3.0

void sonde__retry_init(struct sonde__retry *retry, const struct sonde__retry_options *options)
{
	retry->options = *options;
	sonde__retry_reset(retry);
}

void sonde__retry_reset(struct sonde__retry *retry)
{
	const struct sonde__retry_options *options = &retry->options;

	retry->next_ns = options->initial_ns < options->max_ns ? options->initial_ns :
								 options->max_ns;
	retry->n_failures = 0;
}

static uint64_t whole_ns(double delay_ns)
{
	return delay_ns < 0x1p63 ? (uint64_t)delay_ns : UINT64_C(1) << 63;
}

static double draw(const struct sonde__retry_options *options)
{
	return sonde__chance(options->random, options->random_user);
}

static uint64_t jittered(const struct sonde__retry_options *options, uint64_t base_ns)
{
	double delay_ns = (double)base_ns;

	switch (options->jitter) {
	case SONDE_JITTER_FULL:
		return whole_ns(delay_ns * draw(options));
	case SONDE_JITTER_EQUAL:
		return whole_ns(delay_ns * (0.5 + 0.5 * draw(options)));
	case SONDE_JITTER_DECORRELATED:
	case SONDE_JITTER_NONE:
		return whole_ns(delay_ns);
	case SONDE_JITTER_SPREAD:
		break;
	}
	return whole_ns(delay_ns * (0.5 + draw(options)));
}

/* Compared as doubles: the product may be past what 64 bits hold. */
static uint64_t limited(double delay_ns, uint64_t max_ns)
{
	return delay_ns < (double)max_ns ? (uint64_t)delay_ns : max_ns;
}

/* From the initial delay to a multiple of the one before. */
static uint64_t decorrelated(struct sonde__retry *retry)
{
	const struct sonde__retry_options *options = &retry->options;
	double low_ns = (double)options->initial_ns;
	double high_ns = (double)retry->next_ns * DECORRELATED_GROWTH;

	retry->next_ns = limited(low_ns + draw(options) * (high_ns - low_ns), options->max_ns);
	return whole_ns((double)retry->next_ns);
}

uint64_t sonde__retry_next_delay(struct sonde__retry *retry, uint64_t wish_ns)
{
	const struct sonde__retry_options *options = &retry->options;
	uint64_t base_ns = retry->next_ns;

	if (retry->n_failures < UINT32_MAX)
		retry->n_failures++;
	if (options->jitter == SONDE_JITTER_DECORRELATED)
		base_ns = decorrelated(retry);
	else
		retry->next_ns = limited((double)base_ns * options->factor, options->max_ns);
	return wish_ns != SONDE__RETRY_NO_WISH ? wish_ns : jittered(options, base_ns);
}

enum sonde__retry_verdict sonde__retry_decide(struct sonde__retry *retry, uint64_t now_ns,
					      uint64_t deadline_ns, uint64_t wish_ns,
					      uint64_t *ret_delay_ns)
{
	const struct sonde__retry_options *options = &retry->options;
	uint64_t delay_ns;

	if (options->attempts && retry->n_failures + 1 >= options->attempts)
		return SONDE__RETRY_USED_UP;
	if (wish_ns != SONDE__RETRY_NO_WISH && options->wish_max_ns &&
	    wish_ns > options->wish_max_ns)
		return SONDE__RETRY_TOO_LONG;
	delay_ns = sonde__retry_next_delay(retry, wish_ns);
	if (deadline_ns != SONDE__NEVER && sonde__moment_after(now_ns, delay_ns) >= deadline_ns)
		return SONDE__RETRY_TOO_LATE;
	*ret_delay_ns = delay_ns;
	return SONDE__RETRY_AGAIN;
}
