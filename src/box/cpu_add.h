/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_CPU_ADD_H
#define SONDE_BOX_CPU_ADD_H

/*
 * Additions to counts that one CPU alone writes. A plain addition cannot be interrupted half-way,
 * so it is enough that the thread is on that CPU when it adds. The kernel sees to that: what stands
 * between the labels 1 and 2 is a restartable sequence, and a thread that was preempted,
 * interrupted by a signal or moved in it goes on at 4, where nothing (or, see below, the first of
 * two) has been added. This costs a third of a locked addition, which also waits for every store
 * before it.
 *
 * All other writers of such a count must do the same: where that cannot be, because CPUs share
 * counts or the C library has registered no sequences, box->has_own_counts is false.
 *
 * Reference: rseq(2), and the kernel's tools/testing/selftests/rseq.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "box/cpu.h"

#if defined(__x86_64__)

#define SONDE__CPU_CAN_ADD 1

/* The sequence's description, and its entry: the CPU is checked after the kernel knows of it. */
#define SONDE__CPU_SEQUENCE_BEGIN \
	".pushsection __rseq_cs, \"aw\"\n\t" \
	".balign 32\n\t" \
	"3: .long 0, 0\n\t" \
	".quad 1f, 2f - 1f, 4f\n\t" \
	".popsection\n\t" \
	"leaq 3b(%%rip), %%rax\n\t" \
	"movq %%rax, %%fs:8(%[area])\n\t" \
	"1:\n\t" \
	"cmpl %[cpu], %%fs:4(%[area])\n\t" \
	"jne 4f\n\t"

/* Where the kernel sends the thread, behind the signature that it asks for. */
#define SONDE__CPU_SEQUENCE_END \
	"2:\n\t" \
	".pushsection __rseq_failure, \"ax\"\n\t" \
	".byte 0x0f, 0xb9, 0x3d\n\t" \
	".long 0x53053053\n\t" \
	"4: movl $1, %[moved]\n\t" \
	"jmp 2b\n\t" \
	".popsection"

/* Adds `n` on this CPU. False: the thread was moved, and nothing was added. */
static SONDE__ALWAYS_INLINE bool sonde__cpu_add(const struct sonde__box *box, uint32_t cpu,
						_Atomic uint64_t *count, uint64_t n)
{
	uint32_t moved = 0;

	__asm__ __volatile__(SONDE__CPU_SEQUENCE_BEGIN "addq %[n], %[count]\n\t"
						       SONDE__CPU_SEQUENCE_END
			     : [moved] "+r"(moved), [count] "+m"(*count)
			     : [area] "r"(box->rseq_offset), [cpu] "r"(cpu), [n] "re"(n)
			     : "rax", "memory", "cc");
	return SONDE__LIKELY(!moved);
}

/*
 * Adds *n to `sum` and 1 to `count`. False: the thread was moved; *n is what is left to be added to
 * the sum, all or nothing, and the count was not added to. That the exchange took place is seen by
 * what it left in the register; only if that is the very number, and the thread was stopped between
 * these two instructions, the sum gets it twice.
 */
static SONDE__ALWAYS_INLINE bool sonde__cpu_add_sum(const struct sonde__box *box, uint32_t cpu,
						    _Atomic uint64_t *sum, uint64_t *n,
						    _Atomic uint64_t *count)
{
	uint64_t exchanged = *n;
	uint32_t moved = 0;

	__asm__ __volatile__(SONDE__CPU_SEQUENCE_BEGIN "xaddq %[n], %[sum]\n\t"
						       "addq $1, %[count]\n\t"
						       SONDE__CPU_SEQUENCE_END
			     : [moved] "+r"(moved), [n] "+r"(exchanged), [sum] "+m"(*sum),
			       [count] "+m"(*count)
			     : [area] "r"(box->rseq_offset), [cpu] "r"(cpu)
			     : "rax", "memory", "cc");
	if (SONDE__LIKELY(!moved))
		return true;
	if (exchanged != *n)
		*n = 0;
	return false;
}

#else

#define SONDE__CPU_CAN_ADD 0

static SONDE__ALWAYS_INLINE bool sonde__cpu_add(const struct sonde__box *box, uint32_t cpu,
						_Atomic uint64_t *count, uint64_t n)
{
	(void)box, (void)cpu, (void)count, (void)n;
	return false;
}

static SONDE__ALWAYS_INLINE bool sonde__cpu_add_sum(const struct sonde__box *box, uint32_t cpu,
						    _Atomic uint64_t *sum, uint64_t *n,
						    _Atomic uint64_t *count)
{
	(void)box, (void)cpu, (void)sum, (void)n, (void)count;
	return false;
}

#endif

#endif
