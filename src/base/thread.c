/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>
#include <string.h>

#include <sonde/base.h>

#include "base/compiler.h"

static void block_signals(sigset_t *ret_previous)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t blocked;

	sigfillset(&blocked);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(faults); i++)
		sigdelset(&blocked, faults[i]);
	pthread_sigmask(SIG_SETMASK, &blocked, ret_previous);
}

int sonde__thread_start(pthread_t *ret, void *(*main)(void *argument), void *argument,
			size_t stack_size, const char *name)
{
	char cut[SONDE__THREAD_NAME_SIZE] = "";
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t previous;
	int error;

	if (pthread_attr_init(&attributes) != 0)
		return SONDE_E_SYSTEM;
	if (stack_size)
		(void)pthread_attr_setstacksize(&attributes, stack_size);
	/* It inherits them, so that no signal comes before it could block it itself. */
	block_signals(&previous);
	error = pthread_create(&thread, &attributes, main, argument);
	pthread_sigmask(SIG_SETMASK, &previous, /* previous= */ NULL);
	pthread_attr_destroy(&attributes);
	if (error)
		return SONDE_E_SYSTEM;
	if (name) {
		strncpy(cut, name, sizeof(cut) - 1);
		(void)pthread_setname_np(thread, cut);
	}
	*ret = thread;
	return SONDE_OK;
}
