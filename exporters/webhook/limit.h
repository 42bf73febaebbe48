/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WEBHOOK_LIMIT_H
#define SONDE_WEBHOOK_LIMIT_H

/*
 * So many messages a minute: a bucket of that many tokens, full at first, which fills by one at a
 * time. So the first errors after a deployment are told at once, and a flood of new ones, after the
 * file of known errors was lost, does not bury the people it is for.
 */

#include <stdbool.h>
#include <stdint.h>

struct sonde__webhook_limit {
	uint32_t per_minute; /* 0: no limit. */
	uint32_t n_tokens;
	uint64_t filled_ns; /* When the last token came. */
};

void sonde__webhook_limit_init(struct sonde__webhook_limit *limit, uint32_t per_minute,
			       uint64_t now_ns);
/* False: not now. */
bool sonde__webhook_limit_take(struct sonde__webhook_limit *limit, uint64_t now_ns);
/* What was taken last was not used. */
void sonde__webhook_limit_give_back(struct sonde__webhook_limit *limit);
/* The next message would have to wait. */
bool sonde__webhook_limit_is_reached(const struct sonde__webhook_limit *limit);

#endif
