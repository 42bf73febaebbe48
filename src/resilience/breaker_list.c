/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A list under a lock that init, deinit and who counts take. What it says of a breaker lies in
 * memory of its own, not in the caller's: a breaker that is forgotten without deinit leaks, and
 * does not take who counts with it.
 *
 * A forked child has the list, as whole as at any instant: each change is one store to a pointer,
 * after what it points to. It has not, perhaps, anybody to release the lock: the first call there
 * that sees another process number than the last one makes the lock anew.
 *
 * Of a breaker that processes share the word `teller` says which process counts it, by its key.
 * Nobody, or a process that is dead: the next that looks takes it by exchange.
 */

#include "resilience/breaker_list.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"

struct sonde__breaker_entry {
	struct sonde__breaker_entry *_Atomic next;
	const struct sonde__circuit_state *state;
	_Atomic uint64_t *teller; /* NULL: not shared. */
	char name[];
};

#define NO_PROCESS 0 /* Nobody has been here. */

static struct {
	/* That was here last. Negative: whose first call makes the lock. */
	_Atomic pid_t process;
	pthread_mutex_t lock;
	struct sonde__breaker_entry *_Atomic first;
} list = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void list_lock(void)
{
	pid_t self = getpid();

	for (;;) {
		/* Acquire, A1, partner R1 below: the lock is made. */
		pid_t process = atomic_load_explicit(&list.process, memory_order_acquire);

		if (process == self)
			break;
		/* Another process's number there is a parent's, whose thread was not forked. */
		if (process == -self) {
			sched_yield();
			continue;
		}
		/* Relaxed, both: it says who makes it, no more. */
		if (!atomic_compare_exchange_weak_explicit(&list.process, &process, -self,
							   memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		if (process != NO_PROCESS)
			pthread_mutex_init(&list.lock, NULL);
		/* Release, R1, partner A1 above. */
		atomic_store_explicit(&list.process, self, memory_order_release);
	}
	pthread_mutex_lock(&list.lock);
}

static void list_unlock(void)
{
	pthread_mutex_unlock(&list.lock);
}

/* Relaxed, all: under the lock; a forked child sees what was stored in order. */
static struct sonde__breaker_entry *load(struct sonde__breaker_entry *_Atomic const *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

static void store(struct sonde__breaker_entry *_Atomic *at, struct sonde__breaker_entry *entry)
{
	/* Release, without a partner: for a fork, whose child goes on from this instant. */
	atomic_store_explicit(at, entry, memory_order_release);
}

/* ---- Who counts what is shared --------------------------------------------------------------- */

static bool teller_is_here(_Atomic uint64_t *teller)
{
	uint64_t self = sonde__process_key();
	/* Relaxed, all: it is a name, and publishes nothing. */
	uint64_t found = atomic_load_explicit(teller, memory_order_relaxed);

	while (found != self) {
		if (found && sonde__process_key_is_alive(found))
			return false;
		if (atomic_compare_exchange_weak_explicit(teller, &found, self,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return true;
	}
	return true;
}

static void teller_leave(_Atomic uint64_t *teller)
{
	uint64_t self = sonde__process_key();

	/* Relaxed, both: as above. */
	atomic_compare_exchange_strong_explicit(teller, &self, 0, memory_order_relaxed,
						memory_order_relaxed);
}

/* ---- The list -------------------------------------------------------------------------------- */

struct sonde__breaker_entry *
sonde__breaker_list_add(const char *name, const struct sonde__circuit_state *state,
			_Atomic uint64_t *teller)
{
	size_t size = strlen(name ? name : "") + 1;
	struct sonde__breaker_entry *entry = calloc(1, sizeof(*entry) + size);

	if (!entry)
		return NULL;
	entry->state = state;
	entry->teller = teller;
	memcpy(entry->name, name ? name : "", size);
	list_lock();
	store(&entry->next, load(&list.first));
	store(&list.first, entry);
	list_unlock();
	return entry;
}

void sonde__breaker_list_remove(struct sonde__breaker_entry *entry)
{
	struct sonde__breaker_entry *_Atomic *at = &list.first;

	if (!entry)
		return;
	list_lock();
	while (load(at) && load(at) != entry)
		at = &load(at)->next;
	/* A child that was forked in the middle of an init may not have it. */
	if (load(at))
		store(at, load(&entry->next));
	if (entry->teller)
		teller_leave(entry->teller);
	list_unlock();
	free(entry);
}

void sonde__breaker_list_visit(sonde__breaker_visit_fn *visit, void *user)
{
	list_lock();
	for (struct sonde__breaker_entry *one = load(&list.first); one; one = load(&one->next)) {
		/* Relaxed: the state stands for itself. */
		uint64_t word = atomic_load_explicit(&one->state->word, memory_order_relaxed);

		if (!one->teller || teller_is_here(one->teller))
			visit(user, one->name, sonde__circuit_word_state(word));
	}
	list_unlock();
}

void sonde__breaker_list_leave(void)
{
	list_lock();
	for (struct sonde__breaker_entry *one = load(&list.first); one; one = load(&one->next))
		if (one->teller)
			teller_leave(one->teller);
	list_unlock();
}
