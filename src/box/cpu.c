/* SPDX-License-Identifier: Apache-2.0 */
#include "box/cpu.h"

#include "box/cpu_add.h"

/* As <sys/rseq.h> declares them, but weak. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

void sonde__cpu_find(struct sonde__box *box)
{
	/* A size of 0: the registration failed, or was switched off by a tunable. */
	box->has_rseq = &__rseq_offset && &__rseq_size && __rseq_size > 0;
	box->rseq_offset = box->has_rseq ? __rseq_offset : 0;
	box->has_own_counts = box->has_own_counts && box->has_rseq && SONDE__CPU_CAN_ADD;
}
