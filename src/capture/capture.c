/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the gate, and the slow path of a recording call in a forked child.
 *
 * A child is a copy of its parent in the middle of something: its spans and its current context are
 * the parent's. The context stays, so that the child's spans become children of the parent's. The
 * spans are the parent's to end: their mementos name the parent. With a new key for the ids nothing
 * of the parent's is said twice.
 */

#include "capture/capture.h"

#include <errno.h>

#include <sonde/base.h>

#include "box/open.h"
#include "capture/state.h"
#include "capture/trail.h"
#include "context/context.h"

struct sonde__capture sonde__capture;

#define SET(name, value) atomic_store_explicit(&sonde__capture.name, value, memory_order_relaxed)

static uint32_t twice(uint32_t limit)
{
	return limit > UINT32_MAX / 2 ? UINT32_MAX : limit * 2;
}

void sonde__capture_open(const struct sonde__capture_options *options)
{
	SET(slow_threshold_ms, options->slow_threshold_ms);
	SET(exception_signal, (uint32_t)options->exception_signal);
	SET(max_attributes, twice(options->span_attributes));
	SET(max_events, options->span_events);
	SET(max_links, options->span_links);
	SET(sampler, SONDE__SAMPLER(options->sample_threshold, !options->ignores_parent));
	SET(breadcrumb_level, options->breadcrumb_level);
	sonde__trails_open(options->trails_size / SONDE__TRAIL_SIZE < SONDE__TRAILS_MAX ?
				   (uint32_t)(options->trails_size / SONDE__TRAIL_SIZE) :
				   SONDE__TRAILS_MAX);
	SET(counts_figures, !options->counts_no_figures);
	SET(enter_child, options->enter_child);
	SET(generation, SONDE__SETTING(generation) + 1);
	sonde__identity_open();
	/* Relaxed: a function that finds for itself what it needs. */
	atomic_store_explicit(&sonde__identity_on_thread, sonde__open_thread_enter,
			      memory_order_relaxed);
	/*
	 * R1: whoever finds the gate open by an acquire finds the settings; others a mixture,
	 * harmless.
	 */
	__atomic_store_n(&sonde_gate, 1, __ATOMIC_RELEASE);
}

void sonde__capture_close(void)
{
	/* Relaxed: calls already inside finish as they would have. */
	__atomic_store_n(&sonde_gate, 0, __ATOMIC_RELAXED);
}

bool sonde__capture_begin(void)
{
	return sonde_is_recording() && sonde__capture_enter();
}

SONDE__COLD bool sonde__capture_enter_child(void)
{
	bool (*enter_child)(bool signal_safe) = SONDE__SETTING(enter_child);
	int saved_errno = errno;
	bool entered;

	/* Before the process is known, so that no thread of it draws from the parent's numbers. */
	sonde__identity_open();
	entered = enter_child && enter_child(/* signal_safe= */ false);
	errno = saved_errno;
	return entered;
}
