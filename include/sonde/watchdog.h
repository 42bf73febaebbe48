/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_WATCHDOG_H
#define SONDE_WATCHDOG_H

/*
 * Notices an event loop that has not turned for a while, and says where its thread is.
 *
 *	struct sonde_watchdog watchdog;
 *
 *	sonde_watchdog_init(&watchdog, &(struct sonde_watchdog_options){ .name = "http" });
 *	for (;;) {
 *		sonde_watchdog_rest(&watchdog);
 *		n = epoll_wait(…);
 *		sonde_watchdog_feed(&watchdog);
 *		…handle the events…
 *	}
 *	sonde_watchdog_deinit(&watchdog);
 *
 * A stall is observed once, with an error that says for how long and has the stack of the loop's
 * thread, and again when the loop turns, with the whole duration. A loop that rests is not stalled.
 *
 * One thread watches for all watchdogs of the process; it is started with the first and ends with
 * the last. The stack is taken by the loop's thread itself, in the handler of a real-time signal
 * that is sent to it when it has stalled, and never else: a system call that it waits in is
 * restarted where the kernel does that, and else ends with EINTR (epoll_wait, poll, nanosleep).
 * docs/design/watchdog.md argues it.
 *
 * A forked child is watched by nobody: it makes watchdogs of its own. To feed or deinit one of its
 * parent's does no harm there.
 */

#include <sonde/resilience.h>

SONDE_BEGIN_DECLS

/*
 * A turn that takes longer stalls everybody who waits for the loop. Python's asyncio calls a
 * callback slow from 100 ms on, in its debug mode; here a report is an error with a stack, in
 * production, so the default is what a user feels: one second.
 */
#define SONDE_WATCHDOG_STALL_MS_DEFAULT 1000

/* Caller's memory; nothing in it is to be read. */
struct sonde_watchdog {
	uint64_t opaque[40];
};

struct sonde_watchdog_options {
	const char *name; /* The loop's: "loop http has not turned for 1.3 s". */
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	uint64_t stall_ms; /* 0: 1000. It is noticed at most a quarter of it too late. */
	/*
	 * 0: the highest real-time signal below SIGRTMAX that nobody handles when a stack is taken.
	 * Another one: that signal, if nobody handles it; else errors say why they have no stack.
	 * It is given back with the last watchdog, or when the last that was sent has come.
	 */
	int signal;
	bool is_without_stack; /* No signal is ever sent. */
	bool is_without_thread; /* Nobody watches: somebody calls sonde_watchdog_check. */
};

enum sonde_watchdog_state {
	SONDE_WATCHDOG_RESTING = 0, /* Not fed yet, or by its own word. */
	SONDE_WATCHDOG_TURNING = 1,
	SONDE_WATCHDOG_STALLED = 2,
};

/*
 * The loop is the calling thread's, and rests until it is fed. SONDE_E_INVALID: no watchdog, or no
 * real-time signal. SONDE_E_SYSTEM: no thread could be started.
 */
SONDE_API int sonde_watchdog_init(struct sonde_watchdog *watchdog,
				  const struct sonde_watchdog_options *options);

/*
 * Not watched any more. Waits while it is being reported, so not to be called by its observer.
 * Harmless for NULL, and the second time.
 */
SONDE_API void sonde_watchdog_deinit(struct sonde_watchdog *watchdog);

/* From now on the loop is the calling thread's. For loops that another thread has set up. */
SONDE_API void sonde_watchdog_adopt(struct sonde_watchdog *watchdog);

/*
 * The loop turns. One relaxed store: wait-free, async-signal-safe. By the loop's thread alone, as
 * is the next; not for NULL, both.
 */
SONDE_API void sonde_watchdog_feed(struct sonde_watchdog *watchdog);

/* The loop is about to wait for something to do, until it is fed. As sonde_watchdog_feed. */
SONDE_API void sonde_watchdog_rest(struct sonde_watchdog *watchdog);

/*
 * Looks whether it turns, and observes a stall or its end if it is new. By any thread at any time;
 * needed only without the watching thread. A stall is seen by two calls that lie stall_ms or more
 * apart and find that the loop has not turned between them. May wait a second for the stack.
 *
 * The observer is called by one thread at a time, stall and end in turn, and under no lock: what is
 * found while it runs is told after that, by the thread that is telling. While one piece of news
 * waits so nobody looks, and the state is what that one says. The observer may call this itself.
 */
SONDE_API enum sonde_watchdog_state sonde_watchdog_check(struct sonde_watchdog *watchdog);

/* Ends at the end of the block: SONDE_WATCHDOG_AUTODEINIT struct sonde_watchdog watchdog; */
#define SONDE_WATCHDOG_AUTODEINIT SONDE_CLEANUP(sonde_watchdog_deinit)

SONDE_END_DECLS

#endif
