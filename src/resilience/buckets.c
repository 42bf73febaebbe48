/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket is one word, the moment at which it will be full (the theoretical arrival time of
 * GCRA, ITU-T I.371). Taking moves it on by what the tokens take to come, from now where it is
 * past, and is refused where it would be further from now than the burst. One exchange; nothing is
 * rounded, and a bucket that is full needs no memory: a new one is like it.
 *
 * A key's bucket is one of the seven of its set. Its hash, which is under a secret key, stands
 * beside it and is its name. A bucket changes hands like this, by one thread at a time in a set:
 *
 *	bucket: moment → TAKEN	by exchange: from here on whoever wants it looks again
 *	hash: old → new
 *	bucket: TAKEN → now	the new one's, full
 *
 * and a key's thread takes like this:
 *
 *	hash is its own → bucket, a moment → hash is its own still → exchange of that very moment
 *
 * The exchange can only succeed while nobody took from the bucket since it was read, and it changes
 * hands by exchanges to later moments alone.
 */

#include "resilience/buckets.h"

#include <string.h>
#include <sys/mman.h>

#include <sonde/base.h>

#define TAKEN UINT64_MAX

/* How often a thread looks for its bucket while it changes hands, or others do in its set. */
#define TRIES 64

static uint64_t moment_of(const _Atomic uint64_t *bucket)
{
	/* Acquire, A1, partner R1 in way_give: its hash is read after it. */
	return atomic_load_explicit(bucket, memory_order_acquire);
}

static bool moment_change(_Atomic uint64_t *bucket, uint64_t *was, uint64_t moment)
{
	/*
	 * Acquire, A2, partner R1 in way_give, where it is tried again; else relaxed: the moment is
	 * all there is.
	 */
	return atomic_compare_exchange_strong_explicit(bucket, was, moment, memory_order_acquire,
						       memory_order_acquire);
}

/* The moment after taking; *ret_wait: in how long the tokens are there. */
static uint64_t moment_after(uint64_t moment, const struct sonde__bucket_ask *ask,
			     uint64_t *ret_wait)
{
	uint64_t from = moment > ask->now ? moment : ask->now;
	uint64_t ahead = from - ask->now + ask->cost;

	*ret_wait = ahead > ask->burst ? ahead - ask->burst : 0;
	return from + ask->cost;
}

bool sonde__bucket_take(_Atomic uint64_t *bucket, const struct sonde__bucket_ask *ask,
			uint64_t *ret_wait)
{
	uint64_t moment = moment_of(bucket);
	uint64_t next;

	do {
		next = moment_after(moment, ask, ret_wait);
		if (*ret_wait > ask->max_wait)
			return false;
	} while (!moment_change(bucket, &moment, next));
	return true;
}

/* ---- The table ------------------------------------------------------------------------------- */

static size_t sets_size(uint32_t n_sets)
{
	return n_sets * sizeof(struct sonde__bucket_set);
}

int sonde__buckets_init(struct sonde__buckets *buckets, uint32_t max_keys, bool evicts)
{
	uint32_t n_sets = max_keys / SONDE__BUCKET_WAYS + (max_keys % SONDE__BUCKET_WAYS != 0);
	/* All zero and touched by nobody: what is not used costs nothing. */
	void *sets = mmap(NULL, sets_size(n_sets), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, /* fd= */ -1, 0);

	if (sets == MAP_FAILED)
		return SONDE_E_NOMEM;
	/* Or a child may inherit a bucket that is just changing hands, and nobody to end it. */
	(void)madvise(sets, sets_size(n_sets), MADV_WIPEONFORK);
	memset(buckets, 0, sizeof(*buckets));
	buckets->sets = sets;
	buckets->n_sets = n_sets;
	buckets->evicts = evicts;
	return SONDE_OK;
}

void sonde__buckets_deinit(struct sonde__buckets *buckets)
{
	if (buckets->sets)
		munmap(buckets->sets, sets_size(buckets->n_sets));
	buckets->sets = NULL;
}

static struct sonde__bucket_set *set_of(const struct sonde__buckets *buckets, uint64_t hash)
{
	return &buckets->sets[(hash >> 32) * buckets->n_sets >> 32];
}

/* WAYS: it has none. */
static unsigned way_of(const struct sonde__bucket_set *set, uint64_t hash)
{
	unsigned way = 0;

	/* Relaxed: it is looked at again after the bucket was read. */
	while (way < SONDE__BUCKET_WAYS &&
	       atomic_load_explicit(&set->hashes[way], memory_order_relaxed) != hash)
		way++;
	return way;
}

_Atomic uint64_t *sonde__buckets_find(const struct sonde__buckets *buckets, uint64_t hash)
{
	struct sonde__bucket_set *set = set_of(buckets, hash);
	unsigned way = way_of(set, hash);

	return way < SONDE__BUCKET_WAYS ? &set->buckets[way] : NULL;
}

uint64_t sonde__buckets_look(const struct sonde__buckets *buckets, uint64_t hash)
{
	const struct sonde__bucket_set *set = set_of(buckets, hash);
	unsigned way = way_of(set, hash);
	uint64_t moment = way < SONDE__BUCKET_WAYS ? moment_of(&set->buckets[way]) : 0;

	return moment == TAKEN ? 0 : moment;
}

static void count(_Atomic uint64_t *counter)
{
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- Giving a bucket to a new key ------------------------------------------------------------ */

/* The one that is nearest to full; nobody's before all. */
static unsigned way_fullest(const struct sonde__bucket_set *set)
{
	unsigned best = 0;
	uint64_t best_moment = TAKEN;

	for (unsigned way = 0; way < SONDE__BUCKET_WAYS; way++) {
		uint64_t moment = moment_of(&set->buckets[way]);

		if (!atomic_load_explicit(&set->hashes[way], memory_order_relaxed))
			return way;
		if (moment < best_moment) {
			best = way;
			best_moment = moment;
		}
	}
	return best;
}

enum given {
	GIVEN = 0,
	GIVEN_NONE = 1, /* All are in use. */
	GIVEN_LATER = 2, /* Somebody else took from it, or gives at the same time. */
};

/* While the set's is_giving is the caller's. */
static enum given way_give(struct sonde__buckets *buckets, struct sonde__bucket_set *set,
			   uint64_t hash, uint64_t now)
{
	unsigned way = way_fullest(set);
	_Atomic uint64_t *bucket = &set->buckets[way];
	uint64_t moment = moment_of(bucket);
	bool was_full = moment <= now;
	uint64_t old = atomic_load_explicit(&set->hashes[way], memory_order_relaxed);

	if (!was_full && !buckets->evicts)
		return GIVEN_NONE;
	if (!moment_change(bucket, &moment, TAKEN))
		return GIVEN_LATER;
	/* Relaxed: between two changes of the bucket, of which the second publishes it. */
	atomic_store_explicit(&set->hashes[way], hash, memory_order_relaxed);
	/* Release, R1, partners A1 and A2: who sees this moment sees the new hash. */
	atomic_store_explicit(bucket, now, memory_order_release);
	if (old)
		count(was_full ? &buckets->n_forgotten : &buckets->n_evicted);
	return GIVEN;
}

static enum given give(struct sonde__buckets *buckets, struct sonde__bucket_set *set, uint64_t hash,
		       uint64_t now)
{
	enum given given = GIVEN;

	/* Acquire, A3, partner R3 below: what was given before is found. */
	if (atomic_exchange_explicit(&set->is_giving, 1, memory_order_acquire))
		return GIVEN_LATER;
	if (way_of(set, hash) == SONDE__BUCKET_WAYS)
		given = way_give(buckets, set, hash, now);
	/* Release, R3, partner A3. */
	atomic_store_explicit(&set->is_giving, 0, memory_order_release);
	return given;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

/* False: it is not this key's any more, or is changing hands. */
static bool way_take(struct sonde__bucket_set *set, unsigned way, uint64_t hash,
		     const struct sonde__bucket_ask *ask, uint64_t *ret_wait, bool *ret_is_taken)
{
	_Atomic uint64_t *bucket = &set->buckets[way];
	uint64_t moment = moment_of(bucket);
	uint64_t next;

	do {
		if (moment == TAKEN ||
		    atomic_load_explicit(&set->hashes[way], memory_order_relaxed) != hash)
			return false;
		next = moment_after(moment, ask, ret_wait);
		*ret_is_taken = *ret_wait <= ask->max_wait;
	} while (*ret_is_taken && !moment_change(bucket, &moment, next));
	return true;
}

bool sonde__buckets_take(struct sonde__buckets *buckets, uint64_t hash,
			 const struct sonde__bucket_ask *ask, uint64_t *ret_wait)
{
	struct sonde__bucket_set *set = set_of(buckets, hash);
	bool is_taken;

	for (int i = 0; i < TRIES; i++) {
		unsigned way = way_of(set, hash);

		if (way < SONDE__BUCKET_WAYS) {
			if (way_take(set, way, hash, ask, ret_wait, &is_taken))
				return is_taken;
			continue;
		}
		if (give(buckets, set, hash, ask->now) == GIVEN_NONE)
			break;
	}
	count(&buckets->n_shared);
	return sonde__bucket_take(&buckets->shared, ask, ret_wait);
}
