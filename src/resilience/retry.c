/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exponential backoff. The delay before jitter is initial * factor^n, never past the limit; the
 * delay itself is drawn evenly from half to one and a half of that, so that many processes that
 * lost one collector at the same moment do not come back at the same moment. The limit applies
 * before the jitter: cut off afterwards, a third of the processes would come back exactly at the
 * limit.
 */

#include "resilience/retry.h"

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

uint64_t sonde__retry_next_delay(struct sonde__retry *retry, uint64_t wish_ns)
{
	const struct sonde__retry_options *options = &retry->options;
	uint64_t base_ns = retry->next_ns;
	double grown_ns = (double)base_ns * options->factor;
	double delay_ns;

	if (retry->n_failures < UINT32_MAX)
		retry->n_failures++;
	/* Compared as doubles: the product may be past what 64 bits hold. */
	retry->next_ns = grown_ns < (double)options->max_ns ? (uint64_t)grown_ns : options->max_ns;
	if (wish_ns != SONDE__RETRY_NO_WISH)
		return wish_ns;
	delay_ns = (double)base_ns * (0.5 + options->random(options->random_user));
	return delay_ns < 0x1p63 ? (uint64_t)delay_ns : UINT64_C(1) << 63;
}
