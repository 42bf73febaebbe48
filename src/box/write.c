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
#include "box/cpu.h"
#include "box/ring_inline.h"
#include "box/shape.h"
#include "box/write.h"

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

static inline struct sonde__ring *own_ring(const struct sonde__box *box)
{
	uint32_t cpu = sonde__cpu_number(box);

	if (SONDE__UNLIKELY(cpu >= box->n_rings))
		cpu %= box->n_rings;
	return (struct sonde__ring *)(box->rings + cpu * box->ring_stride);
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

static SONDE__COLD bool refuse(enum sonde_signal signal, enum sonde_loss reason)
{
	sonde__box_count_loss(signal, reason);
	return false;
}

/* The writer's own ring is full: errors have a reserve; everything else ends here, counted. */
static SONDE__COLD bool reserve_elsewhere(const struct sonde__box *box, struct sonde__ring *ring,
					  uint32_t n_granules, enum sonde_signal signal,
					  bool urgent, struct sonde__place *ret)
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
	const struct sonde__box *box = sonde__box_get();
	uint32_t process = sonde__process_word();
	uint32_t n_granules = (uint32_t)((size + SONDE__GRANULE - 1) >> SONDE__GRANULE_SHIFT);
	struct sonde__place place;
	struct sonde__ring *ring;

	if (SONDE__UNLIKELY(!box || !process))
		return refuse(signal, SONDE_LOSS_NO_BOX);
	if (SONDE__UNLIKELY(size - 1 >= SONDE__RECORD_MAX_SIZE))
		return refuse(signal, SONDE_LOSS_TOO_BIG);
	ring = own_ring(box);
	if (SONDE__UNLIKELY(
		    !sonde__ring_take(ring, &box->ring_shape, n_granules, signal, &place)) &&
	    !reserve_elsewhere(box, ring, n_granules, signal, urgent, &place))
		return false;
	ret->record = place.record;
	ret->mark = place.mark;
	ret->process = process;
	ret->n_granules = (uint16_t)n_granules;
	ret->signal = (uint8_t)signal;
	ret->urgent = urgent;
	return true;
}

/* False in a child forked since the reservation: the memory under the slot is not its own. */
static inline bool is_owner(const struct sonde__slot *slot)
{
	/* Relaxed: the word is changed for this thread by a fork alone. */
	return SONDE__LIKELY(sonde__process_word() == slot->process);
}

void sonde__box_commit(const struct sonde__slot *slot)
{
	SONDE__TESTPOINT("ring:before-commit");
	if (!is_owner(slot))
		return;
	/* R4, partner A4: whoever sees the mark sees the record. */
	atomic_store_explicit(slot->mark, (uint8_t)(SONDE__MARK_COMMITTED | slot->signal),
			      memory_order_release);
	SONDE__TESTPOINT("ring:committed");
	if (slot->urgent)
		sonde__bell_ring(&sonde__box_bell);
}

void sonde__box_discard(const struct sonde__slot *slot)
{
	struct sonde__record *record = slot->record;

	if (!is_owner(slot))
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
