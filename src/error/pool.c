/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A fixed pool of objects behind one word of bits, a set bit being an object in use.
 *
 * Progress: taking is a loop around one compare-exchange, which fails only when another thread
 * changed the word, that is, took or gave an object: lock-free. Giving is one atomic instruction:
 * wait-free. No step leaves anything half done, so a signal handler or a thread killed anywhere
 * costs at most the one object that it held. In a forked child the objects that the parent's other
 * threads held stay in use; past the pool there is the heap.
 *
 * There is no ABA: the word is the whole state. An object is looked for from a place that moves on
 * with each take, so that one that was given comes back as late as possible, and a second free of
 * it meanwhile finds it FREED. For the same reason the last objects of the heap are kept for a
 * while.
 */

#include "error/pool.h"

#include <stdlib.h>

#define SHELF_SIZE 16

_Static_assert(SONDE__ERROR_POOL_SIZE == 64, "one bit of a 64-bit word each");

static struct sonde_error pool[SONDE__ERROR_POOL_SIZE];
static _Atomic uint64_t pool_used;
static _Atomic uint32_t pool_next;

/* Freed objects of the heap that a second free may still find. */
static struct sonde_error *_Atomic shelf[SHELF_SIZE];
static _Atomic uint32_t shelf_next;

static struct sonde_error *pool_take(void)
{
	/* Relaxed: any number does. */
	unsigned start = atomic_fetch_add_explicit(&pool_next, 1, memory_order_relaxed) %
			 SONDE__ERROR_POOL_SIZE;
	/* Relaxed: the exchange below decides. */
	uint64_t used = atomic_load_explicit(&pool_used, memory_order_relaxed);

	while (used != UINT64_MAX) {
		uint64_t turned = start ? used >> start | used << (SONDE__ERROR_POOL_SIZE - start)
					: used;
		unsigned index = (start + (unsigned)__builtin_ctzll(~turned)) %
				 SONDE__ERROR_POOL_SIZE;

		/*
		 * A1: acquire, pairs with R1: the last owner's writes come before ours. Failure
		 * retries.
		 */
		if (atomic_compare_exchange_weak_explicit(
			    &pool_used, &used, used | UINT64_C(1) << index, memory_order_acquire,
			    memory_order_relaxed))
			return &pool[index];
	}
	return NULL;
}

struct sonde_error *sonde__error_take(void)
{
	struct sonde_error *error = pool_take();
	bool is_pooled = error != NULL;

	if (!error)
		error = malloc(sizeof(*error));
	if (!error)
		return NULL;
	error->flags = is_pooled ? ERROR_IS_POOLED : 0;
	/*
	 * Relaxed: the object is this thread's alone; handing it on is the caller's
	 * synchronisation.
	 */
	atomic_store_explicit(&error->state, SONDE__ERROR_LIVE, memory_order_relaxed);
	return error;
}

void sonde__error_give(struct sonde_error *error)
{
	unsigned index;

	if (error->flags & ERROR_IS_POOLED) {
		/* R1: release, pairs with A1. */
		atomic_fetch_and_explicit(&pool_used, ~(UINT64_C(1) << (error - pool)),
					  memory_order_release);
		return;
	}
	/* Relaxed: any number does. */
	index = atomic_fetch_add_explicit(&shelf_next, 1, memory_order_relaxed) % SHELF_SIZE;
	/*
	 * A2, R2: acquire and release, pairs with itself: what one thread put down another one
	 * frees.
	 */
	free(atomic_exchange_explicit(&shelf[index], error, memory_order_acq_rel));
}
