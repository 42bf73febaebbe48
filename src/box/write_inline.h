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

/* Where there are more CPUs than rings, several share one. */
static SONDE__ALWAYS_INLINE struct sonde__ring *sonde__box_ring_of_cpu(const struct sonde__box *box,
								       uint32_t cpu)
{
	if (SONDE__UNLIKELY(cpu >= box->n_rings))
		cpu %= box->n_rings;
	return (struct sonde__ring *)(box->rings + cpu * box->ring_stride);
}

static SONDE__ALWAYS_INLINE struct sonde__ring *sonde__box_own_ring(const struct sonde__box *box)
{
	return sonde__box_ring_of_cpu(box, sonde__cpu_number(box));
}

/*
 * Asks for the lines that the next records and their marks will be written to. The reader had them
 * last: without this the next reservation waits until they are fetched from its processor.
 */
static SONDE__ALWAYS_INLINE void sonde__box_fetch_ahead(const struct sonde__place *place)
{
	const uintptr_t record = (uintptr_t)place->record;

	sonde__fetch_to_write(record + 16 * SONDE__CACHE_LINE);
	sonde__fetch_to_write(record + 17 * SONDE__CACHE_LINE);
	sonde__fetch_to_write((uintptr_t)place->mark + SONDE__CACHE_LINE);
}

static SONDE__ALWAYS_INLINE uint32_t sonde__box_granules(size_t size)
{
	return (uint32_t)((size + SONDE__GRANULE - 1) >> SONDE__GRANULE_SHIFT);
}

static SONDE__ALWAYS_INLINE struct sonde__slot sonde__box_slot(const struct sonde__place *place,
							       uint32_t process,
							       uint32_t n_granules,
							       enum sonde_signal signal,
							       bool urgent)
{
	sonde__box_fetch_ahead(place);
	return (struct sonde__slot){
		.record = place->record,
		.mark = place->mark,
		.process = process,
		.n_granules = (uint16_t)n_granules,
		.signal = (uint8_t)signal,
		.urgent = urgent,
	};
}

/*
 * As sonde__box_reserve for what is not urgent, but only in the block that is being filled: it
 * calls no function. False: nothing was done or counted; ask sonde__box_reserve.
 */
static SONDE__ALWAYS_INLINE bool sonde__box_try(size_t size, enum sonde_signal signal,
						struct sonde__slot *ret)
{
	const struct sonde__box *box = sonde__box_get();
	const uint32_t process = sonde__process_word();
	const uint32_t n_granules = sonde__box_granules(size);
	struct sonde__place place;
	struct sonde__ring *ring;
	uint64_t head;
	uint64_t word;

	if (SONDE__UNLIKELY(!box || !process || !box->has_rseq ||
			    size - 1 >= SONDE__RECORD_MAX_SIZE ||
			    sonde__cpu_registered(box) >= box->n_rings))
		return false;
	ring = (struct sonde__ring *)(box->rings + sonde__cpu_registered(box) * box->ring_stride);
	head = sonde__ring_head(ring);
	SONDE__TESTPOINT("ring:head-loaded");
	if (SONDE__UNLIKELY(sonde__head_block(head) >= box->ring_shape.n_blocks ||
			    !sonde__ring_try(ring, &box->ring_shape, head, n_granules, signal,
					     &place, &word)))
		return false;
	*ret = sonde__box_slot(&place, process, n_granules, signal, /* urgent= */ false);
	return true;
}

/* sonde__box_reserve. */
static SONDE__ALWAYS_INLINE bool sonde__box_take(size_t size, enum sonde_signal signal, bool urgent,
						 struct sonde__slot *ret)
{
	const struct sonde__box *box = sonde__box_get();
	const uint32_t process = sonde__process_word();
	const uint32_t n_granules = sonde__box_granules(size);
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
	*ret = sonde__box_slot(&place, process, n_granules, signal, urgent);
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
		sonde__bell_ring_softly(&sonde__box_bell);
}

#endif
