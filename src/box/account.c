/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of everything that entered the box.
 *
 * Captured is the counts in the blocks' words, those of blocks that were handed out again, and the
 * refusals: the reservation itself counts, so there is no counter on the writers' path that could
 * disagree with it. Queued is counted one by one in the commit maps. The two meet only when every
 * step in between was right, which is why tests compare them.
 *
 * The reader moves a block's counts from its word to `retired`, and clears its map, while
 * `retirements` is odd. Each value is loaded with acquire, so that the second look at `retirements`
 * comes after all of them (A5, partner S1: a value from inside the move shows its odd number too).
 * Captured is looked at in one piece, since counts move between words and `retired`; queued block
 * by block, since a record stays in its block.
 */

#include "box/account.h"

#include <string.h>

#include "box/box.h"
#include "box/figures.h"
#include "box/ring.h"
#include "box/shape.h"
#include "box/write.h"

/*
 * A reader that was stopped in the middle of a move, or is always at it, must not hold an account
 * up.
 */
#define MAX_LOOKS 16

/* What of the box's figures is from before the last start. */
static struct sonde__box_account pasts[SONDE_SIGNAL_COUNT];

struct look {
	struct sonde__ring *ring;
	const struct sonde__ring_shape *shape;
	enum sonde_signal signal;
	uint32_t block;
	uint64_t queued;
	uint64_t unfinished;
	uint64_t captured;
};

static uint64_t block_word(const struct look *look, uint32_t index)
{
	/* A5 */
	return atomic_load_explicit(&sonde__ring_block(look->ring, look->shape, index)->word,
				    memory_order_acquire);
}

static void look_at_map(struct look *look)
{
	_Atomic uint8_t *map = sonde__ring_map(look->ring, look->shape, look->block);
	uint64_t word = block_word(look, look->block);
	uint32_t n_reserved = sonde__word_count(word, look->signal);
	uint32_t limit = sonde__word_offset(word) < look->shape->n_granules
				 ? sonde__word_offset(word)
				 : look->shape->n_granules;
	uint32_t n_finished = 0;

	look->queued = 0;
	look->unfinished = 0;
	for (uint32_t at = 0; n_reserved > 0 && at < limit; at++) {
		unsigned mark = atomic_load_explicit(&map[at], memory_order_acquire); /* A5 */
		unsigned kind = mark & SONDE__MARK_KIND;

		if (kind == SONDE__MARK_EMPTY || kind == SONDE__MARK_INSIDE ||
		    (mark & SONDE__MARK_SIGNAL) != (unsigned)look->signal)
			continue;
		n_finished++;
		look->queued += kind != SONDE__MARK_RELEASED;
	}
	if (n_finished < n_reserved)
		look->unfinished = n_reserved - n_finished;
}

static void look_at_counts(struct look *look)
{
	/* A5 */
	look->captured = atomic_load_explicit(&look->ring->retired[look->signal],
					      memory_order_acquire);
	for (uint32_t i = 0; i < look->shape->n_blocks; i++)
		look->captured += sonde__word_count(block_word(look, i), look->signal);
}

/* Looks until nothing was handed out meanwhile. */
static void look_steadily(void (*at)(struct look *look), struct look *look)
{
	for (int i = 0; i < MAX_LOOKS; i++) {
		/* A6, partner S2 */
		uint64_t before = atomic_load_explicit(&look->ring->retirements,
						       memory_order_acquire);

		at(look);
		/* Relaxed: after every A5, see above. */
		if (before % 2 == 0 &&
		    before == atomic_load_explicit(&look->ring->retirements, memory_order_relaxed))
			return;
	}
}

void sonde__ring_account(struct sonde__ring *ring, const struct sonde__ring_shape *shape,
			 enum sonde_signal signal, struct sonde__ring_account *ret)
{
	struct look look = { .ring = ring, .shape = shape, .signal = signal };
	struct sonde__ring_account account = { 0 };

	/* Acquire, so that what is looked at later is at least as new. */
	account.invalid = atomic_load_explicit(&ring->invalid[signal], memory_order_acquire);
	for (; look.block < shape->n_blocks; look.block++) {
		look_steadily(look_at_map, &look);
		account.queued += look.queued + look.unfinished;
		account.unfinished += look.unfinished;
	}
	account.refused = atomic_load_explicit(&ring->refused[signal], memory_order_acquire);
	look_steadily(look_at_counts, &look);
	account.captured = look.captured + account.refused;
	*ret = account;
}

static void add_counters(const struct sonde__box_counters *counters, enum sonde_signal signal,
			 struct sonde__box_account *account)
{
	for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
		/* Relaxed: each is a count of its own. */
		uint64_t n = atomic_load_explicit(&counters->lost[signal][reason],
						  memory_order_relaxed);

		account->lost[reason] += n;
		account->captured += n;
	}
}

/* Of everything since the memory was fresh. */
static void account_whole(const struct sonde__box *box, enum sonde_signal signal,
			  struct sonde__box_account *ret)
{
	struct sonde__box_account account = { 0 };

	add_counters(sonde__box_outside(), signal, &account);
	if (box)
		add_counters(box->counters, signal, &account);
	if (box) {
		uint64_t unsampled = sonde__box_unsampled(box, signal);

		account.lost[SONDE_LOSS_UNSAMPLED] += unsampled;
		account.captured += unsampled;
	}
	for (uint32_t i = 0; box && i <= box->n_rings; i++) {
		struct sonde__ring_account ring;

		sonde__ring_account(sonde__box_ring(box, i), sonde__box_ring_shape(box, i), signal,
				    &ring);
		account.captured += ring.captured;
		account.queued += ring.queued;
		account.unfinished += ring.unfinished;
		account.lost[SONDE_LOSS_RING_FULL] += ring.refused;
		account.lost[SONDE_LOSS_INVALID] += ring.invalid;
	}
	*ret = account;
}

void sonde__box_account_begin(bool is_continued)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		struct sonde__box_account *past = &pasts[signal];

		memset(past, 0, sizeof(*past));
		if (!is_continued)
			continue;
		account_whole(sonde__box_get(), (enum sonde_signal)signal, past);
		past->captured -= past->queued;
	}
}

void sonde__box_account(enum sonde_signal signal, struct sonde__box_account *ret)
{
	struct sonde__box_account account = { 0 };

	if ((unsigned)signal < SONDE_SIGNAL_COUNT) {
		const struct sonde__box_account *past = &pasts[signal];

		account_whole(sonde__box_get(), signal, &account);
		account.captured -= past->captured;
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++)
			account.lost[reason] -= past->lost[reason];
	}
	*ret = account;
}
