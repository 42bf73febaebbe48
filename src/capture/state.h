/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CAPTURE_STATE_H
#define SONDE_CAPTURE_STATE_H

/*
 * What all recording calls share: the agent's options, and how a span's or timed scope's memory is
 * told from any other. Its first word, the memento, says which process and which agent it was begun
 * in, so that what an earlier agent or the parent process began is never recorded here, and so that
 * memory which never was a span is not taken for one.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <sonde/context.h>

#include "base/compiler.h"
#include "base/process.h"
#include "capture/capture.h"

/* Relaxed throughout: settings that a call takes as it finds them, and that order nothing. */
struct sonde__capture {
	_Atomic uint64_t sampler; /* See below. */
	_Atomic uint32_t generation; /* Counts the agents that started. */
	_Atomic uint32_t counts_figures; /* Calls, errors and durations by site. */
	_Atomic uint32_t slow_threshold_ms;
	_Atomic uint32_t exception_signal;
	_Atomic uint32_t breadcrumb_level; /* Messages from here on leave one; 0: none do. */
	_Atomic uint32_t max_attributes; /* Twice the limit: the pipeline is exact. */
	_Atomic uint32_t max_events;
	_Atomic uint32_t max_links;
	bool (*_Atomic enter_child)(bool signal_safe);
};

extern struct sonde__capture sonde__capture;

#define SONDE__SETTING(name) atomic_load_explicit(&sonde__capture.name, memory_order_relaxed)

/*
 * ---- Mementos
 * --------------------------------------------------------------------------------------
 */

enum sonde__memento_state {
	SONDE__RECORDING = 1,
	SONDE__PASSING = 2, /* Not sampled: passes the context on. */
	SONDE__ENDED = 3,
};

#define SONDE__STATE_MASK UINT64_C(3)
#define SONDE__MAGIC_SPAN UINT64_C(0x50a27d)
#define SONDE__MAGIC_TIMED UINT64_C(0x71e3d9)

/*
 * Magic, 24 bits; process, 20; generation, 18; state, 2. In an unknown child it is like no other.
 */
static SONDE__ALWAYS_INLINE uint64_t sonde__memento(uint64_t magic, enum sonde__memento_state state)
{
	uint64_t process = sonde__process_word() & 0xfffff;
	uint64_t generation = SONDE__SETTING(generation) & 0x3ffff;

	return magic << 40 | process << 20 | generation << 2 | (uint64_t)state;
}

static SONDE__ALWAYS_INLINE bool sonde__memento_is(uint64_t memento, uint64_t magic)
{
	return memento >> 40 == magic;
}

/* Of whatever process and agent. */
static SONDE__ALWAYS_INLINE bool sonde__memento_is_recording(uint64_t memento, uint64_t magic)
{
	return (memento & (UINT64_C(0xffffff) << 40 | SONDE__STATE_MASK)) ==
	       (magic << 40 | SONDE__RECORDING);
}

/*
 * ---- Entering
 * -------------------------------------------------------------------------------------
 */

/* A forked child's first capture. Keeps errno. */
bool sonde__capture_enter_child(void);

/*
 * True where the calling process may record. What begins with it may make a child's box and worker.
 */
static SONDE__ALWAYS_INLINE bool sonde__capture_enter(void)
{
	return sonde__process_is_known() || sonde__capture_enter_child();
}

/*
 * ---- Sampling
 * -------------------------------------------------------------------------------------
 */

/*
 * The head sampler, the one place that decides whether a span is recorded, in one word: the
 * threshold that the trace id's lowest 56 bits must reach, times 2, plus 1 where a parent decides
 * for its children. A threshold of 0 takes every trace, 2^56 none. Standard: the samplers AlwaysOn,
 * AlwaysOff, TraceIdRatioBased, and ParentBased with any of them as root. docs/design/sampling.md
 * says why these bits.
 */
#define SONDE__SAMPLER_PARENT_BASED UINT64_C(1)
#define SONDE__SAMPLER_RANDOM_BITS 56
#define SONDE__SAMPLER_NONE (UINT64_C(1) << SONDE__SAMPLER_RANDOM_BITS)
#define SONDE__SAMPLER(threshold, is_parent_based) ((threshold) << 1 | (is_parent_based))

/* The second half of a trace id, as it lies in memory, gives the bits that decide. */
static SONDE__ALWAYS_INLINE bool sonde__sampler_decide(bool has_parent, uint8_t parent_flags,
						       uint64_t trace_id_tail)
{
	const uint64_t sampler = SONDE__SETTING(sampler);

	if (SONDE__LIKELY(has_parent && (sampler & SONDE__SAMPLER_PARENT_BASED)))
		return parent_flags & SONDE_TRACE_FLAG_SAMPLED;
	return (__builtin_bswap64(trace_id_tail) & (SONDE__SAMPLER_NONE - 1)) >= sampler >> 1;
}

#endif
