/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BOX_UNSAMPLED_INLINE_H
#define SONDE_BOX_UNSAMPLED_INLINE_H

/* sonde__box_count_unsampled, to be inlined where every nanosecond counts. */

#include "base/compiler.h"
#include "box/box.h"
#include "box/cpu_add.h"
#include "box/shape.h"

static SONDE__ALWAYS_INLINE struct sonde__figures_shard *sonde__figures_shard_at(
	const struct sonde__box *box, uint32_t shard)
{
	return (struct sonde__figures_shard *)(box->figures + box->figures_shape.shards_offset) +
	       shard;
}

/* Counts in the CPU's own shard, in a process that is known. False: nothing was counted. */
static SONDE__ALWAYS_INLINE bool sonde__box_try_unsampled(enum sonde_signal signal)
{
	const struct sonde__box *box = sonde__box_get();
	uint32_t cpu;

	if (SONDE__UNLIKELY(!box || !box->has_own_counts))
		return false;
	cpu = sonde__cpu_registered(box);
	return SONDE__LIKELY(cpu < box->figures_shape.n_shards - 1) &&
	       sonde__cpu_add(box, cpu, &sonde__figures_shard_at(box, 1 + cpu)->unsampled[signal],
			      1);
}

#endif
