/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_CPU_H
#define SONDE_BOX_CPU_H

/*
 * Which CPU this is. From glibc 2.35 on every thread has an rseq area in which the kernel keeps the
 * number, two loads away; else the C library is asked. The symbols are weak: an older glibc has
 * none.
 */

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "box/shape.h"

/* struct rseq's beginning, as the kernel's ABI has it. */
struct sonde__rseq {
	uint32_t cpu_id_start;
	_Atomic int32_t cpu_id; /* Negative: not registered. */
};

/* Fills has_rseq and rseq_offset, and takes has_own_counts back where there are no sequences. */
void sonde__cpu_find(struct sonde__box *box);

/* Where there is an rseq area: the CPU, or a number larger than any. */
static SONDE__ALWAYS_INLINE uint32_t sonde__cpu_registered(const struct sonde__box *box)
{
	const struct sonde__rseq *area =
		(const struct sonde__rseq *)((const uint8_t *)__builtin_thread_pointer() +
					     box->rseq_offset);

	/* Relaxed: written by the kernel, and read by this thread alone. */
	return (uint32_t)atomic_load_explicit(&area->cpu_id, memory_order_relaxed);
}

static SONDE__COLD SONDE__UNUSED uint32_t sonde__cpu_ask(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (uint32_t)cpu;
}

/*
 * Right when it was asked for; the thread may be moved at any time. Wait-free, async-signal-safe.
 */
static inline uint32_t sonde__cpu_number(const struct sonde__box *box)
{
	if (SONDE__LIKELY(box->has_rseq)) {
		int32_t cpu = (int32_t)sonde__cpu_registered(box);

		if (SONDE__LIKELY(cpu >= 0))
			return (uint32_t)cpu;
	}
	return sonde__cpu_ask();
}

#endif
