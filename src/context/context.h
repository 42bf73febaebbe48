/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_CONTEXT_CONTEXT_DOOR_H
#define SONDE_CONTEXT_CONTEXT_DOOR_H

/*
 * The context layer's door: the one thread-local object of the library, new ids, and the texts of
 * tracestates. docs/design/context.md argues it.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <sonde/attribute.h>
#include <sonde/context.h>

#include "base/compiler.h"
#include "base/random.h"

/*
 * ---- The thread
 * ----------------------------------------------------------------------------------
 */

struct sonde__thread {
	struct sonde_context current;
	_Atomic uint64_t id_state; /* Of the id generator; 0: not seeded yet. */
};

_Static_assert(sizeof(struct sonde__thread) <= 64, "the library's thread-local memory is bounded");

extern SONDE__THREAD_LOCAL struct sonde__thread sonde__thread;

/*
 * A context in the pieces in which the hot path moves it: always the same pieces, because what was
 * just stored is at hand for the next load only if that asks for no more than one store wrote.
 */
typedef uint64_t sonde__pair __attribute__((vector_size(16), aligned(8), may_alias));

struct sonde__context_words {
	sonde__pair trace_id;
	uint64_t span_id;
	uint64_t flags; /* trace_flags, is_remote << 8, the span's place << 16. */
	sonde__pair extension01;
	uint64_t extension2;
} SONDE__MAY_ALIAS;

_Static_assert(sizeof(struct sonde__context_words) == sizeof(struct sonde_context), "the same");
_Static_assert(offsetof(struct sonde__context_words, flags) ==
		       offsetof(struct sonde_context, trace_flags),
	       "the same, by words");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the flags are the lowest byte of their word");

#define SONDE__CONTEXT_REMOTE UINT64_C(0x100)
/*
 * What was said of the current span's status through the context, in the lowest bits of its place,
 * which are 0 in every place: the span reads it there when it ends.
 */
#define SONDE__CONTEXT_ERROR UINT64_C(0x10000)
#define SONDE__CONTEXT_OK UINT64_C(0x20000)
/* An answer below 500 was given for it: what is captured again fails it no more. */
#define SONDE__CONTEXT_ANSWERED UINT64_C(0x40000)
#define SONDE__CONTEXT_STATUS (SONDE__CONTEXT_ERROR | SONDE__CONTEXT_OK)
#define SONDE__CONTEXT_MARK_SHIFT 16

static SONDE__ALWAYS_INLINE struct sonde__context_words *sonde__context_words(
	const struct sonde_context *context)
{
	return (struct sonde__context_words *)(uintptr_t)context;
}

/* The calling thread's current context. Where its span id is not 0 its trace id is not either. */
static SONDE__ALWAYS_INLINE struct sonde__context_words *sonde__context_current(void)
{
	struct sonde__context_words *words = sonde__context_words(&sonde__thread.current);

#ifdef __SANITIZE_ADDRESS__
	/* gcc 12's undefined behaviour sanitizer takes a thread-local's folded address for NULL. */
	__asm__("" : "+r"(words));
#endif
	return words;
}

static SONDE__ALWAYS_INLINE bool sonde__context_words_are_valid(
	const struct sonde__context_words *words)
{
	return (words->trace_id[0] | words->trace_id[1]) != 0 && words->span_id != 0;
}

/* What context.extension[] holds. */
enum sonde__extension {
	SONDE__EXTENSION_DEADLINE = 0, /* Reserved for resilience. */
	SONDE__EXTENSION_TRACESTATE = 1, /* A reference, see below. */
	SONDE__EXTENSION_VALUES = 2, /* A reference, see below. */
};

/*
 * ---- New ids
 * -------------------------------------------------------------------------------------
 */

/*
 * Seeds the process, from the kernel's random numbers: at start, and in a forked child before its
 * first id, because its memory is a copy of its parent's. Async-signal-safe.
 */
void sonde__identity_open(void);

/* The slow path of a draw: the thread's first. Lock-free, async-signal-safe. */
void sonde__identity_seed_thread(void);

/*
 * Called when a thread has drawn its first id; NULL: nothing is. Async-signal-safe, and it may be
 * called in a forked child that nobody knows yet.
 */
extern void (*_Atomic sonde__identity_on_thread)(void);

/*
 * Added to every thread's states; replaced in a forked child. Read relaxed: any of the values will
 * do.
 */
extern _Atomic uint64_t sonde__identity_key;

#define SONDE__IDENTITY_STEP UINT64_C(0x9e3779b97f4a7c15)

/*
 * Advances the thread's state and returns what it was, in one instruction that no signal handler of
 * this thread can come between. No other thread touches the word, so where the processor can do it
 * without locking the bus that is enough.
 */
static SONDE__ALWAYS_INLINE uint64_t sonde__identity_advance(void)
{
#if defined(__x86_64__)
	uint64_t state = SONDE__IDENTITY_STEP;

	__asm__("xaddq %0, %1" : "+r"(state), "+m"(sonde__thread.id_state));
	return state;
#else
	/* Relaxed: the word is this thread's alone. */
	return atomic_fetch_add_explicit(&sonde__thread.id_state, SONDE__IDENTITY_STEP,
					 memory_order_relaxed);
#endif
}

/* 0 where the thread is not seeded yet, and once in 2^64: then sonde__identity_draw gives one. */
static SONDE__ALWAYS_INLINE uint64_t sonde__identity_try(void)
{
	/* Relaxed, both: the thread's own word, and a key of which any value will do. */
	if (SONDE__UNLIKELY(!atomic_load_explicit(&sonde__thread.id_state, memory_order_relaxed)))
		return 0;
	return sonde__mix64(sonde__identity_advance() +
			    atomic_load_explicit(&sonde__identity_key, memory_order_relaxed));
}

/* As sonde__identity_draw, after a try that gave none. */
uint64_t sonde__identity_draw_again(void);

/* A new span id, or half a trace id; never 0. Wait-free, async-signal-safe. */
static SONDE__ALWAYS_INLINE uint64_t sonde__identity_draw(void)
{
	uint64_t id = sonde__identity_try();

	return SONDE__LIKELY(id) ? id : sonde__identity_draw_again();
}

/*
 * ---- Tracestates
 * ---------------------------------------------------------------------------------
 */

/*
 * A tracestate is text of some hundred bytes and a context is a small value: the text stands in a
 * bounded table, the context has a number that names the slot and its generation. A slot that was
 * given to a later request is recognised, and the tracestate is absent.
 */

/*
 * Keeps a valid, trimmed text of 1 to SONDE_TRACESTATE_LENGTH bytes. 0: not kept, counted.
 * Lock-free.
 */
uint64_t sonde__tracestate_keep(const char *text, size_t size);

/* Copies the text, returns its size; 0 where there is none any more (counted). Lock-free. */
size_t sonde__tracestate_read(uint64_t reference, char ret[SONDE_TRACESTATE_LENGTH]);

/* The slot is the first to be used again; until then the text stays readable. Lock-free. */
void sonde__tracestate_free(uint64_t reference);

/* How many texts were not kept or taken away from a context that still named them. */
uint64_t sonde__tracestate_losses(void);

/*
 * Reads a header's value: *ret_size bytes of whole members without white space around them, trimmed
 * to SONDE_TRACESTATE_LENGTH. SONDE_E_MALFORMED: to be dropped. Pure.
 */
int sonde__tracestate_parse(const char *text, char ret[SONDE_TRACESTATE_LENGTH], size_t *ret_size);

/*
 * ---- Values
 * -------------------------------------------------------------------------------------
 */

/*
 * What a scope says about everything below it: attributes, encoded as a log record's fields, in
 * chunks of a bounded table. A context has a reference. What a reference names never changes; where
 * a chunk was given to somebody else it names less.
 */
#define SONDE__VALUES_CHUNK_SIZE 240
#define SONDE__VALUES_DEPTH 8 /* Chunks of one reference. */
#define SONDE__VALUES_MAX_SIZE (SONDE__VALUES_DEPTH * SONDE__VALUES_CHUNK_SIZE)

/* A reference that is not its holder's to write behind: handed out, or taken over by a scope. */
#define SONDE__VALUES_SEALED (UINT64_C(1) << 14)

static SONDE__ALWAYS_INLINE bool sonde__values_are_some(uint64_t reference)
{
	return (reference & ~SONDE__VALUES_SEALED) != 0;
}

static SONDE__ALWAYS_INLINE uint64_t sonde__values_seal(uint64_t reference)
{
	return reference ? reference | SONDE__VALUES_SEALED : 0;
}

/*
 * The reference that has the attribute as well: the later of two with the same key counts. Where it
 * finds no room it gives the same one back, counted. A value is cut at what a chunk holds.
 * Lock-free, async-signal-safe.
 */
uint64_t sonde__values_add(uint64_t reference, const struct sonde_attr *attr);
uint64_t sonde__values_add_text(uint64_t reference, const char *key, size_t key_size,
				const char *value, size_t size);

/*
 * Copies the fields, the outermost first; their size. Those that are gone are left out, counted.
 * Lock-free, async-signal-safe.
 */
size_t sonde__values_read(uint64_t reference, uint8_t ret[SONDE__VALUES_MAX_SIZE]);

/* For a copy that leaves the scope: it stays readable for a while after the scope's end. */
uint64_t sonde__values_lend(uint64_t reference);

/* A scope's end: nobody needs what was added since `base`; or, since the last sealed reference. */
void sonde__values_release(uint64_t reference, uint64_t base);
void sonde__values_release_run(uint64_t reference);

/* How many values were not kept, or were gone when they were read. */
uint64_t sonde__values_losses(void);

#endif
