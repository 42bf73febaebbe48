/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group's own bucket keeps one noisy group at its rate. It takes many of them to exhaust the
 * common rate, and then it matters who gets what there is of it. Half of rate and burst is for new
 * groups, of which none has passed yet; what they do not use overflows into the rest:
 *
 *	          half of the rate           the other half, and what overflows
 *	new ──▶ ┌────────────────┐ ──────▶ ┌────────────────┐ full
 *	        │ their first    │         │ anybody        │
 *	        │ errors alone   │         ├────────────────┤ 3/4
 *	        └────────────────┘         │ the longer ago │ half: a turn ago
 *	                                   │ the deeper     │
 *	                                   └────────────────┘ 0: four turns ago
 *
 * A turn is how long the common rate takes to give every active group one. Who has just had one may
 * take what lies above three quarters, who has waited more; after four turns all of it. So what is
 * there goes to those who waited longest, which is what a queue would do, without a queue: a group
 * that asks has its share, however loud the others are. A new group's first error passes as long as
 * there are not more new groups than half of the rate; and somebody who makes groups up by the
 * thousand cannot take the other half.
 *
 * Buckets count time and not tokens: a token is a period of saved time. So nothing is rounded,
 * whatever the steps in which time goes by.
 */

#include "pipeline/limiter.h"

#include <stddef.h>

#define FRESH 2 /* Of the common rate, a part of so many is for new groups. */
#define TURNS 4 /* After so many a group may take the last token. */

static uint64_t burst_of(const struct sonde__rate *rate)
{
	return rate->burst ? rate->burst : 1;
}

/* Adds what fits of the time; returns the rest. */
static uint64_t bucket_add(struct sonde__bucket *bucket, uint64_t most_ns, uint64_t gone_ns)
{
	uint64_t room_ns = most_ns - bucket->saved_ns;
	uint64_t added_ns = gone_ns < room_ns ? gone_ns : room_ns;

	bucket->saved_ns += added_ns;
	return gone_ns - added_ns;
}

/* The time since the last look; none where the clock went back. */
static uint64_t bucket_advance(struct sonde__bucket *bucket, uint64_t now_ns)
{
	uint64_t gone_ns = now_ns > bucket->since_ns ? now_ns - bucket->since_ns : 0;

	bucket->since_ns += gone_ns;
	return gone_ns;
}

/* Whether there is a token above so many. With a period of 0 there always is. */
static bool bucket_has(const struct sonde__bucket *bucket, uint64_t period_ns, uint64_t floor)
{
	return bucket->saved_ns >= (floor + 1) * period_ns;
}

static void total_fill(struct sonde__limiter *limiter, uint64_t now_ns)
{
	const struct sonde__rate *rate = &limiter->options.total;
	uint64_t fresh_burst = burst_of(rate) / FRESH;
	uint64_t gone_ns = bucket_advance(&limiter->total, now_ns);
	uint64_t rest_ns = bucket_add(&limiter->fresh, fresh_burst * rate->period_ns,
				      gone_ns / FRESH);

	(void)bucket_add(&limiter->total, (burst_of(rate) - fresh_burst) * rate->period_ns,
			 gone_ns - gone_ns / FRESH + rest_ns);
}

static void share_fill(const struct sonde__limiter *limiter, struct sonde__share *share,
		       uint64_t now_ns)
{
	const struct sonde__rate *rate = &limiter->options.group;
	uint64_t gone_ns = bucket_advance(&share->bucket, now_ns);

	(void)bucket_add(&share->bucket, burst_of(rate) * rate->period_ns, gone_ns);
}

void sonde__limiter_init(struct sonde__limiter *limiter,
			 const struct sonde__flood_options *options, uint64_t now_ns)
{
	uint64_t burst = burst_of(&options->total);
	uint64_t period_ns = options->total.period_ns;

	*limiter = (struct sonde__limiter){
		.options = *options,
		.total = { .saved_ns = (burst - burst / FRESH) * period_ns,
			   .since_ns = now_ns },
		.fresh = { .saved_ns = burst / FRESH * period_ns },
	};
}

void sonde__limiter_share_init(const struct sonde__limiter *limiter, struct sonde__share *share,
			       uint64_t now_ns)
{
	const struct sonde__rate *rate = &limiter->options.group;

	*share = (struct sonde__share){
		.bucket = { .saved_ns = burst_of(rate) * rate->period_ns, .since_ns = now_ns },
	};
}

/* `most` less what `waited_ns` of `whole_ns` is of it. */
static uint64_t rest_of(uint64_t most, uint64_t waited_ns, uint64_t whole_ns)
{
	uint64_t step_ns = most ? whole_ns / most : 0;

	return step_ns && waited_ns < whole_ns ? (whole_ns - waited_ns) / step_ns : 0;
}

/* How many tokens have to stay for others. */
static uint64_t floor_of(const struct sonde__limiter *limiter, const struct sonde__share *share,
			 uint32_t n_active, uint64_t now_ns)
{
	uint64_t burst = burst_of(&limiter->options.total);
	uint64_t half = (burst - burst / FRESH) / 2;
	uint64_t turn_ns = n_active * limiter->options.total.period_ns;
	uint64_t waited_ns = now_ns > share->passed_ns ? now_ns - share->passed_ns : 0;

	if (!share->has_passed)
		return half;
	if (waited_ns < turn_ns)
		return half + rest_of(half / 2, waited_ns, turn_ns);
	return rest_of(half, waited_ns - turn_ns, (TURNS - 1) * turn_ns);
}

/* The bucket that has a token for this group; NULL: none. */
static struct sonde__bucket *bucket_for(struct sonde__limiter *limiter,
					const struct sonde__share *share, uint32_t n_active,
					uint64_t now_ns)
{
	uint64_t period_ns = limiter->options.total.period_ns;

	if (!share->has_passed && bucket_has(&limiter->fresh, period_ns, /* floor= */ 0))
		return &limiter->fresh;
	if (bucket_has(&limiter->total, period_ns, floor_of(limiter, share, n_active, now_ns)))
		return &limiter->total;
	return NULL;
}

bool sonde__limiter_admit(struct sonde__limiter *limiter, struct sonde__share *share,
			  uint32_t n_active, uint64_t now_ns)
{
	uint64_t period_ns = limiter->options.group.period_ns;
	struct sonde__bucket *bucket;

	share_fill(limiter, share, now_ns);
	total_fill(limiter, now_ns);
	if (!bucket_has(&share->bucket, period_ns, /* floor= */ 0))
		return false;
	bucket = bucket_for(limiter, share, n_active, now_ns);
	if (!bucket)
		return false;
	share->bucket.saved_ns -= period_ns;
	bucket->saved_ns -= limiter->options.total.period_ns;
	share->passed_ns = now_ns;
	share->has_passed = true;
	return true;
}
