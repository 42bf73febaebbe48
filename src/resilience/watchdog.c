/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The watchdogs of the process in a list, and one thread that looks at them four times in the
 * shortest limit. Everything but a watchdog's word is under one lock, which is held for some
 * nanoseconds for each watchdog: reports are made without it, while what is reported stays in the
 * list, because deinit waits for it. Of one watchdog one thread tells at a time, and in order: what
 * another one finds meanwhile it leaves to the teller.
 *
 * The thread belongs to a generation. The last watchdog that goes begins a new one and waits for
 * the thread of the old one, without the lock; a watchdog that comes meanwhile starts another.
 *
 * A forked child has neither thread nor, perhaps, a lock that anybody will release: the first call
 * there that sees another process number than the last one forgets all of it.
 */

#include <sonde/watchdog.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/testpoint.h"
#include "error/error.h"
#include "resilience/clock.h"
#include "resilience/name.h"
#include "resilience/observe.h"
#include "resilience/park.h"
#include "resilience/thread_stack.h"
#include "resilience/watch.h"

#define LOOKS 4 /* In a limit. */
#define PERIOD_MIN_NS SONDE__NS_PER_MS
#define STACK_SIZE (256 * 1024)

/* As it was under the lock. */
struct news {
	enum sonde__watch_news kind;
	uint64_t word;
	uint64_t duration_ns;
	struct sonde__process_id thread;
};

struct watchdog {
	_Atomic uint64_t word; /* Written by the loop's thread alone. */
	uint64_t padding[7]; /* It has its cache line for itself. */
	struct watchdog *next; /* In the list, under the lock, as all below. */
	struct watchdog *previous;
	struct sonde__watch watch;
	struct sonde__process_id thread; /* The loop's. */
	struct news untold; /* That the teller has yet to come to. */
	struct sonde__waiters waiters; /* For nobody to tell. */
	pid_t process;
	const char *name;
	const struct sonde_clock *clock;
	const struct sonde_observer *observer;
	int signal;
	bool is_being_told; /* By one thread. */
	bool is_without_stack;
	bool is_without_thread;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct watchdog) <= sizeof(struct sonde_watchdog), "a watchdog fits");
_Static_assert(_Alignof(struct watchdog) <= _Alignof(struct sonde_watchdog), "and is aligned");

#define NO_PROCESS 0 /* Nobody has been here. */

static struct {
	/* That was here last. Negative: whose first call is forgetting the one before. */
	_Atomic pid_t process;
	pthread_mutex_t lock;
	struct watchdog *first;
	uint32_t n_watched; /* By the thread. */
	uint64_t generation;
	bool has_thread;
	pthread_t thread;
	struct sonde__parker *parker; /* Of this generation's thread while it waits. */
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct watchdog *watchdog_of(const struct sonde_watchdog *watchdog)
{
	return (struct watchdog *)(uintptr_t)watchdog;
}

static void all_forget(void)
{
	pthread_mutex_init(&all.lock, NULL);
	all.first = NULL;
	all.n_watched = 0;
	all.generation++;
	all.has_thread = false;
	all.parker = NULL;
	sonde__thread_stack_forget();
}

/* To be called before the lock is taken. */
static void all_enter(void)
{
	pid_t self = getpid();

	for (;;) {
		/* Acquire, A1, partner R1 below: what was forgotten is. */
		pid_t process = atomic_load_explicit(&all.process, memory_order_acquire);

		if (process == self)
			return;
		/* Another process's number there is a parent's, whose thread was not forked. */
		if (process == -self) {
			sched_yield();
			continue;
		}
		/* Relaxed, both: it says who forgets, no more. */
		if (!atomic_compare_exchange_weak_explicit(&all.process, &process, -self,
							   memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		SONDE__TESTPOINT("watchdog.between");
		if (process != NO_PROCESS)
			all_forget();
		/* Release, R1, partner A1 above. */
		atomic_store_explicit(&all.process, self, memory_order_release);
		return;
	}
}

/* ---- The loop's side ------------------------------------------------------------------------- */

void sonde_watchdog_feed(struct sonde_watchdog *public)
{
	struct watchdog *watchdog = watchdog_of(public);

	/* Relaxed, here and below: the word says that it has changed, and publishes nothing. */
	atomic_store_explicit(&watchdog->word,
			      sonde__watch_fed(atomic_load_explicit(&watchdog->word,
								    memory_order_relaxed)),
			      memory_order_relaxed);
}

void sonde_watchdog_rest(struct sonde_watchdog *public)
{
	struct watchdog *watchdog = watchdog_of(public);

	atomic_store_explicit(&watchdog->word,
			      sonde__watch_rested(atomic_load_explicit(&watchdog->word,
								       memory_order_relaxed)),
			      memory_order_relaxed);
}

static uint64_t watchdog_word(const struct watchdog *watchdog)
{
	return atomic_load_explicit(&watchdog->word, memory_order_relaxed);
}

/* ---- Reporting, without the lock ------------------------------------------------------------- */

static void stack_add(const struct watchdog *watchdog, const struct news *news,
		      struct sonde_error *error)
{
	const char *why = "options ask for none";
	uint64_t frames[SONDE_ERROR_FRAMES];
	size_t n = 0;

	if (!watchdog->is_without_stack)
		n = sonde__thread_stack_take(&news->thread, watchdog->signal, frames,
					     SONDE_ERROR_FRAMES, &why);
	if (n && watchdog_word(watchdog) != news->word) {
		n = 0;
		why = "the loop turned just then";
	}
	sonde__error_set_stack(error, frames, n);
	if (!n)
		sonde_error_set_detail(error, "without a stack: %s", why);
}

/* Rounded down: it is at least as long. */
static void duration_format(char *ret, size_t size, uint64_t duration_ns)
{
	uint64_t ms = duration_ns / SONDE__NS_PER_MS;

	if (ms < 1000)
		snprintf(ret, size, "%" PRIu64 " ms", ms);
	else
		snprintf(ret, size, "%" PRIu64 ".%" PRIu64 " s", ms / 1000, ms % 1000 / 100);
}

static struct sonde_error *stall_error(const struct watchdog *watchdog, const struct news *news)
{
	const struct sonde__name name = sonde__name_of(watchdog->name);
	struct sonde_error *error;
	char duration[32];

	duration_format(duration, sizeof(duration), news->duration_ns);
	error = sonde_error_raise(&sonde_internal, "loop%s%s has not turned for %s",
				  name.space, name.text, duration);
	/* Nothing failed: what errno holds is of something else. */
	sonde_error_set_errno(error, 0);
	sonde_error_set(error, sonde_int("thread.id", news->thread.pid));
	stack_add(watchdog, news, error);
	return error;
}

static void report(const struct watchdog *watchdog, const struct news *news)
{
	struct sonde_observation observation = {
		.pattern = SONDE_PATTERN_WATCHDOG,
		.what = SONDE_OBSERVED_RECOVERY,
		.name = watchdog->name,
		.duration_ns = news->duration_ns,
	};
	struct sonde_error *error = NULL;

	if (!sonde__is_observed(watchdog->observer))
		return;
	if (news->kind == SONDE__WATCH_STALL) {
		error = stall_error(watchdog, news);
		observation.what = SONDE_OBSERVED_STALL;
		observation.error = error;
	}
	sonde__observe(watchdog->observer, &observation);
	sonde_error_free(error);
}

/* Under the lock, which it gives up for each report; until nobody has found more. */
static void watchdog_tell(struct watchdog *watchdog, struct news news)
{
	watchdog->is_being_told = true;
	do {
		pthread_mutex_unlock(&all.lock);
		SONDE__TESTPOINT("watchdog.telling");
		report(watchdog, &news);
		pthread_mutex_lock(&all.lock);
		news = watchdog->untold;
		watchdog->untold.kind = SONDE__WATCH_NOTHING;
	} while (news.kind != SONDE__WATCH_NOTHING);
	watchdog->is_being_told = false;
	while (sonde__waiters_grant(&watchdog->waiters))
		;
}

/*
 * Under the lock, which it gives up where it tells. There is room for one piece of news beside the
 * one that is being told: until the teller has come to it nothing is looked at, so that nothing is
 * found that could not be told.
 */
static void watchdog_look(struct watchdog *watchdog)
{
	struct news news = { .word = watchdog_word(watchdog), .thread = watchdog->thread };

	if (watchdog->untold.kind != SONDE__WATCH_NOTHING)
		return;
	news.kind = sonde__watch_check(&watchdog->watch, news.word, sonde__now_ns(watchdog->clock),
				       &news.duration_ns);
	if (news.kind == SONDE__WATCH_NOTHING)
		return;
	if (watchdog->is_being_told)
		watchdog->untold = news;
	else
		watchdog_tell(watchdog, news);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static uint64_t period_ns(void)
{
	uint64_t shortest_ns = SONDE__NEVER;

	for (const struct watchdog *one = all.first; one; one = one->next)
		if (!one->is_without_thread && one->watch.limit_ns < shortest_ns)
			shortest_ns = one->watch.limit_ns;
	return shortest_ns / LOOKS > PERIOD_MIN_NS ? shortest_ns / LOOKS : PERIOD_MIN_NS;
}

/* `late_ns`: how much later than it wanted the thread got its turn. */
static void look_at_all(uint64_t late_ns)
{
	for (struct watchdog *one = all.first; one; one = one->next) {
		if (one->is_without_thread)
			continue;
		if (late_ns > one->watch.limit_ns / LOOKS)
			sonde__watch_forgive(&one->watch, late_ns, sonde__now_ns(one->clock));
		watchdog_look(one);
	}
}

static void *thread_main(void *argument)
{
	uint64_t generation = (uintptr_t)argument;
	uint64_t wanted_ns = SONDE__NEVER;
	struct sonde__parker parker;

	pthread_mutex_lock(&all.lock);
	while (all.generation == generation) {
		look_at_all(sonde__time_until(sonde__monotonic_ns(), wanted_ns));
		if (all.generation != generation)
			break;
		sonde__parker_init(&parker);
		all.parker = &parker;
		wanted_ns = sonde__moment_after(sonde__monotonic_ns(), period_ns());
		pthread_mutex_unlock(&all.lock);
		sonde__park(&parker, /* clock= */ NULL, wanted_ns, /* cancel= */ NULL);
		pthread_mutex_lock(&all.lock);
		if (all.parker == &parker)
			all.parker = NULL;
	}
	pthread_mutex_unlock(&all.lock);
	return NULL;
}

static void thread_wake(void)
{
	if (all.parker)
		sonde__unpark(all.parker);
	all.parker = NULL;
}

/*
 * Every signal is blocked in it but those that a fault of its own would raise, so that the host's
 * are handled by the host's threads.
 */
static int thread_start(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	pthread_attr_t attributes;
	sigset_t blocked;
	sigset_t previous;
	int error;

	sigfillset(&blocked);
	for (size_t i = 0; i < SONDE__ARRAY_SIZE(faults); i++)
		sigdelset(&blocked, faults[i]);
	pthread_sigmask(SIG_SETMASK, &blocked, &previous);
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
	error = pthread_create(&all.thread, &attributes, thread_main,
			       (void *)(uintptr_t)all.generation);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	if (error)
		return SONDE_E_SYSTEM;
	(void)pthread_setname_np(all.thread, "sonde-watchdog");
	all.has_thread = true;
	return SONDE_OK;
}

/* Of the last watchdog: gives up the lock. */
static void thread_end(void)
{
	pthread_t thread = all.thread;

	all.generation++;
	all.has_thread = false;
	thread_wake();
	pthread_mutex_unlock(&all.lock);
	pthread_join(thread, NULL);
}

/* ---- Coming and going ------------------------------------------------------------------------ */

static void list_add(struct watchdog *watchdog)
{
	watchdog->next = all.first;
	if (all.first)
		all.first->previous = watchdog;
	all.first = watchdog;
	all.n_watched += !watchdog->is_without_thread;
	/* It may have to look more often. */
	thread_wake();
}

static void list_remove(struct watchdog *watchdog)
{
	if (watchdog->next)
		watchdog->next->previous = watchdog->previous;
	if (watchdog->previous)
		watchdog->previous->next = watchdog->next;
	else
		all.first = watchdog->next;
	all.n_watched -= !watchdog->is_without_thread;
}

int sonde_watchdog_init(struct sonde_watchdog *public, const struct sonde_watchdog_options *options)
{
	static const struct sonde_watchdog_options defaults;
	struct watchdog *watchdog = watchdog_of(public);
	int status = SONDE_OK;

	options = options ? options : &defaults;
	if (!public)
		return SONDE_E_INVALID;
	memset(watchdog, 0, sizeof(*watchdog));
	if (options->signal && (options->signal < SIGRTMIN || options->signal > SIGRTMAX))
		return SONDE_E_INVALID;
	watchdog->name = options->name;
	watchdog->clock = options->clock;
	watchdog->observer = options->observer;
	watchdog->signal = options->signal;
	watchdog->is_without_stack = options->is_without_stack;
	watchdog->is_without_thread = options->is_without_thread;
	sonde__watch_init(&watchdog->watch,
			  sonde__ms_to_ns(options->stall_ms ? options->stall_ms
							    : SONDE_WATCHDOG_STALL_MS_DEFAULT),
			  sonde__now_ns(watchdog->clock));
	sonde__thread_identify(&watchdog->thread);
	all_enter();
	pthread_mutex_lock(&all.lock);
	if (!watchdog->is_without_thread && !all.has_thread)
		status = thread_start();
	if (status == SONDE_OK) {
		watchdog->process = getpid();
		list_add(watchdog);
	}
	pthread_mutex_unlock(&all.lock);
	return status;
}

/* Is it this process's, and in the list? Else there is nothing to do. */
static bool watchdog_is_here(const struct watchdog *watchdog)
{
	return watchdog && watchdog->process == getpid();
}

void sonde_watchdog_deinit(struct sonde_watchdog *public)
{
	struct watchdog *watchdog = watchdog_of(public);
	struct sonde__waiter waiter;
	bool is_last;

	if (!watchdog_is_here(watchdog))
		return;
	all_enter();
	pthread_mutex_lock(&all.lock);
	while (watchdog->is_being_told) {
		sonde__waiter_init(&waiter);
		sonde__waiters_push(&watchdog->waiters, &waiter);
		pthread_mutex_unlock(&all.lock);
		sonde__park(&waiter.parker, /* clock= */ NULL, SONDE__NEVER, /* cancel= */ NULL);
		pthread_mutex_lock(&all.lock);
	}
	list_remove(watchdog);
	watchdog->process = NO_PROCESS;
	is_last = !all.first;
	if (all.has_thread && all.n_watched == 0)
		thread_end();
	else
		pthread_mutex_unlock(&all.lock);
	if (is_last)
		sonde__thread_stack_restore();
}

void sonde_watchdog_adopt(struct sonde_watchdog *public)
{
	struct watchdog *watchdog = watchdog_of(public);
	struct sonde__process_id thread;

	if (!watchdog_is_here(watchdog))
		return;
	sonde__thread_identify(&thread);
	all_enter();
	pthread_mutex_lock(&all.lock);
	watchdog->thread = thread;
	pthread_mutex_unlock(&all.lock);
}

enum sonde_watchdog_state sonde_watchdog_check(struct sonde_watchdog *public)
{
	struct watchdog *watchdog = watchdog_of(public);
	enum sonde_watchdog_state state = SONDE_WATCHDOG_TURNING;

	if (!watchdog_is_here(watchdog))
		return SONDE_WATCHDOG_RESTING;
	all_enter();
	pthread_mutex_lock(&all.lock);
	watchdog_look(watchdog);
	if (watchdog->watch.is_stalled)
		state = SONDE_WATCHDOG_STALLED;
	else if (sonde__watch_rests(watchdog->watch.word))
		state = SONDE_WATCHDOG_RESTING;
	pthread_mutex_unlock(&all.lock);
	return state;
}
