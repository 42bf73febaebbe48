/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_WRITE_INLINE_H
#define SONDE_BOX_WRITE_INLINE_H

/*
 * sonde__box_reserve and sonde__box_commit, to be inlined where every nanosecond counts. What they
 * promise is said in box.h.
 */

#include "base/bell.h"
#include "base/compiler.h"
#include "base/process.h"
#include "base/testpoint.h"
#include "box/box.h"
#include "box/cpu.h"
#include "box/ring_inline.h"
#include "box/shape.h"

/* Counts a capture that found no box or is too big for one. */
void sonde__box_refuse(enum sonde_signal signal);

/* The writer's own ring is full: errors have a reserve; everything else ends here, counted. */
bool sonde__box_reserve_elsewhere(const struct sonde__box *box, struct sonde__ring *ring,
				  uint32_t n_granules, enum sonde_signal signal, bool urgent,
				  struct sonde__place *ret);

static SONDE__ALWAYS_INLINE struct sonde__ring *sonde__box_own_ring(const struct sonde__box *box)
{
	uint32_t cpu = sonde__cpu_number(box);

	if (SONDE__UNLIKELY(cpu >= box->n_rings))
		cpu %= box->n_rings;
	return (struct sonde__ring *)(box->rings + cpu * box->ring_stride);
}

/*
 * Asks for the lines that the next records will be written to. The reader had them last: without
 * this the next reservation waits until they are fetched from its processor.
 */
static SONDE__ALWAYS_INLINE void sonde__box_fetch_ahead(const uint8_t *record)
{
	__builtin_prefetch(record + 16 * SONDE__CACHE_LINE, /* for writing */ 1);
	__builtin_prefetch(record + 17 * SONDE__CACHE_LINE, /* for writing */ 1);
}

/* sonde__box_reserve. */
static SONDE__ALWAYS_INLINE bool sonde__box_take(size_t size, enum sonde_signal signal, bool urgent,
						 struct sonde__slot *ret)
{
	const struct sonde__box *box = sonde__box_get();
	const uint32_t process = sonde__process_word();
	const uint32_t n_granules =
		(uint32_t)((size + SONDE__GRANULE - 1) >> SONDE__GRANULE_SHIFT);
	struct sonde__place place;
	struct sonde__ring *ring;

	if (SONDE__UNLIKELY(!box || !process || size - 1 >= SONDE__RECORD_MAX_SIZE)) {
		sonde__box_refuse(signal);
		return false;
	}
	ring = sonde__box_own_ring(box);
	if (SONDE__UNLIKELY(
		    !sonde__ring_take(ring, &box->ring_shape, n_granules, signal, &place)) &&
	    !sonde__box_reserve_elsewhere(box, ring, n_granules, signal, urgent, &place))
		return false;
	sonde__box_fetch_ahead(place.record);
	ret->record = place.record;
	ret->mark = place.mark;
	ret->process = process;
	ret->n_granules = (uint16_t)n_granules;
	ret->signal = (uint8_t)signal;
	ret->urgent = urgent;
	return true;
}

/* False in a child forked since the reservation: the memory under the slot is not its own. */
static SONDE__ALWAYS_INLINE bool sonde__box_is_owner(const struct sonde__slot *slot)
{
	/* Relaxed: the word is changed for this thread by a fork alone. */
	return SONDE__LIKELY(sonde__process_word() == slot->process);
}

/* sonde__box_commit. */
static SONDE__ALWAYS_INLINE void sonde__box_give(const struct sonde__slot *slot)
{
	SONDE__TESTPOINT("ring:before-commit");
	if (!sonde__box_is_owner(slot))
		return;
	/* R4, partner A4: whoever sees the mark sees the record. */
	atomic_store_explicit(slot->mark, (uint8_t)(SONDE__MARK_COMMITTED | slot->signal),
			      memory_order_release);
	SONDE__TESTPOINT("ring:committed");
	if (slot->urgent)
		sonde__bell_ring(&sonde__box_bell);
}

#endif
