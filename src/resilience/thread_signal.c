/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A signal that was sent must find its handler, however late: by default it would end the process.
 * So it is counted, for each signal, how many were sent and have not come, in one word with what
 * the signal is to us:
 *
 *	FREE ──▶ TAKEN ◀──▶ UNWANTED ──none is owed──▶ RETURNING ──▶ FREE
 *
 * Who takes the count of an unwanted signal to zero gives it back, be it the handler in the thread
 * that was late. The step to RETURNING is one exchange, and taken is what may be sent: nobody sends
 * a signal that is just being given back, and takes another one instead.
 *
 * One has come when the handler begins, or when its thread has ended: what is pending for a thread
 * ends with it. To which thread each went stands in a table, so that no thread is sent another one
 * before it has taken the last.
 */

#include "resilience/thread_signal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/testpoint.h"

#define OWED_MAX 16

enum state { FREE = 0, TAKEN = 1, UNWANTED = 2, RETURNING = 3 };

#define STATE_MASK 3u
#define ONE 4u /* That is owed. */

static _Atomic uint32_t leases[_NSIG]; /* n_owed * ONE | enum state */

static struct {
	_Atomic uint64_t number; /* 0: none. */
	struct sonde__process_id thread;
	int signal;
} owed[OWED_MAX];

static sonde__thread_signal_fn *_Atomic our_handler; /* Never another one. */

/* ---- Installing ------------------------------------------------------------------------------ */

static sonde__thread_signal_fn *handler_of_ours(void)
{
	/* Relaxed: it is a constant, once it is there, and there before a signal is sent. */
	return atomic_load_explicit(&our_handler, memory_order_relaxed);
}

static bool handler_is_ours(int signal)
{
	sonde__thread_signal_fn *ours = handler_of_ours();
	struct sigaction action;

	return ours && sigaction(signal, NULL, &action) == 0 && action.sa_flags & SA_SIGINFO &&
	       action.sa_sigaction == ours;
}

/*
 * On the thread's signal stack where it has one: its own may be a coroutine's, and small. The
 * signal alone is blocked meanwhile, and what it interrupts is restarted where it can be.
 */
static bool handler_install(int signal)
{
	struct sigaction action = { .sa_sigaction = handler_of_ours(),
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	struct sigaction found;

	sigemptyset(&action.sa_mask);
	if (sigaction(signal, NULL, &found) < 0 || found.sa_flags & SA_SIGINFO ||
	    found.sa_handler != SIG_DFL)
		return false;
	return sigaction(signal, &action, NULL) == 0;
}

/* ---- Taking and giving back ------------------------------------------------------------------ */

/* Keeps the count. False: it is just being given back. */
static bool state_set(int signal, enum state state)
{
	/* Acquire, A1, partner R1 below, both: who finds it free finds it given back. */
	uint32_t word = atomic_load_explicit(&leases[signal], memory_order_acquire);

	do {
		if ((word & STATE_MASK) == RETURNING)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&leases[signal], &word,
							(word & ~STATE_MASK) | state,
							memory_order_acquire,
							memory_order_acquire));
	return true;
}

static void give_back_if_over(int signal)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	uint32_t word = UNWANTED;

	/* Acquire: what is done next is not done before. Failed: relaxed, somebody else will. */
	if (!atomic_compare_exchange_strong_explicit(&leases[signal], &word, RETURNING,
						     memory_order_acquire, memory_order_relaxed))
		return;
	SONDE__TESTPOINT("thread_signal.returning");
	if (handler_is_ours(signal))
		sigaction(signal, &action, NULL);
	/* Release, R1, partner A1 above. */
	atomic_store_explicit(&leases[signal], FREE, memory_order_release);
}

static bool signal_take(int signal)
{
	if (!state_set(signal, TAKEN))
		return false;
	if (handler_is_ours(signal) || handler_install(signal))
		return true;
	(void)state_set(signal, FREE);
	return false;
}

int sonde__thread_signal_take(int wanted, sonde__thread_signal_fn *handler)
{
	/* Relaxed: as above. */
	atomic_store_explicit(&our_handler, handler, memory_order_relaxed);
	if (wanted)
		return signal_take(wanted) ? wanted : 0;
	for (int signal = SIGRTMAX - 1; signal >= SIGRTMIN; signal--)
		if (signal_take(signal))
			return signal;
	return 0;
}

/* ---- What is owed ---------------------------------------------------------------------------- */

static void settle(size_t i, int signal, uint64_t number)
{
	/* Relaxed, both: the count below says the rest. Failed: somebody else has. */
	if (!atomic_compare_exchange_strong_explicit(&owed[i].number, &number, 0,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	/* Relaxed: nothing but the count is said by it. */
	atomic_fetch_sub_explicit(&leases[signal], ONE, memory_order_relaxed);
	give_back_if_over(signal);
}

static uint64_t owed_number(size_t i)
{
	/* Relaxed: it is compared, no more. */
	return atomic_load_explicit(&owed[i].number, memory_order_relaxed);
}

void sonde__thread_signal_came(int signal, uint64_t number)
{
	SONDE__TESTPOINT("thread_signal.came");
	for (size_t i = 0; number && i < OWED_MAX; i++)
		if (owed_number(i) == number)
			settle(i, signal, number);
}

static void settle_the_dead(void)
{
	for (size_t i = 0; i < OWED_MAX; i++) {
		uint64_t number = owed_number(i);

		if (number && !sonde__process_is_alive(&owed[i].thread))
			settle(i, owed[i].signal, number);
	}
}

/* NULL: *ret_i is a free place. */
static const char *place_find(const struct sonde__process_id *thread, size_t *ret_i)
{
	size_t found = OWED_MAX;

	settle_the_dead();
	for (size_t i = 0; i < OWED_MAX; i++) {
		if (!owed_number(i))
			found = i;
		else if (owed[i].thread.pid == thread->pid)
			return "the thread has yet to take the signal before it";
	}
	if (found == OWED_MAX)
		return "too many threads have yet to take the signal";
	*ret_i = found;
	return NULL;
}

static bool queue(int32_t tid, int signal, uint64_t number)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = signal;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = (void *)(uintptr_t)number;
	return syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signal, &info) == 0;
}

const char *sonde__thread_signal_send(const struct sonde__process_id *thread, int signal,
				      uint64_t number)
{
	size_t i;
	const char *why = place_find(thread, &i);

	if (why)
		return why;
	owed[i].thread = *thread;
	owed[i].signal = signal;
	/*
	 * Relaxed, both: nobody looks for it before the signal is sent, and the kernel's lock on
	 * its queue is between the two.
	 */
	atomic_fetch_add_explicit(&leases[signal], ONE, memory_order_relaxed);
	atomic_store_explicit(&owed[i].number, number, memory_order_relaxed);
	SONDE__TESTPOINT("thread_signal.sending");
	if (queue(thread->pid, signal, number))
		return NULL;
	settle(i, signal, number);
	return "the thread has ended, or takes no more signals";
}

/* ---- When nobody needs them ------------------------------------------------------------------ */

void sonde__thread_signal_return(void)
{
	settle_the_dead();
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) {
		/* Relaxed: under the lock nobody but us takes one. */
		uint32_t word = atomic_load_explicit(&leases[signal], memory_order_relaxed);

		if ((word & STATE_MASK) == TAKEN && state_set(signal, UNWANTED))
			give_back_if_over(signal);
	}
}

void sonde__thread_signal_forget(void)
{
	/* Relaxed, all: the child has one thread. */
	for (size_t i = 0; i < OWED_MAX; i++)
		atomic_store_explicit(&owed[i].number, 0, memory_order_relaxed);
	for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
		atomic_store_explicit(&leases[signal], handler_is_ours(signal) ? TAKEN : FREE,
				      memory_order_relaxed);
}
