/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_WATCH_H
#define SONDE_RESILIENCE_WATCH_H

/*
 * Does a loop turn? A state machine over the word that the loop changes with each turn, and a time
 * that is passed in. One owner, no lock.
 *
 * The word is odd while the loop works and even while it rests. The loop reads no clock: how long
 * it has not turned is counted from when somebody first saw the word as it is.
 */

#include <stdbool.h>
#include <stdint.h>

enum sonde__watch_news {
	SONDE__WATCH_NOTHING = 0,
	SONDE__WATCH_STALL = 1, /* Once for each stall. */
	SONDE__WATCH_RECOVERY = 2,
};

struct sonde__watch {
	uint64_t limit_ns;
	uint64_t word; /* As it was seen last, */
	uint64_t since_ns; /* and when it was first seen so. */
	bool is_stalled;
};

static inline uint64_t sonde__watch_fed(uint64_t word)
{
	return (word | 1) + 2;
}

static inline uint64_t sonde__watch_rested(uint64_t word)
{
	return (word | 1) + 1;
}

static inline bool sonde__watch_rests(uint64_t word)
{
	return (word & 1) == 0;
}

/* Rests. */
void sonde__watch_init(struct sonde__watch *watch, uint64_t limit_ns, uint64_t now_ns);

/* *ret_duration_ns, of news: how long it has not turned. */
enum sonde__watch_news sonde__watch_check(struct sonde__watch *watch, uint64_t word,
					  uint64_t now_ns, uint64_t *ret_duration_ns);

/*
 * Who watches was itself held up for so long: a stopped process, a machine with too much to do.
 * That time says nothing about the loop.
 */
void sonde__watch_forgive(struct sonde__watch *watch, uint64_t duration_ns, uint64_t now_ns);

#endif
