/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tracestates are kept: a table of slots, each a sequence lock.
 *
 * A slot's word holds its generation, whether it is being written, and whether somebody still needs
 * it. A writer claims a slot by setting the writing bit (compare and exchange), writes, and leaves
 * a new generation behind. A reader takes the word, copies, and takes the word again: what it
 * copied counts only where both times the generation was the one it looked for and nobody was
 * writing. Nobody waits: a writer that finds a slot being written goes on to the next, a reader
 * gives up.
 *
 * A freed slot keeps its text until it is used again, so that spans which end after the one that
 * brought the tracestate still find it. Where no slot is free the one whose turn it is, the oldest,
 * is taken away from its owner, and that is counted.
 *
 * The memory is part of the library's zeroed data: pages that are never used are never touched.
 */

#include "context/context.h"

#include <string.h>

#define SLOTS 1024
#define SLOT_BITS 10
#define PROBES 16 /* Slots looked at before one is taken away, */
#define STRIDE 617 /* far apart: long-lived owners stand side by side. */
#define WORDS (SONDE_TRACESTATE_LENGTH / sizeof(uint64_t))

#define WRITING UINT64_C(1)
#define NEEDED UINT64_C(2)
#define GENERATION UINT64_C(4) /* One generation. */
#define GENERATION_SHIFT 2

struct slot {
	_Atomic uint64_t word;
	_Atomic uint64_t size;
	_Atomic uint64_t text[WORDS];
};

static struct slot slots[SLOTS];
static _Atomic uint64_t turn;
static _Atomic uint64_t losses;

static uint64_t count_loss(void)
{
	/* Relaxed: a statistic. */
	atomic_fetch_add_explicit(&losses, 1, memory_order_relaxed);
	return 0;
}

uint64_t sonde__tracestate_losses(void)
{
	return atomic_load_explicit(&losses, memory_order_relaxed);
}

/* Claims the slot if nobody writes it and, unless `any`, nobody needs it. */
static bool slot_claim(struct slot *slot, bool any, uint64_t *ret_word)
{
	uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

	if ((word & WRITING) || (!any && (word & NEEDED)))
		return false;
	/* A1, with R1 of the writer before: its text is complete before ours goes over it. */
	if (!atomic_compare_exchange_strong_explicit(&slot->word, &word, word | WRITING,
						     memory_order_acquire, memory_order_relaxed))
		return false;
	if (word & NEEDED)
		count_loss();
	*ret_word = word;
	return true;
}

static struct slot *claim(uint64_t *ret_word)
{
	/* Relaxed: only a place to begin at. */
	uint64_t first = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);

	for (size_t i = 0; i < PROBES; i++)
		if (slot_claim(&slots[(first + i * STRIDE) % SLOTS], /* any= */ false, ret_word))
			return &slots[(first + i * STRIDE) % SLOTS];
	for (size_t i = 0; i < PROBES; i++)
		if (slot_claim(&slots[(first + i) % SLOTS], /* any= */ true, ret_word))
			return &slots[(first + i) % SLOTS];
	return NULL;
}

uint64_t sonde__tracestate_keep(const char *text, size_t size)
{
	uint64_t words[WORDS] = { 0 };
	struct slot *slot;
	uint64_t word;

	if (!size || size > SONDE_TRACESTATE_LENGTH)
		return 0;
	slot = claim(&word);
	if (!slot)
		return count_loss();
	memcpy(words, text, size);
	/* R2, with A3 of a reader: whoever sees a new byte sees the writing bit or a later word. */
	atomic_store_explicit(&slot->size, size, memory_order_release);
	for (size_t i = 0; i < (size + sizeof(uint64_t) - 1) / sizeof(uint64_t); i++)
		atomic_store_explicit(&slot->text[i], words[i], memory_order_release);
	word = (word >> GENERATION_SHIFT) + 1;
	/* R1, with A2: whoever sees the generation sees the text; and with A1. */
	atomic_store_explicit(&slot->word, word << GENERATION_SHIFT | NEEDED, memory_order_release);
	return word << SLOT_BITS | (uint64_t)(slot - slots);
}

static bool is_generation(uint64_t word, uint64_t reference)
{
	return !(word & WRITING) && word >> GENERATION_SHIFT == reference >> SLOT_BITS;
}

size_t sonde__tracestate_read(uint64_t reference, char ret[SONDE_TRACESTATE_LENGTH])
{
	struct slot *slot = &slots[reference % SLOTS];
	uint64_t words[WORDS];
	uint64_t size;

	if (!reference)
		return 0;
	/* A2, with R1: the text of this generation, or a later one. */
	if (!is_generation(atomic_load_explicit(&slot->word, memory_order_acquire), reference))
		return count_loss();
	/*
	 * A3, with R2: were a byte of a later text, the word read last would not be ours any more.
	 */
	size = atomic_load_explicit(&slot->size, memory_order_acquire);
	if (size > SONDE_TRACESTATE_LENGTH)
		return count_loss();
	for (size_t i = 0; i < (size + sizeof(uint64_t) - 1) / sizeof(uint64_t); i++)
		words[i] = atomic_load_explicit(&slot->text[i], memory_order_acquire);
	/* Relaxed: after the loads above, by A3. */
	if (!is_generation(atomic_load_explicit(&slot->word, memory_order_relaxed), reference))
		return count_loss();
	memcpy(ret, words, size);
	return size;
}

void sonde__tracestate_free(uint64_t reference)
{
	uint64_t word = (reference >> SLOT_BITS) << GENERATION_SHIFT | NEEDED;

	if (!reference)
		return;
	/* Relaxed: says nothing about the text. Fails where the slot is a later owner's. */
	atomic_compare_exchange_strong_explicit(&slots[reference % SLOTS].word, &word,
						word & ~NEEDED, memory_order_relaxed,
						memory_order_relaxed);
}
