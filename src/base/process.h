/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_BASE_PROCESS_H
#define SONDE_BASE_PROCESS_H

/*
 * Which process this is. One private page that the kernel wipes in every forked child
 * (MADV_WIPEONFORK) holds a non-zero word: whatever made the child, fork, _Fork or a raw clone, one
 * load tells. A child of vfork or posix_spawn shares its parent's memory, is its parent for our
 * purposes, and sees the word unchanged.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/* Points at the wiped page, or, where the kernel has none, at a word that pthread_atfork resets. */
extern const uint32_t *sonde__process_mark;

/*
 * Maps the page. Idempotent, on any thread: at the agent's start, and by what is shared with other
 * processes. Not async-signal-safe.
 */
int sonde__process_init(void);

/*
 * The mark: 0 in a forked child until sonde__process_adopt, from then on a number that differs from
 * that of every ancestor. Wait-free, async-signal-safe.
 */
static SONDE__ALWAYS_INLINE uint32_t sonde__process_word(void)
{
	/*
	 * A1, partner R1 in sonde__process_init: without it a fresh page may be seen before its
	 * word.
	 */
	const uint32_t *mark = __atomic_load_n(&sonde__process_mark, __ATOMIC_ACQUIRE);

	/* Relaxed: the word is a statement about this process, and publishes nothing else. */
	return __atomic_load_n(mark, __ATOMIC_RELAXED);
}

/* False in a forked child until sonde__process_adopt. Wait-free, async-signal-safe. */
static SONDE__ALWAYS_INLINE bool sonde__process_is_known(void)
{
	return SONDE__LIKELY(sonde__process_word() != 0);
}

/* Marks the calling process as known. Async-signal-safe. */
void sonde__process_adopt(void);

/*
 * A process named beyond its pid, which may be used again: pid, start time in clock ticks, boot id.
 */
struct sonde__process_id {
	int32_t pid;
	uint32_t reserved;
	uint64_t start_time;
	uint8_t boot_id[16];
};

/*
 * Async-signal-safe: reads /proc with plain system calls, keeps errno. What cannot be read is zero.
 * A zombie is dead; where /proc does not answer, the pid alone decides.
 */
void sonde__process_identify(pid_t pid, struct sonde__process_id *ret);
bool sonde__process_is_alive(const struct sonde__process_id *id);

/*
 * The same in one word, so that in memory shared with other processes one exchange takes something
 * and says who did: pid and start time, for processes of this boot and pid namespace; never 0.
 * After sonde__process_init it is read from /proc once in every process, and costs one load from
 * then on. Async-signal-safe, keep errno.
 */
uint64_t sonde__process_key(void);
bool sonde__process_key_is_alive(uint64_t key);

#endif
