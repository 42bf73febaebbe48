/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_BUCKETS_H
#define SONDE_RESILIENCE_BUCKETS_H

/*
 * Token buckets by key in a table of fixed size, and the one word that a bucket is. buckets.c and
 * docs/design/limiter.md argue it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/*
 * A bucket: the moment at which it will be full, or was. Moments and durations are in units of a
 * sixteenth of a nanosecond since the table was made.
 */
#define SONDE__BUCKET_UNITS_SHIFT 4

/* What is asked of a bucket. */
struct sonde__bucket_ask {
	uint64_t now;
	uint64_t cost; /* How much later the bucket will be full. */
	uint64_t burst; /* How long an empty bucket takes to fill. */
	uint64_t max_wait; /* Until the tokens are there; 0: now or never. */
};

/* Takes and returns true, or nothing and false; either way *ret_wait says in how long they are. */
bool sonde__bucket_take(_Atomic uint64_t *bucket, const struct sonde__bucket_ask *ask,
			uint64_t *ret_wait);

#define SONDE__BUCKET_WAYS 7

/* Those among which a key's bucket is. */
struct sonde__bucket_set {
	SONDE__CACHE_ALIGNED _Atomic uint64_t hashes[SONDE__BUCKET_WAYS]; /* 0: nobody's. */
	_Atomic uint32_t is_giving; /* Somebody is giving one of them to a new key. */
	_Atomic uint64_t buckets[SONDE__BUCKET_WAYS];
};

struct sonde__buckets {
	struct sonde__bucket_set *sets;
	uint32_t n_sets;
	bool evicts;
	_Atomic uint64_t shared; /* The bucket of those who find no place. */
	_Atomic uint64_t n_forgotten;
	_Atomic uint64_t n_evicted;
	_Atomic uint64_t n_shared;
};

/* SONDE_E_NOMEM. */
int sonde__buckets_init(struct sonde__buckets *buckets, uint32_t max_keys, bool evicts);
void sonde__buckets_deinit(struct sonde__buckets *buckets);

/* As sonde__bucket_take, of the bucket of the key with this hash, which gets one if it can. */
bool sonde__buckets_take(struct sonde__buckets *buckets, uint64_t hash,
			 const struct sonde__bucket_ask *ask, uint64_t *ret_wait);

/* The bucket as it is; 0 where the key has none. */
uint64_t sonde__buckets_look(const struct sonde__buckets *buckets, uint64_t hash);

/* The key's bucket, to give back to; NULL: it has none any more. */
_Atomic uint64_t *sonde__buckets_find(const struct sonde__buckets *buckets, uint64_t hash);

#endif
