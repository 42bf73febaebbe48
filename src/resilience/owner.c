/* SPDX-License-Identifier: Apache-2.0 */
#include "resilience/owner.h"

#include "base/process.h"

#define PID_BITS 22
#define KEY_BITS 47
#define KEY_MASK ((UINT64_C(1) << KEY_BITS) - 1)
/* Of the start time: ticks of four days. */
#define START_MASK (KEY_MASK >> PID_BITS)

void sonde__owner_sign(_Atomic uint64_t *owner, uint32_t serial)
{
	uint64_t word = (sonde__process_key() & KEY_MASK) | (uint64_t)serial << KEY_BITS;

	/* Relaxed: the word is all there is to know. */
	atomic_store_explicit(owner, word, memory_order_relaxed);
}

bool sonde__owner_is_alive(const _Atomic uint64_t *owner, uint32_t serial)
{
	/* Relaxed: see sonde__owner_sign. */
	uint64_t word = atomic_load_explicit(owner, memory_order_relaxed);
	pid_t pid = (pid_t)(word & ((UINT64_C(1) << PID_BITS) - 1));
	uint64_t start = (word & KEY_MASK) >> PID_BITS;
	struct sonde__process_id id;

	if (!word || word >> KEY_BITS != serial)
		return true;
	sonde__process_identify(pid, &id);
	if (start && id.start_time && (id.start_time & START_MASK) != start)
		return false;
	return sonde__process_is_alive(&id);
}
