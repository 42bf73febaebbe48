/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forked children.
 *
 * A child is noticed by its first recording or life-cycle call: the mark that the kernel wipes
 * reads zero. One thread, the claimant, then makes the child an owner of its own: fresh locks (the
 * parent's may be held for ever by threads that are not here), a box of its own at the same
 * address, and the mark. The others, and a signal handler that interrupted the claimant, are
 * refused, which capture counts; they do not wait, because the claimant may be the very thread they
 * interrupted.
 *
 *   claim 0 ──CAS──► tid of the claimant ──release──► 0, with the mark set
 *
 * What is not async-signal-safe, the worker, waits for the first call that is not bound to be. The
 * parent's worker object is never looked into (its thread was stopped in the middle of anything)
 * but for the descriptors of its exporters.
 */
#include "agent/agent.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diagnostic.h"
#include "base/process.h"

static _Atomic int claimant;

static bool claim(void)
{
	int nobody = 0;
	int self = (int)syscall(SYS_gettid);

	if (atomic_compare_exchange_strong_explicit(&claimant, &nobody, self, memory_order_acquire,
						    memory_order_relaxed)) /* A1 pairs with R1. */
		return true;
	/* A claim copied from the parent by a fork in the middle of one: its thread is not here. */
	if (nobody != self && syscall(SYS_tgkill, getpid(), nobody, 0) < 0 && errno == ESRCH)
		return atomic_compare_exchange_strong_explicit(&claimant, &nobody, self,
							       memory_order_acquire,
							       memory_order_relaxed); /* A1 */
	return false;
}

static void release_claim(void)
{
	/* R1: the next claimant sees the box. */
	atomic_store_explicit(&claimant, 0, memory_order_release);
}

/* What is the parent's in our copy of the agent: its lock's state, its worker, its figures. */
static void let_go(struct sonde_agent *agent)
{
	static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

	agent->lock = fresh;
	agent->parents_worker = agent->worker;
	agent->worker = NULL;
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++)
		agent->dead_records[signal] = 0;
}

static void become_owner(struct sonde_agent *agent)
{
	let_go(agent);
	memcpy(agent->parents_box, agent->box.path, sizeof(agent->parents_box));
	if (sonde__box_open(/* options= */ NULL, &agent->box) < 0)
		sonde__box_forsake();
	sonde__process_adopt();
}

static bool make_known(void)
{
	if (sonde__process_is_known())
		return true;
	if (!claim())
		return false;
	if (!sonde__process_is_known())
		become_owner(&sonde__agent);
	release_claim();
	return true;
}

/*
 * The worker is made by whoever gets the lock; the others' records are in the box and wait for it.
 */
static void make_worker(struct sonde_agent *agent)
{
	if (pthread_mutex_trylock(&agent->lock) != 0)
		return;
	if (!agent->worker && agent->state == SONDE__AGENT_RUNNING) {
		sonde__worker_forsake(agent->parents_worker);
		agent->parents_worker = NULL;
		if (sonde__worker_new(&agent->settings, agent->dead_records, /* in_child= */ true,
				      &agent->worker) < 0)
			sonde__report(SONDE_ERROR, "the forked process exports nothing: its background thread could not be made");
	}
	pthread_mutex_unlock(&agent->lock);
}

bool sonde__child_enter(bool signal_safe)
{
	int saved_errno = errno;
	bool is_known = make_known();

	if (is_known && !signal_safe)
		make_worker(&sonde__agent);
	errno = saved_errno;
	return is_known;
}

bool sonde__child_is_idle(struct sonde_agent *agent)
{
	if (sonde__process_is_known())
		return false;
	if (claim()) {
		if (!sonde__process_is_known()) {
			let_go(agent);
			sonde__worker_forsake(agent->parents_worker);
			agent->parents_worker = NULL;
		}
		release_claim();
	}
	return !sonde__process_is_known();
}

void sonde__child_count_parents(struct sonde_agent *agent)
{
	struct sonde__box_info found = { .kind = SONDE__BOX_NONE };
	unsigned long long n = 0;

	if (!agent->parents_box[0] || !sonde__box_dead_take(agent->parents_box, &found))
		return;
	agent->parents_box[0] = '\0';
	for (int signal = 0; signal < SONDE_SIGNAL_COUNT; signal++) {
		agent->dead_records[signal] += found.dead_records[signal];
		n += found.dead_records[signal];
	}
	if (n)
		sonde__report(SONDE_WARN, "%llu records from before this process was forked off died with its parent",
			      n);
}
