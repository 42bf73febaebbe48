/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One question at a time:
 *
 *	IDLE ──▶ ASKED ──the thread──▶ WORKING ──▶ ANSWERED ──▶ ASKED …
 *
 * A question is a stack. The answer lies in the cache (frame.c); that it was given is remembered by
 * the question, so that a stack of which nothing can be kept is not asked for again and again,
 * until the cache has forgotten something since the question.
 *
 * The lock is held for a few instructions, never while the provider is asked. A child that was
 * forked meanwhile makes everything anew: the thread is not in it, and the lock may be held.
 */

#include "stack/namer.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sonde/base.h>

#include "base/clock.h"
#include "base/thread.h"
#include "stack/frame.h"
#include "stack/provider.h"

#define QUESTION_MAX 64
/* What symbol providers call is deep. */
#define STACK_SIZE (1024 * 1024)
#define PAUSE_NS SONDE__NS_PER_MS

enum state { IDLE, ASKED, WORKING, ANSWERED };

static struct {
	int32_t pid; /* Whose the rest is. The worker's alone. */
	pthread_t thread;
	bool is_on;

	pthread_mutex_t lock; /* Guards what follows. */
	pthread_cond_t changed;
	void (*done)(void);
	bool has_thread;
	bool is_left; /* Nobody joins it. */
	bool must_end;
	enum state state;
	uint64_t frames[QUESTION_MAX];
	size_t n_frames;
	uint64_t generation; /* Of the cache, when it was asked. */
} namer;

/* ---- The thread ------------------------------------------------------------------------------ */

/* Somebody is in the cache, for moments. */
static void pause_briefly(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += PAUSE_NS;
	if (until.tv_nsec >= (long)SONDE__NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= (long)SONDE__NS_PER_S;
	}
	pthread_mutex_lock(&namer.lock);
	(void)pthread_cond_timedwait(&namer.changed, &namer.lock, &until);
	pthread_mutex_unlock(&namer.lock);
}

/* With the lock held; not while it works. */
static void answer(void)
{
	uint64_t frames[QUESTION_MAX];
	size_t n_frames = namer.n_frames;
	void (*done)(void) = namer.done;

	memcpy(frames, namer.frames, n_frames * sizeof(frames[0]));
	namer.state = WORKING;
	pthread_mutex_unlock(&namer.lock);
	for (size_t i = 0; i < n_frames; i++)
		sonde__stack_learn(frames[i], pause_briefly);
	pthread_mutex_lock(&namer.lock);
	namer.state = ANSWERED;
	if (done && !namer.must_end)
		done();
}

static void *thread_main(void *unused)
{
	pthread_mutex_lock(&namer.lock);
	while (!namer.must_end) {
		if (namer.state == ASKED)
			answer();
		else
			pthread_cond_wait(&namer.changed, &namer.lock);
	}
	namer.state = IDLE;
	namer.has_thread = false;
	pthread_mutex_unlock(&namer.lock);
	sonde__stack_rest(/* now_ns= */ UINT64_MAX);
	return unused;
}

/* ---- The worker ------------------------------------------------------------------------------ */

static void init_locks(void)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&namer.lock, /* attributes= */ NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&namer.changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

void sonde__namer_start(void (*done)(void))
{
	int32_t self = (int32_t)getpid();

	if (namer.pid != self) {
		memset(&namer, 0, sizeof(namer));
		init_locks();
		namer.pid = self;
	}
	pthread_mutex_lock(&namer.lock);
	namer.done = done;
	namer.must_end = false; /* One that was left goes on. */
	pthread_mutex_unlock(&namer.lock);
	namer.is_on = true;
	sonde__stack_ask_apart(true);
}

/* With the lock held. */
static bool has_answered(const uint64_t *frames, size_t n_frames, uint64_t generation)
{
	return namer.state == ANSWERED && namer.generation == generation &&
	       namer.n_frames == n_frames &&
	       memcmp(namer.frames, frames, n_frames * sizeof(frames[0])) == 0;
}

/* With the lock held. False: there is nobody to ask. */
static bool ask(const uint64_t *frames, size_t n_frames, uint64_t generation)
{
	if (namer.state == ASKED || namer.state == WORKING)
		return true;
	if (!namer.has_thread &&
	    sonde__thread_start(&namer.thread, thread_main, /* argument= */ NULL, STACK_SIZE,
				"sonde-names") != SONDE_OK)
		return false;
	namer.is_left &= namer.has_thread;
	namer.has_thread = true;
	memcpy(namer.frames, frames, n_frames * sizeof(frames[0]));
	namer.n_frames = n_frames;
	namer.generation = generation;
	namer.state = ASKED;
	pthread_cond_signal(&namer.changed);
	return true;
}

bool sonde__namer_has(const uint64_t *frames, size_t n_frames)
{
	uint64_t generation;
	bool has;

	if (!namer.is_on || !sonde__symbol_provider())
		return true;
	n_frames = n_frames < QUESTION_MAX ? n_frames : QUESTION_MAX;
	if (sonde__stack_knows(frames, n_frames, &generation))
		return true;
	pthread_mutex_lock(&namer.lock);
	has = has_answered(frames, n_frames, generation) || !ask(frames, n_frames, generation);
	pthread_mutex_unlock(&namer.lock);
	return has;
}

bool sonde__namer_is_busy(void)
{
	bool is_busy;

	if (!namer.is_on)
		return false;
	pthread_mutex_lock(&namer.lock);
	is_busy = namer.state == ASKED || namer.state == WORKING;
	pthread_mutex_unlock(&namer.lock);
	return is_busy;
}

void sonde__namer_stop(void)
{
	bool joins;
	bool leaves;

	if (!namer.is_on)
		return;
	namer.is_on = false;
	sonde__stack_ask_apart(false);
	pthread_mutex_lock(&namer.lock);
	namer.must_end = true;
	leaves = namer.has_thread && !namer.is_left && namer.state == WORKING;
	joins = namer.has_thread && !namer.is_left && !leaves;
	namer.is_left |= leaves;
	pthread_cond_signal(&namer.changed);
	pthread_mutex_unlock(&namer.lock);
	if (leaves)
		pthread_detach(namer.thread);
	if (joins)
		pthread_join(namer.thread, /* value= */ NULL);
	sonde__stack_rest(/* now_ns= */ UINT64_MAX);
}
