/* SPDX-License-Identifier: Apache-2.0 */
/* The signal that asks a stalled thread for its stack, as tests look at it. */
#ifndef STACK_SIGNAL_H
#define STACK_SIGNAL_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>

/* Under valgrind threads block every signal, as far as the kernel knows. */
static inline bool can_take_stacks(void)
{
#if defined(__x86_64__)
	const char *preloaded = getenv("LD_PRELOAD");

	return !preloaded || !strstr(preloaded, "valgrind");
#else
	return false;
#endif
}

/* The one that is taken where the host leaves it. */
static inline int signal_highest(void)
{
	return SIGRTMAX - 1;
}

static inline bool is_default(int signal)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

static inline void take(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		assert_int_equal(errno, EINTR);
}

#endif
