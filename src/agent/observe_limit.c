/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans: a table by the span's id of how many events it was given. Two spans that share a slot take
 * it from each other, and then get more than their limit: a bound for the box, which is where they
 * wait; the limit itself the pipeline keeps exactly.
 *
 * Logs: a token bucket for each name and kind of observation, as the one number in which it can be
 * kept (GCRA): the moment at which the bucket will be full again. A word, so one compare-and-swap
 * both asks and takes. The table has room for so many; what comes later shares buckets by its hash.
 */

#include "agent/observe_limit.h"

#include <stdatomic.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hash.h"

/* ---- Spans ----------------------------------------------------------------------------------- */

#define SPANS 256u
#define COUNT_BITS 10
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

/* The span's id but for its lowest bits, where the count is. */
static _Atomic uint64_t spans[SPANS];

bool sonde__observe_span_admits(uint64_t span_id, uint32_t limit)
{
	_Atomic uint64_t *slot = &spans[(span_id & COUNT_MASK) % SPANS];
	/* Relaxed, all: a word that says all there is to say. */
	uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
	uint64_t next;

	if (limit > COUNT_MASK)
		limit = COUNT_MASK;
	do {
		next = (seen ^ span_id) & ~COUNT_MASK ? span_id & ~COUNT_MASK : seen;
		if ((next & COUNT_MASK) >= limit)
			return false;
		next++;
	} while (!atomic_compare_exchange_weak_explicit(slot, &seen, next, memory_order_relaxed,
							memory_order_relaxed));
	return true;
}

/* ---- Logs ------------------------------------------------------------------------------------ */

#define BUCKETS 128u
#define PROBES 8u
#define BURST_NS (SONDE__OBSERVE_LOG_BURST * SONDE__OBSERVE_LOG_PERIOD_NS)

struct bucket {
	_Atomic uint64_t key; /* 0: free. Never given up. */
	_Atomic uint64_t full_ns;
	_Atomic uint64_t n_held_back;
};

static struct bucket buckets[BUCKETS];

static uint64_t key_of(const struct sonde_observation *observation)
{
	const uint64_t kind = (uint64_t)observation->pattern << 8 | (uint64_t)observation->what;
	const uint64_t key =
		sonde__hash_bytes(kind, observation->name, strlen(observation->name));

	return key ? key : 1;
}

static struct bucket *bucket_of(uint64_t key)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		struct bucket *bucket = &buckets[(key + i) % BUCKETS];
		uint64_t found = atomic_load_explicit(&bucket->key, memory_order_relaxed);

		/* Relaxed, all: a number, and what it stands for is in words of its own. */
		if (!found && atomic_compare_exchange_strong_explicit(&bucket->key, &found, key,
								      memory_order_relaxed,
								      memory_order_relaxed))
			return bucket;
		if (found == key)
			return bucket;
	}
	return &buckets[key % BUCKETS];
}

bool sonde__observe_log_admits(const struct sonde_observation *observation, uint64_t now_ns,
			       uint64_t *ret_held_back)
{
	struct bucket *bucket = bucket_of(key_of(observation));
	/* Relaxed, all: numbers that order nothing. */
	uint64_t full_ns = atomic_load_explicit(&bucket->full_ns, memory_order_relaxed);
	uint64_t next_ns;

	do {
		next_ns = (full_ns > now_ns ? full_ns : now_ns) + SONDE__OBSERVE_LOG_PERIOD_NS;
		if (next_ns > now_ns + BURST_NS) {
			atomic_fetch_add_explicit(&bucket->n_held_back, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(&bucket->full_ns, &full_ns, next_ns,
							memory_order_relaxed,
							memory_order_relaxed));
	*ret_held_back = atomic_exchange_explicit(&bucket->n_held_back, 0, memory_order_relaxed);
	return true;
}
