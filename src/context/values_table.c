/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the values of contexts are kept: a table of chunks, each a sequence lock, in which encoded
 * attributes stand one behind the other. docs/design/scope.md argues it.
 *
 * A reference names a chunk, its generation, and how much of it counts; a chunk names the reference
 * that it stands on. So what a reference names never changes: who adds gets a longer reference, and
 * all others go on seeing what they saw. Only a reference that is not sealed is written behind; its
 * holder is the scope that took the chunk.
 *
 * A chunk's word:	generation | bytes in use, in words | LENT | NEEDED | WRITING
 *
 *	free		neither LENT nor NEEDED: the next to be used, while it is in the cache
 *	needed		a scope that runs has it
 *	retired		LENT alone: its scope has ended, but a copy of the context was handed out;
 *			used again only where nothing is free
 *
 * Where nothing of the kind is near, a chunk is taken away from its scope. Whoever finds another
 * generation than its own counts a loss and has fewer values, never wrong ones.
 *
 * Nobody waits: who finds a chunk being written goes on to the next. A signal handler that comes
 * between finds its thread's chunk being written and takes another.
 */

#include "context/values_table.h"

#include <string.h>

#define CHUNKS 16384
#define CHUNK_BITS 14
#define WORDS 30
#define NEAR_PROBES 4 /* Chunks looked at side by side, */
#define PROBES 24 /* and then far apart, before one is taken away. */
#define STRIDE 6151

/* Of a chunk's word. */
#define WRITING UINT64_C(1)
#define NEEDED UINT64_C(2)
#define LENT UINT64_C(4)
#define USED_SHIFT 3
#define USED_MASK UINT64_C(31)
#define GENERATION_SHIFT 8

/* Of a reference. */
#define LENGTH_SHIFT (CHUNK_BITS + 1)
#define REFERENCE_GENERATION_SHIFT (LENGTH_SHIFT + 5)
#define GENERATION_MASK (UINT64_MAX >> REFERENCE_GENERATION_SHIFT)

_Static_assert(SONDE__VALUES_SEALED == UINT64_C(1) << CHUNK_BITS, "above the chunk's number");
_Static_assert(WORDS <= USED_MASK, "a chunk's length fits its bits");
_Static_assert(WORDS * sizeof(uint64_t) == SONDE__VALUES_CHUNK_SIZE, "a chunk is whole words");

struct chunk {
	_Atomic uint64_t word;
	_Atomic uint64_t parent;
	_Atomic uint64_t text[WORDS];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct chunk) == 256, "four cache lines");

/* Where threads begin to look, told apart by the place of their thread-local memory. */
#define CURSORS 64

struct cursor {
	_Atomic uint32_t at;
} __attribute__((aligned(64)));

static struct chunk chunks[CHUNKS];
static struct cursor cursors[CURSORS];
static _Atomic uint64_t losses;

void sonde__values_lose(void)
{
	/* Relaxed: a statistic. */
	atomic_fetch_add_explicit(&losses, 1, memory_order_relaxed);
}

uint64_t sonde__values_losses(void)
{
	return atomic_load_explicit(&losses, memory_order_relaxed);
}

static struct chunk *chunk_of(uint64_t reference)
{
	return &chunks[reference % CHUNKS];
}

static bool is_generation(uint64_t word, uint64_t reference)
{
	return ((word >> GENERATION_SHIFT) & GENERATION_MASK) ==
	       reference >> REFERENCE_GENERATION_SHIFT;
}

static uint64_t length_of(uint64_t reference)
{
	return (reference >> LENGTH_SHIFT) & USED_MASK;
}

static uint32_t own_cursor(void)
{
	return (uint32_t)((uintptr_t)__builtin_thread_pointer() * UINT64_C(0x9e3779b97f4a7c15) >>
			  (64 - 6));
}

_Static_assert(CURSORS == 1 << 6, "own_cursor gives six bits");

/* ---- Taking and giving back ------------------------------------------------------------------ */

/* Takes the chunk if nobody writes it and of what `keep` names it has nothing. */
static bool chunk_claim(struct chunk *chunk, uint64_t keep, uint64_t *ret_word)
{
	uint64_t word = atomic_load_explicit(&chunk->word, memory_order_relaxed);
	uint64_t next = ((word >> GENERATION_SHIFT) + 1) & GENERATION_MASK;

	if (word & (keep | WRITING))
		return false;
	next = (next ? next : 1) << GENERATION_SHIFT;
	/*
	 * A1, with R1 of the writer before: its bytes are there before ours go over them. The new
	 * generation comes first, and R2 after it: who reads a byte of ours then reads our word.
	 */
	if (!atomic_compare_exchange_strong_explicit(&chunk->word, &word, next | WRITING,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	*ret_word = next;
	return true;
}

/* Where nothing is free what is retired, where nothing is retired what is needed. */
static struct chunk *claim(uint64_t *ret_word)
{
	static const uint64_t keeps[] = { NEEDED | LENT, NEEDED, 0 };
	const uint32_t own = own_cursor();
	/* Relaxed: only a place to begin at. */
	const uint32_t first = atomic_load_explicit(&cursors[own].at, memory_order_relaxed) +
			       own * (CHUNKS / CURSORS);

	for (size_t k = 0; k < SONDE__ARRAY_SIZE(keeps); k++) {
		for (uint32_t i = 0; i < PROBES; i++) {
			uint32_t at = i < NEAR_PROBES ? first + i : first + i * STRIDE;

			if (!chunk_claim(&chunks[at % CHUNKS], keeps[k], ret_word))
				continue;
			atomic_store_explicit(&cursors[own].at,
					      (at + 1 - own * (CHUNKS / CURSORS)) % CHUNKS,
					      memory_order_relaxed);
			return &chunks[at % CHUNKS];
		}
	}
	return NULL;
}

/* Ends the need for a chunk; false where it is another's by now. */
static bool chunk_release(uint64_t reference)
{
	struct chunk *chunk = chunk_of(reference);
	const uint32_t own = own_cursor();
	uint64_t word = atomic_load_explicit(&chunk->word, memory_order_relaxed);

	do {
		if (!is_generation(word, reference) || (word & WRITING))
			return false;
		/* Relaxed: says nothing about the bytes. */
	} while (!atomic_compare_exchange_weak_explicit(&chunk->word, &word, word & ~NEEDED,
							memory_order_relaxed,
							memory_order_relaxed));
	/* The next to be used, while it is at hand. */
	if (!(word & LENT))
		atomic_store_explicit(&cursors[own].at,
				      (uint32_t)(reference % CHUNKS - own * (CHUNKS / CURSORS)) %
					      CHUNKS,
				      memory_order_relaxed);
	return true;
}

uint64_t sonde__values_parent(uint64_t reference)
{
	struct chunk *chunk = chunk_of(reference);
	uint64_t parent;

	/* A2 and A3, as in sonde__values_read. */
	if (!is_generation(atomic_load_explicit(&chunk->word, memory_order_acquire), reference))
		return 0;
	parent = atomic_load_explicit(&chunk->parent, memory_order_acquire);
	if (!is_generation(atomic_load_explicit(&chunk->word, memory_order_relaxed), reference))
		return 0;
	return parent;
}

static bool is_same_chunk(uint64_t a, uint64_t b)
{
	return a % CHUNKS == b % CHUNKS &&
	       a >> REFERENCE_GENERATION_SHIFT == b >> REFERENCE_GENERATION_SHIFT;
}

void sonde__values_release(uint64_t reference, uint64_t base)
{
	for (size_t i = 0; i < SONDE__VALUES_DEPTH; i++) {
		uint64_t parent;

		if (!sonde__values_are_some(reference) || is_same_chunk(reference, base))
			return;
		parent = sonde__values_parent(reference);
		if (!chunk_release(reference))
			return;
		reference = parent;
	}
}

void sonde__values_release_run(uint64_t reference)
{
	for (size_t i = 0; i < SONDE__VALUES_DEPTH; i++) {
		uint64_t parent;

		if (!sonde__values_are_some(reference) || (reference & SONDE__VALUES_SEALED))
			return;
		parent = sonde__values_parent(reference);
		if (!chunk_release(reference))
			return;
		reference = parent;
	}
}

uint64_t sonde__values_lend(uint64_t reference)
{
	uint64_t at = reference;

	for (size_t i = 0; i < SONDE__VALUES_DEPTH && sonde__values_are_some(at); i++) {
		struct chunk *chunk = chunk_of(at);
		uint64_t word = atomic_load_explicit(&chunk->word, memory_order_relaxed);

		if (!is_generation(word, at))
			break;
		/*
		 * Relaxed: says nothing about the bytes. Where the chunk has changed hands
		 * meanwhile another's stays a little longer.
		 */
		if (!(word & LENT))
			atomic_fetch_or_explicit(&chunk->word, LENT, memory_order_relaxed);
		at = sonde__values_parent(at);
	}
	return sonde__values_seal(reference);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Puts a field behind `used` words; the chunk is being written by the caller. */
static void field_write(struct chunk *chunk, uint64_t used, const uint64_t *field, uint64_t n)
{
	/* R2, with A3 of a reader: whoever sees a new byte sees our generation or a later word. */
	for (uint64_t i = 0; i < n; i++)
		atomic_store_explicit(&chunk->text[used + i], field[i], memory_order_release);
}

/*
 * Lets go of a chunk that was written. A store: where another thread has just marked the chunk as
 * lent, by a context that it was given in no way that this library sees, the mark is gone, and with
 * it the values some time after the scope's end.
 */
static void write_end(struct chunk *chunk, uint64_t word)
{
	/* R1, with A2: whoever sees the length sees the bytes; and with A1. */
	atomic_store_explicit(&chunk->word, word, memory_order_release);
}

bool sonde__values_append(uint64_t reference, const uint64_t *field, uint64_t n, uint64_t *ret)
{
	struct chunk *chunk = chunk_of(reference);
	uint64_t word = atomic_load_explicit(&chunk->word, memory_order_relaxed);
	const uint64_t used = length_of(reference);

	if ((reference & SONDE__VALUES_SEALED) || !reference || !is_generation(word, reference) ||
	    ((word >> USED_SHIFT) & USED_MASK) != used || (word & WRITING) || used + n > WORDS)
		return false;
	/* A1, as in chunk_claim. */
	if (!atomic_compare_exchange_strong_explicit(&chunk->word, &word, word | WRITING,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	field_write(chunk, used, field, n);
	write_end(chunk, word + (n << USED_SHIFT));
	*ret = reference + (n << LENGTH_SHIFT);
	return true;
}

size_t sonde__values_room(uint64_t reference)
{
	const uint64_t used = length_of(reference);

	return used < WORDS ? (size_t)(WORDS - used) : 0;
}

bool sonde__values_begin(uint64_t parent, const uint64_t *field, uint64_t n, uint64_t *ret)
{
	uint64_t word;
	struct chunk *chunk = n <= WORDS ? claim(&word) : NULL;

	if (!chunk)
		return false;
	/* R2, with A3. */
	atomic_store_explicit(&chunk->parent, parent, memory_order_release);
	field_write(chunk, /* used= */ 0, field, n);
	write_end(chunk, word | n << USED_SHIFT | NEEDED);
	*ret = (word >> GENERATION_SHIFT) << REFERENCE_GENERATION_SHIFT | n << LENGTH_SHIFT |
	       (uint64_t)(chunk - chunks);
	return true;
}

/* ---- Reading --------------------------------------------------------------------------------- */

size_t sonde__values_copy(uint64_t reference, uint64_t ret[SONDE__VALUES_CHUNK_SIZE / 8])
{
	struct chunk *chunk = chunk_of(reference);
	const uint64_t n = length_of(reference);

	/* A2, with R1: the bytes of this generation, or of a later one. */
	if (!n || n > WORDS ||
	    !is_generation(atomic_load_explicit(&chunk->word, memory_order_acquire), reference))
		return 0;
	/* A3, with R2: were a byte a later one's, the word read last would not be ours any more. */
	for (uint64_t i = 0; i < n; i++)
		ret[i] = atomic_load_explicit(&chunk->text[i], memory_order_acquire);
	/* Relaxed: after the loads above, by A3. */
	if (!is_generation(atomic_load_explicit(&chunk->word, memory_order_relaxed), reference))
		return 0;
	return (size_t)n * sizeof(uint64_t);
}
