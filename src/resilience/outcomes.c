/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows without totals: who wants to know adds up what is there. A total beside the parts would
 * have to change together with them, and a process killed between the two would leave it wrong for
 * ever; here it leaves one outcome wrong, which goes out of the window with the others.
 *
 *	calls   a word that says how many there were, then two bits each: failed, slow
 *	time    ten buckets of three counters: all, failed, slow
 *
 * Every word that says how many begins with the generation, in a bucket also with the tenth that it
 * counts. One of another generation or tenth counts as zero and is written over: so a new
 * generation begins with none, and nobody has to clear anything.
 */

#include "resilience/outcomes.h"

#include "base/testpoint.h"

static bool conclude(const struct sonde__outcomes *outcomes, const struct sonde__tally *tally)
{
	return tally->n >= outcomes->minimum &&
	       sonde__outcomes_are_bad(outcomes, tally, tally->n);
}

/* ---- By calls -------------------------------------------------------------------------------- */

#define COUNT_BITS 40
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define PER_WORD 32
#define FAILED 1u
#define SLOW 2u
/* Every other bit: of all outcomes in a word the failed ones. */
#define FAILED_MASK UINT64_C(0x5555555555555555)

/* A generation's last 24 bits, in front of a count of 40. */
static uint64_t count_of(uint64_t word, uint32_t generation)
{
	return word >> COUNT_BITS == (generation & 0xffffff) ? word & COUNT_MASK : 0;
}

/* Says that there is one more; returns how many there were. */
static uint64_t count_up(_Atomic uint64_t *word, uint32_t generation)
{
	/* Relaxed: the exchange decides. */
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t n;

	do
		n = count_of(old, generation);
	/* Relaxed: it gives out places, and places publish nothing. */
	while (!atomic_compare_exchange_weak_explicit(
		word, &old,
		(uint64_t)(generation & 0xffffff) << COUNT_BITS | ((n + 1) & COUNT_MASK),
		memory_order_relaxed, memory_order_relaxed));
	return n;
}

static void write_call(const struct sonde__outcomes *outcomes, uint64_t n, unsigned bits)
{
	uint64_t place = n % outcomes->calls;
	_Atomic uint64_t *word = &outcomes->words[1 + place / PER_WORD];
	unsigned shift = 2 * (unsigned)(place % PER_WORD);
	/* Relaxed: the exchange decides. */
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	/*
	 * S1: sequentially consistent, as are the loads S2 in sum_calls. Of two who write and then
	 * add up, the later one sees both: that the limit is reached cannot escape them both.
	 */
	while (!atomic_compare_exchange_weak_explicit(
		word, &old, (old & ~(UINT64_C(3) << shift)) | (uint64_t)bits << shift,
		memory_order_seq_cst, memory_order_relaxed))
		;
}

static struct sonde__tally sum_calls(const struct sonde__outcomes *outcomes, uint32_t generation)
{
	/* S2, all, see S1. */
	uint64_t n = count_of(atomic_load_explicit(&outcomes->words[0], memory_order_seq_cst),
			      generation);
	struct sonde__tally tally = { .n = n < outcomes->calls ? (uint32_t)n : outcomes->calls };

	for (uint32_t first = 0; first < tally.n; first += PER_WORD) {
		uint64_t bits = atomic_load_explicit(&outcomes->words[1 + first / PER_WORD],
						     memory_order_seq_cst);

		/* Those that this generation has not written yet are not its own. */
		if (tally.n - first < PER_WORD)
			bits &= (UINT64_C(1) << 2 * (tally.n - first)) - 1;
		tally.n_failed += (uint32_t)__builtin_popcountll(bits & FAILED_MASK);
		tally.n_slow += (uint32_t)__builtin_popcountll(bits & ~FAILED_MASK);
	}
	return tally;
}

static bool add_call(const struct sonde__outcomes *outcomes, uint32_t generation, unsigned bits)
{
	uint64_t n = count_up(&outcomes->words[0], generation);
	struct sonde__tally tally;

	SONDE__TESTPOINT("outcomes:placed");
	write_call(outcomes, n, bits);
	/* A good one makes no share larger; it can only make the calls enough. */
	if (!bits && n + 1 != outcomes->minimum)
		return false;
	tally = sum_calls(outcomes, generation);
	return conclude(outcomes, &tally);
}

/* ---- By time --------------------------------------------------------------------------------- */

#define BUCKET_BITS 20
#define BUCKET_MASK ((UINT64_C(1) << BUCKET_BITS) - 1)
#define TENTH_BITS 30
#define TENTH_MASK ((UINT64_C(1) << TENTH_BITS) - 1)
#define GENERATION_MASK 0x3fffu
#define WORDS_PER_BUCKET 3

/*
 * 14 bits of generation and 30 of tenth, which for a window of a second are three years, in front
 * of a count of 20.
 */
static uint64_t tag_of(uint32_t generation, uint64_t tenth)
{
	return (uint64_t)(generation & GENERATION_MASK) << TENTH_BITS | (tenth & TENTH_MASK);
}

static uint64_t tenth_of(const struct sonde__outcomes *outcomes, uint64_t time_ns)
{
	uint64_t length_ns = outcomes->window_ns / SONDE__OUTCOMES_BUCKETS;

	return time_ns / (length_ns ? length_ns : 1);
}

/* Of the same generation, and of a tenth that comes after. */
static bool is_later(uint64_t tag, uint64_t than)
{
	uint64_t ahead = (tag - than) & TENTH_MASK;

	return tag >> TENTH_BITS == than >> TENTH_BITS && ahead != 0 && ahead <= TENTH_MASK / 2;
}

/* False: the bucket is in use for a later tenth, or full. */
static bool bucket_add(_Atomic uint64_t *word, uint64_t tag)
{
	/* Relaxed: the exchange decides. */
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t n;

	do {
		if (is_later(old >> BUCKET_BITS, tag))
			return false;
		n = old >> BUCKET_BITS == tag ? old & BUCKET_MASK : 0;
		/* All of a bucket stop counting together, so that the shares stay. */
		if (n == BUCKET_MASK)
			return false;
		/* S3: as S1, with S4 in sum_time. */
	} while (!atomic_compare_exchange_weak_explicit(word, &old, tag << BUCKET_BITS | (n + 1),
							memory_order_seq_cst,
							memory_order_relaxed));
	return true;
}

static uint32_t bucket_count(const _Atomic uint64_t *word, uint64_t tag)
{
	/* S4, see S3. */
	uint64_t found = atomic_load_explicit(word, memory_order_seq_cst);

	return found >> BUCKET_BITS == tag ? (uint32_t)(found & BUCKET_MASK) : 0;
}

static struct sonde__tally sum_time(const struct sonde__outcomes *outcomes, uint32_t generation,
				    uint64_t tenth)
{
	struct sonde__tally tally = { 0 };

	for (uint64_t i = 0; i < SONDE__OUTCOMES_BUCKETS && i <= tenth; i++) {
		const _Atomic uint64_t *bucket =
			&outcomes->words[(tenth - i) % SONDE__OUTCOMES_BUCKETS * WORDS_PER_BUCKET];
		uint64_t tag = tag_of(generation, tenth - i);

		tally.n += bucket_count(&bucket[0], tag);
		tally.n_failed += bucket_count(&bucket[1], tag);
		tally.n_slow += bucket_count(&bucket[2], tag);
	}
	return tally;
}

static bool add_time(const struct sonde__outcomes *outcomes, uint32_t generation, uint64_t time_ns,
		     unsigned bits)
{
	uint64_t tenth = tenth_of(outcomes, time_ns);
	uint64_t tag = tag_of(generation, tenth);
	_Atomic uint64_t *bucket =
		&outcomes->words[tenth % SONDE__OUTCOMES_BUCKETS * WORDS_PER_BUCKET];
	struct sonde__tally tally;

	if (bucket_add(&bucket[0], tag)) {
		SONDE__TESTPOINT("outcomes:counted");
		if (bits & FAILED)
			bucket_add(&bucket[1], tag);
		if (bits & SLOW)
			bucket_add(&bucket[2], tag);
	}
	tally = sum_time(outcomes, generation, tenth);
	return conclude(outcomes, &tally);
}

/* ---- Either ---------------------------------------------------------------------------------- */

size_t sonde__outcomes_n_words(const struct sonde__outcomes *outcomes)
{
	switch (outcomes->mode) {
	case SONDE_BREAKER_COUNT_WINDOW:
		return 1 + (outcomes->calls + PER_WORD - 1) / PER_WORD;
	case SONDE_BREAKER_TIME_WINDOW:
		return SONDE__OUTCOMES_BUCKETS * WORDS_PER_BUCKET;
	case SONDE_BREAKER_CONSECUTIVE:
		break;
	}
	return 0;
}

bool sonde__outcomes_are_bad(const struct sonde__outcomes *outcomes,
			     const struct sonde__tally *tally, uint32_t n)
{
	if (!n)
		return false;
	/* Divided, so that 55 of 100 is exactly what 0.55 is. */
	return (double)tally->n_failed / n >= outcomes->failure_rate ||
	       (double)tally->n_slow / n >= outcomes->slow_rate;
}

bool sonde__outcomes_add(const struct sonde__outcomes *outcomes, uint32_t generation,
			 uint64_t time_ns, bool is_failed, bool is_slow)
{
	unsigned bits = (is_failed ? FAILED : 0) | (is_slow ? SLOW : 0);

	if (outcomes->mode == SONDE_BREAKER_COUNT_WINDOW)
		return add_call(outcomes, generation, bits);
	if (outcomes->mode == SONDE_BREAKER_TIME_WINDOW)
		return add_time(outcomes, generation, time_ns, bits);
	return false;
}

struct sonde__tally sonde__outcomes_sum(const struct sonde__outcomes *outcomes, uint32_t generation,
					uint64_t time_ns)
{
	if (outcomes->mode == SONDE_BREAKER_COUNT_WINDOW)
		return sum_calls(outcomes, generation);
	if (outcomes->mode == SONDE_BREAKER_TIME_WINDOW)
		return sum_time(outcomes, generation, tenth_of(outcomes, time_ns));
	return (struct sonde__tally){ 0 };
}
