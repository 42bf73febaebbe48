/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_RESILIENCE_THREAD_SIGNAL_H
#define SONDE_RESILIENCE_THREAD_SIGNAL_H

/*
 * The real-time signals that threads of the process are sent: taken from the host when one is first
 * needed, and given back when nobody needs it and none that was sent can come any more.
 *
 * All but sonde__thread_signal_came under one lock of the caller's.
 */

#include <signal.h>
#include <stdint.h>

#include "base/process.h"

typedef void sonde__thread_signal_fn(int signal, siginfo_t *info, void *context);

/*
 * Makes `handler`, always the same one, that of `wanted`, or, where that is 0, of any that nobody
 * handles, and says which. 0: none is left.
 */
int sonde__thread_signal_take(int wanted, sonde__thread_signal_fn *handler);

/*
 * Sends the signal, which was just taken, to that thread, with a number that is not 0 and that no
 * other one has that may still come. NULL, or why it was not sent, for ever.
 */
const char *sonde__thread_signal_send(const struct sonde__process_id *thread, int signal,
				      uint64_t number);

/*
 * It has come: the first that the handler does. May be what gives the signal back.
 * Async-signal-safe.
 */
void sonde__thread_signal_came(int signal, uint64_t number);

/* Nobody needs them: all are given back, those of which one may still come when it has. */
void sonde__thread_signal_return(void);

/* In a forked child: nothing was sent to it. */
void sonde__thread_signal_forget(void);

#endif
