/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_INSTRUMENT_UNWIND_CACHE_H
#define SONDE_INSTRUMENT_UNWIND_CACHE_H

/*
 * Rules by place in the code, for all threads, without a lock.
 *
 * An entry is two words, the rule and a check, which is the key mixed with the rule. Threads,
 * signal handlers and forked children write and read them without order, and a reader may find one
 * writer's rule beside another one's check: together they make the key that is asked for only if
 * the rule is that of the key (but for one chance in 2^64, the mixing being a bijection). So there
 * is no state that a writer which was interrupted, or is not there after a fork, could leave
 * behind.
 *
 * R. Hyatt and T. Mann: A lockless transposition table implementation for parallel search. 2002.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "rule.h"

#define SONDE__RULES 4096 /* A power of two: 64 KiB, of which only the pages in use are there. */

struct sonde__rule_entry {
	_Atomic uint64_t check;
	_Atomic uint64_t rule;
};

extern struct sonde__rule_entry sonde__rules[SONDE__RULES];

static inline uint64_t sonde__rule_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline struct sonde__rule_entry *sonde__rule_entry(uint64_t key)
{
	return &sonde__rules[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SONDE__RULES];
}

/*
 * The key says all that the rule depends on. False: it is not there, or was being written.
 * Wait-free, async-signal-safe, as is the other.
 */
static inline bool sonde__rule_recall(uint64_t key, struct sonde__rule *ret)
{
	struct sonde__rule_entry *entry = sonde__rule_entry(key);
	/* Relaxed, here and below: the check says whether the words belong together. */
	uint64_t check = atomic_load_explicit(&entry->check, memory_order_relaxed);
	uint64_t rule = atomic_load_explicit(&entry->rule, memory_order_relaxed);

	if ((check ^ sonde__rule_mix(rule)) != key)
		return false;
	memcpy(ret, &rule, sizeof(rule));
	return true;
}

/* Remembers the rule, in place of another one. */
static inline void sonde__rule_remember(uint64_t key, struct sonde__rule rule)
{
	struct sonde__rule_entry *entry = sonde__rule_entry(key);
	uint64_t word;

	memcpy(&word, &rule, sizeof(word));
	atomic_store_explicit(&entry->rule, word, memory_order_relaxed);
	atomic_store_explicit(&entry->check, key ^ sonde__rule_mix(word), memory_order_relaxed);
}

#endif
