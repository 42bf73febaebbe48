/* SPDX-License-Identifier: Apache-2.0 */
/* Threads by the thousand, on small stacks, on alternate ones, and signal handlers that record. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#define PER_THREAD 20

static atomic_long n_spans;
static atomic_long n_logs;

static void record_counted(long i)
{
	record_numbered("thread", i);
	sonde_log(SONDE_INFO, "from a thread", SONDE_NO_ATTRS);
	atomic_fetch_add_explicit(&n_spans, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&n_logs, 1, memory_order_relaxed);
}

static void print_made(void)
{
	printf("made %ld %ld\n", atomic_load(&n_spans), atomic_load(&n_logs));
}

static void create(pthread_t *ret, const pthread_attr_t *attributes, void *(*body)(void *), long i)
{
	require(pthread_create(ret, attributes, body, (void *)(intptr_t)i) == 0, "a thread");
}

static pthread_barrier_t all_are_there;

static void *flood_at_once(void *argument)
{
	pthread_barrier_wait(&all_are_there);
	for (int i = 0; i < PER_THREAD; i++)
		record_counted((long)(intptr_t)argument);
	return NULL;
}

/* n threads that begin together, each on the smallest stack there may be. */
static int many_threads(long n)
{
	pthread_t *threads = calloc((size_t)n, sizeof(*threads));
	pthread_attr_t attributes;

	require(threads != NULL, "memory");
	require(host_start() == SONDE_OK, "started");
	pthread_attr_init(&attributes);
	require(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0, "a small stack");
	pthread_barrier_init(&all_are_there, /* attributes= */ NULL, (unsigned)n);
	for (long i = 0; i < n; i++)
		create(&threads[i], &attributes, flood_at_once, i);
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	print_made();
	host_stop(5000);
	free(threads);
	return 0;
}

static void *request_on_a_small_stack(void *argument)
{
	for (int i = 0; i < 20; i++)
		record_request((long)(intptr_t)argument);
	return NULL;
}

/* Everything that a request records, one thread after the other, with a guard page below each. */
static int small_stacks(long n)
{
	pthread_attr_t attributes;

	require(host_start() == SONDE_OK, "started");
	pthread_attr_init(&attributes);
	require(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0, "a small stack");
	for (long i = 0; i < n; i++) {
		pthread_t thread;

		create(&thread, &attributes, request_on_a_small_stack, i);
		pthread_join(thread, NULL);
	}
	host_stop(5000);
	return 0;
}

/* errno is the interrupted code's: a handler must leave it as it was. */
static void on_signal(int number, siginfo_t *info, void *context)
{
	int before = errno;
	struct sonde_error *error;

	(void)info;
	(void)context;
	record_counted(number);
	error = sonde_error_raise(&sonde_timeout, "in a handler");
	sonde_error_capture(error);
	sonde_error_free(error);
	atomic_fetch_add_explicit(&n_logs, 1, memory_order_relaxed);
	if (errno != before)
		_exit(7);
}

static void handle(int number, int flags)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	require(sigaction(number, &action, NULL) == 0, "a handler");
}

/* Raised on an alternate stack: what the kernel needs for the registers, and 16 KiB. */
static int alternate_stacks(long n)
{
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 16384;
	stack_t stack = { .ss_size = size };

	stack.ss_sp = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   /* fd= */ -1, 0);

	require(stack.ss_sp != MAP_FAILED && sigaltstack(&stack, NULL) == 0, "an alternate stack");
	require(host_start() == SONDE_OK, "started");
	handle(SIGUSR1, SA_ONSTACK);
	for (long i = 0; i < n; i++) {
		SONDE_SPAN(span, "interrupted");

		sonde_span_set_int(span, "i", i);
		raise(SIGUSR1);
		atomic_fetch_add(&n_spans, 1);
	}
	print_made();
	host_stop(5000);
	return 0;
}

static timer_t start_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec every = { { 0, 100000 }, { 0, 100000 } };
	timer_t timer;

	require(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "a timer");
	require(timer_settime(timer, 0, &every, NULL) == 0, "the timer runs");
	return timer;
}

/* For n tenths of a second a handler at 10 kHz records while spans begin and flushes wait. */
static int timer_signals(long n)
{
	double began;
	timer_t timer;

	require(host_start() == SONDE_OK, "started");
	handle(SIGRTMIN, SA_RESTART);
	timer = start_timer();
	began = now_s();
	while (now_s() - began < (double)n * 0.1) {
		for (int i = 0; i < 50; i++) {
			SONDE_SPAN(span, "interrupted");

			sonde_span_set_str(span, "key", "value");
			sonde_span_add_event(span, "event", SONDE_NO_ATTRS);
			atomic_fetch_add(&n_spans, 1);
		}
		(void)sonde_agent_flush(agent, 2000);
	}
	timer_delete(timer);
	print_made();
	host_stop(5000);
	return 0;
}

const struct mode thread_modes[] = {
	{ "many-threads", many_threads },
	{ "small-stacks", small_stacks },
	{ "alternate-stacks", alternate_stacks },
	{ "timer-signals", timer_signals },
	{ NULL, NULL },
};
