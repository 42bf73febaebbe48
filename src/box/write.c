/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into the box: which ring, and what becomes of what finds no room.
 *
 * A writer's ring is that of the CPU it runs on. It may be moved to another CPU at any time after
 * it asked; then two CPUs write into one ring for once, which every ring allows: the choice is
 * about speed alone.
 */

#include "box/box.h"

#include "base/compiler.h"
#include "base/process.h"
#include "base/testpoint.h"
#include "box/ring_inline.h"
#include "box/shape.h"
#include "box/write.h"
#include "box/write_inline.h"

struct sonde__bell sonde__box_bell;
_Atomic(const struct sonde__box *) sonde__box_current;

/* What is lost while there is no box, in this process. */
static struct sonde__box_counters outside;

const struct sonde__box_counters *sonde__box_outside(void)
{
	return &outside;
}

void sonde__box_outside_move(struct sonde__box_counters *to)
{
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		for (int reason = 0; reason < SONDE_LOSS_COUNT; reason++) {
			/* Relaxed, both: counts that order nothing. */
			uint64_t n = atomic_exchange_explicit(&outside.lost[signal][reason], 0,
							      memory_order_relaxed);

			atomic_fetch_add_explicit(&to->lost[signal][reason], n,
						  memory_order_relaxed);
		}
	}
}

void sonde__box_count_loss(enum sonde_signal signal, enum sonde_loss reason)
{
	const struct sonde__box *box = sonde__box_get();
	struct sonde__box_counters *counters = &outside;

	if ((unsigned)signal >= SONDE_SIGNAL_COUNT || (unsigned)reason >= SONDE_LOSS_COUNT)
		return;
	if (box && sonde__process_is_known())
		counters = box->counters;
	/* Relaxed: a count that orders nothing. */
	atomic_fetch_add_explicit(&counters->lost[signal][reason], 1, memory_order_relaxed);
}

SONDE__COLD void sonde__box_refuse(enum sonde_signal signal)
{
	const bool has_box = sonde__box_get() && sonde__process_word();

	sonde__box_count_loss(signal, has_box ? SONDE_LOSS_TOO_BIG : SONDE_LOSS_NO_BOX);
}

SONDE__COLD bool sonde__box_reserve_elsewhere(const struct sonde__box *box,
					      struct sonde__ring *ring, uint32_t n_granules,
					      enum sonde_signal signal, bool urgent,
					      struct sonde__place *ret)
{
	if (urgent &&
	    sonde__ring_reserve(box->reserve, &box->reserve_shape, n_granules, signal, ret))
		return true;
	/* Relaxed: a count that orders nothing. */
	atomic_fetch_add_explicit(&ring->refused[signal], 1, memory_order_relaxed);
	return false;
}

bool sonde__box_reserve(size_t size, enum sonde_signal signal, bool urgent, struct sonde__slot *ret)
{
	return sonde__box_take(size, signal, urgent, ret);
}

void sonde__box_commit(const struct sonde__slot *slot)
{
	sonde__box_give(slot);
}

void sonde__box_discard(const struct sonde__slot *slot)
{
	struct sonde__record *record = slot->record;

	if (!sonde__box_is_owner(slot))
		return;
	/* So that the reader can step over it. */
	record->size = (uint32_t)slot->n_granules << SONDE__GRANULE_SHIFT;
	/* R4, partner A4 */
	atomic_store_explicit(slot->mark, (uint8_t)(SONDE__MARK_DISCARDED | slot->signal),
			      memory_order_release);
	SONDE__TESTPOINT("ring:discarded");
}

unsigned sonde__box_fill_percent(void)
{
	const struct sonde__box *box = sonde__box_get();
	unsigned most = 0;

	if (!box)
		return 0;
	for (uint32_t i = 0; i <= box->n_rings; i++) {
		unsigned percent = sonde__ring_fill_percent(sonde__box_ring(box, i),
							    sonde__box_ring_shape(box, i));

		if (percent > most)
			most = percent;
	}
	return most;
}
