/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One request at a time, in static memory, because its signal may come late, or never:
 *
 *	IDLE ──▶ ASKED ──the handler──▶ TAKING ──▶ DONE ──▶ IDLE
 *	           └──too late: who asks takes it back──────▲
 *
 * The word holds the state and a number that the signal carries, so that a signal that comes too
 * late, or is somebody else's, matches nothing and is ignored.
 *
 * Which signal, and what becomes of one that is late, is thread_signal.c's.
 */

#include "resilience/thread_stack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sonde/error.h>

#include "base/clock.h"
#include "base/testpoint.h"
#include "resilience/clock.h"
#include "resilience/park.h"
#include "resilience/thread_signal.h"
#include "stack/stack.h"

#define WAIT_NS SONDE__NS_PER_S
#define STATUS_SIZE 4096

enum state { IDLE = 0, ASKED = 1, TAKING = 2, DONE = 3 };

#define STATE_BITS 2
#define STATE_MASK UINT64_C(3)

static struct {
	pthread_mutex_t lock; /* Of who asks. */
	_Atomic uint64_t word; /* number << STATE_BITS | enum state */
	/* Written between TAKING and DONE, read after DONE: */
	uint64_t frames[SONDE_ERROR_FRAMES];
	size_t n_frames;
	struct sonde__parker parker;
	uint64_t number; /* Under the lock. */
} request = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- In the thread whose stack it is --------------------------------------------------------- */

/* Does nothing where the number is not the one that is asked for. */
static void request_answer(uint64_t number, const void *context)
{
	uint64_t asked = number << STATE_BITS | ASKED;

	/*
	 * Acquire, A1, partner R1 in request_ask: what is written below is not seen to be written
	 * before it was asked for. Failed: relaxed, it is not wanted.
	 */
	if (!atomic_compare_exchange_strong_explicit(&request.word, &asked,
						     number << STATE_BITS | TAKING,
						     memory_order_acquire, memory_order_relaxed))
		return;
	SONDE__TESTPOINT("thread_stack.taking");
	request.n_frames =
		sonde__stack_walk_interrupted(context, request.frames, SONDE_ERROR_FRAMES);
	/* Release, R2, partner A2 in request_state: the frames. */
	atomic_store_explicit(&request.word, number << STATE_BITS | DONE, memory_order_release);
	sonde__unpark(&request.parker);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	uint64_t number = (uintptr_t)info->si_value.sival_ptr;
	int error = errno;

	if (info->si_code != SI_QUEUE)
		return;
	sonde__thread_signal_came(signal, number);
	request_answer(number, context);
	errno = error;
}

/* ---- The thread that is asked ---------------------------------------------------------------- */

void sonde__thread_identify(struct sonde__process_id *ret)
{
	sonde__process_identify((pid_t)syscall(SYS_gettid), ret);
}

static bool status_read(int32_t tid, char ret[STATUS_SIZE])
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret, STATUS_SIZE - 1);
	close(fd);
	if (n <= 0)
		return false;
	ret[n] = '\0';
	return true;
}

/* NULL: it will run the handler, as far as can be seen. */
static const char *thread_obstacle(const struct sonde__process_id *thread, int signal)
{
	char status[STATUS_SIZE];
	const char *blocked;

	if (!sonde__process_is_alive(thread))
		return "the thread has ended";
	if (!status_read(thread->pid, status))
		return "the thread has ended, or /proc does not show it";
	blocked = strstr(status, "\nSigBlk:");
	if (!blocked)
		return "/proc does not say which signals the thread blocks";
	if (strtoull(blocked + strlen("\nSigBlk:"), NULL, 16) >> (signal - 1) & 1)
		return "the thread blocks the signal";
	return NULL;
}

/* ---- Asking, under the lock ------------------------------------------------------------------ */

static enum state request_state(void)
{
	/* Acquire, A2, partner R2 in on_signal. */
	return (enum state)(atomic_load_explicit(&request.word, memory_order_acquire) &
			    STATE_MASK);
}

static void request_ask(void)
{
	/* As much of it as a pointer carries, and the word has room for; 0 is nobody's. */
	request.number = (request.number + 1) & (UINTPTR_MAX >> STATE_BITS);
	request.number += !request.number;
	sonde__parker_init(&request.parker);
	/* Release, R1, partner A1 in on_signal: what was read of the last request is read. */
	atomic_store_explicit(&request.word, request.number << STATE_BITS | ASKED,
			      memory_order_release);
}

/* False: the handler has begun, or is done. */
static bool request_take_back(void)
{
	uint64_t asked = request.number << STATE_BITS | ASKED;

	/* Relaxed, both: nothing was written by anybody. */
	return atomic_compare_exchange_strong_explicit(&request.word, &asked, IDLE,
						       memory_order_relaxed, memory_order_relaxed);
}

/* Real time: whatever clock the watchdog has, the thread is a real one. */
static bool request_wait(void)
{
	uint64_t end_ns = sonde__monotonic_ns() + WAIT_NS;

	while (request_state() != DONE) {
		enum sonde__woken woken = sonde__park(&request.parker, /* clock= */ NULL, end_ns,
						      /* cancel= */ NULL);

		if (woken == SONDE__WOKEN_LATE)
			return request_state() == DONE;
		/* By the handler, perhaps by that of the request before. */
		sonde__parker_init(&request.parker);
		if (request_state() != DONE && sonde__monotonic_ns() >= end_ns)
			return false;
	}
	return true;
}

static const char *stack_take(const struct sonde__process_id *thread, int wanted)
{
	int signal;
	const char *why;

	if (request_state() == TAKING)
		return "the stack before it is still being taken";
	signal = sonde__thread_signal_take(wanted, on_signal);
	if (!signal)
		return "no real-time signal is left to it";
	why = thread_obstacle(thread, signal);
	if (why)
		return why;
	request_ask();
	why = sonde__thread_signal_send(thread, signal, request.number);
	if (why) {
		request_take_back();
		return why;
	}
	if (!request_wait() && (request_take_back() || request_state() != DONE))
		return "the thread did not take the signal in time";
	/* It may have been given its number in between. */
	return sonde__process_is_alive(thread) ? NULL : "the thread has ended";
}

size_t sonde__thread_stack_take(const struct sonde__process_id *thread, int signal,
				uint64_t *frames, size_t capacity, const char **ret_why)
{
	int number = errno;
	const char *why;
	size_t n = 0;

	if (thread->pid == (int32_t)syscall(SYS_gettid))
		return sonde__stack_walk(frames, capacity);
	pthread_mutex_lock(&request.lock);
	why = stack_take(thread, signal);
	if (!why) {
		n = request.n_frames < capacity ? request.n_frames : capacity;
		memcpy(frames, request.frames, n * sizeof(*frames));
		if (!n)
			why = "stacks are not walked on this system";
	}
	pthread_mutex_unlock(&request.lock);
	if (!n)
		*ret_why = why;
	errno = number;
	return n;
}

void sonde__thread_stack_restore(void)
{
	pthread_mutex_lock(&request.lock);
	sonde__thread_signal_return();
	pthread_mutex_unlock(&request.lock);
}

void sonde__thread_stack_forget(void)
{
	pthread_mutex_init(&request.lock, NULL);
	/* Relaxed: the child has one thread, and no signal of its parent's. */
	atomic_store_explicit(&request.word, IDLE, memory_order_relaxed);
	sonde__thread_signal_forget();
}
