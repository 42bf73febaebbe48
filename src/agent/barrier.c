/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork copies the worker's libraries as they stand. In the middle of a TLS handshake OpenSSL
 * holds locks of its own, which nobody will ever release in the child, and the child's worker would
 * wait for them for ever. So fork() meets the worker between two turns, which never block: the fork
 * waits for the rest of one turn, some milliseconds at most in practice, and in the worst case for
 * HOLD_MS, after which it goes on as if there were no barrier.
 *
 * A child is not noticed by this, but by its mark: _Fork and clone run no handlers. In a child of
 * theirs that was forked off in the middle of a handshake, TLS may not work.
 */
#include "agent/barrier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

#define HOLD_MS 100

/* Under the agent's lock: the thread that forks, and whether it stopped the worker. */
static struct {
	pthread_t thread;
	bool has_worker;
} holder;

/* Whether `holder` says something. Relaxed: only the thread that set it acts on it. */
static _Atomic bool is_held;

static void hold(void)
{
	struct sonde_agent *agent = &sonde__agent;
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_nsec += HOLD_MS * (long)SONDE__NS_PER_MS;
	if (deadline.tv_nsec >= (long)SONDE__NS_PER_S) {
		deadline.tv_sec++;
		deadline.tv_nsec -= (long)SONDE__NS_PER_S;
	}
	if (pthread_mutex_timedlock(&agent->lock, &deadline) != 0)
		return;
	holder.thread = pthread_self();
	holder.has_worker = agent->worker && sonde__worker_hold(agent->worker, &deadline);
	atomic_store_explicit(&is_held, true, memory_order_relaxed);
}

static void let(void)
{
	struct sonde_agent *agent = &sonde__agent;

	if (!atomic_load_explicit(&is_held, memory_order_relaxed) ||
	    !pthread_equal(holder.thread, pthread_self()))
		return;
	if (holder.has_worker)
		sonde__worker_let(agent->worker);
	atomic_store_explicit(&is_held, false, memory_order_relaxed);
	pthread_mutex_unlock(&agent->lock);
}

/* In the child the locks are the parent's: the agent's is made fresh when the child is noticed. */
static void forget(void)
{
	atomic_store_explicit(&is_held, false, memory_order_relaxed);
}

void sonde__barrier_install(void)
{
	static bool is_installed; /* Under the agent's lock. */

	if (!is_installed)
		is_installed = pthread_atfork(hold, let, forget) == 0;
}
