/* SPDX-License-Identifier: Apache-2.0 */
#include "webhook/limit.h"

#define MINUTE_NS (60 * UINT64_C(1000000000))

void sonde__webhook_limit_init(struct sonde__webhook_limit *limit, uint32_t per_minute,
			       uint64_t now_ns)
{
	*limit = (struct sonde__webhook_limit){
		.per_minute = per_minute, .n_tokens = per_minute, .filled_ns = now_ns
	};
}

static void fill(struct sonde__webhook_limit *limit, uint64_t now_ns)
{
	uint64_t interval_ns = MINUTE_NS / limit->per_minute;
	uint64_t n;

	if (now_ns <= limit->filled_ns)
		return;
	n = (now_ns - limit->filled_ns) / interval_ns;
	if (n >= limit->per_minute - limit->n_tokens) {
		limit->n_tokens = limit->per_minute;
		limit->filled_ns = now_ns;
		return;
	}
	limit->n_tokens += (uint32_t)n;
	limit->filled_ns += n * interval_ns;
}

bool sonde__webhook_limit_take(struct sonde__webhook_limit *limit, uint64_t now_ns)
{
	if (!limit->per_minute)
		return true;
	fill(limit, now_ns);
	if (!limit->n_tokens)
		return false;
	limit->n_tokens--;
	return true;
}

void sonde__webhook_limit_give_back(struct sonde__webhook_limit *limit)
{
	if (limit->n_tokens < limit->per_minute)
		limit->n_tokens++;
}

bool sonde__webhook_limit_is_reached(const struct sonde__webhook_limit *limit)
{
	return limit->per_minute && !limit->n_tokens;
}
